"""Stops a channel that is to blame itself, probes it with one real mail, and lets the crowd back in by and by."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol

import structlog

from notification_service.addresses import mask_in
from notification_service.ports import (
    Attempt,
    BeforeData,
    Blocked,
    Deferred,
    Envelope,
    InDoubt,
    NothingSent,
    Tried,
    Unavailable,
    Verdict,
    Withdrawn,
)

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_SINGLED_OUT = 3
_DOUBTS = 3
"""So many conversations in a row that broke after DATA are the channel's fault; a probe may not break even once."""
_DOUBTS_HINT = "the server takes mail and breaks off before it answers: ask its log whether these mails went out"


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Attempts(Protocol):
    """A way out that tries once, and may turn out to be unavailable."""

    name: str

    async def attempt(self, envelope: Envelope, before_data: BeforeData) -> Tried: ...
    async def close(self) -> None: ...


class WayOut(Attempts, Protocol):
    """One that sends for real; nothing of it is open before it is used.

    `most`: how many conversations there may be at once. `provider`: whose replies the metrics count.
    """

    most: int
    provider: str

    @property
    def where(self) -> Mapping[str, str]:
        """The fields of `service.starting` that tell where mail goes."""

    @property
    def open(self) -> int:
        """Sessions that are open now, for the metrics."""

    @property
    def login_age(self) -> float | None:
        """Seconds since what logs us in was last renewed, where it dies without that; None where it does not."""

    async def check(self) -> str:
        """In words, that mail would go out now; none does. Raises `ChannelUnavailableError` where it would not."""


class Breaker:
    """The channel that the pipeline sees: it waits while the way out is closed, so no mail is ever blamed for it.

    `most`: how many conversations there may be at once. `first_pause`, `longest_pause`: seconds before a probe.
    `attempted` is told of each conversation, for the metrics.
    """

    def __init__(
        self,
        way_out: Attempts,
        most: int,
        *,
        first_pause: float = _FIRST_PAUSE,
        longest_pause: float = _LONGEST_PAUSE,
        attempted: Callable[[Attempt], None] | None = None,
    ) -> None:
        self.name = way_out.name
        self.state = State.CLOSED
        self.reason: str | None = None
        self._way_out = way_out
        self._most = self._allowed = most
        self._attempted = attempted
        self._talking = 0
        self._queue: deque[asyncio.Future[int]] = deque()
        self._under_way = 0
        """Those that began since the breaker last opened: a probe does not wait for what still hangs from before."""
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._pause = first_pause
        self._openings = 0
        self._passed = 0
        self._doubts = 0
        self._reopening: asyncio.Task[None] | None = None

    @property
    def talking(self) -> int:
        return self._talking

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def stuck(self) -> bool:
        """Whether nothing is under way, and nothing will be for a while."""
        return self._allowed == 0 and self._talking == 0

    async def deliver(self, envelope: Envelope, before_data: BeforeData, nothing_sent: NothingSent) -> Verdict:
        singled_out, passed = 0, self._passed
        while True:
            async with self._turn() as openings:
                verdict = await self._way_out.attempt(envelope, before_data)
                self._learn(verdict, stale=openings != self._openings)
            if self._attempted and not isinstance(verdict, Withdrawn):
                self._attempted(verdict.attempt)
            if isinstance(verdict, Blocked):
                return Deferred(verdict.attempt, verdict.wait)
            if not isinstance(verdict, Unavailable):
                return verdict
            await nothing_sent()
            # What stops this mail again and again while others pass is about this mail, whatever the reply says.
            singled_out, passed = singled_out + (self._passed > passed), self._passed
            if singled_out >= _SINGLED_OUT:
                return Deferred(verdict.attempt)
            # Those that wait go first, or this mail would be every probe.
            await asyncio.sleep(0)

    async def close(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
        await self._way_out.close()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[int]:
        """Yields which opening of the breaker came last, so that one outage is counted once."""
        openings = await self._place()
        self._talking += 1
        try:
            yield openings
        finally:
            self._talking -= 1
            self._leave(openings)

    async def _place(self) -> int:
        """In the order of coming. A place that becomes free wakes one who waits, not all of them."""
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._hand_out()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(turn.result())
            raise

    def _hand_out(self) -> None:
        while self._queue and self._under_way < self._allowed:
            turn = self._queue.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(self._openings)

    def _leave(self, openings: int) -> None:
        if openings == self._openings:
            self._under_way -= 1
            self._hand_out()

    def _learn(self, verdict: Tried, *, stale: bool) -> None:
        """`stale`: the try began before the breaker last opened, so its trouble is known already."""
        match verdict:
            case Unavailable(attempt, hint) if not stale:
                self._open(attempt, hint)
            case InDoubt(attempt) if not stale:
                self._doubts += 1
                if self._doubts >= _DOUBTS or self.state is State.PROBING:
                    self._open(attempt, _DOUBTS_HINT)
            case Unavailable() | InDoubt():
                pass
            case _:
                self._went_well()

    def _open(self, attempt: Attempt, hint: str) -> None:
        self._allowed = self._under_way = 0
        self._openings += 1
        pause = self._pause * random.uniform(0.75, 1.25)  # noqa: S311 - it scatters the workers
        self._pause = min(self._pause * 2, self._longest_pause)
        self._doubts = 0
        self.reason = mask_in(f"{attempt.code or ''} {attempt.reply}".strip())
        self._turn_to(State.OPEN, reason=self.reason, hint=hint or None, probe_in_s=round(pause, 1))
        self._reopening = asyncio.create_task(self._probe_after(pause))

    async def _probe_after(self, pause: float) -> None:
        await asyncio.sleep(pause)
        self._turn_to(State.PROBING)
        self._allow(1)

    def _went_well(self) -> None:
        self._passed += 1
        self._doubts = 0
        if self.state is State.CLOSED or self._allowed == 0:
            return
        self._pause, self.reason = self._first_pause, None
        # Where nobody waits there is no crowd to let in by and by.
        self._allow(min(self._most, self._allowed * 2) if self._queue else self._most)
        self._turn_to(State.CLOSED if self._allowed == self._most else State.RAMPING)

    def _allow(self, conversations: int) -> None:
        self._allowed = conversations
        self._hand_out()

    def _turn_to(self, state: State, **facts: object) -> None:
        if state is self.state:
            return
        level = log.warning if state is State.OPEN else log.info
        level("channel.breaker", channel=self.name, state=state, was=self.state, **facts)
        self.state = state
