"""The statistics of a test that is looked at again and again: false discoveries, power, and a judge from elsewhere."""

import math
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
import ville
from ville._boundaries import normal_mixture

from notification_service.records.experiment_statistics import (
    ALPHA,
    DECISION,
    MIN_CONVERSIONS,
    Arm,
    SampleRatio,
    effect,
    evidence,
    interval,
    may_decide,
    units_needed,
)

WANTED = 0.05
LOOKS = 20


# ── values ───────────────────────────────────────────────────────────────────────────────────────────
def test_the_evidence_is_the_ratio_of_the_mixture() -> None:
    # By hand: v = 0.3*0.7/1000 + 0.35*0.65/1000 = 0.0004375; tau^2 = 0.0025; d = 0.05.
    a, b = Arm(1000, 300), Arm(1000, 350)
    v, mixed = 0.0004375, 0.0025
    assert evidence(a, b, WANTED) == pytest.approx(
        math.sqrt(v / (v + mixed)) * math.exp(mixed * 0.05**2 / (2 * v * (v + mixed)))
    )
    assert evidence(a, b, WANTED) == pytest.approx(4.391, abs=0.001)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Arm(), Arm()),
        (Arm(1000, MIN_CONVERSIONS - 1), Arm(1000, 900)),
        (Arm(1000, 900), Arm(1000, MIN_CONVERSIONS - 1)),
        (Arm(100, 100), Arm(100, 100)),
        (Arm(100, 0), Arm(100, 0)),
    ],
)
def test_nothing_is_decided_before_30_conversions_an_arm_or_without_variance(a: Arm, b: Arm) -> None:
    assert not may_decide(a, b)
    assert evidence(a, b, WANTED) == 1
    assert interval(a, b, WANTED) is None


def test_an_arm_that_always_converts_beside_one_that_does_not_is_decided() -> None:
    assert evidence(Arm(200, 100), Arm(200, 200), WANTED) > DECISION


def test_a_huge_difference_is_no_overflow() -> None:
    assert evidence(Arm(10**9, 10**8), Arm(10**9, 9 * 10**8), WANTED) > DECISION


def samples(seed: int) -> Iterator[tuple[Arm, Arm]]:
    chance = Random(seed)  # noqa: S311 - no secret
    for _ in range(200):
        units = chance.randint(60, 5000)
        yield Arm(units, chance.randint(30, units - 1)), Arm(units, chance.randint(30, units - 1))


def test_the_interval_leaves_out_nothing_exactly_where_the_evidence_decides() -> None:
    for a, b in samples(1):
        found = interval(a, b, WANTED)
        assert found
        assert (not found.low <= 0 <= found.high) == (evidence(a, b, WANTED) >= DECISION)


def test_the_interval_is_that_of_another_library_on_the_same_data() -> None:
    """Ville's boundary of a normal mixture, in units of the variance: V = 1/v, with a precision of 1/tau^2."""
    for a, b in samples(2):
        found = interval(a, b, WANTED)
        assert found
        v = a.variance + b.variance
        width = float(normal_mixture(1 / v, ALPHA, 1 / WANTED**2)) * v
        assert found.low == pytest.approx(effect(a, b) - width)
        assert found.high == pytest.approx(effect(a, b) + width)


# ── simulations ──────────────────────────────────────────────────────────────────────────────────────
def converting(rate: float, generator: Any) -> Iterator[Arm]:  # noqa: ANN401 - NumPy's
    """An arm at each of the looks, 200 units apart."""
    added = generator.binomial(200, rate, LOOKS)
    yield from (Arm(200 * (at + 1), int(conversions)) for at, conversions in enumerate(np.cumsum(added)))


def first_decision(rate_a: float, rate_b: float, generator: Any) -> int | None:  # noqa: ANN401 - NumPy's
    """The units an arm at which it was decided; None where it was not."""
    arms = zip(converting(rate_a, generator), converting(rate_b, generator), strict=True)
    return next((a.units for a, b in arms if evidence(a, b, WANTED) >= DECISION), None)


def simulated(rate_a: float, rate_b: float, runs: int, seed: int = 12) -> list[int | None]:
    generator = np.random.default_rng(seed)
    return [first_decision(rate_a, rate_b, generator) for _ in range(runs)]


def share_decided(found: list[int | None]) -> float:
    return sum(each is not None for each in found) / len(found)


def test_equal_arms_are_seldom_told_apart_however_often_they_are_looked_at() -> None:
    assert share_decided(simulated(0.3, 0.3, 400)) <= ALPHA


def test_a_wanted_difference_is_found() -> None:
    assert share_decided(simulated(0.3, 0.35, 200)) >= 0.9


