"""Whether two reports of one booking contradict each other about the show, however each spells it. Pure."""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from notification_service.contract.events import BookingConfirmed, Event, Shown
from notification_service.contract.rules import filled
from notification_service.contract.showtimes import parse_showtime

Zone = Callable[[Event], tzinfo | None]
"""The time zone in which an event speaks, where one is known."""

_PIECES = re.compile(r"[^\W\d_]+|\d+")
_SEAT_WORDS = {"row", "seat", "seats"}
_QUARTER = timedelta(minutes=15)
_EASTMOST, _WESTMOST = timedelta(hours=14), timedelta(hours=-12)
"""The offsets between which every zone on Earth lies; each is a number of quarters of an hour."""


def since(before: BookingConfirmed, now: BookingConfirmed, zone: Zone) -> Shown | None:
    """What of `before` is no longer so; None where nothing certainly is. What one of them does not say is no change."""
    one, other = filled(before, now), filled(now, before)
    told = {
        "showtime": _same_time(one.showtime, zone(one), other.showtime, zone(other)),
        "cinema_name": _pieces(one.cinema_name or "") == _pieces(other.cinema_name or ""),
        "seats": set(map(_seat, one.seats)) == set(map(_seat, other.seats)),
    }
    changed = {name: getattr(one, name) for name, same in told.items() if not same}
    return Shown.model_construct(**changed) if changed else None


def _same_time(text: str | None, zone: tzinfo | None, other_text: str | None, other_zone: tzinfo | None) -> bool:
    """Whether both may name one moment. What only one of them names in words that can be read is not known."""
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
    # An offset is the cinema's own. UTC is also how a machine writes any zone, and nobody said which one that is.
    apart = local - absolute.replace(tzinfo=None)
    return not absolute.utcoffset() and _WESTMOST <= apart <= _EASTMOST and not apart % _QUARTER


def _seat(name: str) -> tuple[str, ...]:
    return tuple(piece for piece in _pieces(name) if piece not in _SEAT_WORDS)


def _pieces(text: str) -> tuple[str, ...]:
    """Words and numbers, without case, spaces, marks and leading zeros; a text that has none is one piece."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return tuple(piece.lstrip("0") or piece for piece in _PIECES.findall(plain)) or (plain.strip(),)
