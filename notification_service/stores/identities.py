"""Ids of users and bookings: events say them as text, and a database may hold them in another type."""

import re
import uuid
from typing import Any

from bson import Binary, DBRef, ObjectId
from bson.binary import UUID_SUBTYPE

_LARGEST_INTEGER = 2**63
_HEX = re.compile(r"[0-9a-fA-F]{24}")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def spellings(text: str) -> tuple[Any, ...]:
    """Every value of `_id` that this text may stand for, the text itself first."""
    forms: list[Any] = [text]
    if _HEX.fullmatch(text):
        forms.append(ObjectId(text))
    elif _NUMBER.fullmatch(text) and abs(int(text)) < _LARGEST_INTEGER:
        forms.append(int(text))
    elif _UUID.fullmatch(text):
        forms.append(Binary(uuid.UUID(text).bytes, UUID_SUBTYPE))
    return tuple(forms)


def as_text(value: object) -> str | None:
    """An id of the database as events say it, or None where it is none."""
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
    return None
