"""Slots for conversations with a provider: a limited number at once, granted in the order of arrival."""

import asyncio
import contextlib
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from notification_service.delivery.ports.channel import PutOff


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to one conversation. `generation`: see `ConversationSlots`."""

    place: "ConversationSlots"
    generation: int


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A place at which the message waited has closed, and it may go elsewhere."""


Answer = Slot | PutOff | TurnedAway
_Waiter = tuple[asyncio.Future[Answer], str]
"""The future that grants the slot or puts the message off, and the domain that the message goes to."""


@asynccontextmanager
async def slot_at(
    places: Sequence["ConversationSlots"], domain: str, max_wait_s: float = math.inf
) -> AsyncIterator[Answer]:
    """Yields a slot at the first of these places that has one, or why there is none. The earlier place goes first.

    `max_wait_s`: where it is less than that of the places.
    """
    answer = await _wait_at(places, domain, max_wait_s)
    if not isinstance(answer, Slot):
        yield answer
        return
    answer.place.conversations += 1
    try:
        yield answer
    finally:
        answer.place.conversations -= 1
        answer.place.release(answer.generation)


async def _wait_at(places: Sequence["ConversationSlots"], domain: str, max_wait_s: float) -> Answer:
    loop = asyncio.get_running_loop()
    waiter: _Waiter = (loop.create_future(), domain)
    future = waiter[0]
    for place in places:
        place.join(waiter)
    timeouts = [loop.call_later(min(max_wait_s, place.max_wait_s), place.put_off, future) for place in places]
    try:
        return await future
    except asyncio.CancelledError:
        if future.done() and not future.cancelled() and isinstance(slot := future.result(), Slot):
            slot.place.release(slot.generation)
        raise
    finally:
        for timeout in timeouts:
            timeout.cancel()
        if len(places) > 1:
            for place in places:
                place.leave(waiter)


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
        self.max_wait_s = max_wait_s
        self._put_off = put_off

    @property
    def waiting(self) -> int:
        return sum(not future.done() for future, _ in self._waiters)

    @property
    def has_room(self) -> bool:
        """Whether a conversation may begin now."""
        return self._taken < self.limit

    @property
    def blocked(self) -> bool:
        """Whether no conversation is under way, and none may begin."""
        return self.limit == 0 and self.conversations == 0

    def is_waiting(self, matches: Callable[[str], bool]) -> bool:
        """Whether a message waits whose domain matches."""
        return any(not future.done() and matches(domain) for future, domain in self._waiters)

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
        self.max_wait_s = min(self.max_wait_s, seconds)
        for future, _ in self._waiters:
            asyncio.get_running_loop().call_later(self.max_wait_s, self.put_off, future)

    def put_off_all(self) -> None:
        while self._waiters:
            self.put_off(self._waiters.popleft()[0])

    def cancel_all(self) -> None:
        while self._waiters:
            self._waiters.popleft()[0].cancel()

    def turn_away_all(self) -> None:
        """Let all that wait choose anew where to wait."""
        while self._waiters:
            future, _ = self._waiters.popleft()
            if not future.done():
                future.set_result(TurnedAway())

    def join(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)
        self._grant()

    def leave(self, waiter: _Waiter) -> None:
        """Forget a waiter that waited at another place too."""
        with contextlib.suppress(ValueError):
            self._waiters.remove(waiter)

    def put_off(self, future: asyncio.Future[Answer]) -> None:
        if not future.done():
            future.set_result(self._put_off())

    def release(self, generation: int) -> None:
        if generation == self.generation:
            self._taken -= 1
            self._grant()

    def _grant(self) -> None:
        while self._waiters and self._taken < self.limit:
            future, _ = self._next()
            if not future.done():
                self._taken += 1
                future.set_result(Slot(self, self.generation))

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
