"""Keeps signals that may be lost in memory until the broker takes them, so that nobody waits for it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from notification_service.contract.signals import Signal
from notification_service.foundation.backoff import pauses

log = structlog.get_logger(__name__)

Publish = Callable[[Signal], Awaitable[None]]
"""Returns when the broker has confirmed it; raises where it has not."""

_MAX_SIGNALS = 10_000
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.25, 5.0
_CLOSE_TIMEOUT_S = 2.0


class SignalBuffer:
    """`size`: signals that wait at most; the oldest makes room, and is counted in `dropped`."""

    def __init__(self, publish: Publish, size: int = _MAX_SIGNALS) -> None:
        self._publish = publish
        self._waiting: deque[Signal] = deque(maxlen=size)
        self._arrived, self._empty = asyncio.Event(), asyncio.Event()
        self._empty.set()
        self.dropped = 0

    def put(self, signal: Signal) -> None:
        """Never waits and never raises."""
        self.dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(signal)
        self._arrived.set()
        self._empty.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publish what comes until the end of the block, and then what is left, for two seconds at most."""
        publishing = asyncio.create_task(self._publish_all())
        try:
            yield
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), _CLOSE_TIMEOUT_S)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            if lost := len(self._waiting) + self.dropped:
                log.warning("signals.dropped", signals=lost)

    async def _publish_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._publish_one(self._waiting[0])
            self._empty.set()

    async def _publish_one(self, signal: Signal) -> None:
        waits = pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)
        while self._waiting and self._waiting[0] is signal:
            try:
                await self._publish(signal)
            except Exception as problem:  # noqa: BLE001 - whatever the broker's library raises, it is tried again
                log.info("signals.waiting", waiting=len(self._waiting), problem=str(problem)[:200])
                await asyncio.sleep(next(waits))
            else:
                if self._waiting and self._waiting[0] is signal:
                    self._waiting.popleft()
