"""Handles redelivered messages one at a time, so that one which kills its worker is found (pitfalls.md, 28)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from notification_service.delivery.ports.claims import Claims
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_WAIT_TIMEOUT_S = 5.0
_MAX_LENGTH = 60.0
"""Seconds that a delivery waits for its turn, unacked: with many that came back, the last would be held for minutes."""


class PoisonGuard:
    """`patience`: seconds after which the next one may start, since what kills its worker does so at once.

    `longest`: seconds after which one that has had no turn is to come again.
    """

    def __init__(self, claims: Claims, patience: float = _WAIT_TIMEOUT_S, longest: float = _MAX_LENGTH) -> None:
        self._claims = claims
        self._patience = patience
        self._longest = longest
        self._free = asyncio.Lock()
        self._here: set[str] = set()

    def allow_to_wait(self, seconds: float) -> None:
        self._longest = min(self._longest, seconds)

    @asynccontextmanager
    async def turn(self, inbound: str) -> AsyncIterator[int | None]:
        """Yields how many earlier starts of `inbound` never ended: those of workers that are gone. None: not its turn.

        A lost connection ends no job, so a delivery that comes back to a worker that still has it is not counted.
        """
        async with self._next() as its_turn:
            if not its_turn:
                yield None
                return
            if inbound in self._here:
                yield 0
                return
            self._here.add(inbound)
            try:
                async with self._start(inbound) as unfinished_starts:
                    yield unfinished_starts
            finally:
                self._here.discard(inbound)

    @asynccontextmanager
    async def _start(self, inbound: str) -> AsyncIterator[int]:
        """It is over when its job ends or the patience does: a job that only waits, for a server, has killed nobody."""
        unfinished_starts, job_ended = await self._begin(inbound), asyncio.Event()
        ending = asyncio.create_task(self._end_in_time(inbound, job_ended))
        try:
            yield unfinished_starts
        finally:
            job_ended.set()
            await ending

    async def _end_in_time(self, inbound: str, job_ended: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await job_ended.wait()
        await self.end(inbound)

    async def end(self, inbound: str, *, forget: bool = False) -> None:
        """`forget`: it was set aside, so a replay has all its starts again."""
        try:
            await self._claims.end(inbound, forget=forget)
        except StoreUnavailableError as problem:
            log.warning("claims.unavailable", problem=str(problem))

    async def _begin(self, inbound: str) -> int:
        try:
            return await self._claims.begin(inbound)
        except StoreUnavailableError as problem:
            log.warning("claims.unavailable", problem=str(problem))
            return 0

    @asynccontextmanager
    async def _next(self) -> AsyncIterator[bool]:
        if not await self._came_up():
            yield False
            return
        passing_on = asyncio.get_running_loop().call_later(self._patience, self._free.release)
        try:
            yield True
        finally:
            if passing_on.when() > asyncio.get_running_loop().time():
                passing_on.cancel()
                self._free.release()

    async def _came_up(self) -> bool:
        try:
            async with asyncio.timeout(self._longest):
                await self._free.acquire()
        except TimeoutError:
            return False
        return True
