"""The environment: empty values, wrong values, and secrets that never show."""

import itertools
import os
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from notification_service.outcomes import ConfigurationError
from notification_service.settings import Security, Settings, SmtpSettings, load

OURS = (
    "RABBITMQ_",
    "REDIS_",
    "MONGODB_",
    "SMTP_",
    "FROM_",
    "BRAND_",
    "DELIVERY_",
    "DEFAULT_",
    "MAX_",
    "HOST",
    "HTTP_HOST",
    "ENVIRONMENT",
    "PLAINTEXT_",
    "RECIPIENT_",
)
OURS_WHOLE = ("PORT", "LOG_LEVEL", "LOG_FORMAT", "OUTBOX_DIR", "TEMPLATES_DIR", "UNKNOWN_HOLD", "LINK_HOSTS")
CANARIES = {
    "RABBITMQ_URL": "amqp://user:canary-rabbit@localhost:5672/",
    "REDIS_URL": "redis://user:canary-redis@localhost:6379/0",
    "MONGODB_URI": "mongodb://user:canary%2Fmongo@localhost:27017",
    "SMTP_PASSWORD": "canary-smtp",
    "SMTP_OAUTH_CLIENT_SECRET": "canary-client",
    "SMTP_OAUTH_REFRESH_TOKEN": "canary-refresh",
}
CONFIGURED = {
    "SMTP_SERVER": "mail.cinema.example",
    "SMTP_USERNAME": "mailer",
    "SMTP_PASSWORD": "word",
    "FROM_EMAIL": "tickets@cinema.example",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without a setting of ours, in a folder without a `.env`."""
    for name in list(os.environ):
        if name.startswith(OURS) or name in OURS_WHOLE:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def loaded(environment: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        environment.setenv(name, value)
    return load()


def refusal(environment: pytest.MonkeyPatch, **values: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(environment, **values)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


# ── what is set, and what is not ─────────────────────────────────────────────────────────────────────


def test_nothing_set_is_a_service_that_simulates_on_its_usual_port(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment)
    assert settings.service.port == 8084
    assert settings.mongodb.database == "movie_booking"
    assert settings.mongodb.collection == "notification_logs"
    assert (settings.live, settings.unconfigured) == (False, "SMTP_SERVER is not set")


@pytest.mark.parametrize(
    "name",
    [
        "SMTP_PORT",
        "SMTP_SERVER",
        "SMTP_USERNAME",
        "SMTP_PASSWORD",
        "SMTP_CA_FILE",
        "PORT",
        "FROM_EMAIL",
        "REDIS_URL",
        "MAX_RETRY_ATTEMPTS",
        "NOTIFICATION_TIMEOUT",
        "LOG_LEVEL",
        "LINK_HOSTS",
        "UNKNOWN_HOLD",
        "DEFAULT_TIME_ZONE",
    ],
)
def test_trap_24_an_empty_value_is_not_set(environment: pytest.MonkeyPatch, name: str) -> None:
    unset = loaded(environment)
    assert loaded(environment, **{name: ""}) == unset


def test_the_deployed_names_are_read(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(
        environment,
        RABBITMQ_EXCHANGE="x",
        RABBITMQ_BOOKING_QUEUE="b",
        RABBITMQ_PAYMENT_QUEUE="p",
        MONGODB_DATABASE="d",
        MONGODB_COLLECTION="c",
        SMTP_PORT="2525",
        FROM_NAME="Kino",
        LOG_LEVEL="debug",
        MAX_RETRY_ATTEMPTS="3",
        NOTIFICATION_TIMEOUT="7",
        PORT="9000",
    )
    assert (settings.rabbitmq.exchange, settings.rabbitmq.booking_queue, settings.rabbitmq.payment_queue) == (
        "x",
        "b",
        "p",
    )
    assert (settings.mongodb.database, settings.mongodb.collection) == ("d", "c")
    assert (settings.smtp.connect_port, settings.sender.name, settings.service.log_level) == (2525, "Kino", "debug")
    assert (settings.service.max_retry_attempts, settings.service.notification_timeout) == (3, 7)
    assert settings.service.port == 9000


def test_host_in_the_environment_changes_nothing(environment: pytest.MonkeyPatch) -> None:
    unset = loaded(environment)
    assert loaded(environment, HOST="build-host-17") == unset
    assert unset.service.http_host == "0.0.0.0"  # noqa: S104 - the default is the point


def test_a_list_is_words_with_commas(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment, LINK_HOSTS=" a.example, b.example ,", UNKNOWN_HOLD="payment_failed")
    assert settings.service.link_hosts == ("a.example", "b.example")
    assert settings.service.unknown_hold == ("payment_failed",)


def test_the_environment_wins_over_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_NAME=File\nMONGODB_DATABASE=file\n")
    settings = loaded(environment, FROM_NAME="Environment")
    assert (settings.sender.name, settings.mongodb.database) == ("Environment", "file")


# ── wrong values ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("SMTP_PORT", "x"),
        ("SMTP_SECURITY", "tls"),
        ("SMTP_POOL_SIZE", "0"),
        ("DELIVERY_MODE", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("FROM_EMAIL", "Cinema <tickets@cinema.example>"),
        ("BRAND_SUPPORT_EMAIL", "help"),
        ("MAX_RETRY_ATTEMPTS", "-1"),
        ("NOTIFICATION_TIMEOUT", "0"),
        ("UNKNOWN_HOLD", "birthday"),
        ("DEFAULT_LOCALE", "xx_YY"),
        ("DEFAULT_TIME_ZONE", "Mars/Base"),
        ("DEFAULT_CURRENCY", "dollars"),
        ("RECORD_RECIPIENT", "some"),
    ],
)
def test_a_wrong_value_names_its_setting(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(environment, **{name: value}).startswith(f"{name}: ")


def test_every_wrong_setting_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    told = refusal(environment, PORT="x", SMTP_PORT="y", RABBITMQ_PREFETCH="z")
    assert all(f"{name}: " in told for name in ("PORT", "SMTP_PORT", "RABBITMQ_PREFETCH"))


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


def test_trap_24_no_secret_shows_in_a_repr_or_a_dump(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment, **CANARIES)
    shown = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    shown += [repr(part) + str(part) for _, part in settings]
    assert "canary" not in "".join(shown)


@pytest.mark.parametrize("wrong", ["SMTP_PORT", "RABBITMQ_PREFETCH", "PORT", "SMTP_SECURITY", "FROM_EMAIL"])
def test_trap_24_no_secret_shows_in_an_error(environment: pytest.MonkeyPatch, wrong: str) -> None:
    assert refusal(environment, **CANARIES, **{wrong: "canary"}).startswith(f"{wrong}: ")


def test_trap_24_no_secret_shows_in_the_validators_own_error(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMTP_PORT", "canary")
    with pytest.raises(ValidationError) as caught:
        SmtpSettings()
    assert "port" in str(caught.value)
    assert "canary" not in str(caught.value) + repr(caught.value)


def test_a_secret_as_a_wrong_value_of_another_setting_does_not_show(environment: pytest.MonkeyPatch) -> None:
    assert "FROM_EMAIL: " in refusal(environment, FROM_EMAIL="canary canary@x")


def test_every_secret_is_known_to_the_redaction_and_so_are_the_passwords_in_urls(
    environment: pytest.MonkeyPatch,
) -> None:
    secrets = loaded(environment, **CANARIES).secrets()
    assert {*CANARIES.values(), "canary-rabbit", "canary-redis", "canary%2Fmongo", "canary/mongo"} <= set(secrets)
    assert "" not in secrets


def test_the_brokers_guest_is_no_secret(environment: pytest.MonkeyPatch) -> None:
    assert "guest" not in loaded(environment).secrets()


# ── how mail goes ────────────────────────────────────────────────────────────────────────────────────


def test_configured_mail_is_sent_for_real(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment, **CONFIGURED)
    assert (settings.live, settings.unconfigured) == (True, None)


def test_simulate_is_never_live(environment: pytest.MonkeyPatch) -> None:
    assert not loaded(environment, **CONFIGURED, DELIVERY_MODE="simulate").live


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SMTP_SERVER": ""}, "SMTP_SERVER is not set"),
        ({"SMTP_PASSWORD": ""}, "SMTP_USERNAME is set, and SMTP_PASSWORD is not"),
        ({"SMTP_USERNAME": ""}, "SMTP_PASSWORD is set, and SMTP_USERNAME is not"),
        ({"FROM_EMAIL": ""}, "FROM_EMAIL is not set, and SMTP_USERNAME is no mail address that could stand for it"),
        (
            {"SMTP_SERVER": "gmail", "SMTP_USERNAME": "", "SMTP_PASSWORD": ""},
            "Gmail needs SMTP_USERNAME and SMTP_PASSWORD (an app password)",
        ),
    ],
)
def test_half_configured_simulates_with_a_reason_and_live_refuses(
    environment: pytest.MonkeyPatch, changes: dict[str, str], reason: str
) -> None:
    settings = loaded(environment, **{**CONFIGURED, **changes})
    assert (settings.live, settings.unconfigured) == (False, reason)
    told = refusal(environment, **{**CONFIGURED, **changes}, DELIVERY_MODE="live")
    assert told == f"DELIVERY_MODE=live, but {reason}"


def test_a_relay_without_a_login_is_configured(environment: pytest.MonkeyPatch) -> None:
    assert loaded(environment, SMTP_SERVER="relay.cinema.example", FROM_EMAIL="tickets@cinema.example").live


def test_the_user_name_stands_for_the_sender_where_it_is_an_address(environment: pytest.MonkeyPatch) -> None:
    values = {**CONFIGURED, "FROM_EMAIL": "", "SMTP_USERNAME": "cinema@gmail.com"}
    assert loaded(environment, **values).sender_address == "cinema@gmail.com"


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ("gmail", "smtp.gmail.com"),
        ("smtp.gmail.com", "smtp.gmail.com"),
        ("Outlook", "smtp.office365.com"),
        ("yahoo", "smtp.mail.yahoo.com"),
        ("mail.cinema.example", "mail.cinema.example"),
    ],
)
def test_a_provider_by_its_short_name_or_its_host(environment: pytest.MonkeyPatch, server: str, host: str) -> None:
    smtp = loaded(environment, SMTP_SERVER=server).smtp
    assert (smtp.host, smtp.connect_port, smtp.protection) == (host, 587, Security.STARTTLS)


@pytest.mark.parametrize(
    ("values", "port", "protection"),
    [
        ({}, 587, Security.STARTTLS),
        ({"SMTP_PORT": "465"}, 465, Security.IMPLICIT),
        ({"SMTP_PORT": "2525"}, 2525, Security.STARTTLS),
        ({"SMTP_SECURITY": "implicit"}, 465, Security.IMPLICIT),
        ({"SMTP_PORT": "465", "SMTP_SECURITY": "starttls"}, 465, Security.STARTTLS),
        ({"SMTP_PORT": "25", "SMTP_SECURITY": "plain"}, 25, Security.PLAIN),
    ],
)
def test_tls_is_never_left_out_unless_it_is_asked_for(
    environment: pytest.MonkeyPatch, values: dict[str, str], port: int, protection: Security
) -> None:
    smtp = loaded(environment, SMTP_SERVER="mail.cinema.example", **values).smtp
    assert (smtp.connect_port, smtp.protection) == (port, protection)


SAFE = {
    "RABBITMQ_URL": "amqps://u:own-Zq7kX4@mq/",
    "REDIS_URL": "rediss://redis",
    "MONGODB_URI": "mongodb://m1,m2/?replicaSet=a&tls=true",
}
PLAIN = {
    "rabbitmq": ("RABBITMQ_URL", "amqp://u:canary@mq/"),
    "redis": ("REDIS_URL", "redis://:canary@redis/0"),
    "mongodb": ("MONGODB_URI", "mongodb://u:canary@m1/?replicaSet=a"),
}
PARTS = [parts for count in range(1, 4) for parts in itertools.combinations(PLAIN, count)]


@pytest.mark.parametrize("parts", PARTS, ids=",".join)
@pytest.mark.parametrize("allowed", [(), *PARTS], ids=",".join)
def test_in_production_plain_text_is_refused_unless_it_is_allowed_by_name(
    environment: pytest.MonkeyPatch, parts: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    values = {**SAFE, **dict(PLAIN[part] for part in parts)}
    values |= {"ENVIRONMENT": "production", "PLAINTEXT_ALLOWED": ",".join(allowed)}
    refused = [part for part in parts if part not in allowed]
    if not refused:
        loaded(environment, **values)
        return
    told = refusal(environment, **values)
    assert [part for part, (name, _) in PLAIN.items() if name in told] == refused
    assert f"PLAINTEXT_ALLOWED={','.join(refused)} " in told


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("mongodb+srv://cluster.example", True),
        ("mongodb+srv://cluster.example/?tls=false", False),
        ("mongodb://m/?ssl=true", True),
        ("mongodb://m/?tls=false", False),
        ("mongodb://u:tls=true@m/", False),
    ],
)
def test_mongodb_says_tls_in_its_options(environment: pytest.MonkeyPatch, uri: str, *, safe: bool) -> None:
    assert ("mongodb" in loaded(environment, MONGODB_URI=uri).plaintext) is not safe


def test_in_development_plain_text_is_no_fault(environment: pytest.MonkeyPatch) -> None:
    assert set(loaded(environment).plaintext) == {"rabbitmq", "redis", "mongodb"}


@pytest.mark.parametrize("url", ["collector:4318", "http://user:secret@collector:4318/v1/traces", "ftp://x/"])
def test_where_spans_go_is_an_address_without_a_login(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACING_ENDPOINT", url)
    with pytest.raises(ConfigurationError, match="TRACING_ENDPOINT") as told:
        load(None)
    assert "secret" not in str(told.value)


# ── clusters ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("amqps://a:1@one/,amqps://a:1@two/", False),
        ("amqps://a:1@one/,amqp://a:1@two/", True),
        ("amqp://a:1@one/,amqps://a:1@two/", True),
    ],
)
def test_one_plain_address_among_several_is_plain(environment: pytest.MonkeyPatch, url: str, plain: bool) -> None:  # noqa: FBT001 - a case
    assert ("rabbitmq" in loaded(environment, RABBITMQ_URL=url).plaintext) is plain


def test_sentinel_with_tls_is_no_plain_text(environment: pytest.MonkeyPatch) -> None:
    assert "redis" not in loaded(environment, REDIS_URL="rediss+sentinel://one,two/main/0").plaintext
    assert "redis" in loaded(environment, REDIS_URL="redis+sentinel://one,two/main/0").plaintext


def test_the_password_of_each_address_is_a_secret(environment: pytest.MonkeyPatch) -> None:
    url = "amqp://user:first%2C,word@one,amqp://user:second@two/"
    assert {"first%2C,word", "first,,word", "second"} <= set(loaded(environment, RABBITMQ_URL=url).secrets())
