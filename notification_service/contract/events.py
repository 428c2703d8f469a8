"""The event contract: what the booking system publishes, read with all its awkward facts."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
)

from notification_service.contract import amounts, bodies, placeholders, seating, showtimes
from notification_service.contract.amounts import Amount as Money
from notification_service.contract.bodies import Body, NotReadError, Said, TooLargeError
from notification_service.contract.outcomes import RejectReason
from notification_service.contract.remarks import Remark
from notification_service.foundation.html_entities import unescaped

T = TypeVar("T")

_LAST_FOUR = ("last4", "last_four", "card_last4", "card_last_four")
_DIGITS = re.compile(r"[0-9]{4}")
_MAX_TYPE_LENGTH = 200
_VERSION = re.compile(r"[._:/-]?v\d{1,3}(\.\d{1,3})*$", re.IGNORECASE)
_WITHIN = re.compile(r"[.:/+$\\]")
_TRUE, _FALSE = {"true", "yes", "y", "on", "1"}, {"false", "no", "n", "off", "0"}
_WRAPPED = ("$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid")
"""How MongoDB writes in JSON what JSON has no type for (Extended JSON 2)."""

_MAX = 10**300
_LEAST = -_MAX
"""What is beyond is no number of anything, and takes long to write down."""

_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)
_ZONES = ("id", "zoneId", "zone_id", "timezone", "time_zone", "timeZone", "name")
_TEXTS = ("name", "title", "text", "label", "message", "description", "reason")
_DEEPEST = 4

_FAULTS = (ValueError, TypeError, ArithmeticError, RecursionError)

UNSHOWN = ""
"""Something was said, in a form that no reader could be shown. It is not None, so no default stands in for it."""


class UnreadableEventError(ValueError):
    """The bytes are no event; `data` is what could be read of them, for the record."""

    def __init__(self, reason: RejectReason, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.data = data


def _note(info: ValidationInfo, text: str) -> None:
    """A remark on the field, never with what it held."""
    if info.context is not None:
        info.context.append(Remark(info.field_name or "event", text))


def _clean(text: str) -> str | None:
    """Blank texts, and the words that producers write for "not known", are not known."""
    return placeholders.known(text)


def _unwrapped(value: object) -> object:
    """What `{"$oid": "..."}` and its like hold."""
    while isinstance(value, dict) and len(value) == 1 and (name := next(iter(value))) in _WRAPPED:
        value = value[name]
    return value


def _unwrapped_within(value: object, depth: int = _DEEPEST) -> object:
    """As `_unwrapped`, of whatever stands in a list or an object."""
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)) in _WRAPPED:
            return _unwrapped(value)
        return {name: _unwrapped_within(each, depth - 1) for name, each in value.items()} if depth else value
    return [_unwrapped_within(each, depth - 1) for each in value] if isinstance(value, list) and depth else value


def _named(value: object, names: tuple[str, ...]) -> object:
    """The one text or number of an object that stands under one of the names; the object where there are several."""
    value = _unwrapped(value)
    if not isinstance(value, dict):
        return value
    found = [value[name] for name in names if isinstance(value.get(name), str) and value[name].strip()]
    return found[0] if len(found) == 1 else value


def exact(value: object) -> str | None:
    """A name as it stands on the wire, a number as its exact text: 12345.0 is 12345. None where it is blank.

    Raises `ValueError` for what is neither text nor number.
    """
    value = _unwrapped(value)
    if value is None:
        return None
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not _LEAST < value < _MAX:
        raise ValueError("it is neither text nor number")
    return str(int(value) if value == int(value) else value)


def shown(value: object) -> str | None:
    """A text for people: a character that was written as an entity of HTML is that character, once."""
    return exact(unescaped(value) if isinstance(value, str) else value)


def _read(how: Callable[[Any], T | None], value: object, info: ValidationInfo) -> T | None:
    if value is None:
        return None
    try:
        return how(value)
    except _FAULTS:
        _note(info, "is left out: it cannot be read")
        return None


def _exact(value: object, info: ValidationInfo) -> str | None:
    return _clean(value) if type(value) is str else _read(exact, value, info)


def _shown(value: object, info: ValidationInfo) -> str | None:
    if type(value) is str and "&" not in value:
        return _clean(value)
    return _read(lambda said: shown(_named(said, _TEXTS)), value, info)


def _amount(value: object, info: ValidationInfo) -> Money | None:
    return _read(_money, value, info)


def _money(value: object) -> Money | None:
    value = _unwrapped(value)
    if value is None:
        return None
    if not isinstance(value, str):
        return amounts.read(_unwrapped_within(value))
    text = shown(value)
    return None if text is None and not amounts.is_no_number(value.strip()) else amounts.read(text or value)


def _showtime(value: object, info: ValidationInfo) -> str | None:
    if type(value) is str and "&" not in value:
        text = _clean(value)
        return None if text is None or showtimes.is_unset(text) else text
    return _read(_written, value, info)


def _written(value: object) -> str | None:
    """A time that is no text as one that `showtimes.read` reads. Raises `ValueError` where it is none for certain."""
    value = _unwrapped(value)
    text = shown(value if isinstance(value, str | None) else showtimes.written(value))
    return None if text is None or showtimes.is_unset(text) else text


def _moment(value: object, info: ValidationInfo) -> datetime | None:
    return _read(_moment_of, value, info)


def _moment_of(value: object) -> datetime | None:
    """ISO 8601 with an offset, with `Z`, or naive, which means UTC, and whatever else a showtime may be.

    Raises `ValueError` where it is none.
    """
    text = _written(value)
    if text is None:
        return None
    moment = _iso(text) or showtimes.read(text)
    if moment is None or not MINYEAR < moment.year < MAXYEAR:
        raise ValueError("it names no time")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if _WEST <= (moment.utcoffset() or timedelta()) <= _EAST else None


def _seats(value: object, info: ValidationInfo) -> tuple[str, ...]:
    # A text that is a list is freed of entities before it is parted, and so its parts are not again.
    if isinstance(value, str):
        seats, unread = seating.read(shown(value), exact)
    else:
        seats, unread = seating.read(_unwrapped_within(value), shown)
    if unread:
        _note(info, "are not all shown: some of them cannot be read")
    return seats


def _flag(value: object, info: ValidationInfo) -> bool | None:
    return value if type(value) is bool else _read(_yes_or_no, value, info)


def _yes_or_no(value: object) -> bool | None:
    word = (str(value) if isinstance(value, bool) else exact(value) or "").casefold()
    if word and word not in _TRUE | _FALSE:
        raise ValueError("it is neither yes nor no")
    return word in _TRUE if word else None


def _object(value: object, info: ValidationInfo) -> dict[str, Any] | None:
    return value if type(value) is dict else _read(_parts, value, info)


def _parts(value: object) -> dict[str, Any] | None:
    """An object, which may have been written as a text."""
    text = _clean(value) if isinstance(value, str) else value
    if text is None or text == []:  # PHP's empty object
        return None
    try:
        parts = json.loads(text) if isinstance(text, str) and text.startswith("{") else None
    except RecursionError:
        parts = None
    if not isinstance(parts, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - one kind of fault for all that is unread
    return parts


def _currency(value: object, info: ValidationInfo) -> str | None:
    return _said_at_all(amounts.currency_named(_unwrapped(value)), info)


def _zone(value: object, info: ValidationInfo) -> str | None:
    value = _named(value, _ZONES)
    # -8 and 330: hours or minutes, east or west, nobody knows.
    return _said_at_all([] if isinstance(value, int | float | Decimal) else value, info)


def _said_at_all(value: object, info: ValidationInfo) -> str | None:
    try:
        return shown(value)
    except _FAULTS:
        _note(info, "cannot be read: nothing else is taken in its place")
        return UNSHOWN


def _said(described: str, **schema: Any) -> WithJsonSchema:  # noqa: ANN401 - whatever JSON Schema says
    return WithJsonSchema({"description": described, **schema})


_ANY_TEXT = ["string", "number", "null"]

Text = Annotated[
    str | None,
    PlainValidator(_shown),
    _said(
        "A number reads as its text, an entity of HTML as its character. Blank, and words such as `Unknown`, mean "
        "that it is not known.",
        type=_ANY_TEXT,
    ),
]
Name = Annotated[
    str | None,
    PlainValidator(_exact),
    _said(
        "As it is; a number is its exact text. Blank, and words such as `null`, mean that it is not known.",
        type=_ANY_TEXT,
    ),
]
Amount = Annotated[
    Money | None,
    PlainValidator(_amount),
    PlainSerializer(lambda amount: amount and amount.said),
    _said(
        "In the currency's own unit, with or without its name: `30.00`, `30.00 EUR`, `$30`, an object of `amount` and "
        "`currency`. A text that can be read in two ways, such as `1,234`, is shown as it is where the language of "
        "the mail does not decide. Zero means that it is not known.",
        anyOf=[
            {"type": "number", "minimum": 0, "exclusiveMaximum": 10**12},
            {"type": "string"},
            {
                "type": "object",
                "properties": {"amount": {"type": ["number", "string"]}, "currency": {"type": "string"}},
                "required": ["amount"],
            },
            {"type": "null"},
        ],
    ),
]
Showtime = Annotated[
    str | None,
    PlainValidator(_showtime),
    _said(
        "ISO 8601, a date with an hour such as `2026-12-15 08:00 PM`, or seconds or milliseconds since 1970. Without "
        "an offset it is the cinema's clock. Any other text is shown as it is, and is taken for no moment.",
        type=["string", "number", "array", "object", "null"],
    ),
]
Moment = Annotated[
    datetime | None,
    PlainValidator(_moment),
    _said(
        "ISO 8601, or seconds or milliseconds since 1970; without an offset it is UTC. What is no moment is not known.",
        type=["string", "number", "null"],
    ),
]
Seats = Annotated[
    tuple[str, ...],
    PlainValidator(_seats),
    _said(
        "Their names: a list, a text with commas, objects with a row and a number, or with a label. Blank ones are "
        "left out, and each is named once.",
        type=["array", "string", "number", "object", "null"],
        items={"type": ["string", "number", "object", "array", "null"]},
    ),
]
Flag = Annotated[
    bool | None,
    PlainValidator(_flag),
    _said("`yes` and `no`, 1 and 0 are read too. Unset: not known.", type=["boolean", "string", "number", "null"]),
]
Object = Annotated[
    dict[str, Any] | None,
    PlainValidator(_object),
    _said("What the gateway answered. Anything but an object is passed over.", type=["object", "string", "null"]),
]
Currency = Annotated[
    str | None,
    PlainValidator(_currency),
    _said(
        "A code or number of ISO 4217, a sign such as `₹`, a name such as `Euro`. What is no currency is shown beside "
        "the amount as it is. Unset: DEFAULT_CURRENCY.",
        type=["string", "number", "object", "null"],
    ),
]
Zone = Annotated[
    str | None,
    PlainValidator(_zone),
    _said(
        "A name of the IANA database or of Windows in any case of letters, or an offset. Where it is none, no zone is "
        "taken in its place. Unset: the cinema's, else DEFAULT_TIME_ZONE.",
        type=["string", "null"],
    ),
]


Sequence = Annotated[int | None, BeforeValidator(lambda _: None)]
"""Of its calendar file, where others about its booking are known: ours to say, whatever a producer sends."""

_OURS = ("changed_from", "sequence")


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: Name = None
    timestamp: Moment = None
    booking_id: Name = None
    user_id: Name = None
    user_email: Name = None
    currency: Currency = None
    locale: Name = None
    time_zone: Zone = None
    ticket_token: Name = None


class Shown(BaseModel):
    """What an earlier mail said of the show, as far as it is no longer so."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    showtime: Text = None
    seats: Seats = ()
    cinema_name: Text = None


