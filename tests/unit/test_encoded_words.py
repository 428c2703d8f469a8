"""Encoded words are read by the standard library as what they were, and are no longer than allowed."""

from email.header import decode_header, make_header

import pytest
from hypothesis import given, strategies as st

from notification_service.channels.email.encoded_words import encoded


def _read(value: str) -> str:
    return str(make_header(decode_header(value.replace("\r\n", ""))))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200), st.integers(0, 30))
def test_it_is_read_as_it_was_and_no_line_is_too_long(text: str, column: int) -> None:
    value = encoded(text, column)
    assert _read(value) == text
    assert value.isascii()
    for number, line in enumerate(value.split("\r\n ")):
        assert len(line) <= (min(75, 78 - column) if number == 0 else 75)
        assert _read(line), "each word by itself"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Booking confirmed: Up \u2013 Tue", "=?utf-8?q?Booking_confirmed=3A_Up_=E2=80=93_Tue?="),
        ("予約完了", "=?utf-8?b?5LqI57SE5a6M5LqG?="),
    ],
)
def test_the_shorter_encoding_is_taken(text: str, value: str) -> None:
    assert encoded(text, 9) == value
