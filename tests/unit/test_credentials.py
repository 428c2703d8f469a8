"""Secrets as they are set: what everybody knows is refused, and what a URL parser would cut up is refused or hidden."""

import pytest

from notification_service.foundation.credentials import misread, passwords, published, published_login
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, load

KNOWN = [
    "change-me-to-32-random-letters",
    "CHANGE_ME_PLEASE_NOW",
    "changeme",
    "change-me",
    "changeit-changeit",
    "your-token-goes-here",
    "<console-token-here>",
    "${CONSOLE_TOKEN_HERE}",
    "replace-me-with-a-secret",
    "xxxxxxxxxxxxxxxx",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababab",
    "0123456789abcdef",
    "1234567890123456",
    "abcdefghijklmnop",
    "qwertyuiopasdfgh",
    "passwordpassword",
    "secretsecretsecret",
    " change-me-to-32-random-letters ",
    "movie",
    "guest",
]


@pytest.mark.parametrize("secret", KNOWN)
def test_what_everybody_knows_is_no_secret(secret: str) -> None:
    assert published(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2-of-the-house",
        "kX4-own-Zq7",
        "correct horse battery staple",
        "a2c1e0f9b8d7a6c5",
        "yo-ur-own-9",
        "pässwörd-für-uns",
    ],
)
def test_what_one_makes_up_is_taken(secret: str) -> None:
    assert not published(secret)


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name in ("ENVIRONMENT", "PLAINTEXT_ALLOWED", "RABBITMQ_URL", "REDIS_URL", "MONGODB_URI", "CONSOLE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load(None)


@pytest.mark.parametrize("token", [each for each in KNOWN if len(each) >= 16])
def test_the_console_takes_no_such_token_in_any_environment(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(monkeypatch, CONSOLE_TOKEN=token)
    assert "CONSOLE_TOKEN" in str(caught.value)
    assert "secrets.token_urlsafe" in str(caught.value)
    assert token.strip() not in str(caught.value)


PRODUCTION = {"ENVIRONMENT": "production", "PLAINTEXT_ALLOWED": "rabbitmq,redis,mongodb"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RABBITMQ_URL", "amqp://movie:movie@rabbitmq.cinema.example/"),
        ("RABBITMQ_URL", "amqp://app:change-me@rabbitmq/"),
        ("RABBITMQ_URL", "amqp://app:own-Zq7kX4@a.example/,amqp://app:change%2Dme@b.example/"),
        ("REDIS_URL", "redis://:changeme@redis/0"),
        ("MONGODB_URI", "mongodb://app:password@mongodb/"),
        ("SMTP_PASSWORD", "change-me"),
        ("SMTP_OAUTH_CLIENT_SECRET", "your-client-secret"),
    ],
)
def test_production_takes_none_of_them(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        settings(monkeypatch, **PRODUCTION, **{name: value})
    settings(monkeypatch, **{name: value})


@pytest.mark.parametrize("host", ["rabbitmq:5672", "localhost", "127.0.0.1:5672"])
def test_the_compose_file_has_its_own_on_its_own_network(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    settings(monkeypatch, **PRODUCTION, RABBITMQ_URL=f"amqp://movie:movie@{host}/")


@pytest.mark.parametrize("name", ["RABBITMQ_URL", "REDIS_URL", "MONGODB_URI"])
@pytest.mark.parametrize("password", ["s3cr#t-w0rd", "s3cr/t-w0rd", "s3cr?t-w0rd", "s3/cr#t?w0rd"])
def test_a_password_that_would_be_cut_up_is_refused_without_being_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, password: str
) -> None:
    scheme = {"RABBITMQ_URL": "amqp", "REDIS_URL": "redis", "MONGODB_URI": "mongodb"}[name]
    with pytest.raises(ConfigurationError, match=f"{name}.*%23") as caught:
        settings(monkeypatch, **{name: f"{scheme}://user:{password}@host:1234/x"})
    assert "s3" not in str(caught.value)
    assert "w0rd" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://host:5672/v@host",
        "mongodb://host/x?appname=a@b",
        "mongodb://a:27017,b:27017/x?appname=a@b",
        "redis://host",
        "unix:///run/redis.sock",
        "amqp://u:p%23@h/",
        "redis://:p%2F@h:6379/0",
        "amqp://u:p@ss@h/",
    ],
)
def test_other_urls_are_taken(url: str) -> None:
    assert not misread(url)


@pytest.mark.parametrize("mark", "#/?")
def test_what_a_parser_would_make_of_it_is_known_as_secret(mark: str) -> None:
    found = set(passwords(f"amqp://user:first{mark}second@host/,amqp://user:thi%20rd@other/"))
    assert {f"first{mark}second", "first", "second", "thi%20rd", "thi rd"} <= found


def test_a_login_in_any_url_of_several_is_looked_at() -> None:
    assert published_login("amqp://u:own-Zq7kX4@a/,amqp://u:secret@b/")
    assert not published_login("amqp://u:own-Zq7kX4@a/,amqp://guest:guest@b/")
