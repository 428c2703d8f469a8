"""The event contract: what the booking system publishes, and how a JSON object is read as an event.

A field that cannot be read never fails the event: see `field_types`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationInfo, WithJsonSchema

from notification_service.contract import bodies, envelopes
from notification_service.contract.bodies import Body, JsonObject
from notification_service.contract.field_types import (
    Address,
    Amount,
    Count,
    Currency,
    Devices,
    Flag,
    Id,
    Moment,
    Name,
    Object,
    PaymentId,
    Seats,
    Showtime,
    Text,
    Zone,
)
from notification_service.contract.outcomes import RejectReason
from notification_service.contract.packing import NotReadError, TooLargeError
from notification_service.contract.remarks import Remark

_LAST_FOUR_KEYS = ("last4", "last_four", "card_last4", "card_last_four")
_FOUR_DIGITS = re.compile(r"[0-9]{4}")


class UnreadableEventError(ValueError):
    """The body is not an event. `data`: what could be read of it, for the record."""

    def __init__(self, reason: RejectReason, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.data = data


# ── the models ───────────────────────────────────────────────────────────────────────────────────────

CalendarSequence = Annotated[int | None, BeforeValidator(lambda _: None)]
"""The SEQUENCE of the calendar file (RFC 5545 §3.8.7.4). The service sets it; what a producer sends is ignored."""

_SET_BY_SERVICE = ("changed_from", "sequence")


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: Id = None
    timestamp: Moment = None
    booking_id: Id = None
    user_id: Id = None
    user_email: Address = None
    phone: Name = None
    device_tokens: Devices = ()
    currency: Currency = None
    locale: Name = None
    time_zone: Zone = None
    ticket_token: Name = None


class Shown(BaseModel):
    """Those details of the show in an earlier message that have changed since."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    showtime: Text = None
    seats: Seats = ()
    cinema_name: Text = None


def _changed_from(value: object) -> Shown | None:
    if isinstance(value, Shown):
        return value
    return Shown.model_validate(value) if isinstance(value, dict) else None


class BookingConfirmed(_Event):
    event_type: Literal["booking.confirmed"]
    movie_title: Text = None
    showtime: Showtime = None
    seats: Seats = ()
    cinema_name: Text = None
    total_amount: Amount = None
    transaction_id: PaymentId = None
    changed_from: Annotated[
        Shown | None, BeforeValidator(_changed_from), WithJsonSchema({"description": "Ignored: the service's own."})
    ] = None
    """The service sets it from its own records; the samples of previews contain it too."""
    sequence: CalendarSequence = None


class BookingCancelled(_Event):
    event_type: Literal["booking.cancelled"]
    movie_title: Text = None
    showtime: Showtime = None
    seats: Seats = ()
    cinema_name: Text = None
    cancellation_reason: Text = None
    reason: Text = None
    cancelled_at: Moment = None
    refund_eligible: Flag = None
    refund_amount: Amount = None
    sequence: CalendarSequence = None


class BookingRefunded(_Event):
    event_type: Literal["booking.refunded"]
    movie_title: Text = None
    showtime: Showtime = None
    seats: Seats = ()
    cinema_name: Text = None
    refund_amount: Amount = None
    total_amount: Amount = None
    transaction_id: PaymentId = None
    refund_reason: Text = None


class Item(BaseModel):
    """One line of a receipt: so many of something, and what they cost together."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Text = None
    quantity: Count = None
    amount: Amount = None


def _items(value: object, info: ValidationInfo) -> tuple[Item, ...]:
    listed = value if isinstance(value, list | tuple) else ()
    read = [
        one if isinstance(one, Item) else Item.model_validate(one) for one in listed if isinstance(one, dict | Item)
    ]
    known = tuple(item for item in read if item.name)
    if value and len(known) < len(listed or (value,)) and info.context is not None:
        info.context.append(Remark("items", "are not all shown: some of them cannot be read"))
    return known


Items = Annotated[
    tuple[Item, ...],
    BeforeValidator(_items),
    WithJsonSchema(
        {
            "description": "What was bought, with the amount for all of the quantity. One without a name is left out.",
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "quantity": {"type": "integer", "minimum": 1},
                    "amount": {"type": ["number", "string"]},
                },
            },
        }
    ),
]
"""A list of another form costs its field, never the event."""


class _Payment(_Event):
    """What is paid for (`movie_title` to `cinema_name`) is rarely sent with a payment."""

    gateway_response: Object = None
    movie_title: Text = None
    showtime: Showtime = None
    seats: Seats = ()
    cinema_name: Text = None

    @property
    def last_four(self) -> str | None:
        """The last four digits of the card, where the gateway's answer has them."""
        answers = map((self.gateway_response or {}).get, _LAST_FOUR_KEYS)
        return next((text for answer in answers if _FOUR_DIGITS.fullmatch(text := str(answer))), None)


