"""The environment: empty values, wrong values, and secrets that never show."""

import asyncio
import itertools
import os
import ssl
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiormq
import pytest
from aiormq.connection import SSLContextProvider
from pydantic import ValidationError
from pymongo import MongoClient
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection

from notification_service.broker import lenient_decoding
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Security, Settings, SmtpSettings, load
from notification_service.stores.mongo import client as mongo
from notification_service.stores.redis import client as redis

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
    "SMTP_PASSWORD": "app-5word",
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
def test_an_empty_value_is_not_set(environment: pytest.MonkeyPatch, name: str) -> None:
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
        ("STARTUP_TIMEOUT", "inf"),
        ("SMTP_DATA_TIMEOUT", "nan"),
        ("LEASE_SECONDS", "1e18"),
        ("LEASE_SECONDS", "0.0001"),
        ("VERDICT_DAYS", "inf"),
        ("PARKING_DAYS", "1e9"),
        ("RECORD_DAYS", "1e9"),
        ("RECORD_DAYS_FULL", "inf"),
        ("RABBITMQ_PREFETCH", "70000"),
        ("RETRY_RUNGS", "5,99999999999999999999"),
        ("SMTP_MAILS_PER_DAY", "99999999999999999999"),
        ("MAX_EVENT_BYTES", "99999999999999999999"),
        *(("MONGODB_DATABASE", name) for name in ("a b", "a.b", "a/b", "$x", "d" * 64)),
        *(("MONGODB_COLLECTION", name) for name in ("$x", "..", ".a", "system.users")),
        *(("MONGODB_COLLECTION", name) for name in ("users", "bookings", "notification_facts", "notification_signals")),
        *(("RABBITMQ_EXCHANGE", name) for name in ("x" * 256, "amq.x", "a\nb")),
        *(("RABBITMQ_BOOKING_QUEUE", name) for name in ("é" * 128, "amq.gen-1")),
    ],
)
def test_a_wrong_value_names_its_setting(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(environment, **{name: value}).startswith(f"{name}: ")


NOWHERE = ["https:///foo", "https://:443/", "https://h:99999/x", "https://u:p@h/x", "https://h h/x", "https://[/x", "h"]


@pytest.mark.parametrize("url", NOWHERE)
@pytest.mark.parametrize(
    "name",
    ["RETRY_URL", "BOOKING_URL", "SUPPORT_URL", "BRAND_SITE_URL", "SMTP_OAUTH_TOKEN_URL", "TRACING_ENDPOINT"],
)
def test_a_url_that_leads_nowhere_names_its_setting(environment: pytest.MonkeyPatch, name: str, url: str) -> None:
    assert refusal(environment, **{name: url}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("SMTP_SERVER", host) for host in ("mail.example:587", "smtp://mail.example", "a b", "u@mail.example", "..")),
        *(("LINK_HOSTS", host) for host in ("https://a.example", "a.example:443", "a.example,b/c", "*", "a b")),
        ("CINEMAS", '{"A": {"map_url": "https:///x"}}'),
    ],
)
def test_what_is_no_host_names_its_setting(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(environment, **{name: value}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("connect", "named", "urls"),
    [
        (
            lenient_decoding.parsed,
            "RABBITMQ_URL",
            (
                *(
                    "amqp:///",
                    "amqp://:5672/",
                    "amqp://h:99999/",
                    "amqp://h:0/",
                    "h:5672",
                    "amqp://h o/",
                    "http://h/",
                    "",
                ),
                *("amqp://u:canary@/", "amqp://h/,amqp:///", "amqp://u:ca/nary@h/"),
            ),
        ),
        (
            redis.connect,
            "REDIS_URL",
            (
                *(
                    "redis:///0",
                    "redis://:6379/0",
                    "redis://h:99999",
                    "redis://h:0",
                    "redis:h",
                    "redis://h o/",
                    "http://h/",
                ),
                *("redis://:canary@/0", "unix://", "rediss+sentinel:///main", "redis+sentinel://,/main", "h:6379", ""),
                "redis+cluster://,",
            ),
        ),
        (
            mongo.connect,
            "MONGODB_URI",
            (
                *(
                    "mongodb:///db",
                    "mongodb://:27017",
                    "mongodb://h:99999",
                    "mongodb://h:0",
                    "mongodb://h o",
                    "mongodb://h,",
                ),
                *("mongodb://u:canary@", "http://h", "h:27017", ""),
            ),
        ),
    ],
    ids=["rabbitmq", "redis", "mongodb"],
)
def test_an_address_that_leads_nowhere_names_its_setting(
    connect: Callable[[str], object], named: str, urls: Sequence[str]
) -> None:
    for url in urls:
        with pytest.raises(ConfigurationError, match=f"^{named} is not a valid URL") as told:
            connect(url)
        assert "canary" not in "".join(traceback.format_exception(told.value))


async def test_an_address_that_leads_somewhere_is_taken() -> None:
    for url in (
        "amqp://h",
        "amqp://10.0.0.1:5673/v",
        "amqp://[::1]/",
        "AMQP://a_b/,amqps://u:a%2Fb@c.d./",
        "amqp://é/",
    ):
        assert lenient_decoding.parsed(url)
    for url in ("redis://h", "redis://[::1]:1/0", "unix:///run/x.sock", "rediss+sentinel://a,[::1]:2/main/0"):
        await redis.connect(url).aclose()
    for url in ("mongodb://h", "mongodb://a_b:1,[::1]:2/db", "mongodb://%2Frun%2Fmongodb.sock"):
        mongo.connect(url).close()


def test_every_wrong_setting_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    told = refusal(environment, PORT="x", SMTP_PORT="y", RABBITMQ_PREFETCH="z")
    assert all(f"{name}: " in told for name in ("PORT", "SMTP_PORT", "RABBITMQ_PREFETCH"))


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


def test_no_secret_shows_in_a_repr_or_a_dump(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment, **CANARIES)
    shown = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    shown += [repr(part) + str(part) for _, part in settings]
    assert "canary" not in "".join(shown)


@pytest.mark.parametrize("wrong", ["SMTP_PORT", "RABBITMQ_PREFETCH", "PORT", "SMTP_SECURITY", "FROM_EMAIL"])
def test_no_secret_shows_in_an_error(environment: pytest.MonkeyPatch, wrong: str) -> None:
    assert refusal(environment, **CANARIES, **{wrong: "canary"}).startswith(f"{wrong}: ")


def test_no_secret_shows_in_the_validators_own_error(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMTP_PORT", "canary")
    with pytest.raises(ValidationError) as caught:
        SmtpSettings()
    assert "port" in str(caught.value)
    assert "canary" not in str(caught.value) + repr(caught.value)


def test_a_secret_as_a_wrong_value_of_another_setting_does_not_show(environment: pytest.MonkeyPatch) -> None:
    assert "FROM_EMAIL: " in refusal(environment, FROM_EMAIL="canary canary@x")


@pytest.mark.parametrize(
    "name", ["LINK_HOSTS", "UNKNOWN_HOLD", "BRAND_COLOUR", "DEFAULT_TIME_ZONE", "DEFAULT_LOCALE", "EXPERIMENT"]
)
@pytest.mark.parametrize("wrong", ["https://user:canary-9@h/", "canary-{}-9x", "canary" * 20000])
def test_a_message_repeats_no_value_that_may_be_a_secret_or_is_long(
    environment: pytest.MonkeyPatch, name: str, wrong: str
) -> None:
    told = refusal(environment, **{name: wrong})
    assert told.startswith(f"{name}: ")
    assert "canary" not in told


def test_a_message_repeats_a_word_that_is_misspelt(environment: pytest.MonkeyPatch) -> None:
    assert "'birthday'" in refusal(environment, UNKNOWN_HOLD="birthday")


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
        (
            {"FROM_EMAIL": ""},
            "FROM_EMAIL is not set, and SMTP_USERNAME is not a mail address to use instead",
        ),
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
    assert ("mongodb" in loaded(environment, MONGODB_URI=uri).unprotected_links) is not safe


AMQPS, REDISS, TLS = "amqps://u:canary@h/", "rediss://:canary@h/0", "mongodb://u:canary@h/?tls=true"
ADDRESSES = [
    ("RABBITMQ_URL", AMQPS, ""),
    ("RABBITMQ_URL", "AMQPS://u:canary@h/", ""),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=0", ""),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=1", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=true", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=1&no_verify_ssl=0", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=0&no_verify_ssl=1", ""),
    ("RABBITMQ_URL", f"{AMQPS}?no%5Fverify_ssl=%31", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS}?heartbeat=5;no_verify_ssl=1", ""),
    ("RABBITMQ_URL", f"{AMQPS}?NO_VERIFY_SSL=1", ""),
    ("RABBITMQ_URL", f"{AMQPS}?verify=0&verify_ssl=0&ssl=0&ssl_options=none", ""),
    ("RABBITMQ_URL", f"{AMQPS},{AMQPS}?no_verify_ssl=1", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS}?no_verify_ssl=1,{AMQPS}", "no_verify_ssl"),
    ("RABBITMQ_URL", f"{AMQPS},amqp://h/", "has to be amqps://"),
    ("RABBITMQ_URL", "amqp://u:canary@amqps://h/", "has to be amqps://"),
    ("REDIS_URL", REDISS, ""),
    ("REDIS_URL", "unix:///run/redis.sock", ""),
    ("REDIS_URL", "redis://h/0", "has to be rediss:// or unix://"),
    ("REDIS_URL", "redis+sentinel://one,two/main/0", "has to be rediss:// or unix://"),
    ("REDIS_URL", "redis://h/0?ssl=true", "REDIS_URL is not a valid URL"),
    ("REDIS_URL", f"{REDISS}?ssl_cert_reqs=required", ""),
    ("REDIS_URL", f"{REDISS}?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ("REDIS_URL", f"{REDISS}?ssl_cert_reqs=optional", "ssl_cert_reqs"),
    ("REDIS_URL", f"{REDISS}?ssl%5fcert_reqs=%6eone", "ssl_cert_reqs"),
    ("REDIS_URL", f"{REDISS}?ssl_cert_reqs=required&ssl_cert_reqs=none", ""),
    ("REDIS_URL", f"{REDISS}?ssl_cert_reqs=none&ssl_cert_reqs=required", "ssl_cert_reqs"),
    ("REDIS_URL", f"{REDISS}?ssl_check_hostname=false", "ssl_check_hostname"),
    ("REDIS_URL", f"{REDISS}?ssl_check_hostname=No", "ssl_check_hostname"),
    ("REDIS_URL", f"{REDISS}?ssl_check_hostname=0", "ssl_check_hostname"),
    ("REDIS_URL", f"{REDISS}?ssl_check_hostname=true", ""),
    ("REDIS_URL", f"{REDISS}?ssl_ciphers=aNULL", "ssl_ciphers"),
    ("REDIS_URL", "rediss+sentinel://one,two/main/0", ""),
    ("REDIS_URL", "rediss+sentinel://one,two/main/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ("REDIS_URL", "rediss+cluster://one,two:7000/0", ""),
    ("REDIS_URL", "rediss+cluster://one,two?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ("REDIS_URL", "redis+cluster://one,two", "has to be rediss://"),
    ("REDIS_URL", "rediss+sentinel://one,two/main/0?ssl_check_hostname=f", "ssl_check_hostname"),
    ("REDIS_URL", "redis+sentinel://one,two/main/0?ssl=true", "has to be rediss:// or unix://"),
    ("MONGODB_URI", TLS, ""),
    ("MONGODB_URI", "mongodb://h/?TLS=true", ""),
    ("MONGODB_URI", "mongodb://h/?tls=TRUE", "has to say tls=true"),
    ("MONGODB_URI", "mongodb://h/?tls=1", "has to say tls=true"),
    ("MONGODB_URI", "mongodb://h/?ssl=true", ""),
    ("MONGODB_URI", f"{TLS}&tls=false", "has to say tls=true"),
    ("MONGODB_URI", "mongodb://h/?tls=false&tls=true", ""),
    ("MONGODB_URI", "mongodb://h/?x=tls=true", "MONGODB_URI is not a valid URL"),
    ("MONGODB_URI", "mongodb://h/?tls%3Dtrue", "MONGODB_URI is not a valid URL"),
    ("MONGODB_URI", f"{TLS}&ssl=false", "MONGODB_URI is not a valid URL"),
    ("MONGODB_URI", f"{TLS}&tlsInsecure=true", "tlsInsecure"),
    ("MONGODB_URI", f"{TLS}&TLSinsecure=true", "tlsInsecure"),
    ("MONGODB_URI", f"{TLS}&tlsInsecure=%74rue", "tlsInsecure"),
    ("MONGODB_URI", "mongodb://h/?tls=true;tlsInsecure=true", "tlsInsecure"),
    ("MONGODB_URI", f"{TLS}&tlsInsecure=false&tlsInsecure=true", "tlsInsecure"),
    ("MONGODB_URI", f"{TLS}&tlsInsecure=false", ""),
    ("MONGODB_URI", f"{TLS}&tlsAllowInvalidCertificates=true", "tlsAllowInvalidCertificates"),
    ("MONGODB_URI", f"{TLS}&tlsAllowInvalidHostnames=true", "tlsAllowInvalidHostnames"),
    ("MONGODB_URI", f"{TLS}&tlsDisableOCSPEndpointCheck=true", ""),
    ("MONGODB_URI", "mongodb+srv://u:canary@cluster.example/", ""),
    ("MONGODB_URI", "mongodb+srv://cluster.example/?ssl=false", "has to say tls=true"),
    ("MONGODB_URI", "mongodb+srv://cluster.example/?tlsInsecure=true", "tlsInsecure"),
    ("MONGODB_URI", "mongodb+srv://cluster.example/?retryWrites=true&tls=true&tls=false", "has to say tls=true"),
]


@pytest.mark.parametrize(("setting", "url", "named"), ADDRESSES)
def test_in_production_whatever_switches_the_protection_off_is_refused_and_named(
    environment: pytest.MonkeyPatch, setting: str, url: str, named: str
) -> None:
    values = {**SAFE, setting: url, "ENVIRONMENT": "production"}
    if not named:
        loaded(environment, **values)
        return
    told = refusal(environment, **values)
    assert setting in told
    assert named in told


def addresses(setting: str) -> pytest.MarkDecorator:
    """Those of one setting that its client takes at all."""
    taken = [(url, named) for whose, url, named in ADDRESSES if whose == setting and "is not a valid URL" not in named]
    return pytest.mark.parametrize(("url", "named"), taken)


def unsound(context: ssl.SSLContext | None) -> bool:
    return context is None or not context.check_hostname or context.verify_mode is not ssl.CERT_REQUIRED


@addresses("RABBITMQ_URL")
async def test_so_does_aiormq_read_it(url: str, named: str) -> None:
    contexts: list[ssl.SSLContext | None] = []
    for each in lenient_decoding.addresses(url):
        connection = aiormq.Connection(each)
        provider = SSLContextProvider(
            ssl_context=connection.ssl_context, ssl_certs=connection.ssl_certs, loop=asyncio.get_running_loop()
        )
        contexts.append(await provider.get_context() if connection.url.scheme == "amqps" else None)
        await connection.close()
    assert any(map(unsound, contexts)) is bool(named)


@addresses("REDIS_URL")
def test_so_does_redis_py_read_it(url: str, named: str) -> None:
    if "+sentinel" in url or "+cluster" in url or url.startswith("unix"):
        return
    connection = Redis.from_url(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
    context = connection.ssl_context.get() if isinstance(connection, SSLConnection) else None
    if named == "ssl_ciphers":
        assert context is not None
        assert any(cipher["auth"] == "auth-null" for cipher in context.get_ciphers())
    else:
        assert unsound(context) is bool(named)


@addresses("MONGODB_URI")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_so_does_pymongo_read_it(url: str, named: str) -> None:
    # Without DNS: such an address has TLS by default, and else is read as any other.
    by_srv = url.startswith("mongodb+srv") and "ssl=" not in url
    url = url.replace("mongodb+srv", "mongodb").replace("/?", "/?tls=true&" if by_srv else "/?")
    url += "?tls=true" if by_srv and "?" not in url else ""
    with MongoClient[dict[str, object]](url, connect=False) as client:
        context: Any = client.options.pool_options._ssl_context
    assert unsound(context) is bool(named)


@pytest.mark.parametrize(
    ("server", "security", "refused"),
    [
        ("gmail", "plain", True),
        ("mail.cinema.example", "plain", True),
        ("mailcatcher", "", True),
        ("gmail", "", False),
        ("mail.cinema.example", "starttls", False),
    ],
)
def test_in_production_no_login_goes_over_plain_text(
    environment: pytest.MonkeyPatch, server: str, security: str, *, refused: bool
) -> None:
    values = {**SAFE, **CONFIGURED, "SMTP_SERVER": server, "SMTP_SECURITY": security, "ENVIRONMENT": "production"}
    values["SMTP_PASSWORD"] = "canary-smtp"
    if not refused:
        assert loaded(environment, **values).live
        return
    told = refusal(environment, **values)
    assert "SMTP_SECURITY" in told
    assert "PLAINTEXT_ALLOWED=smtp" in told
    assert loaded(environment, **values, PLAINTEXT_ALLOWED="smtp").live
    environment.setenv("SMTP_USERNAME", "")
    environment.setenv("SMTP_PASSWORD", "")
    environment.setenv("PLAINTEXT_ALLOWED", "")
    load()


def test_the_catcher_of_the_compose_file_is_known_and_every_other_server_is_not_spoken_to_like_it(
    environment: pytest.MonkeyPatch,
) -> None:
    smtp = loaded(environment, SMTP_SERVER="mailcatcher").smtp
    assert (smtp.host, smtp.connect_port, smtp.protection) == ("mailcatcher", 1025, Security.PLAIN)
    smtp = loaded(environment, SMTP_SERVER="mailcatcher", SMTP_PORT="587", SMTP_SECURITY="starttls").smtp
    assert (smtp.connect_port, smtp.protection) == (587, Security.STARTTLS)


def test_in_development_plain_text_is_no_fault(environment: pytest.MonkeyPatch) -> None:
    assert set(loaded(environment).unprotected_links) == {"rabbitmq", "redis", "mongodb"}


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
    assert ("rabbitmq" in loaded(environment, RABBITMQ_URL=url).unprotected_links) is plain


def test_sentinel_with_tls_is_no_plain_text(environment: pytest.MonkeyPatch) -> None:
    assert "redis" not in loaded(environment, REDIS_URL="rediss+sentinel://one,two/main/0").unprotected_links
    assert "redis" in loaded(environment, REDIS_URL="redis+sentinel://one,two/main/0").unprotected_links


def test_the_password_of_each_address_is_a_secret(environment: pytest.MonkeyPatch) -> None:
    url = "amqp://user:first%2C,word@one,amqp://user:second@two/"
    assert {"first%2C,word", "first,,word", "second"} <= set(loaded(environment, RABBITMQ_URL=url).secrets())


# ── the console's place ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Notifications.Cinema.example/", "https://notifications.cinema.example"),
        ("https://cinema.example:443", "https://cinema.example"),
        ("https://cinema.example:80", "https://cinema.example:80"),
        ("http://localhost:8085", "http://localhost:8085"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_the_consoles_address_is_written_as_browsers_write_it(
    environment: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    assert loaded(environment, CONSOLE_URL=written).console.url == meant


@pytest.mark.parametrize(
    "url",
    [
        "cinema.example",
        "ftp://cinema.example",
        "https://",
        "https://user:word@cinema.example",
        "https://cinema.example/console",
        "https://cinema.example?x",
        "https://cinema.example\n",
        "https://cinema.example,evil.example",
        "https://cinema.example:0",
        "https://cinema.example:99999",
        "https://[1::2::3]",
        "https://..",
    ],
)
def test_what_is_no_address_of_a_console_is_refused(environment: pytest.MonkeyPatch, url: str) -> None:
    assert "CONSOLE_URL" in refusal(environment, CONSOLE_URL=url)


def test_proxies_are_addresses_and_networks(environment: pytest.MonkeyPatch) -> None:
    found = loaded(environment, CONSOLE_TRUSTED_PROXIES="10.0.3.0/24, 192.0.2.7,fd00::/8").console.trusted_proxies
    assert [str(each) for each in found] == ["10.0.3.0/24", "192.0.2.7/32", "fd00::/8"]


@pytest.mark.parametrize(
    "proxies", ["gateway", "10.0.3.0/33", "10.0.3.7/24", "*", "0.0.0.0/0", "::/0", "10.0.0.0/8,::/0"]
)
def test_nobody_is_made_a_proxy_by_mistake(environment: pytest.MonkeyPatch, proxies: str) -> None:
    assert "CONSOLE_TRUSTED_PROXIES" in refusal(environment, CONSOLE_TRUSTED_PROXIES=proxies)


def test_the_console_has_a_port_of_its_own(environment: pytest.MonkeyPatch) -> None:
    assert loaded(environment, PORT="8085").console.token is None
    token = "canary-of-sixteen-letters"
    assert "CONSOLE_PORT is the same as PORT" in refusal(environment, PORT="8085", CONSOLE_TOKEN=token)
    assert loaded(environment, PORT="8085", CONSOLE_PORT="8084", CONSOLE_TOKEN=token).console.port == 8084


_OAUTH = "SMTP_FALLBACK_OAUTH_"
_PLAIN = "SMTP_FALLBACK_SECURITY=plain"
_PORT = "the port goes into SMTP_FALLBACK_PORT"
FIRST = {"SMTP_SERVER": "smtp.cinema.example", "SMTP_USERNAME": "mailer", "SMTP_PASSWORD": "a-word-of-its-own"}
SECOND = {
    "SMTP_FALLBACK_SERVER": "smtp.other.example",
    "SMTP_FALLBACK_USERNAME": "mailer",
    "SMTP_FALLBACK_PASSWORD": "another-word-of-its-own",
}


def test_a_second_server_has_the_settings_of_the_first_under_names_of_its_own(
    environment: pytest.MonkeyPatch,
) -> None:
    settings = loaded(environment, **FIRST, **SECOND, SMTP_FALLBACK_SECURITY="implicit", SMTP_FALLBACK_POOL_SIZE="2")
    first, second = settings.relays
    assert (first.host, first.connect_port, first.pool_size) == ("smtp.cinema.example", 587, 8)
    assert (second.host, second.connect_port, second.pool_size) == ("smtp.other.example", 465, 2)


def test_without_a_second_server_there_is_one_relay(environment: pytest.MonkeyPatch) -> None:
    assert len(loaded(environment, **FIRST).relays) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SMTP_FALLBACK_PASSWORD": ""}, "SMTP_FALLBACK_USERNAME is set, and SMTP_FALLBACK_PASSWORD is not"),
        ({"SMTP_FALLBACK_USERNAME": ""}, "SMTP_FALLBACK_PASSWORD is set, and SMTP_FALLBACK_USERNAME is not"),
        ({"SMTP_FALLBACK_SERVER": ""}, "SMTP_FALLBACK_USERNAME is set, and SMTP_FALLBACK_SERVER is not"),
        ({"SMTP_SERVER": ""}, "SMTP_FALLBACK_SERVER is set, and SMTP_SERVER is not: the first server goes there"),
        (
            {"SMTP_FALLBACK_SERVER": "SMTP.cinema.example."},
            "SMTP_FALLBACK_SERVER is the same account as SMTP_SERVER: it would fail with it, name another",
        ),
        (
            {"SMTP_SERVER": "gmail", "SMTP_FALLBACK_SERVER": "smtp.googlemail.com", "SMTP_FALLBACK_PORT": "465"},
            "SMTP_FALLBACK_SERVER is the same account as SMTP_SERVER: it would fail with it, name another",
        ),
        (
            {"SMTP_FALLBACK_SERVER": "outlook", "SMTP_FALLBACK_AUTH": "oauth2"},
            f"SMTP_FALLBACK_AUTH=oauth2 needs {_OAUTH}CLIENT_ID, or {_OAUTH}SERVICE_ACCOUNT_FILE",
        ),
        (
            {"SMTP_FALLBACK_AUTH": "oauth2", "SMTP_FALLBACK_SECURITY": "plain"},
            f"SMTP_FALLBACK_AUTH: oauth2 needs TLS: with {_PLAIN}, everybody on the way could read the token",
        ),
        (
            {"SMTP_FALLBACK_SERVER": "smtp.other.example:587"},
            f"SMTP_FALLBACK_SERVER: neither a host name nor gmail, outlook or yahoo; {_PORT}",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "simulate", "live"])
def test_a_second_server_that_cannot_stand_behind_the_first_stops_the_start(
    environment: pytest.MonkeyPatch, changes: dict[str, str], said: str, mode: str
) -> None:
    if mode == "live" and "SMTP_SERVER" in changes and not changes["SMTP_SERVER"]:
        said = "DELIVERY_MODE=live, but SMTP_SERVER is not set"
    both = {**FIRST, **SECOND, "DELIVERY_MODE": mode, "FROM_EMAIL": "tickets@cinema.example"}
    assert refusal(environment, **{**both, **changes}) == said


@pytest.mark.parametrize(
    "other",
    [
        {"SMTP_FALLBACK_USERNAME": "another"},
        {"SMTP_FALLBACK_PORT": "2525"},
        {"SMTP_FALLBACK_SERVER": "smtp.other.example"},
    ],
)
def test_another_account_port_or_host_is_another_server(environment: pytest.MonkeyPatch, other: dict[str, str]) -> None:
    same = {**SECOND, "SMTP_FALLBACK_SERVER": "smtp.cinema.example"}
    assert len(loaded(environment, **FIRST, **{**same, **other}).relays) == 2


def test_in_production_neither_server_is_logged_in_at_in_plain_text(environment: pytest.MonkeyPatch) -> None:
    plain_links = {"PLAINTEXT_ALLOWED": "rabbitmq,redis,mongodb", "RABBITMQ_URL": "amqp://a:b7Zq@rabbit/"}
    said = refusal(
        environment, **FIRST, **SECOND, **plain_links, SMTP_FALLBACK_SECURITY="plain", ENVIRONMENT="production"
    )
    assert "SMTP_FALLBACK_USERNAME would log in at smtp.other.example:587 in plain text" in said
    assert "SMTP_FALLBACK_SECURITY has to be starttls or implicit" in said


def test_the_second_servers_password_is_hidden_and_judged_like_the_first_ones(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment, **FIRST, **{**SECOND, "SMTP_FALLBACK_PASSWORD": "change-me"})
    assert "change-me" in settings.secrets()
    assert settings.well_known_secrets[-1] == "SMTP_FALLBACK_PASSWORD"
