"""Finds time zones by the names that producers use: IANA names, Windows names and offsets. Nothing is guessed."""

import re
from collections.abc import Mapping
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from babel.core import get_global

from notification_service.foundation.caching import bounded_cache

_CACHE_SIZE = 1024
_MAX_LENGTH = 64
_EXCLUDED_NAMES = {"Factory", "localtime"}
_MISSING_IN_BABEL = {
    "Alberta Standard Time": "America/Edmonton",
    "British Columbia Standard Time": "America/Vancouver",
    "Manitoba Standard Time": "America/Winnipeg",
}
"""Windows zones that are missing from Babel's copy of CLDR's windowsZones.xml (CLDR 49)."""

_OFFSET = re.compile(r"(?:utc|gmt|z)?\s?([+-])(\d\d?)(?::?([0-5]\d))?")
_PREFIX = re.compile(r"\((utc|gmt)[^)]*\)\s*")
_US_DISPLAY_NAME = re.compile(r"(eastern|central|mountain|pacific) time \(us & canada\)")
_QUARTERS = (0, 15, 30, 45)
_MIN_OFFSET, _MAX_OFFSET = timedelta(hours=-12), timedelta(hours=14)


@bounded_cache(_CACHE_SIZE)
def find(name: str) -> tzinfo | None:
    """The zone of a name, whatever its case; None if the name is unknown or ambiguous.

    `-8` and `330` are ambiguous: hours or minutes, east or west. `-08:00`, `-0800` and `UTC-8` are not.
    """
    text = " ".join(name.replace("\u2212", "-").casefold().split())
    if not text or len(text) > _MAX_LENGTH:
        return None
    known = _names().get(text.replace(" ", "_")) or _windows().get(_plain(text))
    return ZoneInfo(known) if known else _fixed_offset(text)


def offset(sign: str, hours: str, minutes: str | None) -> timedelta | None:
    """The offset east of UTC; None if no place on Earth has it."""
    east = timedelta(hours=int(hours), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    return east if _MIN_OFFSET <= east <= _MAX_OFFSET and int(minutes or 0) in _QUARTERS else None


def _fixed_offset(text: str) -> tzinfo | None:
    found = _OFFSET.fullmatch(text)
    if found is None or (text[0] in "+-" and len(found[2]) == 1):
        return None
    east = offset(*found.groups())
    return None if east is None else timezone(east)


def _plain(text: str) -> str:
    """One form of a Windows name: `(UTC-08:00) Pacific Time (US & Canada)` and `Pacific Daylight Time` are one zone."""
    text = _PREFIX.sub("", text, count=1)
    text = _US_DISPLAY_NAME.sub(r"\1 standard time", text)
    return text.replace(" daylight time", " standard time")


@cache
def _names() -> Mapping[str, str]:
    """The IANA names in lower case. Looking a name up here first means that an unknown one opens no file."""
    return {name.casefold(): name for name in available_timezones() - _EXCLUDED_NAMES} | {"z": "UTC"}


@cache
def _windows() -> Mapping[str, str]:
    known = {**_MISSING_IN_BABEL, **get_global("windows_zone_mapping")}
    return {name.casefold(): zone for name, zone in known.items()}


def check_zone(name: str | None) -> str | None:
    """Return the name unchanged. Raises `ValueError` if no such time zone is known."""
    if name is not None and find(name) is None:
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Europe/Madrid")
    return name
