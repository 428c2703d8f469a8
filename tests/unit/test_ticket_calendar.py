"""A ticket's calendar file, as two independent parsers read it: icalendar and ical."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import example, given, settings, strategies as st
from ical.calendar_stream import IcsCalendarStream

from notification_service.channels.email.ticket.calendar import Showing, cancel, publish
from tests.fuzzing import examples

STAMP = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
MADRID = ZoneInfo("Europe/Madrid")
START = datetime(2026, 12, 15, 20, 0, tzinfo=MADRID)
SHOWING = Showing(
    uid="booking.b1@tickets.example",
    summary="Inception",
    start=START,
    minutes=150,
    location="Grand, Hall 2",
    description="Seats A1, A2\nCode B1",
    organizer_name="Cine: Grand, Ltd",
    organizer_email="tickets@cine.example",
)
AWKWARD = st.text(
    st.one_of(
        st.sampled_from("\\;,:\"'\nnN |^=🎬👩\u200d\ufe0f\u0301é映\u2066\u2069"),
        st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\u202a\u202b\u202c\u202d\u202e"),
    ),
    min_size=1,
    max_size=200,
)
NASTY = "a\r\nATTENDEE:mailto:eve@evil.example\rb\x00\x07\x1b[2J\x7f\x85\u2028\u2029\u202ec\ud800\td"


@dataclass(frozen=True)
class Read:
    """What a parser found of the one event in a file."""

    method: str
    uid: str
    sequence: int
    status: str
    stamp: datetime | None
    start: datetime | None
    end: datetime | None
    summary: str
    location: str | None
    description: str | None
    organizer: tuple[str, str] | None
    transparency: str | None
    alarms: tuple[tuple[str, object, str], ...]


Reader = Callable[[bytes], Read]


def by_icalendar(content: bytes) -> Read:
    calendar = icalendar.Calendar.from_ical(content)
    (event,) = calendar.walk("VEVENT")
    assert not calendar.errors
    assert not event.errors

    def text(name: str) -> str | None:
        return str(event[name]) if name in event else None

    organizer = event.get("ORGANIZER")
    return Read(
        method=str(calendar["METHOD"]),
        uid=str(event["UID"]),
        sequence=int(str(event["SEQUENCE"])),
        status=str(event["STATUS"]),
        stamp=moment(event.decoded("DTSTAMP")),
        start=moment(event.decoded("DTSTART", None)),
        end=moment(event.decoded("DTEND", None)),
        summary=str(event["SUMMARY"]),
        location=text("LOCATION"),
        description=text("DESCRIPTION"),
        organizer=(organizer.params.get("CN", ""), str(organizer)) if organizer is not None else None,
        transparency=text("TRANSP"),
        alarms=tuple(
            (str(alarm["ACTION"]), alarm.decoded("TRIGGER"), str(alarm["DESCRIPTION"]))
            for alarm in event.walk("VALARM")
        ),
    )


def moment(value: object) -> datetime | None:
    assert value is None or isinstance(value, datetime)
    return value


def by_ical(content: bytes) -> Read:
    calendar = IcsCalendarStream.calendar_from_ics(content.decode())
    (event,) = calendar.events
    return Read(
        method=calendar.method or "",
        uid=event.uid,
        sequence=event.sequence if event.sequence is not None else -1,
        status=event.status or "",
        stamp=moment(event.dtstamp),
        start=moment(event.dtstart),
        end=moment(event.dtend),
        summary=event.summary or "",
        location=event.location,
        description=event.description,
        organizer=(event.organizer.common_name or "", str(event.organizer.uri)) if event.organizer else None,
        transparency=event.transparency,
        alarms=tuple((alarm.action, alarm.trigger, alarm.description or "") for alarm in event.alarm),
    )


PARSERS = pytest.mark.parametrize("read", [by_icalendar, by_ical])


def called_off(uid: str = SHOWING.uid, start: datetime | None = START, summary: str = "Inception") -> bytes:
    return cancel(
        uid,
        stamp=STAMP,
        summary=summary,
        start=start,
        minutes=150,
        organizer_name=SHOWING.organizer_name,
        organizer_email=SHOWING.organizer_email,
        location="Grand, Hall 2",
    )


def check_lines(content: bytes) -> None:
    """RFC 5545 §3.1, and no character cut in two."""
    assert content.endswith(b"\r\n")
    lines = content[:-2].split(b"\r\n")
    for line in lines:
        assert 0 < len(line) <= 75
        assert not set(line) & {*range(9), *range(0xA, 0x20), 0x7F}
        line.decode()


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────


@PARSERS
def test_a_showing_is_read_with_everything_that_is_known(read: Reader) -> None:
    assert read(publish(SHOWING, stamp=STAMP, alarm="Inception begins in two hours")) == Read(
        method="PUBLISH",
        uid="booking.b1@tickets.example",
        sequence=0,
        status="CONFIRMED",
        stamp=STAMP,
        start=datetime(2026, 12, 15, 19, 0, tzinfo=UTC),
        end=datetime(2026, 12, 15, 21, 30, tzinfo=UTC),
        summary="Inception",
        location="Grand, Hall 2",
        description="Seats A1, A2\nCode B1",
        organizer=("Cine: Grand, Ltd", "mailto:tickets@cine.example"),
        transparency="OPAQUE",
        alarms=(("DISPLAY", timedelta(hours=-2), "Inception begins in two hours"),),
    )


@PARSERS
def test_what_nobody_knows_has_no_line(read: Reader) -> None:
    content = publish(Showing("u@x.example", "Inception", START, 150), stamp=STAMP)
    found = read(content)
    assert (found.location, found.description, found.organizer, found.alarms) == (None, None, None, ())
    assert not any(name in content for name in (b"LOCATION", b"DESCRIPTION", b"ORGANIZER", b"URL", b"VALARM", b"None"))


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (datetime(2026, 12, 15, 20, 0, tzinfo=UTC), b"DTSTART:20261215T200000Z"),
        (datetime(2026, 12, 15, 20, 0, tzinfo=ZoneInfo("America/New_York")), b"DTSTART:20261216T010000Z"),
        (datetime(2026, 12, 15, 20, 0, tzinfo=timezone(timedelta(hours=5.5))), b"DTSTART:20261215T143000Z"),
    ],
)
def test_a_start_is_written_in_utc(start: datetime, line: bytes) -> None:
    content = publish(replace(SHOWING, start=start), stamp=STAMP)
    assert line in content.split(b"\r\n")
    assert b"VTIMEZONE" not in content


def test_a_night_in_which_the_clock_is_set_back_is_as_long_as_any_other() -> None:
    midnight = datetime(2026, 10, 25, 1, 30, tzinfo=MADRID)
    found = by_icalendar(publish(replace(SHOWING, start=midnight, minutes=150), stamp=STAMP))
    assert found.end == datetime(2026, 10, 25, 2, 0, tzinfo=UTC)


# ── life cycle ───────────────────────────────────────────────────────────────────────────────────────


@PARSERS
def test_a_cancellation_takes_out_what_the_confirmation_put_in(read: Reader) -> None:
    before, after = read(publish(SHOWING, stamp=STAMP)), read(called_off())
    assert after.uid == before.uid
    assert after.sequence > before.sequence
    assert (after.method, after.status) == ("CANCEL", "CANCELLED")
    assert (after.start, after.end, after.summary) == (before.start, before.end, before.summary)
    assert after.organizer == before.organizer
    assert after.alarms == ()


@PARSERS
def test_a_cancellation_needs_no_start(read: Reader) -> None:
    found = read(called_off(start=None))
    assert (found.uid, found.start, found.end) == (SHOWING.uid, None, None)


# ── text that is awkward ─────────────────────────────────────────────────────────────────────────────


def test_text_is_escaped_more_strictly_than_the_parsers_ask() -> None:
    content = publish(replace(SHOWING, summary='a;b,c:d\\e\nf\\Ng"h'), stamp=STAMP)
    assert rb"""SUMMARY:a\;b\,c:d\\e\nf\\Ng"h""" in content.split(b"\r\n")  # RFC 5545 §3.3.11