class PaymentSucceeded(_Payment):
    event_type: Literal["payment.success"]
    transaction_id: PaymentId = None
    amount: Amount = None
    payment_method: Text = None
    items: Items = ()
    fees: Amount = None
    tax: Amount = None


class PaymentFailed(_Payment):
    event_type: Literal["payment.failed"]
    transaction_id: PaymentId = None
    amount: Amount = None
    payment_method: Text = None
    failure_reason: Text = None
    error_code: Name = None
    retry_possible: Flag = None
    retry_url: Name = None
    seats_held_until: Moment = None


class PaymentRefunded(_Event):
    """The booking system uses both spellings of the type."""

    event_type: Literal["payment.refund", "payment.refunded"]
    original_transaction_id: PaymentId = None
    refund_transaction_id: PaymentId = None
    refund_amount: Amount = None
    payment_method: Text = None
    reason: Text = None


Event = BookingConfirmed | BookingCancelled | BookingRefunded | PaymentSucceeded | PaymentFailed | PaymentRefunded

MODELS: Mapping[str, type[Event]] = {
    event_type: model
    for model, event_types in (
        (BookingConfirmed, ("booking.confirmed",)),
        (BookingCancelled, ("booking.cancelled",)),
        (BookingRefunded, ("booking.refunded",)),
        (PaymentSucceeded, ("payment.success",)),
        (PaymentFailed, ("payment.failed",)),
        (PaymentRefunded, ("payment.refund", "payment.refunded")),
    )
    for event_type in event_types
}

_READERS: dict[str, TypeAdapter[Event]] = {event_type: TypeAdapter(model) for event_type, model in MODELS.items()}

_NAMES = envelopes.by_letters(
    dict.fromkeys(("event_type", *(field for model in MODELS.values() for field in model.model_fields)))
)

EVENT_TYPES = tuple(MODELS)
"""The types of the events that become notifications; each is also a routing key."""


def payload_schema(event_type: str) -> dict[str, Any]:
    """The JSON Schema that a producer may rely on: whatever it allows is read. `read` accepts more than that.

    The routing key names the type, so `event_type` is optional in the body. Further fields are ignored.
    """
    schema = _READERS[event_type].json_schema()
    schema.pop("required", None)
    schema.pop("$defs", None)
    for name in _SET_BY_SERVICE:
        schema["properties"].pop(name, None)
    for field in schema["properties"].values():
        field.pop("title", None)
        field.pop("default", None)
    schema["properties"]["event_type"] = {"const": event_type}
    return schema


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def read_object(body: bytes | Body, *, max_bytes: int) -> JsonObject:
    """Read the JSON object in `body`, without what wraps it: see `envelopes`.

    Raises `UnreadableEventError` if there is none or it exceeds `max_bytes`.
    """
    try:
        data = bodies.read(body if isinstance(body, Body) else Body(body), max_bytes=max_bytes)
    except TooLargeError as problem:
        raise UnreadableEventError(RejectReason.TOO_LARGE, str(problem)) from None
    except NotReadError as problem:
        raise UnreadableEventError(RejectReason.NOT_JSON, str(problem)) from None
    if not isinstance(data, JsonObject):
        raise UnreadableEventError(RejectReason.SCHEMA, bodies.why_no_object(data))
    return envelopes.opened(data, _NAMES)


@dataclass(frozen=True, slots=True)
class EventReading:
    """An event, and a remark for each field that could not be read."""

    event: Event
    remarks: tuple[Remark, ...] = ()


def read(data: Mapping[str, Any], event_type: str) -> EventReading | None:
    """Read `data` as an event of this type; None where the type is not one of `EVENT_TYPES`."""
    model = _READERS.get(event_type)
    if model is None:
        return None
    remarks: list[Remark] = []
    event = model.validate_python({**data, "event_type": event_type}, context=remarks)
    return EventReading(event, tuple(remarks))


def parse(data: Mapping[str, Any], event_type: str) -> Event | None:
    """As `read`, without the remarks."""
    reading = read(data, event_type)
    return reading.event if reading else None
