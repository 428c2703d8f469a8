"""Stops a channel that is to blame itself, probes it with one real mail, and lets the crowd back in by and by."""

import asyncio
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

import structlog

from notification_service.channels.refusal_patterns import Refusals, domain_of
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Blocked,
    ClaimLost,
    Deferred,
    InDoubt,
    NothingSent,
    OutgoingMessage,
    PutOff,
    Refused,
    SimulatedSend,
    Tried,
    Unavailable,
    Verdict,
)
from notification_service.foundation.addresses import mask_in

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _MAX_PAUSE = 1.0, 60.0
_UNTRIED_PAUSE = 5.0
"""Seconds before a probe, where refusals of us stopped the channel and a mail waits that may show otherwise."""
_AWAY = 30.0
"""Seconds that mails are put off for at most, so that there is room for such a one."""
_WAIT_TIMEOUT_S = 60.0
"""Seconds that a mail waits for a conversation, and its delivery with it, unacked. A broker closes the channel of one
that is held for long, and from RabbitMQ 4.0 on drops what it had to give out twenty times."""
_SINGLED_OUT = 3
_DOUBTS = 3
"""So many conversations in a row that broke after DATA are the channel's fault; a probe may not break even once."""
_DOUBTS_HINT = "the server takes mail and breaks off before it answers: ask its log whether these mails went out"


