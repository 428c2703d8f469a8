"""Which event becomes which e-mail, and which business fact it reports. Pure: bytes in, a plan out."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from notification_service import bodies, events, payments
from notification_service.bodies import Body, Said
from notification_service.events import Event, Reading, UnreadableEventError
from notification_service.outcomes import Parked, Rejected, RejectReason
from notification_service.remarks import Remark
from notification_service.traces import Trace

E = TypeVar("E", events.BookingConfirmed, events.BookingCancelled, events.BookingRefunded)

EMAIL = "email"
_EXCERPT = 1024
_LONGEST_ID = 200
_NAMELESS = "the event names neither a booking nor a payment, so no mail could say what it is about"


@dataclass(frozen=True, slots=True)
class Fact:
    """What happened in the business.

    A fact that may be reported with and without a name of its own, as a refund is, carries that name as `report`:
    the first named report and the nameless ones are one fact, every further name is another. A further mail about a
    booking carries the id of the event that decided it.

    `alias`: another name of the same fact, by which a report may come that does not know the first.
    """

    key: str
    report: str | None = None
    alias: str | None = None

    def known_as(self, first: str) -> "Fact":
        """`first`: the name under which its alias was first reported.

        A nameless report is of that name. A named one is of the nameless one that came before it; beside another name,
        it stands for itself.
        """
        return replace(self, key=first) if self.alias in (self.key, first) else self


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message from the broker, in our own words. `attempt` counts the retries that lie behind it."""

    body: bytes = field(repr=False)
    routing_key: str
    """The type of its event, where it is one of ours."""
    message_id: str | None = None
    content_encoding: str | None = None
    content_type: str | None = None
    attempt: int = 0
    replay: str | None = None
    """The token of a person's wish to have it again, after it was parked; each wish is granted once."""
    not_before: int | None = None
    """Unix seconds: the time that it was given because of a limit."""
    turns: int = 0
    """How many limits lie behind it, in the order of `quotas.ORDER`."""
    ahead: bool = False
    """A copy on the express lane: the same message comes, or came, by the ordinary way too."""
    suspect: bool = False
    """It came back after it had been handed out: its worker was lost, perhaps because of it."""
    crashes: int = 0
    """How many of its starts were never ended."""
    unmovable: bool = False
    """The broker takes no copy of it: it can wait in no other queue, neither for its time nor for a person."""
    trace: Trace | None = None
    """The span that its headers name, or ours below it."""

    @property
    def content(self) -> Body:
        return Body(self.body, self.content_encoding, self.content_type)


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that becomes an e-mail."""

    event: Event
    event_id: str
    template: str
    fact: Fact
    data: Mapping[str, Any] = field(repr=False)
    remarks: tuple[Remark, ...] = ()
    """What could not be read of it, or was read otherwise than it stood."""


@dataclass(frozen=True, slots=True)
class NotOurs:
    """An event of another kind: never an error."""

    event_type: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that can never become a notice. `digest` stands for them, however often they come."""

    event_id: str
    event_type: str
    outcome: Rejected | Parked
    digest: str
    data: Mapping[str, Any] = field(repr=False)
    """What could be read of it; of bytes that are no JSON object, their beginning."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`until_showtime`: a mail that nobody needs when the show has begun. What else makes one needless: `stories`."""

    template: str
    fact: Callable[[Any], Fact | None]
    until_showtime: bool = False


def _of_booking(happened: str) -> Callable[[Any], Fact | None]:
    return lambda event: Fact(f"booking:{event.booking_id}:{happened}") if event.booking_id else None


def _of_payment(happened: str) -> Callable[[Any], Fact | None]:
    return lambda event: _payment(event, happened)


