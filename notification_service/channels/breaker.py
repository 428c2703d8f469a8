"""Stops a transport that is itself at fault, probes it with one real message, and raises its load step by step."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

import structlog

from notification_service.channels.conversation_slots import ConversationSlots, Slot, TurnedAway, slot_at
from notification_service.channels.refusal_patterns import Refusals, domain_of
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Blocked,
    Deferred,
    HandoverRefused,
    InDoubt,
    NothingSent,
    OutgoingMessage,
    PutOff,
    Refused,
    SimulatedSend,
    Transport,
    Tried,
    Unavailable,
    Unsendable,
    Verdict,
)
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.backoff import jittered
from notification_service.foundation.errors import ChannelUnavailableError

log = structlog.get_logger(__name__)

_PROBE_SPREAD = 0.25
"""The part of a pause by which the probes of several workers differ."""

_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 60.0
_UNTRIED_PAUSE_S = 5.0
"""Before a probe, where refusals opened the breaker and a message waits for a domain that was not tried since."""
_MAX_PUT_OFF_S = 30.0
_MAX_WAIT_S = 60.0
"""How long a message waits for a conversation, unacked. RabbitMQ closes the channel of a consumer that holds a message
for long, and from 4.0 on dead-letters a message that was returned twenty times."""
MAX_TIMES_SINGLED_OUT = 3
_MAX_DOUBTS = 3
"""This many conversations in a row that broke after DATA are the transport's fault; a probe may not break even once."""
_DOUBTS_HINT = "the server takes mail and breaks off before it answers: ask its log whether these mails went out"


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Breaker:
    """The channel that the pipeline sends through. While the transport is unavailable, messages wait, and none fails.

    `max_concurrency`: conversations at once. `first_pause_s`, `max_pause_s`: how long before a probe; each failed
    probe doubles the pause. `max_wait_s`: how long a message waits for a conversation before it is put off.
    `on_attempt`: called after each conversation, for the metrics. `refusals`: what this process has learned about who
    refuses the service. `log_in`: where other relays take the mail meanwhile: connects and logs in, before
    a real mail probes; raises `ChannelUnavailableError`.
    """

    def __init__(
        self,
        transport: Transport,
        max_concurrency: int,
        *,
        first_pause_s: float = _FIRST_PAUSE_S,
        max_pause_s: float = _MAX_PAUSE_S,
        max_wait_s: float = _MAX_WAIT_S,
        on_attempt: Callable[[Attempt], None] | None = None,
        refusals: Refusals | None = None,
        log_in: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.refusals = refusals or Refusals()
        self.name = transport.name
        self.state = State.CLOSED
        self.reason: str | None = None
        self._transport = transport
        self._log_in = log_in
        self._max_concurrency = max_concurrency
        self.slots = ConversationSlots(max_concurrency, max_wait_s=max_wait_s, put_off=self._put_off)
        self._on_attempt = on_attempt
        self._first_pause_s, self._max_pause_s = first_pause_s, max_pause_s
        self._pause_s = first_pause_s
        self.passed = 0
        """Attempts since the start that gave the transport no blame."""
        self._doubts: list[tuple[str, Attempt]] = []
        """Conversations in a row that broke after DATA, with their domains."""
        self._opened_by_mail = False
        """Whether refusals of, or doubts about, single messages opened the breaker. Only an accepted one closes it."""
        self._probe: asyncio.Task[None] | None = None
        self._probe_at = self._untried_probe_at = 0.0

    @property
    def conversations(self) -> int:
        """How many conversations are under way."""
        return self.slots.conversations

    @property
    def waiting(self) -> int:
        """How many messages wait for a conversation."""
        return self.slots.waiting

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandover, nothing_sent: NothingSent
    ) -> Verdict:
        singled_out, passed, domain = 0, self.passed, domain_of(message.recipient)
        last_attempt: Attempt | None = None
        while True:
            self.ask_for_probe(domain)
            async with slot_at((self.slots,), domain) as slot:
                match slot:
                    case PutOff():
                        return replace(slot, attempt=last_attempt)
                    case TurnedAway():
                        continue
                tried, verdict = await self.converse(slot, message, before_handover)
            if isinstance(tried, PutOff):
                return replace(tried, attempt=last_attempt)
            if not isinstance(tried, HandoverRefused):
                last_attempt = tried.attempt
            if not isinstance(verdict, Unavailable | Blocked):
                return verdict
            await nothing_sent()
            # A message that fails repeatedly while others pass is itself at fault, whatever the reply says.
            singled_out, passed = singled_out + (self.passed > passed), self.passed
            if singled_out >= MAX_TIMES_SINGLED_OUT:
                return Deferred(verdict.attempt)
            # Messages that already wait go first; otherwise this one would be every probe.
            await asyncio.sleep(0)

    @property
    def takes_mail(self) -> bool:
        """Whether messages go through, or the next one is the probe."""
        return self.state in (State.CLOSED, State.RAMPING) or (self.state is State.PROBING and self.slots.has_room)

    def ask_for_probe(self, domain: str) -> None:
        """A message waits here. Where refusals opened the breaker, one to an untried domain is probed with earlier."""
        if self._opened_by_mail and self.state is State.OPEN and self.refusals.untried(domain):
            self._schedule_probe(self._untried_probe_at)

    async def converse(
        self, slot: Slot, message: OutgoingMessage, before_handover: BeforeHandover
    ) -> tuple[Tried, Tried | PutOff]:
        """Make one attempt in a slot of this breaker.

        Returns what it came to, as the refusals read it, and the verdict: what blames us may be a reason to come again.
        """
        tried = self._about(message.recipient, await self._transport.send_once(message, before_handover))
        verdict = self._judge(message.recipient, tried, stale=slot.generation != self.slots.generation)
        if self._on_attempt and not isinstance(tried, HandoverRefused | PutOff):
            self._on_attempt(tried.attempt)
        return tried, verdict

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
        await self._transport.close()

    def allow_to_wait(self, seconds: float) -> None:
        """Lower the longest wait for a conversation, also for the messages that wait already."""
        self.slots.limit_wait(seconds)

    def cancel_waiting(self) -> None:
        """On shutdown, cancel the messages that wait for a transport which is unavailable. Nothing of them was sent."""
        if self.slots.blocked:
            self.slots.cancel_all()

    def _put_off(self) -> PutOff:
        why = f"the channel is closed: {self.reason}" if self.reason else "the provider is slow"
        return PutOff(min(self._pause_s, _MAX_PUT_OFF_S), why)

    def _judge(self, recipient: str, tried: Tried, *, stale: bool) -> Tried | PutOff:
        """Returns the verdict on an attempt, and changes the state by it.

        `stale`: the attempt began before the breaker last opened, so a failure of the transport is no news.
        """
        match tried:
            case Blocked():
                return self._blocked(recipient, tried, stale=stale)
            case Unavailable(attempt, hint) if not stale:
                self._open(attempt, hint, pause_s=self._pause_s)
                self._turn_away()
            case InDoubt(attempt) if not stale:
                self._doubted(domain_of(recipient), attempt)
            case Unavailable() | InDoubt() | PutOff():
                pass
            case Accepted() | SimulatedSend():
                self.refusals.accepted(recipient)
                self._succeeded(accepted=True)
            case _:
                self._succeeded(accepted=False)
        return tried

    def _about(self, recipient: str, tried: Tried) -> Tried:
        """The result, or `Blocked` where equal refusals have turned out to be about the service."""
        match tried:
            case Refused():
                return self.refusals.read(recipient, tried)
            case Unsendable(attempt, hint, fingerprint) if fingerprint:
                read = self.refusals.read(recipient, Refused(attempt, "", fingerprint))
                return replace(read, hint=hint) if isinstance(read, Blocked) else tried
            case _:
                return tried

    def _blocked(self, recipient: str, verdict: Blocked, *, stale: bool) -> Blocked | Deferred | PutOff:
        """Where one domain alone refuses the service, its messages are deferred. Otherwise the breaker opens."""
        domain = domain_of(recipient)
        if not self.refusals.blocked(recipient, verdict):
            self._succeeded(accepted=False)
            return Deferred(verdict.attempt, verdict.wait, f"the server refuses us for {domain}")
        if stale:
            return verdict
        put_off = self._open_by_mail(verdict.attempt, verdict.hint)
        return replace(put_off, attempt=verdict.attempt) if put_off else verdict

    def _doubted(self, domain: str, attempt: Attempt) -> None:
        if self.refusals.holds(domain):
            return
        self._doubts.append((domain, attempt))
        if len(self._doubts) >= _MAX_DOUBTS or self.state is State.PROBING:
            for doubted, doubtful in self._doubts:
                self.refusals.suspect(doubted, doubtful)
            self._open_by_mail(attempt, _DOUBTS_HINT)

    def _open_by_mail(self, attempt: Attempt, hint: str) -> PutOff | None:
        """Open because of single messages, whose recipients customers choose. A failed probe puts off all that wait.

        Otherwise each of them would be a probe in turn, while messages that would pass wait in the broker.
        """
        probe_failed = self.state is State.PROBING
        self._opened_by_mail = True
        untried_waits = self.slots.is_waiting(self.refusals.untried)
        self._open(attempt, hint, pause_s=min(self._pause_s, _UNTRIED_PAUSE_S) if untried_waits else self._pause_s)
        if not probe_failed:
            self._turn_away()
            return None
        self.slots.put_off_all()
        return self._put_off()

    def _open(self, attempt: Attempt, hint: str, *, pause_s: float) -> None:
        self.slots.revoke()
        pause_s = jittered(pause_s, _PROBE_SPREAD)
        self._pause_s = min(self._pause_s * 2, self._max_pause_s)
        self._doubts.clear()
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
        if self._probe is not None:
            self._probe.cancel()
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
        self.slots.allow(1, rank=self.refusals.probe_rank if self._opened_by_mail else None)

    def _succeeded(self, *, accepted: bool) -> None:
        """Close, or allow more conversations, after an attempt that gave the transport no blame."""
        self.passed += 1
        self._doubts.clear()
        if self.state is State.CLOSED:
            return
        if self._opened_by_mail:
            # A reply about one address says nothing of the others; an accepted message does, at any time.
            if not accepted:
                return
            self._opened_by_mail = False
            if self._probe is not None:
                self._probe.cancel()
        elif self.slots.limit == 0:
            return
        self._pause_s, self.reason = self._first_pause_s, None
        # Doubling is for a crowd of waiting messages; without one, the full number is allowed at once.
        doubled = max(1, min(self._max_concurrency, self.slots.limit * 2))
        self.slots.allow(doubled if self.waiting else self._max_concurrency)
        self._enter(State.CLOSED if self.slots.limit == self._max_concurrency else State.RAMPING)

    def _enter(self, state: State, **facts: object) -> None:
        if state is self.state:
            return
        level = log.warning if state is State.OPEN else log.info
        level("channel.breaker", channel=self.name, state=state, was=self.state, **facts)
        self.state = state


def _failed_login(problem: ChannelUnavailableError) -> Attempt:
    return Attempt(datetime.now(UTC), "unavailable", 0, None, str(problem))
