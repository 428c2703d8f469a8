"""Reads one field of an event, in whatever form producers write it: text, number, money, time, flag or object. Pure.

Every function returns None for a blank value and for a placeholder such as `Unknown`, and raises one of
`UNREADABLE` for a value that it cannot read.
"""

import json
import re
from datetime import MAXYEAR, UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from notification_service.contract import amounts, placeholders, showtimes
from notification_service.contract.amounts import Amount
from notification_service.foundation.html_entities import unescaped

UNREADABLE = (ValueError, TypeError, ArithmeticError, RecursionError)

_EXTENDED_JSON = ("$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid")
"""How MongoDB writes types that JSON does not have (Extended JSON v2)."""

_WRAPPERS = frozenset((*_EXTENDED_JSON, "string", "int", "long", "float", "double", "boolean", "array"))
"""Those, and the types before the values of unions in Avro's JSON: `{"string": "Inception"}`."""

_JAVA_CLASS = re.compile(r"(?:java|javax|scala|kotlin)\.[\w.$]+")
"""What Jackson writes before a value whose type it keeps: `["java.util.ArrayList", [...]]`. Json.NET has `$values`."""

_TEXT_KEYS = ("name", "title", "text", "label", "message", "description", "reason")
_ADDRESS_KEYS = ("email", "address", "mail", "value")
_ZONE_KEYS = ("id", "zoneId", "zone_id", "timezone", "time_zone", "timeZone", "name")
_TRUE, _FALSE = {"true", "yes", "y", "on", "1"}, {"false", "no", "n", "off", "0"}
_MAX_DEPTH = 4
_MAX_NUMBER = 10**300
"""No booking system sends a larger number, and converting one to digits is slow."""
_MIN_OFFSET, _MAX_OFFSET = timedelta(hours=-12), timedelta(hours=14)


def unwrap(value: object) -> object:
    """The value inside the wrappers of Extended JSON, Avro, Jackson and Json.NET, such as `{"$oid": "..."}`."""
    while isinstance(value, dict | list) and (inner := _inside(value)) is not value:
        value = inner
    return value


def _inside(value: dict[str, object] | list[object]) -> object:
    match value:
        case [str() as name, inner] if _JAVA_CLASS.fullmatch(name):
            return inner
        case {"$values": list() as inner}:
            return inner
        case dict() if len(value) == 1 and (name := next(iter(value))) in _WRAPPERS:
            return value[name]
    return value


def unwrap_deep(value: object, depth: int = _MAX_DEPTH) -> object:
    """As `unwrap`, and also inside lists and objects."""
    if not isinstance(value, dict | list):
        return value
    value = unwrap(value)
    if isinstance(value, dict):
        return {name: unwrap_deep(each, depth - 1) for name, each in value.items()} if depth else value
    return [unwrap_deep(each, depth - 1) for each in value] if isinstance(value, list) and depth else value


def _only_text(value: object, keys: tuple[str, ...]) -> object:
    """The one text that an object holds under any of the keys; the object itself where there are none or several."""
    value = unwrap(value)
    if not isinstance(value, dict):
        return value
    found = [value[key] for key in keys if isinstance(value.get(key), str) and value[key].strip()]
    return found[0] if len(found) == 1 else value


def exact(value: object) -> str | None:
    """A text unchanged; a number as its exact text, such as `12345` for 12345.0."""
    value = unwrap(value)
    if value is None:
        return None
    if isinstance(value, str):
        return placeholders.known(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | Decimal)
        or not -_MAX_NUMBER < value < _MAX_NUMBER
    ):
        raise ValueError("it is neither text nor number")
    return str(int(value) if value == int(value) else value)


def plain(value: object) -> str | None:
    """As `exact`, with HTML entities decoded once."""
    if type(value) is str and "&" not in value:
        return placeholders.known(value)
    return exact(unescaped(value) if isinstance(value, str) else value)


def text(value: object) -> str | None:
    """A text for people. An object counts where it holds one text under a key such as `name` or `title`."""
    return plain(_only_text(value, _TEXT_KEYS))


def address(value: object) -> str | None:
    """A mail address: a text, or the only one in a list or an object."""
    if type(value) is str:
        return placeholders.known(value)
    for _ in range(_MAX_DEPTH):
        value = _only_text(value[0] if isinstance(value, list) and len(value) == 1 else value, _ADDRESS_KEYS)
    return exact(value)


def money(value: object) -> Amount | None:
    value = unwrap(value)
    if value is None:
        return None
    if not isinstance(value, str):
        return amounts.read(unwrap_deep(value))
    found = plain(value)
    return None if found is None and not amounts.is_not_a_number(value.strip()) else amounts.read(found or value)


def showtime(value: object) -> str | None:
    """A time as a text that `showtimes.read` can read, whatever JSON type it had."""
    value = unwrap(value)
    found = plain(value if isinstance(value, str | None) else showtimes.as_text(value))
    return None if found is None or showtimes.is_unset(found) else found


def moment(value: object) -> datetime | None:
    """An aware moment: ISO 8601, or whatever else `showtimes.read` reads. Without an offset it is UTC."""
    found = showtime(value)
    if found is None:
        return None
    at = _iso(found) or showtimes.read(found)
    if at is None or not showtimes.MIN_YEAR <= at.year < MAXYEAR:
        raise ValueError("it names no time")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _iso(written: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    return at if _MIN_OFFSET <= (at.utcoffset() or timedelta()) <= _MAX_OFFSET else None


def flag(value: object) -> bool | None:
    given = (str(value) if isinstance(value, bool) else exact(value) or "").casefold()
    if given and given not in _TRUE | _FALSE:
        raise ValueError("it is neither yes nor no")
    return given in _TRUE if given else None


def json_object(value: object) -> dict[str, Any] | None:
    """An object, or a text that holds one as JSON. An empty list is None: PHP writes an empty object so."""
    found = placeholders.known(value) if isinstance(value, str) else value
    if found is None or found == []:
        return None
    if isinstance(found, dict):
        return found
    try:
        parsed = json.loads(found) if isinstance(found, str) and found.startswith("{") else None
    except RecursionError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - the same error for every unreadable value
    return parsed


def currency(value: object) -> str | None:
    return plain(amounts.currency_named(unwrap(value)))


def zone(value: object) -> str | None:
    value = _only_text(value, _ZONE_KEYS)
    if isinstance(value, int | float | Decimal):
        raise ValueError("a bare number may be hours or minutes, east or west")  # noqa: TRY004 - as above
    return plain(value)
