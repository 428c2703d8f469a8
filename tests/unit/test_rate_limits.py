"""No stretch of time holds more mails than its limit, whatever comes when; and tickets are not behind a storm."""

from collections import Counter
from heapq import heapify, heappop, heappush
from itertools import count, pairwise

import pytest
from hypothesis import given, settings, strategies as st

from notification_service.bootstrap import rate_limits
from notification_service.delivery.rate_limits import ORDER, RateLimits
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import load
from notification_service.stores.memory.rates import MemoryRates

STORM = 5_000


def most_in(times: list[float], seconds: float) -> int:
    times = sorted(times)
    first, most = 0, 0
    for last, time in enumerate(times):
        while time - times[first] >= seconds - 0.01:
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(1, 40),
    to_domain=st.integers(1, 40),
    comes=st.lists(st.tuples(st.floats(0, 90), st.booleans(), st.booleans()), min_size=1, max_size=120),
)
async def test_no_stretch_of_a_shared_limit_holds_more(
    most: int, to_domain: int, comes: list[tuple[float, bool, bool]]
) -> None:
    limits_passed: list[float] = []
    sent = await weathered(RateLimits(0, {"slow.example": to_domain}, most), comes, limits_passed)
    assert most_in([at for at, _ in sent], 60) <= most
    assert most_in(limits_passed, 60) <= to_domain
    if most >= len(comes) * 10:  # nobody waits at the limit that comes after it
        assert most_in([at for at, slow in sent if slow], 60) <= to_domain


async def test_a_storm_to_one_domain_uses_up_nobody_else_s_server() -> None:
    storm = [(0.0, False, True)] * STORM
    others = [(60 + number / 8, number % 2 == 0, False) for number in range(800)]
    sent = await weathered(RateLimits(0, {"slow.example": 100}, 1000), storm + others)
    assert most_in([at for at, _ in sent], 60) <= 1000
    assert max(at for at, slow in sent if not slow) < 200
    # A hundred a minute, of which seven tenths are for what is no ticket: more than half of the limit is used.
    assert max(at for at, slow in sent if slow) < STORM / 100 * 60 * 1.7


async def weathered(
    rate_limits: RateLimits, comes: list[tuple[float, bool, bool]], limits_passed: list[float] | None = None
) -> list[tuple[float, bool]]:
    """When each mail is sent, and whether to the slow domain. As in the pipeline, each limit is reserved in order.

    `limits_passed`: gets the time at which each passes that domain's limit; then it goes, unless it waits once more.
    """
    now = 0.0
    rates, sent, number = MemoryRates(rate_limits, lambda: now), [], count()
    waiting = [(at, next(number), 0, ticket, slow) for at, ticket, slow in comes]
    heapify(waiting)
    while waiting:
        now, _, taken, ticket, slow = heappop(waiting)
        reservation = await rates.reserve("x@slow.example" if slow else "x@other.example", ticket=ticket, taken=taken)
        if slow and not taken and limits_passed is not None:
            limits_passed.append(now + reservation.seconds * (reservation.limit == "DOMAIN_MAILS_PER_MINUTE"))
        if reservation.seconds:
            heappush(waiting, (now + reservation.seconds, next(number), reservation.taken, ticket, slow))
        else:
            sent.append((now, slow))
    return sent


async def test_a_ticket_does_not_wait_behind_five_thousand_refunds() -> None:
    rates = MemoryRates(RateLimits(per_minute=300, per_domain_minute={"*": 300}), lambda: 0.0)
    waits = [(await rates.reserve(f"{number}@gmail.example")).seconds for number in range(STORM)]
    assert max(waits) > 20 * 60
    assert all(later >= sooner for sooner, later in pairwise(waits))
    assert (await rates.reserve("late@gmail.example")).seconds > 20 * 60
    assert (await rates.reserve("ticket@gmail.example", ticket=True)).seconds == 0
    assert (await rates.reserve("ticket@other.example", ticket=True)).seconds == 0


async def test_a_domain_that_is_named_has_its_own_limit_and_others_that_of_the_star() -> None:
    rates = MemoryRates(RateLimits(per_domain_minute={"gmail.com": 2, "*": 2000}), lambda: 0.0)
    waits = Counter[str]()
    for domain in ("gmail.com", "GMail.com", "a.example", "b.example"):
        for number in range(4):
            waits[domain.lower()] += (await rates.reserve(f"{number}@{domain}")).seconds > 0
    assert waits == {"gmail.com": 7, "a.example": 0, "b.example": 0}


def test_no_key_shows_an_address() -> None:
    limits = RateLimits(
        10,
        {"*": 10},
        10,
        10,
        "smtp.example:me",
        sms_per_day=10,
        sms_per_number_hour=10,
        push_per_person_hour=10,
        push_per_minute=10,
    )
    found = limits.of("Jane.Smith@guests.example", ticket=True)
    assert [quota.setting for quota in found] == list(ORDER)
    assert not [bucket.key for limit in found for bucket in limit.buckets if "jane" in bucket.key.lower()]


@pytest.mark.parametrize(
    ("given", "minute", "day"),
    [
        ({"SMTP_SERVER": "gmail"}, 0, 500),
        ({"SMTP_SERVER": "outlook"}, 30, 10_000),
        ({"SMTP_SERVER": "yahoo"}, 0, 500),
        ({"SMTP_SERVER": "mail.example"}, 0, 0),
        ({"SMTP_SERVER": "gmail", "SMTP_MAILS_PER_DAY": "2000"}, 0, 2000),
        ({"SMTP_SERVER": "outlook", "SMTP_MAILS_PER_MINUTE": "0"}, 0, 10_000),
        ({"SMTP_SERVER": "outlook", "DELIVERY_MODE": "simulate"}, 0, 0),
    ],
)
def test_a_provider_s_own_limits_hold_unless_a_setting_says_otherwise(
    given: dict[str, str], minute: int, day: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"SMTP_USERNAME": "me@cinema.example", "SMTP_PASSWORD": "x", "FROM_EMAIL": "me@cinema.example"}
    for name, value in {**login, **given}.items():
        monkeypatch.setenv(name, value)
    found = rate_limits(load(None))
    assert (found.per_minute, found.per_day) == (minute, day)


@pytest.mark.parametrize("value", ["many", '{"gmail.com": -1}', '{"gmail.com": "x"}'])
@pytest.mark.parametrize("name", ["DOMAIN_MAILS_PER_MINUTE", "CINEMAS"])
def test_invalid_json_is_refused_by_the_settings_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as told:
        load(None)
    assert value not in str(told.value)
