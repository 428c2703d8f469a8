"""Whatever a stranger repeats of a secret, and however it writes it down, nothing of it is read."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from notification_service.foundation.secret_redaction import Secrecy

WRITINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a form": lambda secret: quote_plus(f"client_secret={secret}", safe="="),
    "in a URL": lambda secret: quote(secret, safe=""),
    "in JSON": json.dumps,
    "on a page": html.escape,
    "in hexadecimal": lambda secret: secret.encode().hex(),
    "in XOAUTH2": lambda secret: base64.b64encode(f"user=a\1auth=Bearer {secret}\1\1".encode()).decode(),
    "in Base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in Base64 after one letter": lambda secret: base64.b64encode(f"x{secret}".encode()).decode(),
    "in Base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"xy{secret}z".encode()).decode(),
    "cut": lambda secret: secret[: len(secret) // 2 + 6],
    "folded": lambda secret: f"{secret[:20]} {secret[20:]}",
}
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=40, max_size=60)


@pytest.mark.parametrize("writing", WRITINGS)
@given(secret=SECRETS)
def test_no_long_piece_of_a_secret_is_read(writing: str, secret: str) -> None:
    written = WRITINGS[writing](secret)
    shown = Secrecy(mark="***", in_pieces=[secret])(f"535 5.7.8 no: {written} [a1]")
    assert shown.startswith("535 5.7.8 no: ")
    assert not any(written[at : at + 16] in shown for at in range(len(written) - 15) if _is_secret(written, at, secret))


def _is_secret(written: str, at: int, secret: str) -> bool:
    """Whether what is written there is of the secret alone, not of what was put around it."""
    margin = 44 if "user=" in secret or written.startswith("dXNlcj1h") else 16
    return margin <= at <= len(written) - 32


def test_what_is_learned_later_is_hidden_too_and_only_the_latest_of_it() -> None:
    hide = Secrecy(mark="***")
    for number in range(20):
        hide.add(f"{number:02}{'a1B2' * 8}{number:02}-{chr(97 + number) * 14}")
    assert "***" in hide("t" * 14)
    assert hide("a" * 14) == "a" * 14


@pytest.mark.parametrize("secret", ["", "a", "guest", "mail"])
def test_a_plain_word_is_not_a_secret(secret: str) -> None:
    text = "550 the mail of a guest was refused"
    assert Secrecy(mark="***", in_pieces=[secret])(text) == text


def test_a_short_secret_is_hidden_as_a_whole_and_words_that_hold_a_part_of_it_stay() -> None:
    hide = Secrecy(mark="***", in_pieces=["tickets-2026"])
    assert hide("the tickets of 2026: tickets-2026") == "the tickets of 2026: ***"
