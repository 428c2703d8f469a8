"""Secrets are hidden wherever they stand as secrets, and no word is lost for them."""

import base64
import html
import json
import quopri
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, strategies as st
from markupsafe import escape

from notification_service.foundation.secret_redaction import Secrecy, distinctive

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


@pytest.mark.parametrize("text", CREDENTIALS)
def test_a_secret_is_hidden_where_it_stands_as_a_credential(text: str) -> None:
    for secret, spelled in ((each, spelled) for each in (*WEAK, *STRONG) for spelled in (each, quote(each, safe=""))):
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


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded as in a form": quote_plus,
    "percent-encoded in small letters": lambda secret: quote(secret, safe="").lower().replace(secret.lower(), secret),
    "percent-encoded in part": lambda secret: secret[:4] + "".join(f"%{ord(each):02X}" for each in secret[4:]),
    "percent-encoded twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in Python": lambda secret: repr(secret)[1:-1],
    "on a page": html.escape,
    "on a page by Jinja": lambda secret: str(escape(secret)),
    "in a mail": lambda secret: quopri.encodestring(secret.encode()).decode(),
    "in hexadecimal": lambda secret: secret.encode().hex(),
    "in capital hexadecimal": lambda secret: secret.encode().hex().upper(),
    "backwards": lambda secret: secret[::-1],
    **{
        f"in base64 behind {shift} letters": lambda secret, shift=shift: b64("x" * shift + secret + "yz")  # type: ignore[misc]
        for shift in range(3)
    },
    "as AUTH PLAIN sends it": lambda secret: b64(f"\0mailer\0{secret}"),
    "as XOAUTH2 sends it": lambda secret: b64(f"user=a@b.example\1auth=Bearer {secret}\1\1"),
}


@pytest.mark.parametrize("writing", WRITTEN)
@pytest.mark.parametrize(
    "secret", ['c4n"ary<of>a&s3cret', "c4n'ary\\of/a#s?cr=t", "plain-s3cret-w0rd", "c4n ary:of@a%secr+t"]
)
def test_a_distinctive_secret_is_hidden_however_it_is_written_down(secret: str, writing: str) -> None:
    written = WRITTEN[writing](secret)
    pieces = "base64" in writing or "sends" in writing
    for said in ("535 5.7.8 {} is wrong", "{}" if pieces else "x{}y", "invalid port: '{}'"):
        hidden = Secrecy([secret]).text(said.format(written))
        assert written not in hidden
        assert "[secret]" in hidden
        assert hidden.startswith(said.partition("{")[0])


@pytest.mark.parametrize("writing", [each for each in WRITTEN if "twice" not in each])
def test_a_token_that_was_learned_is_hidden_in_pieces_too(writing: str) -> None:
    token = "ya29.a0AfH6SMB_canary~token-0123456789abcdefXYZ"
    secrecy = Secrecy()
    secrecy.add(token)
    written = WRITTEN[writing](token)
    for said in (written, written[: len(written) - 8]):
        hidden = secrecy.text(f"535 {said} is wrong")
        assert not any(written[at : at + 16] in hidden for at in range(len(written) // 2 - 4, len(said) - 20))


@pytest.mark.parametrize(
    "written",
    [
        *("Zt7!q/Lw9\n@x#K2&p", "Zt7!q/Lw9\r\n @x#K2&p", "Zt7!q/Lw=\n9@x#K2&p", "Zt7!q/Lw9=40x#K2&p"),
        *("Zt7!q\\/Lw9@x#K2\\u0026p", "\\x5at7!q/Lw9\\x40x#K2&p", "Zt7!q&#47;Lw9&#x40;x#K2&amp;p"),
        "dXNlcjpadDch\ncS9MdzlAeCNLMiZw",
    ],
)
def test_a_secret_is_hidden_that_is_folded_or_escaped_in_part(written: str) -> None:
    hidden = Secrecy(["Zt7!q/Lw9@x#K2&p"]).text(f"AUTH failed for {written} (5.7.8)")
    assert "[secret]" in hidden
    assert "Zt7" not in hidden
    assert "dXNl" not in hidden


def test_a_text_without_a_secret_keeps_its_lines_and_escapes() -> None:
    text = "550-a%20b\r\n 550 c\\u0041 &amp; =41"
    assert Secrecy(["Zt7!q/Lw9@x#K2&p"]).text(text) == text
