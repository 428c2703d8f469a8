"""Calls to stores that may be unavailable: the delivery waits for MongoDB, and goes on without Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from notification_service.foundation.backoff import pauses
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.foundation.outages import Outage

log = structlog.get_logger(__name__)
T = TypeVar("T")

_MIN_PAUSE_S, _MAX_PAUSE_S = 0.1, 5.0


class StoreOutages:
    def __init__(self) -> None:
        self._redis, self._mongodb = Outage(), Outage()

    @property
    def redis_away(self) -> bool:
        return self._redis.lasts

    @property
    def mongodb_away(self) -> bool:
        return self._mongodb.lasts

    async def wait_for_mongodb(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat the call until MongoDB answers. Messages stay unacked meanwhile, so the prefetch ends consuming."""
        waits: Iterator[float] | None = None
        while True:
            try:
                answer = await call()
            except StoreUnavailableError as problem:
                self.note_mongodb_failure(problem)
                waits = waits or pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)
            else:
                if self._mongodb.ends():
                    log.info("ledger.recovered")
                return answer
            await asyncio.sleep(next(waits))

    async def ignore_redis_outage(self, call: Awaitable[object]) -> None:
        """Await a write to Redis that the ledger makes up for where it fails."""
        try:
            await call
        except StoreUnavailableError as problem:
            self.note_redis_failure(problem)

    def note_mongodb_failure(self, problem: StoreUnavailableError) -> None:
        if self._mongodb.begins():
            log.warning("ledger.unavailable", problem=str(problem))

    def note_redis_failure(self, problem: StoreUnavailableError) -> None:
        if self._redis.begins():
            log.warning("claims.unavailable", problem=str(problem))

    def note_redis_answer(self) -> None:
        if self._redis.ends():
            log.info("claims.recovered")
