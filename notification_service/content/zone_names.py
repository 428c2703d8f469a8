"""Names a time zone in the reader's language, by CLDR."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import cache, lru_cache

from babel import Locale
from babel.core import get_global
from babel.dates import NO_INHERITANCE_MARKER, get_timezone_name

_UTC = "Etc/UTC"
_MAX_REMEMBERED = 256


def zone_name(local: datetime, locale: Locale) -> str:
    """Returns the short name where the language has one (`EST`), else the long one, else the offset.

    UTC is `UTC` in every language (ITU-R TF.460): CLDR's French `TU` is hardly known. `local` has a zone.
    """
    key = getattr(local.tzinfo, "key", None)
    if _is_utc(local.tzinfo):
        return "UTC"
    found = _of_key(key, "daylight" if local.dst() else "standard", locale) if isinstance(key, str) else None
    return found or get_timezone_name(local, "long", locale=locale)


@lru_cache(_MAX_REMEMBERED)
def _of_key(key: str, season: str, locale: Locale) -> str | None:
    names = _names(key)
    if _UTC in names:
        return "UTC"
    for width in ("short", "long"):
        for name in names:
            found = _named(name, width, season, locale)
            if found and (width == "long" or found.isalpha()):
                return found
    return None


def _is_utc(zone: tzinfo | None) -> bool:
    return getattr(zone, "key", None) is None and zone is not None and zone.utcoffset(None) == timedelta()


def _names(key: str) -> tuple[str, ...]:
    """The zone's name of today, and its older ones: CLDR knows Asia/Kolkata as Asia/Calcutta only."""
    today = get_global("zone_aliases").get(key, key)
    return (today, *_older().get(today, ()))


@cache
def _older() -> Mapping[str, list[str]]:
    older: dict[str, list[str]] = defaultdict(list)
    for old, today in get_global("zone_aliases").items():
        older[today].append(old)
    return older


def _named(name: str, width: str, season: str, locale: Locale) -> str | None:
    """The zone's own name, else that of the group of zones to which it belongs."""
    group = get_global("meta_zones").get(name, "")
    for names in (locale.time_zones.get(name, {}), locale.meta_zones.get(group, {})):
        found = names.get(width, {}).get(season)
        if found and found != NO_INHERITANCE_MARKER:
            return str(found)
    return None
