"""Plans the notification of an inbound message: its event, fact and template, or why there is none. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from notification_service.contract import envelopes, events, type_names, values
from notification_service.contract.bodies import JsonObject
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event, EventReading, UnreadableEventError
from notification_service.contract.inbound import InboundMessage, _excerpt, _id, digest_of, nameless_id
from notification_service.contract.notification_ids import Fact, notification_id
from notification_service.contract.notification_rules import RULES
from notification_service.contract.outcomes import Parked, Rejected, RejectReason
from notification_service.contract.remarks import Remark

_NAMELESS = (
    "the event names neither a booking nor a payment, so no mail could say what it is about; publish it again with its "
    "booking_id or transaction_id"
)


@dataclass(frozen=True, slots=True)
class Notification:
    """An event that becomes a message."""

    event: Event
    event_id: str
    template: str
    fact: Fact
    data: Mapping[str, Any] = field(repr=False)
    remarks: tuple[Remark, ...] = ()
    """The fields that could not be read, or were read as something else."""


@dataclass(frozen=True, slots=True)
class IgnoredEvent:
    """An event of a type that has no notification. This is not an error."""

    event_type: str


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A body that cannot become a notification. `digest`: of its bytes, so that each body has one record."""

    event_id: str
    event_type: str
    outcome: Rejected | Parked
    digest: str
    data: Mapping[str, Any] = field(repr=False)
    """What could be read of it; the beginning of a body that is no JSON object."""


def plan(inbound: InboundMessage, *, max_bytes: int) -> Notification | IgnoredEvent | UnreadableMessage:
    """Plan what to do with a message. `max_bytes`: the largest body that is read."""
    digest = digest_of(inbound.body)
    event_type, event_id = inbound.routing_key, nameless_id(inbound)
    try:
        data = events.read_object(inbound.content, max_bytes=max_bytes)
        event_type = _event_type(inbound, data)
        event_id = _id(_text(data.get("event_id"))) or event_id
        reading = events.read(data, event_type)
        if reading is None:
            return IgnoredEvent(event_type)
        return _notification(reading, event_id, data)
    except UnreadableEventError as problem:
        # The result does not keep the error: its frames would keep the whole body in memory.
        found = problem.data or _excerpt(inbound)
        return UnreadableMessage(event_id, event_type, Rejected(problem.reason, problem.detail), digest, found)


def under_its_type(inbound: InboundMessage, *, max_bytes: int) -> InboundMessage:
    """The message with its event type as routing key, read from the body where the routing key is a queue's name."""
    if inbound.routing_key in events.MODELS:
        return inbound
    try:
        data = events.read_object(inbound.content, max_bytes=max_bytes)
    except UnreadableEventError:
        return inbound
    return replace(inbound, routing_key=_event_type(inbound, data))


def _event_type(inbound: InboundMessage, data: Mapping[str, Any]) -> str:
    """The routing key where it is a known type, else the type that the body or the message names."""
    routing_key = inbound.routing_key
    if routing_key in events.MODELS:
        return routing_key
    said = _text(data.get("event_type"))
    # Who says that the event is of another type means it.
    others = () if said else (*envelopes.types_named(data), inbound.type_name or "")
    known = (type_names.known_type(each) for each in (said or "", *others, routing_key))
    return next(filter(None, known), None) or routing_key or said or ""


def _type_remarks(event_type: str, data: Mapping[str, Any]) -> tuple[Remark, ...]:
    said = data.get("event_type")
    text = _text(said)
    if (said is None or isinstance(said, str)) and not text:
        return ()
    # A refund's type has two spellings.
    if text and events.MODELS.get(text) is events.MODELS[event_type]:
        return ()
    return (Remark("event_type", f"does not name the type that the event counts as, {event_type}"),)


def unread(inbound: InboundMessage, outcome: Parked) -> UnreadableMessage:
    """A message that is given up without reading its body."""
    return UnreadableMessage(
        nameless_id(inbound), inbound.routing_key, outcome, digest_of(inbound.body), _excerpt(inbound)
    )


def event_id(inbound: InboundMessage, *, max_bytes: int) -> str:
    """The event id that the message has in its record."""
    match plan(inbound, max_bytes=max_bytes):
        case Notification(event_id=known) | UnreadableMessage(event_id=known):
            return known
        case IgnoredEvent():
            return nameless_id(inbound)


def _notification(reading: EventReading, event_id: str, data: JsonObject) -> Notification:
    event = reading.event
    rule = RULES[type(event)]
    # An event that names no booking and no payment is identified by its own id only.
    fact = rule.fact(event) or Fact(f"event:{event_id}")
    if fact.key.startswith("event:") and not event.booking_id:
        raise UnreadableEventError(
            RejectReason.SCHEMA,
            "; ".join((_NAMELESS, *map(str, reading.remarks))),
            data,
        )
    return Notification(
        event,
        event_id,
        rule.template,
        fact,
        data,
        (*data.remarks, *_type_remarks(event.event_type, data), *reading.remarks),
    )


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    try:
        return values.exact(value)
    except (ValueError, OverflowError):
        return None


def further_id(notification: Notification, channel: ChannelKind) -> str:
    """The notification id of a further message about a booking: from its fact, template and event."""
    return notification_id(Fact(notification.fact.key, notification.event_id), None, notification.template, channel)