_Waiting = tuple[asyncio.Future[int | PutOff], str]
"""Whose turn it may be, and the domain that its mail goes to."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Transport(Protocol):
    """A way out that tries once, and may turn out to be unavailable."""

    name: str

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried: ...
    async def close(self) -> None: ...


class LiveTransport(Transport, Protocol):
    """One that sends for real; nothing of it is open before it is used.

    `max_concurrency`: how many conversations there may be at once. `provider`: whose replies the metrics count.
    """

    max_concurrency: int
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

    `max_concurrency`: how many conversations there may be at once.
    `first_pause`, `longest_pause`: seconds before a probe.
    `patience`: seconds after which a mail that still waits for a conversation is put off. `attempted` is told of each
    conversation, for the metrics. `refusals`: what this process knows of who refuses us.
    """

    def __init__(
        self,
        transport: Transport,
        max_concurrency: int,
        *,
        first_pause: float = _FIRST_PAUSE,
        longest_pause: float = _MAX_PAUSE,
        patience: float = _WAIT_TIMEOUT_S,
        attempted: Callable[[Attempt], None] | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.refusals = refusals or Refusals()
        self.name = transport.name
        self.state = State.CLOSED
        self.reason: str | None = None
        self._transport = transport
        self._max = self._allowed = max_concurrency
        self._attempted = attempted
        self._talking = 0
        self._queue: deque[_Waiting] = deque()
        self._under_way = 0
        """Those that began since the breaker last opened: a probe does not wait for what still hangs from before."""
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._patience = patience
        self._pause = first_pause
        self._openings = 0
        self._passed = 0
        self._doubts: list[tuple[str, Attempt]] = []
        """Conversations in a row that broke after DATA: to which domain, and how."""
        self._reopening: asyncio.Task[None] | None = None
        self._by_refusals = False
        """Whether what befell mails with named recipients opened it: then only an accepted mail closes it."""
        self._probe_at = self._untried_at = 0.0

    @property
    def talking(self) -> int:
        return self._talking

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for turn, _ in self._queue)

    @property
    def stuck(self) -> bool:
        """Whether nothing is under way, and nothing will be for a while."""
        return self._allowed == 0 and self._talking == 0

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandover, nothing_sent: NothingSent
    ) -> Verdict:
        singled_out, passed, domain = 0, self._passed, domain_of(message.recipient)
        tried: Attempt | None = None
        while True:
            async with self._turn(domain) as turn:
                if isinstance(turn, PutOff):
                    return replace(turn, attempt=tried)
                said = await self._transport.send_once(message, before_handover)
                verdict = self._learn(message.recipient, said, stale=turn != self._openings)
            if not isinstance(said, ClaimLost):
                tried = said.attempt
                if self._attempted:
                    self._attempted(tried)
            if not isinstance(verdict, Unavailable | Blocked):
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
        await self._transport.close()

    @asynccontextmanager
    async def _turn(self, domain: str) -> AsyncIterator[int | PutOff]:
        """Yields which opening of the breaker came last, so that one outage is counted once."""
        openings = await self._place(domain)
        if isinstance(openings, PutOff):
            yield openings
            return
        self._talking += 1
        try:
            yield openings
        finally:
            self._talking -= 1
            self._leave(openings)

    async def _place(self, domain: str) -> int | PutOff:
        """In the order of coming. A place that becomes free wakes one who waits, not all of them."""
        turn: asyncio.Future[int | PutOff] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, domain))
        if self._by_refusals and self.state is State.OPEN and self.refusals.untried(domain):
            self._probe_by(self._untried_at)
        self._hand_out()
        losing_patience = asyncio.get_running_loop().call_later(self._patience, self._put_off, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and isinstance(given := turn.result(), int):
                self._leave(given)
            raise
        finally:
            losing_patience.cancel()

    def _put_off(self, turn: asyncio.Future[int | PutOff]) -> None:
        if not turn.done():
            why = f"the channel is closed: {self.reason}" if self.reason else "the provider is slow"
            turn.set_result(PutOff(min(self._pause, _AWAY), why))

    def allow_to_wait(self, seconds: float) -> None:
        """A mail waits no longer than so for a conversation, from now on and if it waits already."""
        self._patience = min(self._patience, seconds)
        for turn, _ in self._queue:
            asyncio.get_running_loop().call_later(self._patience, self._put_off, turn)

    def cancel_waiting(self) -> None:
        """The service ends. Who waits for a channel that is closed is cancelled: nothing of it went out."""
        while self.stuck and self._queue:
            self._queue.popleft()[0].cancel()

    def _hand_out(self) -> None:
        while self._queue and self._under_way < self._allowed:
            turn, _ = self._next()
            if not turn.done():
                self._under_way += 1
                turn.set_result(self._openings)

    def _next(self) -> "_Waiting":
        """A probe goes to another domain than those that have refused us, if one waits."""
        if self._by_refusals and self.state is State.PROBING:
            for index, (turn, domain) in enumerate(self._queue):
                if not turn.done() and self.refusals.untried(domain):
                    waiting = self._queue[index]
                    del self._queue[index]
                    return waiting
        return self._queue.popleft()

    def _untried_waits(self) -> bool:
        return any(not turn.done() and self.refusals.untried(domain) for turn, domain in self._queue)

    def _leave(self, openings: int) -> None:
        if openings == self._openings:
            self._under_way -= 1
            self._hand_out()

    def _learn(self, recipient: str, tried: Tried, *, stale: bool) -> Tried | PutOff:
        """What it comes to. `stale`: the try began before the breaker last opened, so its trouble is known already."""
        verdict = self.refusals.read(recipient, tried) if isinstance(tried, Refused) else tried
        match verdict:
            case Blocked():
                return self._blocked(recipient, verdict, stale=stale)
            case Unavailable(attempt, hint) if not stale:
                self._open(attempt, hint, pause=self._pause)
            case InDoubt(attempt) if not stale:
                self._doubted(domain_of(recipient), attempt)
            case Unavailable() | InDoubt():
                pass
            case Accepted() | SimulatedSend():
                self.refusals.accepted(recipient)
                self._went_well(accepted=True)
            case _:
                self._went_well(accepted=False)
        return verdict

    def _blocked(self, recipient: str, verdict: Blocked, *, stale: bool) -> Blocked | Deferred | PutOff:
        """One domain alone climbs the ladder. When it is about us, its mail waits as for any fault of the channel."""
        domain = domain_of(recipient)
        if not self.refusals.blocked(recipient, verdict):
            self._went_well(accepted=False)
            return Deferred(verdict.attempt, verdict.wait, f"the server refuses us for {domain}")
        if stale:
            return verdict
        away = self._open_by_mail(verdict.attempt, verdict.hint)
        return replace(away, attempt=verdict.attempt) if away else verdict

    def _doubted(self, domain: str, attempt: Attempt) -> None:
        if self.refusals.holds(domain):
            return
        self._doubts.append((domain, attempt))
        if len(self._doubts) >= _DOUBTS or self.state is State.PROBING:
            for doubted, what in self._doubts:
                self.refusals.suspect(doubted, what)
            self._open_by_mail(attempt, _DOUBTS_HINT)

    def _open_by_mail(self, attempt: Attempt, hint: str) -> PutOff | None:
        """It may be about those mails alone, which customers address. A probe that fails puts all off that wait.

        Or it would be the turn of each of them, pause after pause, while mails that would go wait in the broker.
        """
        again = self.state is State.PROBING
        self._by_refusals = True
        pause = min(self._pause, _UNTRIED_PAUSE) if self._untried_waits() else self._pause
        self._open(attempt, hint, pause=pause)
        return self._make_room() if again else None

    def _make_room(self) -> PutOff:
        """In the places of those who wait may come one of which it is not known that it would be refused."""
        away = PutOff(min(self._pause, _AWAY), f"the channel is closed: {self.reason}")
        while self._queue:
            turn, _ = self._queue.popleft()
            if not turn.done():
                turn.set_result(away)
        return away

    def _open(self, attempt: Attempt, hint: str, *, pause: float) -> None:
        self._allowed = self._under_way = 0
        self._openings += 1
        pause *= random.uniform(0.75, 1.25)  # noqa: S311 - it scatters the workers
        self._pause = min(self._pause * 2, self._longest_pause)
        self._doubts.clear()
        self.reason = mask_in(f"{attempt.code or ''} {attempt.reply}".strip())
        self._turn_to(State.OPEN, reason=self.reason, hint=hint or None, probe_in_s=round(pause, 1))
        now = asyncio.get_running_loop().time()
        self._untried_at = now + min(pause, _UNTRIED_PAUSE)
        self._probe_at = math.inf
        self._probe_by(now + pause)

    def _probe_by(self, when: float) -> None:
        if when >= self._probe_at:
            return
        if self._reopening is not None:
            self._reopening.cancel()
        self._probe_at = when
        self._reopening = asyncio.create_task(self._probe_after(when - asyncio.get_running_loop().time()))

    async def _probe_after(self, pause: float) -> None:
        await asyncio.sleep(pause)
        self._turn_to(State.PROBING)
        self._allow(1)

    def _went_well(self, *, accepted: bool) -> None:
        self._passed += 1
        self._doubts.clear()
        if self.state is State.CLOSED:
            return
        if self._by_refusals:
            # What else was said of one address says nothing of the others, and an accepted mail says it at any time.
            if not accepted:
                return
            self._by_refusals = False
            if self._reopening is not None:
                self._reopening.cancel()
        elif self._allowed == 0:
            return
        self._pause, self.reason = self._first_pause, None
        # Where nobody waits there is no crowd to let in by and by.
        self._allow(max(1, min(self._max, self._allowed * 2)) if self._queue else self._max)
        self._turn_to(State.CLOSED if self._allowed == self._max else State.RAMPING)

    def _allow(self, conversations: int) -> None:
        self._allowed = conversations
        self._hand_out()

    def _turn_to(self, state: State, **facts: object) -> None:
        if state is self.state:
            return
        level = log.warning if state is State.OPEN else log.info
        level("channel.breaker", channel=self.name, state=state, was=self.state, **facts)
        self.state = state