def _before(value: object) -> Shown | None:
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
    transaction_id: Name = None
    changed_from: Annotated[
        Shown | None, BeforeValidator(_before), WithJsonSchema({"description": "Ignored: the service's own."})
    ] = None
    """Ours to say: the service sets it from its own records, whatever a producer sends; samples of mails hold it."""
    sequence: Sequence = None


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
    sequence: Sequence = None


class BookingRefunded(_Event):
    event_type: Literal["booking.refunded"]
    movie_title: Text = None
    showtime: Showtime = None
    seats: Seats = ()
    cinema_name: Text = None
    refund_amount: Amount = None
    total_amount: Amount = None
    transaction_id: Name = None
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
    transaction_id: Name = None
    amount: Amount = None
    payment_method: Text = None


class PaymentFailed(_Payment):
    event_type: Literal["payment.failed"]
    transaction_id: Name = None
    amount: Amount = None
    payment_method: Text = None
    failure_reason: Text = None
    error_code: Name = None
    retry_possible: Flag = None
    retry_url: Name = None
    seats_held_until: Moment = None


class PaymentRefunded(_Event):
    """Both spellings of it are on the wire."""

    event_type: Literal["payment.refund", "payment.refunded"]
    original_transaction_id: Name = None
    refund_transaction_id: Name = None
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


