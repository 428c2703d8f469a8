"""Who is signed in to the console: the in-memory twin and Redis answer alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from notification_service.delivery.ports.sessions import Sessions
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.sessions import MemorySessions
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.sessions import RedisSessions
from tests.stack.local import LocalStack
from tests.stack.processes import free_port


@pytest.fixture(params=["memory", "redis"])
async def sessions(request: pytest.FixtureRequest) -> AsyncIterator[Sessions]:
    if request.param == "memory":
        yield MemorySessions()
        return
    stack: LocalStack = request.getfixturevalue("stack")
    async with redis.connect(stack.redis_url) as client:
        yield RedisSessions(client)


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


async def test_one_stands_from_its_beginning_to_its_end(sessions: Sessions, key: str) -> None:
    assert not await sessions.exists(key)
    await sessions.begin(key, 60)
    assert await sessions.exists(key)
    await sessions.end(key)
    assert not await sessions.exists(key)


async def test_the_end_of_one_is_the_end_of_no_other(sessions: Sessions, key: str) -> None:
    await sessions.begin(key, 60)
    await sessions.begin(f"{key}-other", 60)
    await sessions.end(f"{key}-other")
    await sessions.end(f"{key}-unknown")
    assert await sessions.exists(key)


async def test_its_time_ends_it(sessions: Sessions, key: str) -> None:
    await sessions.begin(key, 1)
    assert await sessions.exists(key)
    await asyncio.sleep(1.2)
    assert not await sessions.exists(key)


async def test_another_worker_knows_it(stack: LocalStack, key: str) -> None:
    async with redis.connect(stack.redis_url) as one, redis.connect(stack.redis_url) as other:
        await RedisSessions(one).begin(key, 60)
        assert await RedisSessions(other).exists(key)
        await RedisSessions(other).end(key)
        assert not await RedisSessions(one).exists(key)


async def test_without_redis_a_store_error_is_raised(key: str) -> None:
    async with redis.connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        sessions = RedisSessions(client)
        for asked in (sessions.begin(key, 60), sessions.exists(key), sessions.end(key)):
            with pytest.raises(StoreUnavailableError):
                await asked
