"""A showing as a calendar file (RFC 5545), and the word that it is off (RFC 5546).

By hand: `icalendar` 7.3 takes a capital N after a backslash for a new line, and takes eight times as long.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_PRODUCT = "-//notification-service//ticket//EN"
_WIDEST = 75
"""Octets in a line (RFC 5545 §3.1)."""

_WIDEST_CLUSTER = 40
"""Octets: a family of four in skin tones. What is longer is no letter, and is cut where a character ends."""

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROLS = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))
_SURROGATES = range(0xD800, 0xE000)
_TURNS = range(0x202A, 0x202F)
"""Embeddings and overrides, which make a text read as another. The isolates that right-to-left needs do not."""

_BARE: dict[int, str | None] = dict.fromkeys((*_CONTROLS, *_SURROGATES, *_TURNS))
_TEXT = _BARE | str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\t": " "})
_QUOTED = _BARE | str.maketrans({'"': "'", "\n": " ", "\t": " "})
_URI = _BARE | str.maketrans({"\n": "", "\t": "", " ": "%20", "\\": "%5C"})  # neither is allowed in one (RFC 3986 §2)
_FOLLOWING = range(0x80, 0xC0)
"""Octets of UTF-8 that begin no character."""

_ZERO_WIDTH_JOINER = "\u200d".encode()
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


@dataclass(frozen=True, slots=True)
class Showing:
    """What stands in a calendar. `start` knows its zone; one booking has one `uid` for ever.

    RFC 5546 wants an organizer: only who has no `organizer_email` leaves it out.
    """

    uid: str
    summary: str
    start: datetime
    minutes: int
    location: str | None = None
    description: str | None = None
    organizer_name: str = ""
    organizer_email: str = ""
    url: str | None = None


def publish(showing: Showing, *, stamp: datetime, alarm: str | None = None, sequence: int = 0) -> bytes:
    """The file that puts the showing into a calendar. `alarm`: what is said two hours before it.

    `sequence`: above that of every file which it replaces (RFC 5545 §3.8.7.4).
    """
    reminder = ("BEGIN:VALARM", "ACTION:DISPLAY", _text("DESCRIPTION", alarm), "TRIGGER:-PT2H", "END:VALARM")
    return _file(
        "PUBLISH",
        _text("UID", showing.uid),
        _moment("DTSTAMP", stamp),
        *_period(showing.start, showing.minutes),
        f"SEQUENCE:{sequence}",
        "STATUS:CONFIRMED",
        "TRANSP:OPAQUE",
        _text("SUMMARY", showing.summary),
        _text("LOCATION", showing.location),
        _text("DESCRIPTION", showing.description),
        _organizer(showing.organizer_name, showing.organizer_email),
        f"URL:{showing.url.translate(_URI)}" if showing.url else "",
        *(reminder if alarm else ()),
    )


def cancel(
    uid: str,
    *,
    stamp: datetime,
    summary: str,
    start: datetime | None,
    minutes: int,
    organizer_name: str,
    organizer_email: str,
    location: str | None = None,
    sequence: int = 1,
) -> bytes:
    """The file that takes the showing out again: the same `uid`, a higher `sequence` (RFC 5546 §3.2.5)."""
    return _file(
        "CANCEL",
        _text("UID", uid),
        _moment("DTSTAMP", stamp),
        *(_period(start, minutes) if start else ()),
        f"SEQUENCE:{sequence}",
        "STATUS:CANCELLED",
        _text("SUMMARY", summary),
        _text("LOCATION", location),
        _organizer(organizer_name, organizer_email),
    )


def _file(method: str, *event: str) -> bytes:
    """Both components around the event's lines; the empty ones are what nobody knows."""
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{_PRODUCT}",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        *event,
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return b"".join(_folded(line.encode()) + b"\r\n" for line in lines if line)


def _text(name: str, value: str | None) -> str:
    return f"{name}:{_escaped(value, _TEXT)}" if value else ""


def _escaped(value: str, table: dict[int, str | None]) -> str:
    return _LINE_ENDS.sub("\n", value).translate(table)


def _moment(name: str, when: datetime) -> str:
    return f"{name}:{when.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _period(start: datetime, minutes: int) -> tuple[str, str]:
    """In UTC, so that no VTIMEZONE has to come along."""
    # Added in UTC: on the cinema's own clock, a night in which summer time ends would be an hour short.
    begin = start.astimezone(UTC)
    return _moment("DTSTART", begin), _moment("DTEND", begin + timedelta(minutes=minutes))


def _organizer(name: str, email: str) -> str:
    if not email:
        return ""
    named = f';CN="{_escaped(name, _QUOTED)}"' if name else ""
    return f"ORGANIZER{named}:mailto:{email.translate(_URI)}"


def _folded(line: bytes) -> bytes:
    pieces: list[bytes] = []
    at, room = 0, _WIDEST
    while len(line) - at > room:
        end = _cut(line, at + room)
        pieces.append(line[at:end])
        at, room = end, _WIDEST - 1  # the space that says so counts
    return b"\r\n ".join([*pieces, line[at:]])


def _cut(line: bytes, latest: int) -> int:
    """Where to cut: before a character, and rather before one that does not join the one before it."""
    fallback = 0
    for at in range(latest, latest - _WIDEST_CLUSTER, -1):
        if line[at] in _FOLLOWING:
            continue
        if not _joins(line, at):
            return at
        fallback = fallback or at
    return fallback


def _joins(line: bytes, at: int) -> bool:
    character = line[at : at + 4].decode(errors="ignore")[0]
    return (
        character in "\u200d" + _SKIN_TONES
        or unicodedata.category(character)[0] == "M"
        or line.endswith(_ZERO_WIDTH_JOINER, 0, at)
    )