def read_object(body: bytes | Body, *, largest: int) -> Said:
    """The JSON object in `body`. Raises `UnreadableEventError`; `largest` is in bytes."""
    try:
        data = bodies.read(body if isinstance(body, Body) else Body(body), largest=largest)
    except TooLargeError as problem:
        raise UnreadableEventError(RejectReason.TOO_LARGE, str(problem)) from None
    except NotReadError as problem:
        raise UnreadableEventError(RejectReason.NOT_JSON, str(problem)) from None
    if not isinstance(data, Said):
        raise UnreadableEventError(
            RejectReason.SCHEMA, f"the body is a JSON {type(data).__name__}, and an event is an object"
        )
    return data


def known_type(text: str) -> str | None:
    """The type of ours that a text names, in whatever case and with whatever between its words: `BookingConfirmed`.

    A class may stand behind the names of what it lies in, and before the assembly of .NET; a type before its version.
    """
    if text in MODELS:
        return text
    whole = _VERSION.sub("", text[:_MAX_TYPE_LENGTH].partition(",")[0].strip())
    innermost = _WITHIN.split(whole)[-1]
    names = (whole, innermost if innermost.isalnum() else "")
    found = (_BY_LETTERS.get(_letters(name).removesuffix("event")) for name in names)
    return next(filter(None, found), None)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold())).replace("canceled", "cancelled")


_BY_LETTERS = {_letters(event_type): event_type for event_type in MODELS}


@dataclass(frozen=True, slots=True)
class EventReading:
    """`remarks`: what could not be read, by field."""

    event: Event
    remarks: tuple[Remark, ...] = ()


def read(data: Mapping[str, Any], event_type: str) -> EventReading | None:
    """The event in `data`, or None where its type is not ours. No field that cannot be read costs the event."""
    model = _READERS.get(event_type)
    if model is None:
        return None
    remarks: list[Remark] = []
    event = model.validate_python({**data, "event_type": event_type}, context=remarks)
    return EventReading(event, tuple(remarks))


def parse(data: Mapping[str, Any], event_type: str) -> Event | None:
    """As `read`, without its remarks."""
    reading = read(data, event_type)
    return reading.event if reading else None
