"""The name in EHLO."""

import socket

import pytest
from hypothesis import given, strategies as st

from notification_service import bootstrap
from notification_service.channels.email.smtp.greeting import check_name, is_qualified, own_name
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import load


@pytest.mark.parametrize(
    "name",
    [
        "mail.cinema.example",
        "web-1",
        "localhost",
        "a.b.c.example.",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "xn--bcher-kva.example",
    ],
)
def test_a_host_name_or_an_address_in_brackets_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "mail cinema.example",
        "mail.cinema.example\r\nMAIL FROM:<eve@evil.example>",
        "mail.cinema.example\n",
        "-web.example",
        "web-.example",
        "web..example",
        "web_1.example",
        "192.0.2.1",
        "[192.0.2.256]",
        "[2001:db8::1]",
        "[IPv6:192.0.2.1]",
        "bücher.example",
        "a@b.example",
        "<mail.example>",
        "x" * 64,
        ".".join(["label"] * 60),
        "",
    ],
)
def test_what_ehlo_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="neither a host name"):
        check_name(name)


@given(st.text(max_size=30))
def test_a_name_that_is_taken_is_one_word_of_printable_ascii(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set(" <>@\r\n")


@pytest.mark.parametrize(
    ("name", "qualified"),
    [
        ("mail.cinema.example", True),
        ("web-1", False),
        ("localhost", False),
        ("localhost.localdomain", False),
        ("printer.local", False),
        ("[192.0.2.1]", False),
    ],
)
def test_a_full_name_is_one_that_others_can_look_up(name: str, *, qualified: bool) -> None:
    assert is_qualified(name) is qualified


def test_our_own_name_is_this_machines_full_name_or_its_address() -> None:
    name = own_name()
    assert check_name(name) == name
    assert name == socket.gethostname() if is_qualified(name) else name.startswith("[")


def test_the_setting_is_what_the_server_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_SERVER", "mail.cinema.example")
    monkeypatch.setenv("SMTP_EHLO_NAME", "tickets.cinema.example")
    channel = bootstrap.transport(load(None))
    assert channel._pool.server.ehlo_name == "tickets.cinema.example"  # type: ignore[attr-defined]  # the SMTP one


def test_a_name_with_a_space_is_refused_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_EHLO_NAME", "my host")
    with pytest.raises(ConfigurationError, match=r"SMTP_EHLO_NAME: .*neither a host name"):
        load(None)