@pytest.mark.soak
def test_three_thousand_tests_of_equal_arms_end_wrong_in_at_most_one_of_twenty() -> None:
    for rate in (0.1, 0.3, 0.5, 0.9):
        found = share_decided(simulated(rate, rate, 3000))
        print(f"equal arms at {rate:.0%}: {found:.1%} false")  # noqa: T201 - what `make soak` states
        assert found <= ALPHA


@pytest.mark.soak
def test_three_thousand_tests_state_their_power() -> None:
    for rate, power in ((0.35, 0.9), (0.33, 0.4)):
        found = simulated(0.3, rate, 3000)
        units = sorted(each for each in found if each is not None)
        print(f"30 % and {rate:.0%}: found in {share_decided(found):.1%}, median {units[len(units) // 2]} an arm")  # noqa: T201 - what `make soak` states
        assert share_decided(found) >= power


@pytest.mark.soak
def test_a_plain_test_that_is_looked_at_as_often_is_wrong_far_more_often() -> None:
    """So the simulation can find what it is for."""

    def z_decides(a: Arm, b: Arm) -> bool:
        return abs(effect(a, b)) > 1.96 * math.sqrt(a.variance + b.variance)

    generator = np.random.default_rng(12)
    runs = [
        any(z_decides(a, b) for a, b in zip(converting(0.3, generator), converting(0.3, generator), strict=True))
        for _ in range(1000)
    ]
    assert sum(runs) / len(runs) > 0.15


def test_another_library_judges_the_same_streams_alike() -> None:
    """Ville's asymptotic test of one stream of units, which mixes otherwise: both find it, or neither does."""
    generator = np.random.default_rng(7)
    for rate_b, is_found in ((0.3, False), (0.38, True)):
        treated = generator.random(8000) < 0.5
        paid = generator.random(8000) < np.where(treated, rate_b, 0.3)
        judge = ville.AsymptoticABTest(t_opt=3000).fit(paid.astype(float), treated.astype(float))
        a, b = (Arm(int(sum(treated == arm)), int(sum(paid[treated == arm]))) for arm in (False, True))
        low, high = judge.interval()
        assert (not low <= 0 <= high) == is_found == (evidence(a, b, WANTED) >= DECISION)


# ── the sample ratio ─────────────────────────────────────────────────────────────────────────────────
def ratio_of(share: float, units: list[bool]) -> SampleRatio:
    ratio = SampleRatio(share)
    for is_b in units:
        ratio.add(is_b=is_b)
    return ratio


def test_1500_of_2000_in_one_arm_are_noticed() -> None:
    assert ratio_of(0.5, [number % 4 != 0 for number in range(2000)]).is_wrong


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_ratio_as_set_is_not(share: float) -> None:
    chance = Random(3)  # noqa: S311 - no secret
    wrong = sum(ratio_of(share, [chance.random() < share for _ in range(1000)]).is_wrong for _ in range(100))
    assert wrong == 0


def test_a_ratio_that_was_wrong_once_stays_noticed() -> None:
    chance = Random(4)  # noqa: S311 - no secret
    units = [True] * 60 + [chance.random() < 0.5 for _ in range(3000)]
    assert ratio_of(0.5, units).is_wrong


def test_the_p_value_is_that_of_the_beta_binomial_at_its_extreme() -> None:
    """In closed form, by the logarithm of the beta function: Lindon and Malek, 2022."""

    def log_beta(one: float, other: float) -> float:
        return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)

    units = [True] * 40
    closed = log_beta(90 + 40, 10) - log_beta(90, 10) - 40 * math.log(0.9)
    assert ratio_of(0.9, units).p_value == pytest.approx(min(1.0, math.exp(-closed)))


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────
def test_the_planned_units_find_the_wanted_effect_in_four_of_five_tests() -> None:
    units = units_needed(0.3, 0.05, 0.5)
    assert 2 * 1600 < units < 2 * 4000
    generator = np.random.default_rng(5)
    found = 0
    for _ in range(300):
        a, b = (Arm(units // 2, int(generator.binomial(units // 2, rate))) for rate in (0.3, 0.35))
        found += evidence(a, b, WANTED) >= DECISION
    assert 0.72 < found / 300 < 0.88


def test_a_smaller_share_and_a_smaller_effect_need_more() -> None:
    assert units_needed(0.3, 0.05, 0.1) > 2 * units_needed(0.3, 0.05, 0.5)
    assert units_needed(0.3, 0.025, 0.5) > 3 * units_needed(0.3, 0.05, 0.5)


def test_a_rate_near_one_leads_downwards() -> None:
    assert units_needed(0.98, 0.05, 0.5) < units_needed(0.5, 0.05, 0.5)