@settings(max_examples=examples(150), deadline=None)
@given(AWKWARD, AWKWARD)
@example("C:\\New; C:\\new, \\N \\\\n", "a\\\nb\\;c\\,d")
@example("映" * 200, "👨‍👩‍👧‍👦" * 40)
@example("e" + "\u0301" * 199, "🇪🇸" * 80)
@PARSERS
def test_any_text_is_read_as_it_was_written(read: Reader, one: str, two: str) -> None:
    content = publish(
        replace(SHOWING, uid=f"u{one}@x", summary=one, location=two, description=two + one), stamp=STAMP, alarm=one
    )
    check_lines(content)
    found = read(content)
    assert (found.uid, found.summary, found.location, found.description) == (f"u{one}@x", one, two, two + one)
    assert found.alarms == (("DISPLAY", timedelta(hours=-2), one),)
    check_lines(called_off(summary=two))
    assert read(called_off(summary=two)).summary == two


@settings(max_examples=examples(150), deadline=None)
@given(st.text(max_size=120))
@example(NASTY)
@example("\\N")
@PARSERS
def test_no_text_adds_a_property(read: Reader, text: str) -> None:
    plain = publish(SHOWING, stamp=STAMP, alarm="x")
    content = publish(
        Showing(f"u{text}", f"s{text}", START, 150, f"l{text}", f"d{text}", f"n{text}", f"{text}@x.example"),
        stamp=STAMP,
        alarm=f"a{text}",
    )
    check_lines(content)
    assert read(content).organizer is not None

    def names(lines: bytes) -> list[bytes]:
        return [line.partition(b":")[0].partition(b";")[0] for line in lines.replace(b"\r\n ", b"").split(b"\r\n")]

    assert names(content) == names(plain)


