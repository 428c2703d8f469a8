"""How many mails go where: the in-memory twin and Redis answer alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.rate_limits import RateLimits, Reservation
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.rates import MemoryRates
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.rates import RedisRates
from tests.stack.local import LocalStack
from tests.stack.processes import free_port

MOST = 4
RATE_LIMITS = RateLimits(MOST, {"slow.example": 10, "*": 0}, per_minute=0)


@pytest.fixture(params=["memory", "redis"])
async def rates_of(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[RateLimits], Rates]]:
    if request.param == "memory":
        yield MemoryRates
        return
    stack: LocalStack = request.getfixturevalue("stack")
    async with redis.connect(stack.redis_url) as client:
        await client.flushall()
        yield lambda limits: RedisRates(client, limits)


@pytest.fixture
def rates(rates_of: Callable[[RateLimits], Rates]) -> Rates:
    return rates_of(RATE_LIMITS)


@pytest.fixture
def address() -> str:
    return f"{uuid.uuid4().hex}@guests.example"


async def test_the_first_go_at_once_and_each_further_one_has_a_time_of_its_own(rates: Rates, address: str) -> None:
    reservations = [await rates.reserve(address) for _ in range(MOST + 4)]
    assert reservations[:MOST] == [Reservation()] * MOST
    assert [reservation.seconds for reservation in reservations[MOST:]] == pytest.approx([900, 1800, 2700, 3600], abs=5)
    assert {reservation.limit for reservation in reservations[MOST:]} == {"RECIPIENT_MAILS_PER_HOUR"}


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (RateLimits(sms_per_number_hour=2), "SMS_RECIPIENT_PER_HOUR"),
        (RateLimits(push_per_person_hour=2), "PUSH_RECIPIENT_PER_HOUR"),
        (RateLimits(push_per_minute=2), "PUSH_MAX_PER_MINUTE"),
        (RateLimits(sms_per_day=2), "SMS_MAX_PER_DAY"),
    ],
)
async def test_sms_and_push_have_limits_of_their_own(
    rates_of: Callable[[RateLimits], Rates], limits: RateLimits, setting: str
) -> None:
    """Of two an hour both go at once, of two a minute or a day one: no stretch of that length has more."""
    rates, to = rates_of(limits), f"devices:{uuid.uuid4().hex[:16]}"
    found = [await rates.reserve(to) for _ in range(4)]
    assert not found[0].seconds
    assert {each.limit for each in found[2:]} == {setting}
    assert setting in found[-1].reason
    waits = [each.seconds for each in found]
    assert waits == sorted(waits)
    other = await rates.reserve(f"devices:{uuid.uuid4().hex[:16]}")
    assert bool(other.seconds) is ("RECIPIENT" not in setting), "another recipient waits at what all share alone"


async def test_who_wants_a_place_only_now_takes_none_that_is_later(rates: Rates) -> None:
    domain = "slow.example"
    first, *later = [
        (await rates.reserve(f"{uuid.uuid4().hex}@{domain}", only_now=only_now)).seconds
        for only_now in (True, True, True, False)
    ]
    assert first == 0, "a free place is taken"
    assert later == pytest.approx([10, 10, 10], abs=1), "the same place each time: nobody has taken it"


async def test_who_wants_a_place_only_now_takes_none_at_the_limits_before_either(rates: Rates, address: str) -> None:
    """Its address has four; the domain has none free."""
    busy = address.replace("guests.example", "slow.example")
    await rates.reserve(f"other-{busy}")
    for _ in range(2 * MOST):
        assert (await rates.reserve(busy, only_now=True)).limit == "DOMAIN_MAILS_PER_MINUTE"


async def test_another_address_does_not_wait_and_capitals_are_none(rates: Rates, address: str) -> None:
    for _ in range(MOST):
        await rates.reserve(address)
    assert await rates.reserve(f"other-{address}") == Reservation()
    assert (await rates.reserve(address.upper())).seconds > 0


async def test_a_domain_is_shared_and_tickets_have_a_part_of_it_to_themselves(rates: Rates) -> None:
    domain = "slow.example"
    # Ten a minute: seven for all mails, of which one goes at once, and three for tickets.
    waits = [(await rates.reserve(f"{uuid.uuid4().hex}@{domain}")).seconds for _ in range(5)]
    assert waits == pytest.approx([0, 10, 20, 30, 40], abs=1)
    tickets = [await rates.reserve(f"{uuid.uuid4().hex}@{domain}", ticket=True) for _ in range(3)]
    assert [reservation.seconds for reservation in tickets] == pytest.approx([0, 30, 50], abs=1)
    assert (tickets[-1].limit, tickets[-1].taken) == ("DOMAIN_MAILS_PER_MINUTE", 2)


async def test_who_waits_at_one_limit_takes_no_place_at_the_next(rates: Rates) -> None:
    address = f"{uuid.uuid4().hex}@slow.example"
    reservations = [await rates.reserve(address) for _ in range(MOST + 20)]
    assert {reservation.limit for reservation in reservations[MOST:]} == {"RECIPIENT_MAILS_PER_HOUR"}
    # Four have taken a place for the domain, and the twenty that wait have not.
    late = await rates.reserve(address, taken=reservations[-1].taken)
    assert late.limit == "DOMAIN_MAILS_PER_MINUTE"
    assert late.seconds == pytest.approx(40, abs=1)
    assert await rates.reserve(address, taken=late.taken) == Reservation()


async def test_what_was_not_sent_counts_once_however_often_it_comes_back(rates: Rates, address: str) -> None:
    for _ in range(3 * MOST):
        turn = await rates.reserve(address)
        assert turn == Reservation()
        await rates.give_back(turn.places)
    assert [(await rates.reserve(address)).seconds > 0 for _ in range(MOST + 1)] == [False] * MOST + [True]


async def test_the_quota_of_a_day_gets_places_back_and_a_pace_does_not(
    rates_of: Callable[[RateLimits], Rates], address: str
) -> None:
    """Of three a day and of ten a minute, one may go at once."""
    rates = rates_of(RateLimits(per_minute=10, per_day=3))
    first = await rates.reserve(address)
    assert [place.bucket.key.partition(":")[0] for place in first.places] == ["day"]
    await rates.give_back(first.places)
    paced = await rates.reserve(address)
    assert (paced.limit, paced.places) == ("SMTP_MAILS_PER_MINUTE", ())
    turns = [await rates.reserve(address, taken=paced.taken) for _ in range(2)]
    assert [turn.limit for turn in turns] == ["", "SMTP_MAILS_PER_DAY"]


async def test_what_time_has_freed_is_not_freed_again(rates_of: Callable[[RateLimits], Rates], address: str) -> None:
    """A place that lasts 0.3 s, given back when it is over: the two that others have stay taken."""
    rates = rates_of(RateLimits(per_address_hour=12_000))
    old = await rates.reserve(address)
    await asyncio.sleep(0.35)
    mine, other = await rates.reserve(address), await rates.reserve(address)
    await rates.give_back(old.places)
    later = await rates.reserve(address)
    assert later.places[0].empty_at == pytest.approx(other.places[0].empty_at + 0.3, abs=0.005)
    await rates.give_back(mine.places)
    last = await rates.reserve(address)
    assert last.places[0].empty_at == pytest.approx(later.places[0].empty_at, abs=0.25)


async def test_what_waits_has_its_place_and_what_takes_none_has_none_to_give_back(rates: Rates, address: str) -> None:
    turns = [await rates.reserve(address, only_now=number > MOST) for number in range(MOST + 2)]
    assert [len(turn.places) for turn in turns] == [1] * (MOST + 1) + [0]


async def test_a_bucket_empties_evenly(stack: LocalStack, address: str) -> None:
    now = 0.0
    rates = MemoryRates(RATE_LIMITS, lambda: now)
    for _ in range(MOST):
        await rates.reserve(address)
    now = 900
    assert [(await rates.reserve(address)).seconds for _ in range(2)] == [0, pytest.approx(900)]


async def test_without_redis_a_store_error_is_raised(address: str) -> None:
    async with redis.connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        with pytest.raises(StoreUnavailableError):
            await RedisRates(client, RATE_LIMITS).reserve(address)


async def test_no_address_stands_in_redis(stack: LocalStack, address: str) -> None:
    async with redis.connect(stack.redis_url) as client:
        await client.flushall()
        await RedisRates(client, RATE_LIMITS).reserve(address)
        (key,) = await client.keys("*")
        assert address.partition("@")[0] not in key
        assert 0 < await client.pttl(key) <= 3600 * 1000
