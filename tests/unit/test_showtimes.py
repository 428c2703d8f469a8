"""A text names a moment only if all of it does, and in one way only."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from notification_service.contract.events import BookingConfirmed, parse
from notification_service.contract.showtimes import read

EVENING = datetime(2026, 12, 15, 19, 30)  # noqa: DTZ001 - the cinema's clock


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-15 19:30",
        "2026-12-15T19:30",
        "2026-12-15T19:30:00.000",
        "2026-12-15  19:30",
        "2026-12-15, 19:30",
        "2026/12/15 19:30",
        "2026-12-15 07:30 PM",
        "2026-12-15 7:30pm",
        "2026-12-15 7.30pm",
        "2026-12-15 7:30 p.m.",
        "2026-12-15 7:30\u202fPM",
        "2026-12-15\u00a019:30",
        "\u200e2026-12-15 19:30",
        "２０２６-１２-１５ １９:３０",  # noqa: RUF001 - full width
        "٢٠٢٦-١٢-١٥ ١٩:٣٠",  # noqa: RUF001 - Arabic
        "2026-12-15 19:30 Uhr",
        "2026-12-15 19h30",
        "20261215T1930",
        "20261215T193000",
        "20261215193000",
        "202612151930",
        "2026-W51-2T19:30",
        "15/12/2026 19:30",
        "12/15/2026 7:30 PM",
        "15.12.2026 19:30",
        "15.12.2026, 19.30 Uhr",
        "15 Dec 2026 19:30",
        "December 15, 2026 at 7:30 PM",
        "Tuesday, December 15, 2026, 7:30 PM",
        "Tue Dec 15 19:30:00 2026",
    ],
)
def test_a_date_with_an_hour_is_that_moment_of_the_cinemas_clock(text: str) -> None:
    assert read(text) == EVENING


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2026-12-15T19:30:00Z", 0),
        ("2026-12-15 19:30 UTC", 0),
        ("Tue, 15 Dec 2026 19:30:00 GMT", 0),
        ("2026-12-15T19:30:00-05:00", -5),
        ("2026-12-15T19:30-05:00", -5),
        ("2026-12-15T22:00-03:00", -3),
        ("2026-12-15 19:30:00-05", -5),
        ("2026-12-15 19:30 -0500", -5),
        ("2026-12-15 19:30 GMT-05:00", -5),
        ("2026-12-15T19:30+05:30", 5.5),
        ("2026-12-15 07:30 PM +05:30", 5.5),
        ("2026-12-15T10:00:00-12:00", -12),
        ("2026-12-15T19:30:00.123456789Z", 0),
        ("2026-12-15T19:30+01:00[Europe/Paris]", 1),
    ],
)
def test_an_offset_is_read_where_it_is_one(text: str, hours: float) -> None:
    moment = read(text)
    assert moment is not None
    assert moment.utcoffset() == timedelta(hours=hours)
    assert moment.replace(tzinfo=None) == EVENING.replace(hour=moment.hour, minute=moment.minute)


@pytest.mark.parametrize("text", ["1797379200", "1797379200000", "1797379200.5"])
def test_seconds_and_milliseconds_since_1970_are_a_moment(text: str) -> None:
    assert read(text) == datetime(2026, 12, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-15 19:30-22:00",
        "2026-12-15T19:30-22:00",
        "2026-12-15 19:30 - 22:00",
        "2026-12-15 19:30\u201322:00",
        "2026-12-15 19:30 / 22:00",
        "2026-12-15 19:30 to 22:00",
        "2026-12-15 19:30-2200",
        "2026-12-15 19:30-22",
        "2026-12-15 10:00-12:00",
        "2026-12-15T09:00-11:00",
        "2026-12-15 10:00-12",
        "2026-12-15 22:30-01:00",
        "2026-12-15 20:00-01:00",
        "2026-12-15 7:30 PM-10:00",
        "2026-12-15 7:30 PM-10:00 PM",
        "2026-12-15 19:30+22:00",
        "2026-12-15 19:30-05:07",
        "05/06/2026 19:30",
        "05.06.2026 19:30",
        "12/13/14 19:30",
        "Tue Dec 15 19:30",
        "Mon Dec 15 19:30:00 2026",
        "2026-12-15 24:00",
        "2026-12-15 19:30 PM",
        "2026-12-15 00:30 AM",
        "2026-12-15 19",
        "2026-12-15 7",
        "2026-12-15",
        "20:00",
        "2026-02-30 20:00",
        "2026-12-15 19:30 EST",
        "2026-12-15 19:30 Screen 4",
        "2026-12-15 19:30 and 22:00",
        "2026-12-15_19:30",
        "2026-12-15T19:30+02:00[Europe/Paris]",
        "2026-12-15T19:30+01:00[Mars/Base]",
        "2026121519",
        "179737920",
        "17973792000000",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "tonight",
        "",
        "2026-12-15 19:30" + " " * 10 + "x" * 200,
    ],
)
def test_what_is_not_read_whole_or_could_be_another_is_no_moment(text: str) -> None:
    assert read(text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    assert read(text) is None or isinstance(read(text), datetime)


@given(
    st.times().map(lambda hour: hour.replace(second=0, microsecond=0)),
    st.integers(1, 8),
    st.sampled_from(["-", " - ", "\u2013", " to ", "/", " -"]),
    st.sampled_from(["T", " "]),
)
def test_no_range_of_an_evening_is_ever_another_moment(hour: object, quarters: int, dash: str, between: str) -> None:
    """Shows of up to four hours: whatever stands between begin and end, the end is never taken for an offset."""
    begins = datetime.combine(EVENING.date(), hour)  # type: ignore[arg-type]  # a time
    ends = begins + timedelta(minutes=30 * quarters)
    assert read(f"{begins:%Y-%m-%d}{between}{begins:%H:%M}{dash}{ends:%H:%M}") is None


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2285, 1, 1)), st.integers(-48, 56))  # noqa: DTZ001
def test_iso_8601_with_its_seconds_is_always_read(moment: datetime, quarters: int) -> None:
    placed = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=15 * quarters)))
    assert read(placed.isoformat()) == placed
    assert read(str(placed)) == placed
    assert read(placed.isoformat().lower()) == placed


WITH_ITS_ZONE = [
    "/Date(1797363000000)/",
    "/Date(1797363000000+0530)/",
    "\\/Date(1797363000000)\\/",
    1797363000000000,
    1797363000000000000,
    "Tue, 15 Dec 2026 14:30:00 -0500 (EST)",
    "Tue Dec 15 2026 20:30:00 GMT+0100 (Mitteleurop\u00e4ische Normalzeit)",
    "Wed Dec 16 2026 01:00:00 GMT+0530 (India Standard Time)",
    "2026-12-16 01:00:00 +0530 IST",
    "2026-12-15 19:30:00 +0000 UTC",
    "2026-12-15T19:30:00Z[UTC]",
    "2026-12-15T20:30[Europe/Paris]",
    {"date": "2026-12-15 20:30:00.000000", "timezone_type": 3, "timezone": "Europe/Paris"},
    {"date": "2026-12-15 20:30:00.000000", "timezone_type": 1, "timezone": "+01:00"},
    {"date": "2026-12-15", "time": "20:30", "timezone": "Europe/Paris"},
    {"dateTime": "2026-12-15T14:30:00", "timeZone": "Eastern Standard Time"},
    {"start": "2026-12-15T19:30:00Z", "end": "2026-12-15T22:00:00Z"},
    {"epochSecond": 1797363000, "nano": 0},
    {"seconds": 1797363000, "nanos": 0},
]


@pytest.mark.parametrize("said", WITH_ITS_ZONE)
def test_a_moment_with_its_zone_is_that_one_however_a_program_writes_it(said: object) -> None:
    event = parse({"showtime": said, "timestamp": said}, "booking.confirmed")
    assert isinstance(event, BookingConfirmed)
    assert event.showtime is not None
    assert event.timestamp == read(event.showtime) == datetime(2026, 12, 15, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    [
        [2026, 12, 15, 19, 30],
        {"year": 2026, "monthValue": 12, "month": "DECEMBER", "dayOfMonth": 15, "hour": 19, "minute": 30, "nano": 0},
        {"date": {"year": 2026, "month": 12, "day": 15}, "time": {"hour": 19, "minute": 30, "second": 0, "nano": 0}},
        {"date": "2026-12-15", "time": "7:30 PM"},
    ],
)
def test_a_date_with_a_clock_in_parts_is_the_cinemas(said: object) -> None:
    event = parse({"showtime": said}, "booking.confirmed")
    assert isinstance(event, BookingConfirmed)
    assert read(event.showtime or "") == datetime(2026, 12, 15, 19, 30)  # noqa: DTZ001 - the cinema's clock


@pytest.mark.parametrize(
    "said",
    [
        *("0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0000-00-00 00:00:00", "0000-00-00", "1970-01-01T00:00:00Z"),
        *("1970-01-01 00:00:00", "1970-01-01", "1970-01-01T05:30:00+05:30", "1900-01-01T00:00:00", "0", 0, 0.0),
        *("9999-12-31T23:59:59.9999999", "/Date(-62135596800000)/", "/Date(0)/", {"$date": "1970-01-01T00:00:00Z"}),
        *({"seconds": 0, "nanos": 0}, {"date": "0001-01-01", "time": "00:00"}),
    ],
)
def test_a_time_that_was_never_set_is_not_known(said: object) -> None:
    """Read as a moment, it had the ticket of a show to come skipped as expired, and every change older than it."""
    event = parse({"showtime": said, "timestamp": said}, "booking.confirmed")
    assert isinstance(event, BookingConfirmed)
    assert (event.showtime, event.timestamp) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-15 19:30 -0500 (doors open at 19:00)",
        "2026-12-15 19:30 (IST)",
        "2026-12-15T19:30[Europe/Nowhere]",
        "2026-11-01T01:30[America/New_York]",
        "2026-12-15T19:30Z[Europe/Paris]",
        "2026121519300000",
        "2026-12-15 19:30:00 IST",
    ],
)
def test_a_zone_that_is_not_certain_leaves_the_text(text: str) -> None:
    assert read(text) is None