@PARSERS
def test_controls_and_what_turns_text_around_are_taken_out(read: Reader) -> None:
    found = read(publish(replace(SHOWING, summary=NASTY, organizer_name=f'"{NASTY}"'), stamp=STAMP))
    assert found.summary == "a\nATTENDEE:mailto:eve@evil.example\nb[2J\n\n\nc d"
    assert found.organizer is not None
    assert found.organizer[0] == "'a ATTENDEE:mailto:eve@evil.example b[2J   c d'"


# ── folding ──────────────────────────────────────────────────────────────────────────────────────────


@PARSERS
@pytest.mark.parametrize("text", ["e\u0301", "👨‍👩‍👧‍👦", "👍🏽", "नी", "日", "é"])
@pytest.mark.parametrize("before", range(4))
def test_a_line_is_folded_between_characters_and_read_as_it_was(read: Reader, text: str, before: int) -> None:
    summary = "x" * before + text * 40
    content = publish(replace(SHOWING, summary=summary), stamp=STAMP)
    check_lines(content)
    folded = content.split(b"SUMMARY:")[1].split(b"\r\nLOCATION")[0]
    assert folded.count(b"\r\n ") >= 1
    assert folded.replace(b"\r\n ", b"").decode() == summary
    assert read(content).summary == summary


def test_a_line_is_as_long_as_it_may_be() -> None:
    content = publish(replace(SHOWING, description="x" * 500), stamp=STAMP)
    start = content.index(b"DESCRIPTION")
    lines = content[start : content.index(b"\r\nORGANIZER")].split(b"\r\n")
    assert {len(line) for line in lines[:-1]} == {75}
    assert all(line.startswith(b" ") for line in lines[1:])


def test_75_octets_are_one_line_and_76_are_two() -> None:
    for length, lines in ((75, 1), (76, 2)):
        content = publish(replace(SHOWING, summary="x" * (length - len("SUMMARY:"))), stamp=STAMP)
        assert content.split(b"SUMMARY:")[1].split(b"\r\nLOCATION")[0].count(b"\r\n") == lines - 1


def test_the_same_showing_is_the_same_bytes() -> None:
    assert publish(SHOWING, stamp=STAMP) == publish(SHOWING, stamp=STAMP)
    assert called_off() == called_off()
