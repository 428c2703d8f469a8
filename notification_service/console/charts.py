"""Outcomes over time: counted by the hour, cached, and drawn as stacked bars."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SERIES: Mapping[str, tuple[str, ...]] = {
    "sent": ("sent",),
    "simulated": ("simulated",),
    "under way": ("pending", "waiting"),
    "skipped": ("skipped",),
    "bounced": ("bounced",),
    "for a person": ("rejected", "parked", "unknown"),
}
"""The series of a chart, from the bottom up, with their outcomes."""

WIDTH, HEIGHT = 720, 220
_LEFT, _TOP, _BOTTOM = 44, 10, 26
_HOUR = timedelta(hours=1)
_MAX_AGE_S, _RECENT = 600.0, timedelta(hours=2)
_COUNT_WAIT_S = 0.15
"""How long a page waits for the count; hours that are missing then are on the next page."""

Tally = Callable[[datetime, datetime], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Span:
    """One bar. `counts`: by series; None if it is not counted yet."""

    since: datetime
    counts: Mapping[str, int] | None

    @property
    def total(self) -> int:
        return sum((self.counts or {}).values())


class Hours:
    """Counts each hour once, newest first, and again if it is recent or its count is older than 10 minutes."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._counted: dict[datetime, tuple[float, Mapping[str, int]]] = {}
        self._counting: asyncio.Task[None] | None = None

    async def spans(self, now: datetime, hours: int, hours_per_span: int) -> list[Span]:
        """Returns the bars, oldest first. Raises `StoreUnavailableError`."""
        newest = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        wanted = [newest - each * _HOUR for each in range(hours)]
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count(wanted))
        done, _ = await asyncio.wait({self._counting}, timeout=_COUNT_WAIT_S)
        for task in done:
            task.result()
        begins = [wanted[at : at + hours_per_span] for at in range(0, hours, hours_per_span)]
        return [Span(each[-1], self._sum(each)) for each in reversed(begins)]

    async def close(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)

    async def _count(self, wanted: Sequence[datetime]) -> None:
        for hour in wanted:
            counted_at, _ = self._counted.get(hour, (0.0, {}))
            is_recent = hour >= wanted[0] - _RECENT
            if not counted_at or is_recent or time.monotonic() - counted_at > _MAX_AGE_S:
                self._counted[hour] = time.monotonic(), await self._tally(hour, hour + _HOUR)
        for hour in sorted(self._counted)[: -24 * 8]:
            del self._counted[hour]

    def _sum(self, hours: Sequence[datetime]) -> Mapping[str, int] | None:
        found = [self._counted[hour][1] for hour in hours if hour in self._counted]
        if len(found) < len(hours):
            return None
        total = sum(map(Counter, found), Counter())
        return {name: sum(total[outcome] for outcome in outcomes) for name, outcomes in SERIES.items()}


@dataclass(frozen=True, slots=True)
class Bar:
    series: str
    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Positions in units of the viewBox. `series`: those that are not empty."""

    bars: Sequence[Bar]
    lines: Sequence[tuple[float, str]]
    labels: Sequence[tuple[float, str]]
    series: Sequence[str]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT


def draw(spans: Sequence[Span], series: Sequence[str], when: str) -> Chart:
    """`when`: the strftime format of a time."""
    totals = [sum((span.counts or {}).get(name, 0) for name in series) for span in spans]
    top, ground = _round_up(max(totals, default=0)), HEIGHT - _BOTTOM
    scale, step = (ground - _TOP) / top, (WIDTH - _LEFT) / max(len(spans), 1)
    every = max(1, round(len(spans) / 8))
    return Chart(
        bars=list(_bars(spans, series, when, scale, step)),
        lines=[(ground - scale * top * part / 2, f"{top * part // 2:,}") for part in range(3)],
        labels=[
            (_LEFT + (at + 0.5) * step, f"{span.since:{when}}") for at, span in enumerate(spans) if at % every == 0
        ],
        series=[name for name in series if any((span.counts or {}).get(name) for span in spans)],
    )


def _bars(spans: Sequence[Span], series: Sequence[str], when: str, scale: float, step: float) -> Iterator[Bar]:
    for at, span in enumerate(spans):
        y = float(HEIGHT - _BOTTOM)
        for name in series:
            if count := (span.counts or {}).get(name, 0):
                # One of ten thousand is still visible.
                height = max(scale * count, 1.5)
                y -= height
                says = f"{span.since:{when}}: {count:,} {name}"
                yield Bar(
                    name,
                    round(_LEFT + at * step + step * 0.1, 2),
                    round(y, 2),
                    round(step * 0.8, 2),
                    round(height, 2),
                    says,
                )


def _round_up(most: int) -> int:
    """Returns an even number with one or two significant digits, so that the middle line is a whole number."""
    power: int = 10 ** (len(str(most)) - 1)
    tops = (each * power for each in (1, 2, 4, 6, 8, 10, 20))
    return next(top for top in tops if top >= most and top % 2 == 0)
