"""What is not known though something is written, and what is no name of a person."""

import unicodedata

import pytest
from hypothesis import given, strategies as st

from notification_service.contract import placeholders
from notification_service.contract.events import BookingConfirmed, parse

NOT_KNOWN = ["", "  ", "null", "NULL", "None", "none", "undefined", "N/A", "n/a", "na", "Unknown", "unknown"]


@pytest.mark.parametrize("text", NOT_KNOWN)
def test_the_words_of_events_are_those_of_the_directory(text: str) -> None:
    event = parse({"user_email": text}, "payment.success")
    assert event is not None
    assert event.user_email is None
    assert placeholders.known(text) is None
    assert placeholders.name(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("[object Object]", "[object Undefined]", "Invalid Date", "Invalid date", "Invalid DateTime", "NaT"),
        *("%!s(<nil>)", "%!v(MISSING)", "#REF!", "#NAME?", "-", " -- ", "\u2014", "--:--", "-/-", "[]", "{ }", '""'),
    ],
)
def test_what_programs_print_for_no_value_is_not_known(text: str) -> None:
    """`You're booked: Invalid Date`; and two bookings called `-` would be one."""
    event = parse(dict.fromkeys(("booking_id", "movie_title", "showtime", "seats"), text), "booking.confirmed")
    assert isinstance(event, BookingConfirmed)
    assert (event.booking_id, event.movie_title, event.showtime, event.seats) == (None, None, None, ())


@pytest.mark.parametrize("text", ["Nat", "?", "...", "!!!", "[REC]", "-1", "B-5", "Object", "Date", "[o] [p]"])
def test_a_title_of_few_letters_is_a_title(text: str) -> None:
    event = parse({"movie_title": text}, "booking.confirmed")
    assert isinstance(event, BookingConfirmed)
    assert event.movie_title == text


def test_a_text_of_many_dashes_is_read_in_no_time() -> None:
    assert placeholders.known("-" * 200_000 + "x") is not None


@pytest.mark.parametrize(
    "text", ["\x1b", "\0 \0", "\u200b", "\ufeff", "\u2060\u00ad", " \u2028 ", "\u3164", "\ufe0f"], ids=ascii
)
def test_what_no_reader_sees_is_no_text(text: str) -> None:
    event = parse({"movie_title": text, "time_zone": text, "locale": text, "currency": text}, "booking.confirmed")
    assert event is not None
    assert (event.model_dump(include={"movie_title", "time_zone", "locale", "currency"})) == {
        "movie_title": None,
        "time_zone": None,
        "locale": None,
        "currency": None,
    }
    assert placeholders.known(f"{text}a{text}") is not None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "null null",
            "undefined undefined",
            "(null)",
            "<null>",
            "[None]",
            "nil",
            "NaN",
            "Unknown User",
            "unknown name",
        ),
        *("not available", "-", "--", ".", "...", "?", "\u200b", "\u202e", "\n", "null\u200b", "nu\u200bll"),
        "You won $500! Claim at https://evil.example/win",
        *("http://x.example", "evil.example", "www.evil", "bit.ly/x", "jane@x.example", "@jane", "Claim: here"),
        *(
            "evil\uff0eexample",
            "evil\u3002example",
            "ev\u200bil.example",
            "You won \u20ac5",
            "Win 500",
            "Win \uff15\uff10\uff10",
        ),
        *("Call 0800 123", "Jane<b>", "50% off", "Free money!", "Jane | shop", "a b c d e f g"),
        *(
            "www evil example",
            "http evil example",
            "evil . example",
            "evil dot com",
            "&lt;b&gt;Jane",
            "jane&#64;x.example",
        ),
        *(
            "Guest",
            "guest user",
            "user",
            "Anonymous",
            "Anonymous User",
            "Deleted User",
            "no name",
            "noname",
            "customer",
        ),
        *("firstName", "first_name", "FIRST NAME", "First Last", "not given", "not specified", "TBD", "tba"),
        *("evil(.)com", "evil (dot) com", "evil[.]com", "Claim your reward", "You won a prize", "Click here Jane"),
        *("Congratulations winner", "Free iPhone bonus"),
        *(None, 5, True, ["Jane"], {"a": "b"}),
    ],
)
def test_what_is_no_name_is_not_greeted(text: object) -> None:
    assert placeholders.name(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Jane", "Jane"),
        ("  Jane \n Ann ", "Jane Ann"),
        ("Jean-Luc", "Jean-Luc"),
        ("O'Brien", "O'Brien"),
        ("O\u2019Brien", "O\u2019Brien"),
        ("J.R.", "J.R."),
        ("O&#39;Brien", "O'Brien"),
        ("Ren&eacute;e", "Ren\u00e9e"),
        ("Dr. Jane", "Dr. Jane"),
        ("Dot Com\u00e9", "Dot Com\u00e9"),
        ("St. John", "St. John"),
        ("Jos\u00e9 Mar\u00eda", "Jos\u00e9 Mar\u00eda"),
        ("\u5c71\u7530", "\u5c71\u7530"),
        ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0645\u062f"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        ("\u202eJane\u202c", "Jane"),
        ("Ja\x00ne", "Jane"),
        ("Christopher Guest", "Christopher Guest"),
        ("Jane (VIP)", "Jane (VIP)"),
        ("Lee Jae Won", "Lee Jae Won"),
        ("Win Butler", "Win Butler"),
        ("Userin", "Userin"),
        ("Xx", "Xx"),
        ("Nullah", "Nullah"),
        ("Noneen", "Noneen"),
        ("Jane " + "x" * 100, "Jane"),
        ("x" * 100, "x" * 40),
    ],
)
def test_a_name_is_greeted_as_it_is_written(text: str, shown: str) -> None:
    assert placeholders.name(text) == shown


@given(st.text(max_size=80))
def test_a_name_is_short_visible_and_sells_nothing(text: str) -> None:
    shown = placeholders.name(text)
    if shown is not None:
        assert 0 < len(shown) <= 40
        assert not set(shown) & set("@:/<>")
        assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Sc", "Nd"}
        assert placeholders.name(shown) == shown
