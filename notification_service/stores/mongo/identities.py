"""Ids of users and bookings: text in events, possibly another type in the database."""

import re
import uuid
from typing import Any

from bson import Binary, DBRef, Decimal128, ObjectId
from bson.binary import UUID_SUBTYPE

_MAX_INTEGER_SIZE = 2**63
_HEX = re.compile(r"[0-9a-fA-F]{24}")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_UUID = re.compile(r"\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?|[0-9a-fA-F]{32}")
"""With or without dashes, or in the braces of .NET."""


def spellings(text: str) -> tuple[Any, ...]:
    """Returns every value of `_id` that a text may mean, the text itself first."""
    forms: list[Any] = [text]
    if _HEX.fullmatch(text):
        forms += [ObjectId(text), text.lower()]
    elif _NUMBER.fullmatch(text) and abs(int(text)) < _MAX_INTEGER_SIZE:
        forms.append(int(text))
    elif _UUID.fullmatch(text):
        # SQL Server and its programs write them in capitals, others without dashes.
        same = uuid.UUID(text)
        forms += [Binary(same.bytes, UUID_SUBTYPE), str(same), str(same).upper(), same.hex]
    return tuple(dict.fromkeys(forms))


def as_text(value: object) -> str | None:
    """Returns an id of the database as text, as events have it; None if the value is not an id."""
    match value:
        case str():
            return value.strip() or None
        case ObjectId() | uuid.UUID():
            return str(value)
        case Binary() if value.subtype == UUID_SUBTYPE:
            return str(uuid.UUID(bytes=bytes(value)))
        case DBRef():
            return as_text(value.id)
        case bool():
            return None
        case int():
            return str(value)
        case float() if value.is_integer():
            return str(int(value))
        case Decimal128():
            return _whole(value)
    return None


def _whole(value: Decimal128) -> str | None:
    number = value.to_decimal()
    if not number.is_finite() or number != number.to_integral_value() or abs(number) >= _MAX_INTEGER_SIZE:
        return None
    return str(int(number))
