"""The connection to Redis (or Valkey). The only module that knows its client."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from notification_service.outcomes import NO_URL, ConfigurationError, StoreUnavailableError

T = TypeVar("T")
Client = Redis

_TIMEOUT, _DEADLINE = 1.0, 2.5


def connect(url: str) -> Client:
    """A client that answers or fails within about two seconds. No connection is opened yet.

    One retry over a fresh connection, so that an idle one that the server has closed costs no event its claim;
    the claim's owner token makes that retry safe (trap 9).
    """
    try:
        return Redis.from_pool(_pool(url))
    except ValueError:
        raise ConfigurationError(f"REDIS_URL {NO_URL}") from None


def _pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=_TIMEOUT,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
        # A question to Redis Enterprise that costs every new connection a round trip.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )


async def answered(call: Awaitable[T]) -> T:
    """Raises `StoreUnavailableError`."""
    try:
        # For the whole call: a crowd waits for a connection, then for the server, then for the retry (trap 10).
        async with asyncio.timeout(_DEADLINE):
            return await call
    except (RedisError, OSError, TimeoutError) as problem:
        raise StoreUnavailableError("Redis", f"{type(problem).__name__}: {problem}") from problem
