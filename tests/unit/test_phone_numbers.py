"""A phone number is found however it is spelled, by the digest of that number and by no other."""

import time
from urllib.parse import quote

import pytest

from notification_service.foundation.address_digests import Digests, named_in, names
from notification_service.foundation.addresses import NotAnAddressError, mask_in
from notification_service.foundation.phone_numbers import is_number, read_e164
from notification_service.stores.mongo import documents

NUMBER = "+4915112345678"
KEYED = Digests(["a key of the tests, of some length"])
SPELLINGS = [
    NUMBER,
    "+49 151 12345678",
    "+49 (0)151 1234-5678",
    "+49 (0) 151 / 1234 5678",
    "+49.151.12345678",
    "+49\u00a0151\u202f12345678",
    "+49\u2011151\u201112345678",
    "\uff0b\uff14\uff19 151 12345678",
    "+\u0664\u0669 \u0661\u0665\u0661 \u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
    "\u200e+49 151 12345678\u200f",
    f"tel:{NUMBER}",
    "(+49) 151 12345678",
    "(+49)(0)151 12345678",
    "(+49 151 12345678)",
]


@pytest.mark.parametrize(
    "spelling", [*SPELLINGS, "004915112345678", "0049 151 12345678", "(0049) 151 12345678", f"sms:{NUMBER}"], ids=ascii
)
def test_a_number_is_read_in_any_spelling(spelling: str) -> None:
    assert is_number(spelling)
    assert read_e164(spelling) == NUMBER


@pytest.mark.parametrize(
    "text",
    [
        *SPELLINGS,
        f"The 'To' number {NUMBER} is not a valid phone number.",
        "call +49 151 12345678 2 seats",
        f"{NUMBER}, +4915187654321",
        f"To={quote(NUMBER)}&Body=x",
        f"BOOK-{NUMBER}",
        rf'{{"phone": "\u002b{NUMBER[1:]}"}}',
        f"<{NUMBER}>",
    ],
    ids=ascii,
)
def test_a_number_is_found_in_a_text(text: str) -> None:
    assert names(NUMBER, [text])
    assert set(KEYED.of([text])) & set(KEYED.to_search(NUMBER))


@pytest.mark.parametrize(
    "text",
    [
        "+4915112345679",
        "+49151123456789",
        "+491511234567",
        "4915112345678",
        "0151 12345678",
        "x+4915112345678",
        "++4915112345678",
        "2026-11-29T20:00:00+00:00",
        "+49***78",
    ],
)
def test_another_number_is_another(text: str) -> None:
    assert not names(NUMBER, [text])


@pytest.mark.parametrize(
    "text", ["B-4711", "jane+49151123@guests.example", "0151 12345678", "+", "", "7c9e6679", "+49 A", "(+49", "()"]
)
def test_what_is_no_number_is_not_taken_for_one(text: str) -> None:
    assert not is_number(text)


@pytest.mark.parametrize(
    "text", ["+49 151", "+49151123456781234", "+4915112345678, +4915187654321", "+49 151 12345678 #7"]
)
def test_a_number_that_cannot_be_one_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(NotAnAddressError) as refused:
        read_e164(text)
    assert text not in str(refused.value)


def test_a_number_is_masked_with_its_separators() -> None:
    assert mask_in("to +49 151 12345678.") == "to +49***78."
    assert mask_in(f"to {NUMBER} 7") == "to +49***78 7"
    assert mask_in("at 20:00 +0200 in C7") == "at 20:00 +0200 in C7"


@pytest.mark.parametrize(
    "number",
    [
        *SPELLINGS,
        "0049 151 12345678",
        "004915112345678",
        "0151 12345678",
        "0151/12345678",
        "(0151) 1234-5678",
        "030 1234 5678",
        "06 12 34 56 78",
        "(415) 555-0132",
        "415-555-0132",
        "+14155550132 ext. 5",
        "\uff10\uff11\uff15\uff11 \uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
    ],
    ids=ascii,
)
@pytest.mark.parametrize(
    "around", ["{}", "to {}.", "The 'To' number {} is not valid", '{{"phone": "{}"}}', "({})", "{}\nnext"]
)
def test_no_number_stands_whole_in_a_masked_text(number: str, around: str) -> None:
    masked = mask_in(around.format(number))
    assert "***" in masked
    assert "".join(each for each in masked if each.isdecimal()) != "".join(each for each in number if each.isdecimal())
    assert number.partition(" ext")[0][-5:-2] not in masked


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-29T20:00:00.123456+00:00",
        "2026-11-29 20:00",
        "01.12.2026 20:00",
        "01/12/2026 20:00",
        "05-06-2026",
        "at 20:00 +0200 in C7",
        "127.0.0.1:5672 after 0.123 s",
        "10.12.14.16",
        "550 5.1.1 no such user",
        "250 2.0.0 Ok: queued as 4XyZ0123456789",
        "421-4.7.0 try again 2026",
        "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "12345678901",
        "BOOK-789012",
        "30.00 EUR, 1 200 000",
        "00:00:10",
        "seats 10, 11, 12 in row 04",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_what_is_no_number_stays(text: str) -> None:
    assert mask_in(text) == text


@pytest.mark.parametrize("token", ["ab" * 32, "AB" * 80, "dGVzdA:APA91b" + "x-_9" * 33])
@pytest.mark.parametrize(
    "around", ["{}", "POST https://api.push.apple.com/3/device/{} HTTP/2", '"{}"', "<{}>", "[{}, 1]"]
)
def test_no_device_token_stands_whole_in_a_masked_text(token: str, around: str) -> None:
    assert token[8:-8] not in mask_in(around.format(token))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone", "015112345678"),
        ("phone_number", "15112345678"),
        ("customerPhone", 4915112345678),
        ("mobile", ["0151 12345678", "015187654321"]),
        ("device_tokens", ["a-short-token-1", {"token": "a-short-token-2", "platform": "android"}]),
        ("deviceToken", "a-short-token-3"),
    ],
)
def test_a_field_that_holds_a_number_or_a_token_is_masked_whole(field: str, value: object) -> None:
    shown = str(documents.storable({"customer": {field: value}}, mask_in))
    assert not any(part in shown for part in ("112345678", "5187654321", "token-1", "token-2", "token-3"))
    assert "android" in shown or field != "device_tokens"
    assert documents.storable({field: value}, str) == {field: value}


@pytest.mark.parametrize(
    "text",
    [
        "+1 " * 80_000,
        "+" * 250_000,
        "+1" * 120_000,
        "+1   " * 60_000,
        "+" + "1 " * 120_000,
        "01 " * 80_000,
        "(" * 200_000,
        "0" * 200_000,
        "00 1" * 60_000,
        "a1" * 120_000,
        "-" * 250_000,
        "200 " * 60_000,
    ],
    ids=ascii,
)
def test_no_event_takes_long(text: str) -> None:
    started = time.process_time()
    named_in([text])
    mask_in(text)
    assert time.process_time() - started < 3
