"""Secrets are hidden wherever they stand as secrets, and no word is lost for them."""

import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import assume, given, strategies as st

from notification_service.secrecy import Secrecy, distinctive

WEAK = ["guest", "a", "secret", "postgres", "Notification", "1", "1234", "p@ss", "correcthorse", "\u00e4"]
STRONG = [
    "c4nary-of-a-secret",
    "hunter2-",
    "QmxTrWbz",
    "abcdefghijklmnop",
    "p@ss w\u00f6rd/+%",
    "12345678",
    "amqp://r:s@h/",
]


@pytest.mark.parametrize("secret", WEAK)
def test_a_short_or_common_word_is_weak(secret: str) -> None:
    assert not distinctive(secret)


@pytest.mark.parametrize("secret", STRONG)
def test_a_long_or_mixed_text_is_distinctive(secret: str) -> None:
    assert distinctive(secret)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CREDENTIALS = [
    "amqp://user:{0}@host:5672/",
    "redis://:{0}@host",
    "user:{0}@host:27017",
    "password={0}",
    "PASSWORD: {0}",
    "pwd={0}&next=1",
    "passwd='{0}'",
    '{{"password": "{0}", "x": 1}}',
    "{{'password': '{0}'}}",
    "the password '{0}' is wrong",
    'password is "{0}"',
    "token={0}",
    "requirepass={0}",
    "AUTH {0}",
]


@pytest.mark.parametrize("secret", [*WEAK, *STRONG])
@pytest.mark.parametrize("text", CREDENTIALS)
def test_a_secret_is_hidden_where_it_stands_as_a_credential(text: str, secret: str) -> None:
    for spelled in (secret, quote(secret, safe="")):
        hidden = Secrecy([secret], mark="***").text(text.format(spelled))
        assert "***" in hidden
        assert spelled not in hidden or spelled in text.format("")


@pytest.mark.parametrize("secret", [*WEAK, *STRONG])
def test_a_secret_is_hidden_in_what_auth_sends(secret: str) -> None:
    secrecy = Secrecy([secret])
    for text in (f"AUTH PLAIN {b64(f'{chr(0)}user{chr(0)}{secret}')}", f"AUTH LOGIN {b64(secret)}"):
        assert secrecy.text(text) == f"{text.rpartition(' ')[0]} [secret]"
    assert secrecy.text(f"334 {b64(secret)} is wrong") == "334 [secret] is wrong"


@pytest.mark.parametrize("secret", [*WEAK, *STRONG])
def test_a_secret_is_hidden_where_it_is_the_whole_value(secret: str) -> None:
    secrecy = Secrecy([secret])
    assert secrecy.whole(secret)
    assert secrecy.whole(f" '{secret}' ")
    assert not secrecy.whole(f"{secret} {secret}")


SENTENCE = "a guest was sent secret postgres the password of 1 notification correcthorse Notification is guests sender"
WORDS = st.sampled_from([*SENTENCE.split()])


@given(st.lists(WORDS, max_size=12).map(" ".join), st.sampled_from(WEAK))
def test_words_survive_a_weak_secret(text: str, secret: str) -> None:
    assert Secrecy([secret]).text(text) == text


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40),
    st.text(max_size=9),
    st.text(max_size=9),
)
def test_a_distinctive_secret_is_hidden_in_every_encoding(secret: str, before: str, after: str) -> None:
    assume(distinctive(secret))
    secrecy = Secrecy([secret])
    around = before.encode("utf-8", "replace"), after.encode("utf-8", "replace")
    held = base64.b64encode(secret.encode().join(around)).decode()
    for form in (secret, quote(secret), quote(secret, safe="")):
        assert form not in secrecy.text(f"{before}{form}{after}") or form in "[secret]"
    for form in (held, held.rstrip("="), held.translate(str.maketrans("+/", "-_"))):
        assert secrecy.text(f"<{form}>") == "<[secret]>"


@pytest.mark.parametrize(
    "text", ["A" * 200_000, "password" * 30_000, "AUTH PLAIN" * 20_000, "a:" * 90_000, "guest=" * 30_000]
)
def test_no_text_takes_long(text: str) -> None:
    secrecy = Secrecy(["guest", "c4nary-of-a-secret"])
    core = base64.b64encode(b"c4nary-of-a-secret").decode()
    started = time.perf_counter()
    secrecy.text(text)
    secrecy.text(core * 100 + text + core)
    assert time.perf_counter() - started < 2
