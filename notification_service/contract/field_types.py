"""The types of event fields: each reads leniently, and its JSON Schema says what a producer may rely on.

A value that cannot be read never fails the event: its field becomes None, and a remark about it is appended to the
validation context.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from notification_service.contract import amounts, devices, placeholders, seating, showtimes, values
from notification_service.contract.remarks import Remark

T = TypeVar("T")

UNREADABLE_TEXT = ""
"""A currency or zone that was given and cannot be read. It is not None, so no default takes its place."""


def _remark(info: ValidationInfo, text: str) -> None:
    """Add a remark on the field, without the field's value, which may be personal."""
    if info.context is not None:
        info.context.append(Remark(info.field_name or "event", text))


def _read(reader: Callable[[Any], T | None], value: object, info: ValidationInfo) -> T | None:
    if value is None:
        return None
    try:
        return reader(value)
    except values.UNREADABLE:
        _remark(info, "is left out: it cannot be read")
        return None


def _read_without_default(reader: Callable[[Any], str | None], value: object, info: ValidationInfo) -> str | None:
    if type(value) is str and "&" not in value:
        return placeholders.known(value)
    try:
        return reader(value)
    except values.UNREADABLE:
        _remark(info, "cannot be read: nothing else is taken in its place")
        return UNREADABLE_TEXT


# Where the type of a value is what it should be, the validators skip the readers: most fields of most events do.


def _name(value: object, info: ValidationInfo) -> str | None:
    return placeholders.known(value) if type(value) is str else _read(values.exact, value, info)


def _id(value: object, info: ValidationInfo) -> str | None:
    """RFC 9562 §5.9: the nil UUID is no id. Programs send it, or zeros, for an id that was never set."""
    text = _name(value, info)
    return None if text and text[0] in "0-" and len(text) > 1 and not text.strip("0-") else text


def _payment_id(value: object, info: ValidationInfo) -> str | None:
    """As `_id`. A single zero is none either: payments of two bookings that have it would be one."""
    text = _id(value, info)
    return None if text == "0" else text


def _address(value: object, info: ValidationInfo) -> str | None:
    return placeholders.known(value) if type(value) is str else _read(values.address, value, info)


def _text(value: object, info: ValidationInfo) -> str | None:
    if type(value) is str and "&" not in value:
        return placeholders.known(value)
    return _read(values.text, value, info)


def _amount(value: object, info: ValidationInfo) -> amounts.Amount | None:
    return _read(values.money, value, info)


def _showtime(value: object, info: ValidationInfo) -> str | None:
    if type(value) is str and "&" not in value:
        text = placeholders.known(value)
        return None if text is None or showtimes.is_unset(text) else text
    return _read(values.showtime, value, info)


def _moment(value: object, info: ValidationInfo) -> datetime | None:
    return _read(values.moment, value, info)


def _seats(value: object, info: ValidationInfo) -> tuple[str, ...]:
    # In a text, HTML entities are decoded before it is split into seats, so the parts are not decoded again.
    if isinstance(value, str):
        seats, unread = seating.read(values.plain(value), values.exact)
    else:
        seats, unread = seating.read(values.unwrap_deep(value), values.plain)
    if unread:
        _remark(info, "are not all shown: some of them cannot be read")
    return seats


def _count(value: object, info: ValidationInfo) -> int | None:
    if type(value) is int and value > 0:
        return value
    if value is not None:
        _remark(info, "is left out: it is no whole number from 1 on")
    return None


def _devices(value: object) -> tuple[devices.Device, ...]:
    """What is wrong with a device is a matter of push alone, whose record says it."""
    return () if value is None else devices.read(value)


def _flag(value: object, info: ValidationInfo) -> bool | None:
    return value if type(value) is bool else _read(values.flag, value, info)


def _object(value: object, info: ValidationInfo) -> dict[str, Any] | None:
    return value if type(value) is dict else _read(values.json_object, value, info)


def _currency(value: object, info: ValidationInfo) -> str | None:
    return _read_without_default(values.currency, value, info)


def _zone(value: object, info: ValidationInfo) -> str | None:
    return _read_without_default(values.zone, value, info)


def _schema(description: str, **schema: Any) -> WithJsonSchema:  # noqa: ANN401 - whatever JSON Schema says
    return WithJsonSchema({"description": description, **schema})


