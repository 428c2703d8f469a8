"""The statistics of a test of two variants, which may be looked at any time. Pure; standard library only.

The test is a mixture sequential probability ratio test (mSPRT) of the difference of two conversion rates, with a
normal mixture around 0 whose standard deviation is the wanted effect: Johari, Koomen, Pekelis, Walsh, "Always Valid
Inference", Operations Research 70(3), 2022. The sample ratio is judged by a sequential test as well, since it is looked
at as often: Lindon, Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

ALPHA = 0.05
"""How often at most a difference is reported, over all looks, where there is none."""

DECISION = 1 / ALPHA
"""The evidence at which a difference is reported."""

MIN_CONVERSIONS = 30
"""Conversions that each arm needs before anything is decided: with fewer, the rates are not normal enough."""

RATIO_ALPHA = 0.001
"""How often at most a sample ratio is reported as wrong, over all looks, where it is right."""

_RATIO_PRIOR = 100.0
"""How many units the prior of the sample ratio counts as: ratios close to the one that was set are the likely ones."""
_POWER_QUANTILE = 0.8416212335729143
"""Of the standard normal distribution at 0.8, the power that `plan` asks for."""
_MAX_LOG = 700.0
_MAX_UNITS = 1e12


@dataclass(frozen=True, slots=True)
class Arm:
    """Counts of one variant: units that were exposed, and how many of them converted."""

    units: int = 0
    conversions: int = 0

    @property
    def rate(self) -> float:
        return self.conversions / self.units if self.units else 0.0

    @property
    def variance(self) -> float:
        """Of the rate."""
        return self.rate * (1 - self.rate) / self.units if self.units else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


def effect(a: Arm, b: Arm) -> float:
    """The difference of the conversion rates, b minus a."""
    return b.rate - a.rate


def may_decide(a: Arm, b: Arm) -> bool:
    """Whether there is enough to decide on."""
    enough = min(a.conversions, b.conversions) >= MIN_CONVERSIONS
    return enough and a.variance + b.variance > 0


def evidence(a: Arm, b: Arm, wanted: float) -> float:
    """The likelihood ratio of a difference against none; 1 where nothing may be decided yet.

    `DECISION` or more at any look decides: where there is no difference, that happens in at most `ALPHA` of all tests.
    """
    if not may_decide(a, b):
        return 1.0
    v, mixed, d = a.variance + b.variance, wanted**2, effect(a, b)
    log = math.log(v / (v + mixed)) / 2 + mixed * d**2 / (2 * v * (v + mixed))
    return math.exp(min(log, _MAX_LOG))


def interval(a: Arm, b: Arm, wanted: float) -> Interval | None:
    """The differences that are not ruled out at this look; over all looks, the true one is outside in at most `ALPHA`.

    None where nothing may be decided yet.
    """
    if not may_decide(a, b):
        return None
    d, width = effect(a, b), _width(a.variance + b.variance, wanted)
    return Interval(d - width, d + width)


def _width(v: float, wanted: float) -> float:
    """Half of the interval. `v`: the variance of the difference."""
    mixed = wanted**2
    return math.sqrt(2 * v * (v + mixed) / mixed * (math.log(DECISION) + math.log((v + mixed) / v) / 2))


class SampleRatio:
    """Whether units are split as set, judged after each of them. `share`: of the units that b gets."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._prior = {True: _RATIO_PRIOR * share, False: _RATIO_PRIOR * (1 - share)}
        self._log = self._max_log = 0.0
        self._counts = {True: 0, False: 0}

    def add(self, *, is_b: bool) -> None:
        expected = self._share if is_b else 1 - self._share
        units = self._counts[True] + self._counts[False]
        predicted = (self._prior[is_b] + self._counts[is_b]) / (_RATIO_PRIOR + units)
        self._log += math.log(predicted / expected)
        self._max_log = max(self._max_log, self._log)
        self._counts[is_b] += 1

    @property
    def p_value(self) -> float:
        """The sequential p-value of the ratio that was set: valid at any look."""
        return math.exp(-self._max_log)

    @property
    def is_wrong(self) -> bool:
        return self.p_value < RATIO_ALPHA


def units_needed(rate: float, wanted: float, share: float) -> int:
    """How many units of both arms find the wanted effect with a power of about 80 %. `rate`: that of the control."""
    other = rate + wanted if rate + wanted < 1 else rate - wanted

    def finds(units: float) -> bool:
        a, b = units * (1 - share), units * share
        v = rate * (1 - rate) / a + other * (1 - other) / b
        enough = min(a * rate, b * other) >= MIN_CONVERSIONS
        return enough and _width(v, wanted) + _POWER_QUANTILE * math.sqrt(v) <= wanted

    return math.ceil(_first(finds))


def _first(holds: Callable[[float], bool]) -> float:
    """The smallest number from which on it holds, within one in a thousand; 10**12 where it holds for none."""
    low, high = 1.0, 2.0
    while not holds(high):
        low, high = high, high * 2
        if high > _MAX_UNITS:
            return _MAX_UNITS
    while high - low > high / 1000:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
