"""Whether two reports of one booking contradict each other about the show, however each spells it. Pure."""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from notification_service.contract.events import BookingConfirmed, Event, Shown
from notification_service.contract.notification_rules import with_missing_details
from notification_service.contract.showtimes import parse_showtime

Zone = Callable[[Event], tzinfo | None]
"""The time zone in which an event speaks, where one is known."""

_PIECES = re.compile(r"[^\W\d_]+|\d+")
_SEAT_WORDS = {"row", "seat", "seats"}
_QUARTER = timedelta(minutes=15)
_EASTMOST, _WESTMOST = timedelta(hours=14), timedelta(hours=-12)
"""The offsets between which every zone on Earth lies; each is a number of quarters of an hour."""


def since(before: BookingConfirmed, now: BookingConfirmed, zone: Zone) -> Shown | None:
    """Those details of `before` that have certainly changed, or None. A missing detail is no change."""
    one, other = with_missing_details(before, now), with_missing_details(now, before)
    same_by_field = {
        "showtime": _same_time(one.showtime, zone(one), other.showtime, zone(other)),
        "cinema_name": _pieces(one.cinema_name or "") == _pieces(other.cinema_name or ""),
        "seats": set(map(_seat, one.seats)) == set(map(_seat, other.seats)),
    }
    changed = {name: getattr(one, name) for name, same in same_by_field.items() if not same}
    return Shown.model_construct(**changed) if changed else None


def _same_time(text: str | None, zone: tzinfo | None, other_text: str | None, other_zone: tzinfo | None) -> bool:
    """Whether both may be one moment, as they may where only one of them can be read."""
    one = parse_showtime(text, zone) if text else None
    other = parse_showtime(other_text, other_zone) if other_text else None
    if one is None and other is None:
        return _pieces(text or "") == _pieces(other_text or "")
    return one is None or other is None or _may_be_one_moment(one, other)


def _may_be_one_moment(one: datetime, other: datetime) -> bool:
    one, other = (each.replace(second=0, microsecond=0) for each in (one, other))
    if (one.tzinfo is None) is (other.tzinfo is None):
        return one == other
    local, absolute = (one, other) if one.tzinfo is None else (other, one)
    if absolute.replace(tzinfo=None) == local:
        return True
    # A non-zero offset is the cinema's own. UTC may stand for a time that was converted from any zone.
    apart = local - absolute.replace(tzinfo=None)
    return not absolute.utcoffset() and _WESTMOST <= apart <= _EASTMOST and not apart % _QUARTER


def _seat(name: str) -> tuple[str, ...]:
    return tuple(piece for piece in _pieces(name) if piece not in _SEAT_WORDS)


def _pieces(text: str) -> tuple[str, ...]:
    """Words and numbers, without case, spaces, marks and leading zeros; a text that has none is one piece."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return tuple(piece.lstrip("0") or piece for piece in _PIECES.findall(plain)) or (plain.strip(),)
