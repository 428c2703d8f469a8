"""Stops a transport that is itself at fault, probes it with one real message, and raises its load step by step."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from notification_service.channels.admission import Admission, State
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

_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 60.0
_MAX_WAIT_S = 60.0
"""How long a message waits for a conversation, unacked. RabbitMQ closes the channel of a consumer that holds a message
for long, and from 4.0 on dead-letters a message that was returned twenty times."""
MAX_TIMES_SINGLED_OUT = 3
_MAX_DOUBTS = 3
"""This many conversations in a row that broke after DATA are the transport's fault; a probe may not break even once."""
_DOUBTS_HINT = "the server takes mail and breaks off before it answers: ask its log whether these mails went out"


class Breaker:
    """The channel that the pipeline sends through. While the transport is unavailable, messages wait, and none fails.

    `max_concurrency`, `first_pause_s`, `max_pause_s`, `max_wait_s`, `log_in`: as in `Admission`. `on_attempt`: called
    after each conversation, for the metrics. `refusals`: what this process has learned about who refuses the service.
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
        self.admission = Admission(
            transport.name,
            max_concurrency,
            self.refusals,
            first_pause_s=first_pause_s,
            max_pause_s=max_pause_s,
            max_wait_s=max_wait_s,
            log_in=log_in,
        )
        self.passed = 0
        """Attempts since the start that gave the transport no blame."""
        self._transport = transport
        self._on_attempt = on_attempt
        self._doubts: list[tuple[str, Attempt]] = []
        """Conversations in a row that broke after DATA, with their domains."""

    @property
    def state(self) -> State:
        return self.admission.state

    @property
    def reason(self) -> str | None:
        return self.admission.reason

    @property
    def slots(self) -> ConversationSlots:
        return self.admission.slots

    @property
    def conversations(self) -> int:
        """How many conversations are under way."""
        return self.slots.conversations

    @property
    def waiting(self) -> int:
        """How many messages wait for a conversation."""
        return self.slots.waiting

    @property
    def takes_mail(self) -> bool:
        """Whether messages go through, or the next one is the probe."""
        return self.admission.takes_mail

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandover, nothing_sent: NothingSent
    ) -> Verdict:
        singled_out, passed, domain = 0, self.passed, domain_of(message.recipient)
        last_attempt: Attempt | None = None
        while True:
            self.admission.ask_for_probe(domain)
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
        self.admission.stop_probing()
        await self._transport.close()

    def allow_to_wait(self, seconds: float) -> None:
        """Lower the longest wait for a conversation, also for the messages that wait already."""
        self.slots.limit_wait(seconds)

    def cancel_waiting(self) -> None:
        """On shutdown, cancel the messages that wait for a transport which is unavailable. Nothing of them was sent."""
        if self.slots.blocked:
            self.slots.cancel_all()

    def _judge(self, recipient: str, tried: Tried, *, stale: bool) -> Tried | PutOff:
        """Returns the verdict on an attempt, and changes the state by it.

        `stale`: the attempt began before the breaker last opened, so a failure of the transport is no news.
        """
        match tried:
            case Blocked():
                return self._blocked(recipient, tried, stale=stale)
            case Unavailable(attempt, hint) if not stale:
                self._doubts.clear()
                self.admission.open(attempt, hint)
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
        self._doubts.clear()
        return self.admission.open_by_mail(attempt, hint)

    def _succeeded(self, *, accepted: bool) -> None:
        self.passed += 1
        self._doubts.clear()
        self.admission.succeeded(accepted=accepted)
