"""Time zones by the names that producers give them: IANA's, those of Windows, offsets. Nothing is guessed."""

import re
from collections.abc import Mapping
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from babel.core import get_global

from notification_service.foundation.caching import bounded_cache

_CACHE_SIZE = 1024
_MAX_LENGTH = 64
_NO_ZONES = {"Factory", "localtime"}
_SINCE = {
    "Alberta Standard Time": "America/Edmonton",
    "British Columbia Standard Time": "America/Vancouver",
    "Manitoba Standard Time": "America/Winnipeg",
}
"""Zones of Windows that Babel's copy of CLDR's windowsZones.xml does not have yet (CLDR 49)."""

_OFFSET = re.compile(r"(?:utc|gmt|z)?\s?([+-])(\d\d?)(?::?([0-5]\d))?")
_PREFIX = re.compile(r"\((utc|gmt)[^)]*\)\s*")
_DISPLAYED = re.compile(r"(eastern|central|mountain|pacific) time \(us & canada\)")
_QUARTERS = (0, 15, 30, 45)
_WEST, _EAST = timedelta(hours=-12), timedelta(hours=14)


@bounded_cache(_CACHE_SIZE)
def find(name: str) -> tzinfo | None:
    """The zone in any case of letters; None where the name is none, or could be that of two.

    `-8` and `330` are none: hours or minutes, east or west, nobody knows. `-08:00`, `-0800` and `UTC-8` are.
    """
    word = " ".join(name.replace("\u2212", "-").casefold().split())
    if not word or len(word) > _MAX_LENGTH:
        return None
    known = _names().get(word.replace(" ", "_")) or _windows().get(_plain(word))
    return ZoneInfo(known) if known else _fixed(word)


def offset(sign: str, hours: str, minutes: str | None) -> timedelta | None:
    """How far east of UTC; None where no place on Earth has such a clock."""
    east = timedelta(hours=int(hours), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    return east if _WEST <= east <= _EAST and int(minutes or 0) in _QUARTERS else None


def _fixed(word: str) -> tzinfo | None:
    found = _OFFSET.fullmatch(word)
    if found is None or (word[0] in "+-" and len(found[2]) == 1):
        return None
    east = offset(*found.groups())
    return None if east is None else timezone(east)


def _plain(word: str) -> str:
    """`(UTC-08:00) Pacific Time (US & Canada)` and `Pacific Daylight Time` are Windows' words for one zone."""
    word = _PREFIX.sub("", word, count=1)
    word = _DISPLAYED.sub(r"\1 standard time", word)
    return word.replace(" daylight time", " standard time")


@cache
def _names() -> Mapping[str, str]:
    """IANA's, read once: what is in no list opens no file either."""
    return {name.casefold(): name for name in available_timezones() - _NO_ZONES} | {"z": "UTC"}


@cache
def _windows() -> Mapping[str, str]:
    known = {**_SINCE, **get_global("windows_zone_mapping")}
    return {name.casefold(): zone for name, zone in known.items()}


def check_zone(name: str | None) -> str | None:
    """The name as it is. Raises `ValueError` where no such time zone is known."""
    if name is not None and find(name) is None:
        raise ValueError(f"{name!r} is no time zone of the IANA database, such as Europe/Madrid")
    return name
