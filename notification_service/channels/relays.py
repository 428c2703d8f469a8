"""The channel over several relays: mail goes by the first one that takes it, and comes back to it by itself.

Only what certainly was not sent goes to another relay, and only for what is the relay's own: network, login, account,
quota. What is said of a recipient or a content would be said elsewhere too, and what is in doubt stays where it is.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from notification_service.channels.admission import State
from notification_service.channels.breaker import MAX_TIMES_SINGLED_OUT, Breaker
from notification_service.channels.conversation_slots import Slot, TurnedAway, slot_at
from notification_service.channels.refusal_patterns import domain_of
from notification_service.contract.notification_rules import TICKET_TEMPLATES
from notification_service.contract.variants import control_name
from notification_service.delivery.ports.channel import (
    Attempt,
    BeforeHandoverTo,
    Blocked,
    Deferred,
    HandoverRefused,
    NothingSent,
    OutgoingMessage,
    PutOff,
    Tried,
    Unavailable,
    Verdict,
)
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.rate_limits import Reservation
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Relay:
    """One mail server and account, behind a breaker of its own.

    `rates`: the limits of this account alone. `named`: puts the names of its settings into a text.
    """

    breaker: Breaker
    rates: Rates
    named: Callable[[str], str] = str

    @property
    def name(self) -> str:
        return self.breaker.name


@dataclass(slots=True)
class _Way:
    """What has happened to one message so far. `left`: the relays that have not refused the service for it."""

    left: list[Relay]
    until: float
    passed: int
    singled_out: int = 0
    last_attempt: Attempt | None = None
    limits: list[PutOff] = field(default_factory=list)

    def put_off(self, *answers: PutOff) -> PutOff:
        """The soonest that a limit or one of these answers allows, with the attempt that was made."""
        return replace(min((*self.limits, *answers), key=lambda each: each.seconds), attempt=self.last_attempt)


def choose(relays: Sequence[Relay]) -> Sequence[Relay]:
    """Where a message waits: at the first relay that takes mail, else at all, for whichever is back first."""
    return next(([relay] for relay in relays if relay.breaker.takes_mail), relays)


class Relays:
    """The channel that the pipeline sends through where there are several relays, the preferred one first."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self.relays = tuple(relays)
        self.name = self.relays[0].name
        self.refusals = RelayRefusals(self.relays)
        self._using = self.relays[0].name

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandoverTo, nothing_sent: NothingSent
    ) -> Verdict:
        way, domain = self._begin(message), domain_of(message.recipient)
        while not (way.limits and _none_takes_mail(way.left)):
            places = self._places(way, domain)
            async with slot_at([relay.breaker.slots for relay in places], domain, way.until - _now()) as slot:
                if isinstance(slot, TurnedAway):
                    continue
                if isinstance(slot, PutOff):
                    if _none_takes_mail(way.left) or way.until <= _now():
                        return way.put_off(slot)
                    continue
                relay = next(each for each in places if each.breaker.slots is slot.place)
                ended = await self._try(relay, slot, way, message, before_handover)
            if ended is not None:
                return ended
            await nothing_sent()
            # Messages that already wait go first; otherwise this one would be every probe.
            await asyncio.sleep(0)
        return way.put_off()

    def _begin(self, message: OutgoingMessage) -> _Way:
        able = [relay for relay in self.relays if message.held_by in (None, relay.name)]
        patience = min(relay.breaker.slots.max_wait_s for relay in self.relays)
        return _Way(able or list(self.relays), _now() + patience, self._passed)

    def _places(self, way: _Way, domain: str) -> Sequence[Relay]:
        places = choose(way.left)
        if _none_takes_mail(places):
            for relay in places:
                relay.breaker.admission.ask_for_probe(domain)
        elif len(way.left) == len(self.relays) and places[0].breaker.state is not State.PROBING:
            self._note(places[0].name)
        return places

    def _note(self, name: str) -> None:
        if name != self._using:
            level = log.info if name == self.name else log.warning
            level("relay.changed", channel=self.name, relay=name, was=self._using)
            self._using = name

    @property
    def _passed(self) -> int:
        return sum(relay.breaker.passed for relay in self.relays)

    async def _try(
        self, relay: Relay, slot: Slot, way: _Way, message: OutgoingMessage, before_handover: BeforeHandoverTo
    ) -> Verdict | None:
        """One attempt. Returns None where another relay, or this one later, may still take the message."""
        place = await _take_place(relay, message)
        if place.seconds:
            way.limits.append(PutOff(place.seconds, relay.named(place.reason)))
            way.left.remove(relay)
            return None
        tried, verdict = await relay.breaker.converse(slot, message, partial(before_handover, relay.name))
        if isinstance(tried, Unavailable | Blocked | HandoverRefused | PutOff):
            await _give_back(relay, place)
        if isinstance(tried, PutOff):
            way.limits.append(tried)
            way.left.remove(relay)
            return None
        if not isinstance(tried, HandoverRefused):
            way.last_attempt = tried.attempt
        return self._after(relay, way, tried, verdict)

    def _after(self, relay: Relay, way: _Way, tried: Tried, verdict: Tried | PutOff) -> Verdict | None:
        if not isinstance(tried, Unavailable | Blocked):
            if relay is self.relays[0] and relay.breaker.state is not State.PROBING:
                self._note(relay.name)
            return verdict if not isinstance(verdict, Unavailable | Blocked) else None
        # A message that fails repeatedly while others pass is itself at fault, whatever the reply says.
        way.singled_out, way.passed = way.singled_out + (self._passed > way.passed), self._passed
        if way.singled_out >= MAX_TIMES_SINGLED_OUT:
            return Deferred(tried.attempt)
        if isinstance(tried, Unavailable):
            return None
        way.left.remove(relay)
        if not _none_takes_mail(way.left):
            return None
        if isinstance(verdict, Unavailable | Blocked):
            way.left.append(relay)
            return None
        return way.put_off(verdict) if isinstance(verdict, PutOff) else verdict

    async def close(self) -> None:
        await asyncio.gather(*(relay.breaker.close() for relay in self.relays))

    def cancel_waiting(self) -> None:
        """On shutdown, cancel the messages that wait where no relay takes any. Nothing of them was sent."""
        if all(relay.breaker.slots.blocked for relay in self.relays):
            for relay in self.relays:
                relay.breaker.cancel_waiting()


class RelayRefusals:
    """What the relays together have learned about a refusal, for recalls."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self._relays = relays

    def mark_about_us(self, fingerprint: str) -> None:
        for relay in self._relays:
            relay.breaker.refusals.mark_about_us(fingerprint)

    def is_about_us(self, fingerprint: str) -> bool:
        """Whether no relay has accepted a message since."""
        return all(relay.breaker.refusals.is_about_us(fingerprint) for relay in self._relays)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _none_takes_mail(relays: Sequence[Relay]) -> bool:
    return not any(relay.breaker.takes_mail for relay in relays)


async def _take_place(relay: Relay, message: OutgoingMessage) -> Reservation:
    """Take a place at the limits of the account, if one is free now. Without Redis there are none."""
    ticket = control_name(message.template) in TICKET_TEMPLATES
    try:
        return await relay.rates.reserve(message.recipient, ticket=ticket, only_now=True)
    except StoreUnavailableError:
        return Reservation()


async def _give_back(relay: Relay, place: Reservation) -> None:
    """Nothing was sent, so the account's quota has not counted this message."""
    with suppress(StoreUnavailableError):
        await relay.rates.give_back(place.places)