def _payment(event: events.PaymentSucceeded | events.PaymentFailed, happened: str) -> Fact | None:
    """By our own name for the payment, else by the gateway's: beside its booking, as test gateways count from 1."""
    gateway = payments.gateway_id(event.gateway_response)
    alias = f"gateway:{event.booking_id or ''}:{gateway}:{happened}" if gateway else None
    if event.transaction_id:
        return Fact(f"payment:{event.transaction_id}:{happened}", alias=alias)
    return Fact(alias, alias=alias) if alias else None


def _of_refund(payment: str | None, booking: str | None, refund: str | None) -> Fact | None:
    if payment:
        return Fact(f"payment:{payment}:refunded", refund)
    return Fact(f"booking:{booking}:refunded", refund) if booking else None


RULES: Mapping[type[Event], Rule] = {
    events.BookingConfirmed: Rule("booking_confirmation", _of_booking("confirmed"), until_showtime=True),
    events.BookingCancelled: Rule("booking_cancellation", _of_booking("cancelled")),
    events.BookingRefunded: Rule(
        "payment_refund", lambda event: _of_refund(event.transaction_id, event.booking_id, None)
    ),
    events.PaymentSucceeded: Rule("payment_success", _of_payment("succeeded")),
    events.PaymentFailed: Rule("payment_failed", _of_payment("failed")),
    events.PaymentRefunded: Rule(
        "payment_refund",
        lambda event: _of_refund(event.original_transaction_id, event.booking_id, event.refund_transaction_id),
    ),
}

_OF_THE_SHOW = ("movie_title", "showtime", "seats", "cinema_name", "currency", "time_zone", "locale")

TICKETS = tuple(event_type for event_type, model in events.MODELS.items() if RULES[model].until_showtime)
"""The types of the events whose mail somebody needs at the door."""

TEMPLATES = tuple(dict.fromkeys(rule.template for rule in RULES.values()))


def plan(delivery: Delivery, *, largest: int) -> Notice | NotOurs | Unreadable:
    """What to do with a delivery. `largest`: the most bytes that a body may have."""
    digest = digest_of(delivery.body)
    event_type, event_id = delivery.routing_key, nameless_id(delivery)
    try:
        data = events.read_object(delivery.content, largest=largest)
        event_type = _event_type(delivery.routing_key, data)
        event_id = _id(_text(data.get("event_id"))) or event_id
        reading = events.read(data, event_type)
        if reading is None:
            return NotOurs(event_type)
        return _notice(reading, event_id, data)
    except UnreadableEventError as problem:
        # The error itself would keep its frames, and so the whole body, until the collector runs.
        found = problem.data or _excerpt(delivery)
        return Unreadable(event_id, event_type, Rejected(problem.reason, problem.detail), digest, found)


def under_its_type(delivery: Delivery, *, largest: int) -> Delivery:
    """The delivery under the type of its event, which its body says where the routing key is a queue's name."""
    if delivery.routing_key in events.MODELS:
        return delivery
    try:
        data = events.read_object(delivery.content, largest=largest)
    except UnreadableEventError:
        return delivery
    return replace(delivery, routing_key=_event_type(delivery.routing_key, data))


def _event_type(routing_key: str, data: Mapping[str, Any]) -> str:
    """The routing key decides where it is one of ours, else what the body says, if that is."""
    if routing_key in events.MODELS:
        return routing_key
    said = _text(data.get("event_type"))
    return (said and events.known_type(said)) or events.known_type(routing_key) or routing_key or said or ""


def _on_its_type(event_type: str, data: Mapping[str, Any]) -> tuple[Remark, ...]:
    said = data.get("event_type")
    text = _text(said)
    if (said is None or isinstance(said, str)) and not text:
        return ()
    # Both spellings of a refund are on the wire.
    if text and events.MODELS.get(text) is events.MODELS[event_type]:
        return ()
    return (Remark("event_type", f"does not name the type that the event counts as, {event_type}"),)


