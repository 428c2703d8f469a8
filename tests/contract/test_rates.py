"""How many mails one address gets: the in-memory twin and Redis answer alike."""

import uuid
from collections.abc import AsyncIterator

import pytest

from notification_service.outcomes import StoreUnavailableError
from notification_service.ports import Rates
from notification_service.stores import redis
from notification_service.stores.memory import MemoryRates
from notification_service.stores.redis_rates import RedisRates
from tests.stack.local import LocalStack
from tests.stack.processes import free_port

MOST, SECONDS = 5, 1000.0


@pytest.fixture(params=["memory", "redis"])
async def rates(request: pytest.FixtureRequest) -> AsyncIterator[Rates]:
    if request.param == "memory":
        yield MemoryRates(MOST, SECONDS)
        return
    stack: LocalStack = request.getfixturevalue("stack")
    async with redis.connect(stack.redis_url) as client:
        yield RedisRates(client, most=MOST, seconds=SECONDS)


@pytest.fixture
def address() -> str:
    return f"{uuid.uuid4().hex}@guests.example"


async def test_the_first_go_at_once_and_each_further_one_has_a_time_of_its_own(rates: Rates, address: str) -> None:
    waits = [await rates.reserve(address) for _ in range(MOST + 4)]
    assert waits[:MOST] == [0] * MOST
    assert waits[MOST:] == pytest.approx([200, 400, 600, 800], abs=5)


async def test_another_address_does_not_wait_and_capitals_are_none(rates: Rates, address: str) -> None:
    for _ in range(MOST):
        await rates.reserve(address)
    assert await rates.reserve(f"other-{address}") == 0
    assert await rates.reserve(address.upper()) > 0


async def test_a_bucket_empties_evenly(stack: LocalStack, address: str) -> None:
    now = 0.0
    rates = MemoryRates(MOST, SECONDS, lambda: now)
    for _ in range(MOST):
        await rates.reserve(address)
    now = 200
    assert [await rates.reserve(address) for _ in range(2)] == [0, pytest.approx(200)]


async def test_no_redis_is_said_so(address: str) -> None:
    async with redis.connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        with pytest.raises(StoreUnavailableError):
            await RedisRates(client, most=MOST, seconds=SECONDS).reserve(address)


async def test_no_address_stands_in_redis(stack: LocalStack, address: str) -> None:
    async with redis.connect(stack.redis_url) as client:
        await client.flushall()
        await RedisRates(client, most=MOST, seconds=SECONDS).reserve(address)
        (key,) = await client.keys("*")
        assert address.partition("@")[0] not in key
        assert 0 < await client.pttl(key) <= SECONDS * 1000
