"""How many conversations a breaker admits: all of them, none, one probe, or more step by step."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum

import structlog

from notification_service.channels.conversation_slots import ConversationSlots
from notification_service.channels.refusal_patterns import Refusals
from notification_service.delivery.ports.channel import Attempt, PutOff
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.backoff import jittered
from notification_service.foundation.errors import ChannelUnavailableError

log = structlog.get_logger(__name__)

_PROBE_SPREAD = 0.25
"""The part of a pause by which the probes of several workers differ."""
_UNTRIED_PAUSE_S = 5.0
"""Before a probe, where refusals opened the breaker and a message waits for a domain that was not tried since."""
_MAX_PUT_OFF_S = 30.0


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Admission:
    """The state of a breaker, with the time of its next probe.

    `name`: of the transport, for the log. `max_concurrency`: conversations at once. `first_pause_s`, `max_pause_s`: how
    long before a probe; each failed probe doubles the pause. `max_wait_s`: how long a message waits for a conversation
    before it is put off. `refusals`: says which domains a probe goes to. `log_in`: where other relays take the mail
    meanwhile: connects and logs in, before a real mail probes; raises `ChannelUnavailableError`.
    """

    def __init__(
        self,
        name: str,
        max_concurrency: int,
        refusals: Refusals,
        *,
        first_pause_s: float,
        max_pause_s: float,
        max_wait_s: float,
        log_in: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self.state = State.CLOSED
        self.reason: str | None = None
        self.slots = ConversationSlots(max_concurrency, max_wait_s=max_wait_s, put_off=self._put_off)
        self._name = name
        self._max_concurrency = max_concurrency
        self._refusals = refusals
        self._log_in = log_in
        self._first_pause_s, self._max_pause_s = first_pause_s, max_pause_s
        self._pause_s = first_pause_s
        self._opened_by_mail = False
        """Whether refusals of, or doubts about, single messages opened the breaker. Only an accepted one closes it."""
        self._probe: asyncio.Task[None] | None = None
        self._probe_at = self._untried_probe_at = 0.0

    @property
    def takes_mail(self) -> bool:
        """Whether messages go through, or the next one is the probe."""
        return self.state in (State.CLOSED, State.RAMPING) or (self.state is State.PROBING and self.slots.has_room)

    def ask_for_probe(self, domain: str) -> None:
        """A message waits here. Where refusals opened the breaker, one to an untried domain is probed with earlier."""
        if self._opened_by_mail and self.state is State.OPEN and self._refusals.untried(domain):
            self._schedule_probe(self._untried_probe_at)

    def open(self, attempt: Attempt, hint: str) -> None:
        """Open because the transport failed."""
        self._open(attempt, hint, pause_s=self._pause_s)
        self._turn_away()

    def open_by_mail(self, attempt: Attempt, hint: str) -> PutOff | None:
        """Open because of single messages, whose recipients customers choose. A failed probe puts off all that wait.

        Otherwise each of them would be a probe in turn, while messages that would pass wait in the broker.
        """
        probe_failed = self.state is State.PROBING
        self._opened_by_mail = True
        untried_waits = self.slots.is_waiting(self._refusals.untried)
        self._open(attempt, hint, pause_s=min(self._pause_s, _UNTRIED_PAUSE_S) if untried_waits else self._pause_s)
        if not probe_failed:
            self._turn_away()
            return None
        self.slots.put_off_all()
        return self._put_off()

    def succeeded(self, *, accepted: bool) -> None:
        """Close, or allow more conversations, after an attempt that gave the transport no blame."""
        if self.state is State.CLOSED:
            return
        if self._opened_by_mail:
            # A reply about one address says nothing of the others; an accepted message does, at any time.
            if not accepted:
                return
            self._opened_by_mail = False
            self.stop_probing()
        elif self.slots.limit == 0:
            return
        self._pause_s, self.reason = self._first_pause_s, None
        # Doubling is for a crowd of waiting messages; without one, the full number is allowed at once.
        doubled = max(1, min(self._max_concurrency, self.slots.limit * 2))
        self.slots.allow(doubled if self.slots.waiting else self._max_concurrency)
        self._enter(State.CLOSED if self.slots.limit == self._max_concurrency else State.RAMPING)

    def stop_probing(self) -> None:
        if self._probe is not None:
            self._probe.cancel()

    def _put_off(self) -> PutOff:
        why = f"the channel is closed: {self.reason}" if self.reason else "the provider is slow"
        return PutOff(min(self._pause_s, _MAX_PUT_OFF_S), why)

    def _open(self, attempt: Attempt, hint: str, *, pause_s: float) -> None:
        self.slots.revoke()
        pause_s = jittered(pause_s, _PROBE_SPREAD)
        self._pause_s = min(self._pause_s * 2, self._max_pause_s)
        self.reason = mask_in(f"{attempt.code or ''} {attempt.reply}".strip())
        self._enter(State.OPEN, reason=self.reason, hint=hint or None, probe_in_s=round(pause_s, 1))
        now = asyncio.get_running_loop().time()
        self._untried_probe_at = now + min(pause_s, _UNTRIED_PAUSE_S)
        self._probe_at = math.inf
        self._schedule_probe(now + pause_s)

    def _turn_away(self) -> None:
        """Where there are other relays, do not let messages wait at this one alone."""
        if self._log_in:
            self.slots.turn_away_all()

    def _schedule_probe(self, at: float) -> None:
        """Allow one message at this time of the event loop, unless that is due earlier."""
        if at >= self._probe_at:
            return
        self.stop_probing()
        self._probe_at = at
        self._probe = asyncio.create_task(self._allow_probe(at - asyncio.get_running_loop().time()))

    async def _allow_probe(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        self._enter(State.PROBING)
        if self._log_in:
            try:
                await self._log_in()
            except ChannelUnavailableError as problem:
                self._probe = None
                self._open(_failed_login(problem), "", pause_s=self._pause_s)
                return
        self.slots.allow(1, rank=self._refusals.probe_rank if self._opened_by_mail else None)

    def _enter(self, state: State, **facts: object) -> None:
        if state is self.state:
            return
        level = log.warning if state is State.OPEN else log.info
        level("channel.breaker", channel=self._name, state=state, was=self.state, **facts)
        self.state = state


def _failed_login(problem: ChannelUnavailableError) -> Attempt:
    return Attempt(datetime.now(UTC), "unavailable", 0, None, str(problem))
