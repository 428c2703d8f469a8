"""The event contract: what the booking system publishes, read with all its awkward facts."""

import json
import re
from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, WithJsonSchema

from notification_service.outcomes import RejectReason

_PLACEHOLDERS = re.compile(
    r"(unknown|none|null|n/?a|undefined)( (movie|time|showtime|cinema|theat(er|re)|title))?", re.IGNORECASE
)
_INFINITY = Decimal("Infinity")
_SMALLEST_AMOUNT, _LARGEST_AMOUNT = Decimal("0.005"), Decimal(10) ** 12
_LAST_FOUR = ("last4", "last_four", "card_last4", "card_last_four")
_DIGITS = re.compile(r"[0-9]{4}")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")


class UnreadableEventError(ValueError):
    """The bytes are no event; `data` is what could be read of them, for the record."""

    def __init__(self, reason: RejectReason, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.data = data


def _known(value: object) -> object:
    """Blank texts, and the words that producers write for "not known", are not known."""
    if isinstance(value, str):
        # JSON can spell half a surrogate pair, which nothing behind us can write.
        value = value.encode("utf-8", "replace").decode().strip()
        return None if not value or _PLACEHOLDERS.fullmatch(value) else value
    return value


def _amount(value: object) -> Decimal | None:
    """A JSON number or a text such as `"25.50"`. Zero is what producers send for an amount that they do not know."""
    value = _known(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("an amount is a number, or a text that is one")  # noqa: TRY004 - pydantic reads ValueError
    try:
        amount = Decimal(_THOUSANDS.sub("", str(value)))
    except InvalidOperation:
        raise ValueError("an amount is a number, or a text that is one") from None
    if not amount.is_finite() or not 0 <= amount < _LARGEST_AMOUNT:
        raise ValueError("an amount lies between 0 and a million million")
    return amount if amount >= _SMALLEST_AMOUNT else None


def _moment(value: object) -> datetime | None:
    """ISO 8601 with an offset, with `Z`, or naive, which means UTC. No mail is lost for a date that is none.

    The year 1 is how Go and .NET write "no date", and no time zone can be applied at the ends of the calendar.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if not MINYEAR < moment.year < MAXYEAR:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seats(value: object) -> object:
    return [seat for seat in map(_known, value) if seat is not None] if isinstance(value, list) else _known(value) or []


def _said(described: str, **schema: Any) -> WithJsonSchema:  # noqa: ANN401 - whatever JSON Schema says
    return WithJsonSchema({"description": described, **schema})


Text = Annotated[
    str | None,
    BeforeValidator(_known),
    _said(
        "A number reads as its text. Blank, and words such as `Unknown`, mean that it is not known.",
        type=["string", "number", "null"],
    ),
]
Amount = Annotated[
    Decimal | None,
    BeforeValidator(_amount),
    _said(
        "In the currency's own unit. Zero means that it is not known.",
        anyOf=[
            {"type": "number", "minimum": 0, "exclusiveMaximum": int(_LARGEST_AMOUNT)},
            {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]+)?$|^$"},
            {"type": "null"},
        ],
    ),
]
Moment = Annotated[
    datetime | None,
    BeforeValidator(_moment),
    _said("ISO 8601; without an offset it is UTC. What is no moment is not known.", type=["string", "null"]),
]
Seats = Annotated[
    tuple[str, ...],
    BeforeValidator(_seats),
    _said(
        "Their names. Blank ones are left out.",
        type=["array", "null"],
        items={"type": ["string", "number", "null"]},
    ),
]
Flag = Annotated[bool | None, BeforeValidator(_known), _said("Unset: not known.", type=["boolean", "null"])]
Object = Annotated[
    dict[str, Any] | None, BeforeValidator(_known), _said("What the gateway answered.", type=["object", "null"])
]


Sequence = Annotated[int | None, BeforeValidator(lambda _: None)]
"""Of its calendar file, where others about its booking are known: ours to say, whatever a producer sends."""

_OURS = ("changed_from", "sequence")


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    event_id: Text = None
    timestamp: Moment = None
    booking_id: Text = None
    user_id: Text = None
    user_email: Text = None
    currency: Text = None
    locale: Text = None
    time_zone: Text = None
    ticket_token: Text = None


class Shown(BaseModel):
    """What an earlier mail said of the show, as far as it is no longer so."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    showtime: Text = None
    seats: Seats = ()
    cinema_name: Text = None


def _shown(value: object) -> Shown | None:
    if isinstance(value, Shown):
        return value
    try:
        return Shown.model_validate(value)
    except ValidationError:
        return None


class BookingConfirmed(_Event):
    event_type: Literal["booking.confirmed"]
    movie_title: Text = None
    showtime: Text = None
    seats: Seats = ()
    cinema_name: Text = None
    total_amount: Amount = None
    transaction_id: Text = None
    changed_from: Annotated[Shown | None, BeforeValidator(_shown)] = None
    """Ours to say: the service sets it from its own records, whatever a producer sends; samples of mails hold it."""
    sequence: Sequence = None


class BookingCancelled(_Event):
    event_type: Literal["booking.cancelled"]
    movie_title: Text = None
    showtime: Text = None
    seats: Seats = ()
    cinema_name: Text = None
    cancellation_reason: Text = None
    reason: Text = None
    cancelled_at: Moment = None
    refund_eligible: Flag = None
    refund_amount: Amount = None
    sequence: Sequence = None


class BookingRefunded(_Event):
    event_type: Literal["booking.refunded"]
    movie_title: Text = None
    showtime: Text = None
    seats: Seats = ()
    cinema_name: Text = None
    refund_amount: Amount = None
    total_amount: Amount = None
    transaction_id: Text = None
    refund_reason: Text = None


class _Payment(_Event):
    gateway_response: Object = None

    @property
    def last_four(self) -> str | None:
        """The last digits of the card, where the gateway sent them."""
        answers = map((self.gateway_response or {}).get, _LAST_FOUR)
        return next((text for answer in answers if _DIGITS.fullmatch(text := str(answer))), None)


class PaymentSucceeded(_Payment):
    event_type: Literal["payment.success"]
    transaction_id: Text = None
    amount: Amount = None
    payment_method: Text = None


class PaymentFailed(_Payment):
    event_type: Literal["payment.failed"]
    transaction_id: Text = None
    amount: Amount = None
    payment_method: Text = None
    failure_reason: Text = None
    error_code: Text = None
    retry_possible: Flag = None
    retry_url: Text = None
    seats_held_until: Moment = None


class PaymentRefunded(_Event):
    """Both spellings of it are on the wire."""

    event_type: Literal["payment.refund", "payment.refunded"]
    original_transaction_id: Text = None
    refund_transaction_id: Text = None
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

EVENT_TYPES = tuple(MODELS)
"""The routing keys that are ours."""


def payload_schema(event_type: str) -> dict[str, Any]:
    """What a producer may rely on, as JSON Schema: whatever it allows is read. `parse` is more lenient still.

    The routing key says the type, so `event_type` need not stand in the body; further fields are ignored.
    """
    schema = _READERS[event_type].json_schema()
    schema.pop("required", None)
    schema.pop("$defs", None)
    for name in _OURS:
        schema["properties"].pop(name, None)
    for field in schema["properties"].values():
        field.pop("title", None)
        field.pop("default", None)
    schema["properties"]["event_type"] = {"const": event_type}
    return schema


def read_object(body: bytes, *, largest: int) -> dict[str, Any]:
    """The JSON object in `body` (RFC 8259, UTF-8). Raises `UnreadableEventError`; `largest` is in bytes."""
    if len(body) > largest:
        raise UnreadableEventError(
            RejectReason.TOO_LARGE, f"the body has {len(body)} bytes, and MAX_EVENT_BYTES allows {largest}"
        )
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as problem:
        raise UnreadableEventError(
            RejectReason.NOT_JSON, f"the body is not UTF-8: {problem.reason} at byte {problem.start}"
        ) from None
    except RecursionError:
        raise UnreadableEventError(RejectReason.NOT_JSON, "the body is nested too deeply to be read") from None
    except ValueError as problem:
        raise UnreadableEventError(RejectReason.NOT_JSON, f"the body is not JSON: {problem}") from None
    if not isinstance(data, dict):
        raise UnreadableEventError(
            RejectReason.SCHEMA, f"the body is a JSON {type(data).__name__}, and an event is an object"
        )
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def parse(data: Mapping[str, Any], event_type: str) -> Event | None:
    """The event in `data`, or None where its type is not ours. Raises `UnreadableEventError`."""
    model = _READERS.get(event_type)
    if model is None:
        return None
    try:
        return model.validate_python({**data, "event_type": event_type})
    except ValidationError as problem:
        raise UnreadableEventError(RejectReason.SCHEMA, _explain(problem), data) from None


def _explain(problem: ValidationError) -> str:
    """Each field at fault and what is wrong with it, without repeating what it held."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'event'}: {fault['msg']}"
        for fault in problem.errors(include_input=False, include_url=False)
    )
