"""What is a mail address, and how one is hidden."""

import time

import pytest
from hypothesis import given, strategies as st

from notification_service.addresses import NotAnAddressError, mask, mask_in, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jane.smith@example.com", "jane.smith@example.com"),
        ("  jane@EXAMPLE.com\n", "jane@example.com"),
        ("Jane+tag@guests.example", "Jane+tag@guests.example"),
        ("o'brien@mail.test", "o'brien@mail.test"),
        ("jané@example.com", "jané@example.com"),
        ("jane@bücher.example", "jane@bücher.example"),
        ("jane@xn--bcher-kva.example", "jane@bücher.example"),
    ],
)
def test_an_address_is_normalised(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jane",
        "jane@",
        "@example.com",
        "jane@localhost",
        "jane@example..com",
        "jane smith@example.com",
        "Jane <jane@example.com>",
        "jane@example.com, eve@example.com",
        "jane@example.com,eve@example.com",
        "jane@example.com\r\nBcc: eve@example.com",
        "jane@example.com\0",
        "jane\u202e@example.com",
        "jane@[127.0.0.1]",
        '"jane@x"@example.com',
        "jane@" + "a" * 64 + ".example",
        "a" * 250_000 + "@example.com",
        "=?utf-8?q?jane?=@example.com=?x?=",
    ],
)
def test_what_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(NotAnAddressError) as caught:
        parse_address(text)
    assert "jane@example.com" not in str(caught.value)


@given(st.text(max_size=40) | st.emails())
def test_any_text_is_an_address_or_none_and_an_address_has_no_control_characters(text: str) -> None:
    try:
        address = parse_address(text)
    except NotAnAddressError:
        return
    assert address.isprintable()
    assert not set(address) & set(' <>,;:\\"()[]')
    assert address.count("@") == 1


def test_an_address_is_shown_by_its_first_letter_and_its_domain() -> None:
    assert mask("jane.smith@example.com") == "j***@example.com"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to <jane.smith@example.com>, please", "to <j***@example.com>, please"),
        ("jane@example.com", "j***@example.com"),
        ("a@b.example and c@d.example.", "a***@b.example and c***@d.example."),
        ("mailto:jane@example.com", "mailto:j***@example.com"),
        ("jané@bücher.example", "j***@bücher.example"),
        ("to 'o'brien'@mail.example'", "to '***@mail.example'"),
        ("a=b='@mail.example", "a***@mail.example"),
        ("550 jane@example..com?", "550 j***@example..com?"),
        ("at 20:00 @ the cinema.", "at 20:00 @ the cinema."),
        ("no address", "no address"),
    ],
)
def test_every_address_in_a_text_is_masked(text: str, masked: str) -> None:
    assert mask_in(text) == masked


@given(
    st.emails(),
    st.text(alphabet=" <>,;:()\"'\n", max_size=3),
    st.text(alphabet=" <>,;:()\"'\n", min_size=1, max_size=3),
)
def test_no_address_survives_in_a_text(address: str, before: str, after: str) -> None:
    local = address.rpartition("@")[0]
    masked = mask_in(f"x{before or ' '}{address}{after}y")
    assert len(local) <= 4 or local not in masked


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000 + " @", "a@" + "." * 200_000, "a@b" * 60_000, "a@b." * 50_000, "a.@" * 60_000, "@" * 200_000],
    ids=lambda text: text[:5],
)
def test_no_text_takes_long_to_mask(text: str) -> None:
    started = time.perf_counter()
    mask_in(text)
    assert time.perf_counter() - started < 0.5