_ANY_TEXT = ["string", "number", "null"]

Text = Annotated[
    str | None,
    PlainValidator(_text),
    _schema(
        "A number is read as text, and HTML entities are decoded. A blank text and placeholders such as `Unknown` mean "
        "that the value is not known.",
        type=_ANY_TEXT,
    ),
]
Name = Annotated[
    str | None,
    PlainValidator(_name),
    _schema(
        "Read unchanged; a number becomes its exact text. A blank text and placeholders such as `null` mean that the "
        "value is not known.",
        type=_ANY_TEXT,
    ),
]
Id = Annotated[
    str | None,
    PlainValidator(_id),
    _schema(
        "Read unchanged; a number becomes its exact text. A blank text, placeholders such as `null` and the nil UUID "
        "mean that the value is not known.",
        type=_ANY_TEXT,
    ),
]
PaymentId = Annotated[
    str | None,
    PlainValidator(_payment_id),
    _schema(
        "Read unchanged; a number becomes its exact text. A blank text, placeholders such as `null`, zero and the nil "
        "UUID mean that the value is not known.",
        type=_ANY_TEXT,
    ),
]
Address = Annotated[
    str | None,
    PlainValidator(_address),
    _schema(
        "A mail address, with or without a name. A list and an object count where they hold one address.",
        type=["string", "array", "object", "null"],
    ),
]
Amount = Annotated[
    amounts.Amount | None,
    PlainValidator(_amount),
    PlainSerializer(lambda amount: amount and amount.said),
    _schema(
        "In the currency's main unit, with or without the currency: `30.00`, `30.00 EUR`, `$30`, or an object with "
        "`amount` and `currency`. An ambiguous text, such as `1,234`, is shown unchanged unless the language of the "
        "mail decides how to read it. Zero means that the amount is not known.",
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
    _schema(
        "ISO 8601, a date with an hour such as `2026-12-15 08:00 PM`, or seconds or milliseconds since 1970. Without "
        "an offset it is local time at the cinema. Any other text is shown unchanged, and not treated as a time.",
        type=["string", "number", "array", "object", "null"],
    ),
]
Moment = Annotated[
    datetime | None,
    PlainValidator(_moment),
    _schema(
        "ISO 8601, or seconds or milliseconds since 1970; without an offset it is UTC. Any other value is ignored.",
        type=["string", "number", "null"],
    ),
]
Seats = Annotated[
    tuple[str, ...],
    PlainValidator(_seats),
    _schema(
        "The seats' names: a list, a text with commas, or objects with a row and a number, or with a label. Blank "
        "names and repeated seats are left out.",
        type=["array", "string", "number", "object", "null"],
        items={"type": ["string", "number", "object", "array", "null"]},
    ),
]
Count = Annotated[
    int | None, PlainValidator(_count), _schema("A whole number from 1 on.", type=["integer", "null"], minimum=1)
]
Devices = Annotated[
    tuple[devices.Device, ...],
    PlainValidator(_devices),
    PlainSerializer(lambda found: [each.token for each in found if each.token]),
    _schema(
        "The tokens of the person's devices, for push: texts, or objects with `token`, `platform` (`ios`, `android` or "
        "`web`) and `registered_at`. Unset: those of the user.",
        type=["array", "string", "null"],
        items={"type": ["string", "object"]},
    ),
]
Flag = Annotated[
    bool | None,
    PlainValidator(_flag),
    _schema("`yes`, `no`, 1 and 0 are read too. Unset: not known.", type=["boolean", "string", "number", "null"]),
]
Object = Annotated[
    dict[str, Any] | None,
    PlainValidator(_object),
    _schema("The gateway's answer. Anything but an object is ignored.", type=["object", "string", "null"]),
]
Currency = Annotated[
    str | None,
    PlainValidator(_currency),
    _schema(
        "An ISO 4217 code or number, a symbol such as `₹`, or a name such as `Euro`. An unknown currency is shown "
        "unchanged beside the amount. Unset: DEFAULT_CURRENCY.",
        type=["string", "number", "object", "null"],
    ),
]
Zone = Annotated[
    str | None,
    PlainValidator(_zone),
    _schema(
        "An IANA or Windows name in any letter case, or an offset. For an unknown zone, no default is used. "
        "Unset: the cinema's, else DEFAULT_TIME_ZONE.",
        type=["string", "null"],
    ),
]
