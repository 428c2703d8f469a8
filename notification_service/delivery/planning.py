"""Which event becomes which e-mail, and which business fact it reports. Pure: bytes in, a plan out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from notification_service.contract import events, values
from notification_service.contract.events import Event, EventReading, UnreadableEventError
from notification_service.contract.facts import ChannelKind, Fact, notification_id
from notification_service.contract.inbound import InboundMessage, _excerpt, _id, digest_of, nameless_id
from notification_service.contract.outcomes import Parked, Rejected, RejectReason
from notification_service.contract.remarks import Remark
from notification_service.contract.rules import RULES

_NAMELESS = "the event names neither a booking nor a payment, so no mail could say what it is about"


@dataclass(frozen=True, slots=True)
class Notification:
    """An event that becomes an e-mail."""

    event: Event
    event_id: str
    template: str
    fact: Fact
    data: Mapping[str, Any] = field(repr=False)
    remarks: tuple[Remark, ...] = ()
    """What could not be read of it, or was read otherwise than it stood."""


@dataclass(frozen=True, slots=True)
class IgnoredEvent:
    """An event of another kind: never an error."""

    event_type: str


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """Bytes that can never become a notice. `digest` stands for them, however often they come."""

    event_id: str
    event_type: str
    outcome: Rejected | Parked
    digest: str
    data: Mapping[str, Any] = field(repr=False)
    """What could be read of it; of bytes that are no JSON object, their beginning."""


def plan(inbound: InboundMessage, *, max_bytes: int) -> Notification | IgnoredEvent | UnreadableMessage:
    """What to do with a delivery. `max_bytes`: the most bytes that a body may have."""
    digest = digest_of(inbound.body)
    event_type, event_id = inbound.routing_key, nameless_id(inbound)
    try:
        data = events.read_object(inbound.content, max_bytes=max_bytes)
        event_type = _event_type(inbound.routing_key, data)
        event_id = _id(_text(data.get("event_id"))) or event_id
        reading = events.read(data, event_type)
        if reading is None:
            return IgnoredEvent(event_type)
        return _notice(reading, event_id, data)
    except UnreadableEventError as problem:
        # The error itself would keep its frames, and so the whole body, until the collector runs.
        found = problem.data or _excerpt(inbound)
        return UnreadableMessage(event_id, event_type, Rejected(problem.reason, problem.detail), digest, found)


def under_its_type(inbound: InboundMessage, *, max_bytes: int) -> InboundMessage:
    """The delivery under the type of its event, which its body says where the routing key is a queue's name."""
    if inbound.routing_key in events.MODELS:
        return inbound
    try:
        data = events.read_object(inbound.content, max_bytes=max_bytes)
    except UnreadableEventError:
        return inbound
    return replace(inbound, routing_key=_event_type(inbound.routing_key, data))


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


def unread(inbound: InboundMessage, outcome: Parked) -> UnreadableMessage:
    """A delivery that is set aside without a look into it."""
    return UnreadableMessage(
        nameless_id(inbound), inbound.routing_key, outcome, digest_of(inbound.body), _excerpt(inbound)
    )


def event_id(inbound: InboundMessage, *, max_bytes: int) -> str:
    """The id under which the delivery's record is found."""
    match plan(inbound, max_bytes=max_bytes):
        case Notification(event_id=known) | UnreadableMessage(event_id=known):
            return known
        case IgnoredEvent():
            return nameless_id(inbound)


def _notice(reading: EventReading, event_id: str, data: Mapping[str, Any]) -> Notification:
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
    return Notification(
        event, event_id, rule.template, fact, data, (*_on_its_type(event.event_type, data), *reading.remarks)
    )


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    try:
        return values.exact(value)
    except (ValueError, OverflowError):
        return None


def further_id(notification: Notification, channel: ChannelKind) -> str:
    """The id of a further mail about a booking: of the booking, the kind, and the event that decided it."""
    return notification_id(Fact(notification.fact.key, notification.event_id), None, notification.template, channel)
