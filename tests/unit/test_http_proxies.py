"""Which URLs are asked through a proxy, by the variables that operators know."""

import httpcore2
import pytest

from notification_service.channels.http_proxies import proxy_of


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def proxy(url: str) -> bytes | None:
    found = proxy_of(httpcore2.URL(url))
    return None if found is None else bytes(found.url)


def test_without_variables_there_is_no_proxy() -> None:
    assert proxy("https://api.twilio.com/x") is None


def test_each_scheme_has_its_proxy_and_all_stands_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "secure.example:3128")
    monkeypatch.setenv("ALL_PROXY", "https://any.example")
    assert proxy("https://api.twilio.com/x") == b"http://secure.example:3128/"
    assert proxy("http://localhost:9/x") == b"https://any.example/"


def test_the_proxy_is_logged_in_to_and_its_address_has_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://us%40er:p%3Aw@proxy.example:3128")
    found = proxy_of(httpcore2.URL("https://api.twilio.com/x"))
    assert found is not None
    assert (bytes(found.url), found.auth) == (b"http://proxy.example:3128/", (b"us@er", b"p:w"))


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("*", "api.twilio.com", True),
        ("other.example, *", "api.twilio.com", True),
        ("api.twilio.com", "api.twilio.com", True),
        ("API.Twilio.com", "api.twilio.com", True),
        ("twilio.com", "api.twilio.com", True),
        ("twilio.com", "nottwilio.com", False),
        (".twilio.com", "api.twilio.com", True),
        (".twilio.com", "twilio.com", False),
        ("*.twilio.com", "api.twilio.com", True),
        ("*.twilio.com", "twilio.com", False),
        ("*twilio.com", "api.twilio.com", False),
        ("twilio.com:443", "api.twilio.com", True),
        ("twilio.com:8443", "api.twilio.com", False),
        ("twilio.com:8443", "api.twilio.com:8443", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "10.example", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("::1", "[::1]:99", True),
        ("[::1]:99", "[::1]:99", True),
        ("[::1]:98", "[::1]:99", False),
        ("https://twilio.com", "api.twilio.com", True),
        ("http://twilio.com", "api.twilio.com", False),
        ("[2001:db8::]/32", "[2001:db8::5]", True),
        (", ,", "api.twilio.com", False),
        ("", "api.twilio.com", False),
    ],
)
def test_exceptions_are_asked_directly(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, host: str, *, direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy(f"https://{host}/x") is None) == direct
