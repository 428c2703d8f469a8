"""What contradicts an earlier report of a booking, and what is the same in other words."""

import itertools
import string
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from notification_service.contract.events import BookingConfirmed, Event, Shown, parse
from notification_service.delivery import show_changes

NEW_YORK = ZoneInfo("America/New_York")


def zone(event: Event) -> ZoneInfo | None:
    return ZoneInfo(event.time_zone) if event.time_zone else None


def booked(**facts: Any) -> BookingConfirmed:  # noqa: ANN401 - whatever JSON holds
    event = parse({"booking_id": "B", **facts}, "booking.confirmed")
    assert isinstance(event, BookingConfirmed)
    return event


def since(before: dict[str, Any], now: dict[str, Any]) -> Shown | None:
    found, back = (
        show_changes.since(booked(**one), booked(**other), zone) for one, other in ((before, now), (now, before))
    )
    assert (found is None) is (back is None), "a contradiction is one from both sides"
    return found


NAMED = {"time_zone": "America/New_York"}
ONE_MOMENT = (
    "2026-12-15 07:30 PM",
    "2026-12-15 07:30PM",
    "2026-12-15 19:30",
    "2026-12-15T19:30:00",
    "2026-12-15T19:30:00-05:00",
    "2026-12-16T00:30:00Z",
    "2026-12-16T01:30:00.000+01:00",
)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(ONE_MOMENT, 2)))
def test_one_moment_in_two_spellings_is_no_change(one: str, other: str) -> None:
    assert since({"showtime": one, **NAMED}, {"showtime": other, **NAMED}) is None


@pytest.mark.parametrize("one", ONE_MOMENT)
@pytest.mark.parametrize("other", ["2026-12-15 08:30 PM", "2026-12-17T19:30:00", "2026-12-15T19:30:00-08:00"])
def test_another_moment_is_a_change_however_it_is_spelt(one: str, other: str) -> None:
    assert since({"showtime": one, **NAMED}, {"showtime": other, **NAMED}) == Shown(showtime=one)


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        ("2026-12-15 19:30", "2026-12-15T19:30:00-05:00", False),
        ("2026-12-15 19:30", "2026-12-15T21:00:00-05:00", True),
        ("2026-12-15 19:30", "2026-12-16T00:30:00Z", False),
        ("2026-12-15 19:30", "2026-12-17T00:30:00Z", True),
        ("2026-12-15 19:30", "2026-12-15 21:00", True),
        ("2026-12-15 19:30", "Tuesday evening", False),
        ("Tuesday evening", "tuesday  Evening", False),
        ("Tuesday, 8 PM", "Tuesday 8pm", False),
        ("Tuesday evening", "Wednesday evening", True),
        ("2026-12-15 19:30", None, False),
    ],
)
def test_where_nobody_named_the_zone_only_what_is_certain_is_a_change(
    one: str, other: str | None, *, changed: bool
) -> None:
    assert (since({"showtime": one}, {"showtime": other}) is not None) is changed


def test_a_zone_that_one_of_them_names_is_that_of_both() -> None:
    assert since({"showtime": "2026-12-15 19:30"}, {"showtime": "2026-12-16T00:30:00Z", **NAMED}) is None
    assert since({"showtime": "2026-12-15 19:30"}, {"showtime": "2026-12-15T19:30:00Z", **NAMED}) is not None


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        (["B5", "B6"], ["B6", "B5"], False),
        (["B5"], ["b 5"], False),
        (["B5"], ["B-05"], False),
        (["B5"], ["Row B Seat 5"], False),
        (["B5"], [], False),
        (["1-12"], ["11-2"], True),
        (["1-12"], ["112"], True),
        (["B5", "B6"], ["B5"], True),
        (["B5"], ["C5"], True),
        (["★"], ["☆"], True),
        (["क5"], ["क6"], True),
    ],
)
def test_seats_are_compared_as_places(one: list[str], other: list[str], *, changed: bool) -> None:
    assert (since({"seats": one}, {"seats": other}) is not None) is changed


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        ("AMC Theater", " amc   theater.", False),
        ("O'Brien\u2019s", "O\u2019Brien's", False),
        ("AMC Theater", None, False),
        ("AMC Theater", "Unknown", False),
        ("AMC Theater", "Odeon", True),
        ("Screen 2", "Screen 3", True),
        ("映画館", "劇場", True),
    ],
)
def test_cinemas_are_compared_by_their_words(one: str, other: str | None, *, changed: bool) -> None:
    assert (since({"cinema_name": one}, {"cinema_name": other}) is not None) is changed


def test_another_title_or_amount_alone_is_no_change() -> None:
    assert (
        since({"movie_title": "Dune", "total_amount": 1}, {"movie_title": "Dune: Part Two", "total_amount": 2}) is None
    )


NAMES = st.text(string.ascii_uppercase, min_size=1, max_size=2)
SEATS = st.lists(st.tuples(NAMES, st.integers(1, 99)), min_size=1, max_size=6, unique=True)


@given(seats=SEATS, data=st.data())
def test_any_order_case_and_spacing_of_seats_is_the_same(seats: list[tuple[str, int]], data: st.DataObject) -> None:
    spelt = [
        data.draw(st.sampled_from([f"{row}{number}", f"{row.lower()} {number}", f"{row}-{number:02}"]))
        for row, number in data.draw(st.permutations(seats))
    ]
    assert since({"seats": [f"{row}{number}" for row, number in seats]}, {"seats": spelt}) is None


@given(st.datetimes(datetime(2026, 1, 2), datetime(2030, 1, 1)), st.integers(1, 10_000))  # noqa: DTZ001 - as in a text
def test_any_other_minute_is_a_change(when: datetime, minutes: int) -> None:
    one, other = (f"{moment:%Y-%m-%d %H:%M}" for moment in (when, when + timedelta(minutes=minutes)))
    assert since({"showtime": one}, {"showtime": other}) is not None


@given(
    st.fixed_dictionaries({}, optional={name: st.none() | st.text(max_size=20) for name in ("showtime", "cinema_name")})
)
def test_no_text_contradicts_itself(facts: dict[str, Any]) -> None:
    assert since(facts, facts) is None
