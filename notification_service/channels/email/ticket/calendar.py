"""Calendar files (RFC 5545) that add a showing to a calendar, and that cancel it (RFC 5546).

Written by hand: `icalendar` 7.3 reads a backslash before a capital N as a line break, and is eight times slower.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_PRODUCT = "-//notification-service//ticket//EN"
_MAX_LINE_OCTETS = 75

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROLS = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))
_SURROGATES = range(0xD800, 0xE000)
_BIDI_OVERRIDES = range(0x202A, 0x202F)
"""Embeddings and overrides, which can make a text read as another. The isolates, which right-to-left needs, stay."""

_WITHOUT_CONTROLS: dict[int, str | None] = dict.fromkeys((*_CONTROLS, *_SURROGATES, *_BIDI_OVERRIDES))
_TEXT = _WITHOUT_CONTROLS | str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\t": " "})
_QUOTED = _WITHOUT_CONTROLS | str.maketrans({'"': "'", "\n": " ", "\t": " "})
_URI = _WITHOUT_CONTROLS | str.maketrans({"\n": "", "\t": "", " ": "%20", "\\": "%5C"})
"""A URI allows neither spaces nor backslashes (RFC 3986 §2)."""
_CONTINUATION_OCTETS = range(0x80, 0xC0)
"""The octets of UTF-8 that begin no character."""


@dataclass(frozen=True, slots=True)
class Showing:
    """A calendar entry. `start` has a time zone. `uid`: one for each booking, the same in all its files.

    RFC 5546 requires an organizer; without `organizer_email` it is left out.
    """

    uid: str
    summary: str
    start: datetime
    minutes: int
    location: str | None = None
    description: str | None = None
    organizer_name: str = ""
    organizer_email: str = ""


def publish(showing: Showing, *, stamp: datetime, alarm: str | None = None, sequence: int = 0) -> bytes:
    """Returns the file that adds the showing, or updates it. `alarm`: the text of a reminder two hours before it.

    `sequence`: higher than in each file that this one replaces (RFC 5545 §3.8.7.4).
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
    """Returns the file that removes the showing: the same `uid`, a higher `sequence` (RFC 5546 §3.2.5)."""
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
    """Wrap the event's lines in VEVENT and VCALENDAR. Empty lines, of unknown values, are left out."""
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
    """Start and end in UTC, so that no VTIMEZONE is needed."""
    # Added in UTC: in local time, a show in the night when summer time ends would be an hour short.
    begin = start.astimezone(UTC)
    return _moment("DTSTART", begin), _moment("DTEND", begin + timedelta(minutes=minutes))


def _organizer(name: str, email: str) -> str:
    if not email:
        return ""
    named = f';CN="{_escaped(name, _QUOTED)}"' if name else ""
    return f"ORGANIZER{named}:mailto:{email.translate(_URI)}"


def _folded(line: bytes) -> bytes:
    """Folded at 75 octets (RFC 5545 §3.1), never inside a character's UTF-8 sequence."""
    pieces: list[bytes] = []
    start, room = 0, _MAX_LINE_OCTETS
    while len(line) - start > room:
        end = start + room
        while line[end] in _CONTINUATION_OCTETS:
            end -= 1
        pieces.append(line[start:end])
        start, room = end, _MAX_LINE_OCTETS - 1  # the space that marks a continuation line counts
    return b"\r\n ".join([*pieces, line[start:]])
