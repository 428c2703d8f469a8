"""Slots for conversations with a provider: a limited number at once, granted in the order of arrival."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from notification_service.delivery.ports.channel import PutOff

_Waiter = tuple[asyncio.Future[int | PutOff], str]
"""The future that grants the slot or puts the message off, and the domain that the message goes to."""


class ConversationSlots:
    """At most `limit` conversations at once. Whoever waits longer than `max_wait_s` is put off with `put_off()`.

    `generation` rises when `revoke` takes all slots back. Conversations of an earlier generation go on, but take up
    no slot: a probe does not wait for one that still hangs from before an outage.
    """

    def __init__(self, limit: int, *, max_wait_s: float, put_off: Callable[[], PutOff]) -> None:
        self.limit = limit
        self.generation = 0
        self.conversations = 0
        self._taken = 0
        self._waiters: deque[_Waiter] = deque()
        self._rank: Callable[[str], int] | None = None
        self._max_wait_s = max_wait_s
        self._put_off = put_off

    @property
    def waiting(self) -> int:
        return sum(not future.done() for future, _ in self._waiters)

    @property
    def blocked(self) -> bool:
        """Whether no conversation is under way, and none may begin."""
        return self.limit == 0 and self.conversations == 0

    def is_waiting(self, matches: Callable[[str], bool]) -> bool:
        """Whether a message waits whose domain matches."""
        return any(not future.done() and matches(domain) for future, domain in self._waiters)

    @asynccontextmanager
    async def slot(self, domain: str) -> AsyncIterator[int | PutOff]:
        """Yields the generation of the slot, once one is free, or why the message is put off."""
        generation = await self._acquire(domain)
        if isinstance(generation, PutOff):
            yield generation
            return
        self.conversations += 1
        try:
            yield generation
        finally:
            self.conversations -= 1
            self._release(generation)

    def allow(self, limit: int, rank: Callable[[str], int] | None = None) -> None:
        """Change the limit. Domains of the highest `rank` are served before the others, until the next change."""
        self.limit, self._rank = limit, rank
        self._grant()

    def revoke(self) -> None:
        """Take all slots back, those in use included."""
        self.limit = self._taken = 0
        self.generation += 1

    def limit_wait(self, seconds: float) -> None:
        """Lower the longest wait, also for the messages that wait already."""
        self._max_wait_s = min(self._max_wait_s, seconds)
        for future, _ in self._waiters:
            asyncio.get_running_loop().call_later(self._max_wait_s, self._time_out, future)

    def put_off_all(self) -> None:
        while self._waiters:
            self._time_out(self._waiters.popleft()[0])

    def cancel_all(self) -> None:
        while self._waiters:
            self._waiters.popleft()[0].cancel()

    async def _acquire(self, domain: str) -> int | PutOff:
        future: asyncio.Future[int | PutOff] = asyncio.get_running_loop().create_future()
        self._waiters.append((future, domain))
        self._grant()
        timeout = asyncio.get_running_loop().call_later(self._max_wait_s, self._time_out, future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and isinstance(generation := future.result(), int):
                self._release(generation)
            raise
        finally:
            timeout.cancel()

    def _release(self, generation: int) -> None:
        if generation == self.generation:
            self._taken -= 1
            self._grant()

    def _grant(self) -> None:
        while self._waiters and self._taken < self.limit:
            future, _ = self._next()
            if not future.done():
                self._taken += 1
                future.set_result(self.generation)

    def _next(self) -> _Waiter:
        waiting = [waiter for waiter in self._waiters if not waiter[0].done()]
        if not self._rank or not waiting:
            return self._waiters.popleft()
        ranks = [self._rank(domain) for _, domain in waiting]
        highest = max(ranks)
        best = [waiter for waiter, rank in zip(waiting, ranks, strict=True) if rank == highest]
        # In the order of arrival, the same ones would be first after each failed probe.
        chosen = random.choice(best) if highest else best[0]  # noqa: S311 - no secret
        self._waiters.remove(chosen)
        return chosen

    def _time_out(self, future: asyncio.Future[int | PutOff]) -> None:
        if not future.done():
            future.set_result(self._put_off())
