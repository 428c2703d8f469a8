"""The hints for operators about the providers used most."""

import pytest

from notification_service.channels.email.smtp.providers import PROVIDERS, find


@pytest.mark.parametrize(
    ("server", "name", "host"),
    [
        ("gmail", "Gmail", "smtp.gmail.com"),
        (" Gmail ", "Gmail", "smtp.gmail.com"),
        ("smtp.gmail.com", "Gmail", "smtp.gmail.com"),
        ("SMTP.GMAIL.COM", "Gmail", "smtp.gmail.com"),
        ("smtp.googlemail.com", "Gmail", "smtp.googlemail.com"),
        ("outlook", "Outlook", "smtp.office365.com"),
        ("office365", "Outlook", "smtp.office365.com"),
        ("smtp-mail.outlook.com", "Outlook", "smtp-mail.outlook.com"),
        ("yahoo", "Yahoo", "smtp.mail.yahoo.com"),
        ("mail.cinema.example", "custom", "mail.cinema.example"),
        ("gmail.example", "custom", "gmail.example"),
        ("", "custom", None),
    ],
)
def test_a_provider_is_found_by_short_name_and_by_host(server: str, name: str, host: str | None) -> None:
    found = find(server)
    assert (found.name, found.host) == (name, host)
    assert found.port == 587


def test_gmails_refused_login_says_that_it_wants_an_app_password_and_how_to_get_one() -> None:
    for code in (534, 535):
        hint = find("gmail").hint(code)
        assert "app password" in hint
        assert "2-step verification" in hint
        assert "https://myaccount.google.com/apppasswords" in hint
        assert "SMTP_PASSWORD" in hint


@pytest.mark.parametrize("code", [421, 454, 530, 534, 535, 538, 550, 553])
@pytest.mark.parametrize("server", ["gmail", "outlook", "yahoo", "mail.cinema.example"])
def test_every_reply_that_is_the_operators_has_a_hint_of_one_line(server: str, code: int) -> None:
    hint = find(server).hint(code)
    assert hint
    assert "\n" not in hint


def test_a_reply_without_advice_has_none() -> None:
    assert (find("gmail").hint(None), find("").hint(250)) == ("", "")


def test_each_of_them_needs_a_login_and_says_what_for() -> None:
    assert all(provider.needs_login and provider.setup for provider in PROVIDERS)
    assert not find("mail.cinema.example").needs_login
