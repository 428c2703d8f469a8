"""Finds messages that kill their workers, by counting the starts that never ended (pitfalls.md, 28).

Redelivered messages start one after the other, so that the one which kills its worker is not counted together with
the others that were lost with it. The next one starts when the job of the last has ended, or after `start_interval_s`:
what kills its worker does so at once, and a job that takes longer only waits for a server.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.delivery.ports.claims import Claims
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_START_INTERVAL_S = 5.0
_MAX_WAIT_S = 60.0
"""With many redelivered messages, the last would otherwise stay unacked for minutes."""


def guard_key(channel: ChannelKind, inbound: InboundMessage) -> str:
    """The key under which the starts of a message are counted."""
    return channel.own(body_id(inbound.body))


def lost_workers(inbound: InboundMessage) -> str:
    return f"{inbound.unfinished_starts} workers were lost while they had it in hand"


class PoisonGuard:
    """`max_wait_s`: how long a message waits for its turn, unacked, before it has to come again."""

    def __init__(
        self, claims: Claims, start_interval_s: float = _START_INTERVAL_S, max_wait_s: float = _MAX_WAIT_S
    ) -> None:
        self._claims = claims
        self._start_interval_s = start_interval_s
        self._max_wait_s = max_wait_s
        self._free = asyncio.Lock()
        self._started: set[str] = set()

    def allow_to_wait(self, seconds: float) -> None:
        """Lower `max_wait_s`, where the broker allows less time until the ack."""
        self._max_wait_s = min(self._max_wait_s, seconds)

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[int | None]:
        """Wait for a turn, and yield how many earlier starts of the message never ended; None where no turn came.

        A lost connection ends no job: a message that comes back to the worker that still handles it is not counted.
        """
        async with self._wait_for_turn() as its_turn:
            if not its_turn:
                yield None
                return
            if key in self._started:
                yield 0
                return
            self._started.add(key)
            try:
                async with self._start(key) as unfinished_starts:
                    yield unfinished_starts
            finally:
                self._started.discard(key)

    @asynccontextmanager
    async def _start(self, key: str) -> AsyncIterator[int]:
        """Count a start. It has ended when its job ends, or survives `start_interval_s`."""
        unfinished_starts, job_ended = await self._begin(key), asyncio.Event()
        ending = asyncio.create_task(self._end_in_time(key, job_ended))
        try:
            yield unfinished_starts
        finally:
            job_ended.set()
            await ending

    async def _end_in_time(self, key: str, job_ended: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._start_interval_s):
                await job_ended.wait()
        await self.end(key)

    async def end(self, key: str, *, forget: bool = False) -> None:
        """Note that a start has ended. `forget`: the message was parked, so its replay begins at 0 again."""
        try:
            await self._claims.end(key, forget=forget)
        except StoreUnavailableError as problem:
            log.warning("claims.unavailable", problem=str(problem))

    async def _begin(self, key: str) -> int:
        try:
            return await self._claims.begin(key)
        except StoreUnavailableError as problem:
            log.warning("claims.unavailable", problem=str(problem))
            return 0

    @asynccontextmanager
    async def _wait_for_turn(self) -> AsyncIterator[bool]:
        if not await self._acquire():
            yield False
            return
        release = asyncio.get_running_loop().call_later(self._start_interval_s, self._free.release)
        try:
            yield True
        finally:
            if release.when() > asyncio.get_running_loop().time():
                release.cancel()
                self._free.release()

    async def _acquire(self) -> bool:
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._free.acquire()
        except TimeoutError:
            return False
        return True