def unread(delivery: Delivery, outcome: Parked) -> Unreadable:
    """A delivery that is set aside without a look into it."""
    return Unreadable(
        nameless_id(delivery), delivery.routing_key, outcome, digest_of(delivery.body), _excerpt(delivery)
    )


def _excerpt(delivery: Delivery) -> Mapping[str, Any]:
    return Said({"raw": bodies.beginning(delivery.content, characters=_EXCERPT)}, exact=False)


def event_id(delivery: Delivery, *, largest: int) -> str:
    """The id under which the delivery's record is found."""
    match plan(delivery, largest=largest):
        case Notice(event_id=known) | Unreadable(event_id=known):
            return known
        case NotOurs():
            return nameless_id(delivery)


def nameless_id(delivery: Delivery) -> str:
    """The id of an event whose body names none, or cannot be read."""
    return _id(delivery.message_id) or body_id(delivery.body)


def _id(text: str | None) -> str | None:
    """As producers may write it: one that no log, record or header could hold is known by its digest."""
    if not text or (len(text) <= _LONGEST_ID and text.isprintable()):
        return text
    return body_id(text.encode("utf-8", "surrogatepass"))


def body_id(body: bytes) -> str:
    """The id of an event that has none: a digest of its bytes."""
    return f"sha256:{digest_of(body)}"


def digest_of(body: bytes) -> str:
    """32 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()[:32]


def _notice(reading: Reading, event_id: str, data: Mapping[str, Any]) -> Notice:
    event = reading.event
    rule = RULES[type(event)]
    # An event that names no booking and no payment can only be told apart by its own id.
    fact = rule.fact(event) or Fact(f"event:{event_id}")
    if fact.key.startswith("event:") and not event.booking_id:
        raise UnreadableEventError(
            RejectReason.SCHEMA,
            "; ".join((_NAMELESS, *map(str, reading.remarks))),
            data,
        )
    return Notice(event, event_id, rule.template, fact, data, (*_on_its_type(event.event_type, data), *reading.remarks))


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    try:
        return events.exact(value)
    except (ValueError, OverflowError):
        return None


def notification_id(fact: Fact, first_report: str | None, template: str, channel: str = EMAIL) -> str:
    """One business fact, one template, one channel: 32 hexadecimal digits, the same in every process for ever.

    `first_report`: the named report that stands for the fact as such.
    """
    further = fact.report if fact.report and fact.report != first_report else None
    parts = (fact.key, *([further] if further else []), template, channel)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def says_which_show(event: events.BookingCancelled | events.BookingRefunded) -> bool:
    return bool(event.movie_title and event.showtime)


def filled(event: E, confirmed: Event) -> E:
    """The event with what its booking's confirmation said of the show, where the event itself says nothing."""
    unsaid = [name for name in _OF_THE_SHOW if name in type(event).model_fields and getattr(event, name) in (None, ())]
    return event.model_copy(update={name: getattr(confirmed, name) for name in unsaid})


def further_id(notice: Notice) -> str:
    """The id of a further mail about a booking: of the booking, the kind, and the event that decided it."""
    return notification_id(Fact(notice.fact.key, notice.event_id), None, notice.template)


def booking_ids(event: Event) -> tuple[str, str] | None:
    """The notifications of the booking's first confirmation and of its first cancellation."""
    rules = RULES[events.BookingConfirmed], RULES[events.BookingCancelled]
    facts = [rule.fact(event) for rule in rules]
    ids = [notification_id(fact, None, rule.template) for fact, rule in zip(facts, rules, strict=True) if fact]
    return (ids[0], ids[1]) if ids else None


def receipt_id(event: events.PaymentFailed) -> str | None:
    """The notification of the same payment's success."""
    rule = RULES[events.PaymentSucceeded]
    fact = rule.fact(event)
    return notification_id(fact, None, rule.template) if fact else None


def is_ticket(event: Event) -> bool:
    """Whether somebody needs its mail at the door, and nobody afterwards."""
    return RULES[type(event)].until_showtime
