"""Draws the effect of a test over time, with its always-valid interval at each look. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from notification_service.records.experiment_analysis import Look

WIDTH, HEIGHT = 720, 240
_LEFT, _TOP, _BOTTOM = 60, 14, 28
_LABELS = 8
_STEPS = (0.1, 0.2, 0.5, 1, 2, 2.5, 5, 10, 15, 20, 25, 30, 40, 50)
"""Percentage points between two lines of the grid."""
_CAP = 6.0
"""The largest height, in wanted effects, that early intervals may stretch the picture to."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The effect at one look at (`x`, `y`), and its interval from `low` to `high`, in units of the viewBox."""

    x: float
    y: float
    low: float
    high: float
    decides: bool
    says: str


@dataclass(frozen=True, slots=True)
class EffectChart:
    """Positions in units of the viewBox. `lines`: the heights of a grid, with their values in percentage points."""

    marks: Sequence[Mark]
    lines: Sequence[tuple[float, str]]
    labels: Sequence[tuple[float, str]]
    zero: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT


def draw(looks: Sequence[Look], wanted: float, decision: float) -> EffectChart | None:
    """The looks at which something may be decided, oldest first; None where there is none."""
    shown = [look for look in looks if look.interval]
    if not shown:
        return None
    top = _reach(shown, wanted)
    step, every = (WIDTH - _LEFT) / len(shown), max(1, round(len(shown) / _LABELS))
    return EffectChart(
        marks=list(_marks(shown, top, step, decision)),
        lines=[(_y(part * top / 2, top), _points(part * top / 2) if part else "0") for part in range(-2, 3)],
        labels=[(_x(at, step), _day(shown, at)) for at in range(len(shown) - 1, -1, -every)],
        zero=_y(0, top),
    )


def _marks(shown: Sequence[Look], top: float, step: float, decision: float) -> Iterator[Mark]:
    for at, look in enumerate(shown):
        if interval := look.interval:
            says = (
                f"{look.at:%Y-%m-%d %H:%M}: {_points(look.effect)} points, "
                f"from {_points(interval.low)} to {_points(interval.high)}"
            )
            y, low, high = (_y(each, top) for each in (look.effect, interval.low, interval.high))
            yield Mark(_x(at, step), y, low, high, look.evidence >= decision, says)


def _reach(shown: Sequence[Look], wanted: float) -> float:
    """The largest effect in the picture: that of the last interval at least, of the early ones up to a cap."""
    ends = [max(abs(look.interval.low), abs(look.interval.high)) for look in shown if look.interval]
    least = max(ends[-1], min(max(ends), _CAP * wanted), wanted)
    return next((2 * step / 100 for step in _STEPS if 2 * step / 100 >= least), 1.0)


def _points(effect: float) -> str:
    return f"{effect * 100:+.1f}".removesuffix(".0").replace("-", "\N{MINUS SIGN}")


def _day(shown: Sequence[Look], at: int) -> str:
    return "now" if at == len(shown) - 1 else f"{shown[at].at:%d %b}"


def _x(at: int, step: float) -> float:
    return round(_LEFT + (at + 0.5) * step, 2)


def _y(effect: float, top: float) -> float:
    middle, half = (HEIGHT - _BOTTOM + _TOP) / 2, (HEIGHT - _BOTTOM - _TOP) / 2
    return round(middle - max(-1.0, min(1.0, effect / top)) * half, 2)
