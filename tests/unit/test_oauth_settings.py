"""SMTP_AUTH=oauth2: few settings suffice, missing ones are named, and without it none of its libraries is loaded."""

import subprocess
import sys

import pytest

from notification_service import bootstrap
from notification_service.channels.email.smtp import providers
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Grant, Settings, load

MICROSOFT = "https://login.microsoftonline.com/{}/oauth2/v2.0/token"
GOOGLE = "https://oauth2.googleapis.com/token"
SEND = "https://outlook.office.com/SMTP.Send offline_access"
ID, SECRET, REFRESH = "SMTP_OAUTH_CLIENT_ID", "SMTP_OAUTH_CLIENT_SECRET", "SMTP_OAUTH_REFRESH_TOKEN"
FILE, TENANT, URL = "SMTP_OAUTH_SERVICE_ACCOUNT_FILE", "SMTP_OAUTH_TENANT", "SMTP_OAUTH_TOKEN_URL"
OUTLOOK = {"SMTP_SERVER": "outlook", ID: "app", SECRET: "secret", TENANT: "cinema.example"}
PERSONAL = {"SMTP_SERVER": "smtp-mail.outlook.com", ID: "app", REFRESH: "refresh"}
GMAIL = {"SMTP_SERVER": "gmail", ID: "app", SECRET: "secret", REFRESH: "refresh"}
WORKSPACE = {"SMTP_SERVER": "gmail", FILE: "key.json"}
OTHER = {"SMTP_SERVER": "mail.cinema.example", ID: "app", SECRET: "secret", URL: "https://login.cinema.example/token"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SMTP_PASSWORD", "SMTP_SECURITY", "SMTP_PORT", "SMTP_CA_FILE", "FROM_EMAIL", "DELIVERY_MODE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def loaded(environment: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    for name, value in {"SMTP_AUTH": "oauth2", "SMTP_USERNAME": "tickets@cinema.example", **values}.items():
        environment.setenv(name, value)
    return load(None)


@pytest.mark.parametrize(
    ("values", "grant", "url", "scope"),
    [
        (
            OUTLOOK,
            Grant.CLIENT_CREDENTIALS,
            MICROSOFT.format("cinema.example"),
            "https://outlook.office365.com/.default",
        ),
        (PERSONAL, Grant.REFRESH_TOKEN, MICROSOFT.format("consumers"), SEND),
        ({**PERSONAL, TENANT: "1-2-3"}, Grant.REFRESH_TOKEN, MICROSOFT.format("1-2-3"), SEND),
        (GMAIL, Grant.REFRESH_TOKEN, GOOGLE, "https://mail.google.com/"),
        (WORKSPACE, Grant.SERVICE_ACCOUNT, GOOGLE, "https://mail.google.com/"),
        (
            {**WORKSPACE, "SMTP_SERVER": "smtp-relay.gmail.com"},
            Grant.SERVICE_ACCOUNT,
            GOOGLE,
            "https://mail.google.com/",
        ),
        (OTHER, Grant.CLIENT_CREDENTIALS, OTHER[URL], ""),
        ({**OTHER, REFRESH: "r", "SMTP_OAUTH_SCOPE": "send"}, Grant.REFRESH_TOKEN, OTHER[URL], "send"),
        ({**OUTLOOK, URL: "http://127.0.0.1:1/t"}, Grant.CLIENT_CREDENTIALS, "http://127.0.0.1:1/t", None),
    ],
)
def test_a_few_settings_are_enough_and_the_provider_gives_the_rest(
    environment: pytest.MonkeyPatch, values: dict[str, str], grant: Grant, url: str, scope: str | None
) -> None:
    settings = loaded(environment, values)
    assert (settings.live, settings.unconfigured) == (True, None)
    assert (settings.smtp.grant, settings.smtp.token_url) == (grant, url)
    assert scope is None or settings.smtp.scope == scope


@pytest.mark.parametrize(
    ("values", "without", "named"),
    [
        (OUTLOOK, "SMTP_USERNAME", "SMTP_USERNAME"),
        (OUTLOOK, ID, ID),
        (OUTLOOK, SECRET, SECRET),
        (OUTLOOK, TENANT, TENANT),
        (PERSONAL, ID, ID),
        (PERSONAL, REFRESH, REFRESH),
        (GMAIL, ID, ID),
        (GMAIL, SECRET, SECRET),
        (GMAIL, REFRESH, REFRESH),
        (WORKSPACE, FILE, FILE),
        (OTHER, URL, URL),
        (OTHER, SECRET, SECRET),
        (OUTLOOK, "SMTP_AUTH", "SMTP_AUTH=oauth2"),
        (WORKSPACE, "SMTP_AUTH", "SMTP_AUTH=oauth2"),
    ],
)
def test_what_is_missing_is_named_and_live_refuses(
    environment: pytest.MonkeyPatch, values: dict[str, str], without: str, named: str
) -> None:
    settings = loaded(environment, {**values, without: ""})
    assert not settings.live
    assert named in (settings.unconfigured or "")
    with pytest.raises(ConfigurationError, match=rf"^DELIVERY_MODE=live, but .*{named}"):
        loaded(environment, {**values, without: "", "DELIVERY_MODE": "live"})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({**WORKSPACE, REFRESH: "r"}, "unset one"),
        ({**OUTLOOK, FILE: "key.json"}, "Outlook supports no service accounts"),
        ({**PERSONAL, "SMTP_OAUTH_SCOPE": "https://outlook.office.com/SMTP.Send"}, "offline_access"),
    ],
)
def test_what_does_not_fit_together_is_named(
    environment: pytest.MonkeyPatch, values: dict[str, str], named: str
) -> None:
    assert named in (loaded(environment, values).unconfigured or "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_SECURITY", "plain"),
        ("SMTP_AUTH", "oauth"),
        (URL, "http://login.cinema.example/token"),
        (URL, "https://user:word@login.example/token"),
        (URL, "http://127.0.0.1.evil.example/token"),
        (URL, "http://localhost@evil.example/token"),
        (URL, "https://login.example"),
        (URL, "ftp://login.example/x"),
        (TENANT, "a/../../b"),
        (TENANT, "a b"),
    ],
)
def test_what_would_give_a_secret_away_or_makes_no_sense_ends_the_start(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    at_fault = "SMTP_AUTH" if name == "SMTP_SECURITY" else name
    with pytest.raises(ConfigurationError, match=rf"^{at_fault}: "):
        loaded(environment, {**OUTLOOK, name: value})


def test_plain_text_stays_possible_for_a_relay_on_the_same_machine(environment: pytest.MonkeyPatch) -> None:
    values = {"SMTP_AUTH": "password", "SMTP_SERVER": "localhost", "SMTP_SECURITY": "plain", "SMTP_PASSWORD": "x"}
    assert loaded(environment, values).live


def test_a_password_that_still_stands_there_is_not_used(environment: pytest.MonkeyPatch) -> None:
    settings = loaded(environment, {**OUTLOOK, "SMTP_PASSWORD": "canary"})
    assert settings.live
    channel = bootstrap.transport(settings)
    assert channel._pool.server.password is None  # type: ignore[attr-defined]  # an SmtpChannel


def test_what_asks_for_tokens_does_not_change_the_handshake_with_the_mail_server(
    environment: pytest.MonkeyPatch,
) -> None:
    """The HTTP client writes `http/1.1` into its TLS context (ALPN), which a mail server may refuse (RFC 7301)."""
    pool = bootstrap.transport(loaded(environment, OUTLOOK))._pool  # type: ignore[attr-defined]  # an SmtpChannel
    assert pool._logins._tls is not pool.tokens.grant._endpoint._tls


def test_a_start_without_oauth2_does_not_pay_for_it() -> None:
    code = "import sys, notification_service.service; print(*{'httpx2', 'jwt', 'cryptography.x509'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# ── what a refused login means ───────────────────────────────────────────────────────────────────────
BASIC = (
    "5.7.139 Authentication unsuccessful, basic authentication is disabled. [BN9P222CA0010.NAMP222.PROD.OUTLOOK.COM]"
)
OFF = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/x"


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (535, BASIC, "SMTP_AUTH=oauth2"),
        (535, OFF, "SmtpClientAuthenticationDisabled"),
        (550, "5.7.30 Basic authentication is not supported for Client Submission.", "SMTP_AUTH=oauth2"),
        (535, "5.7.3 Authentication unsuccessful", "SMTP_AUTH=oauth2"),
        (530, "5.7.57 Client not authenticated to send mail", "SMTP_AUTH=oauth2"),
        (550, "5.7.301 something else", "FROM_EMAIL"),
    ],
)
def test_what_microsoft_refuses_of_passwords_leads_to_tokens(code: int, text: str, words: str) -> None:
    assert words in providers.find("outlook").hint(code, text)


@pytest.mark.parametrize("server", ["gmail", "outlook", "yahoo", "mail.cinema.example"])
@pytest.mark.parametrize(("code", "text"), [(535, "5.7.8 no"), (535, BASIC), (535, OFF), (534, ""), (530, "")])
def test_where_a_token_was_refused_no_password_is_asked_for(server: str, code: int, text: str) -> None:
    hint = providers.find(server).by_token().hint(code, text)
    assert hint
    assert "\n" not in hint
    assert "password" not in hint.lower()
    assert "SMTP_AUTH=oauth2" not in hint


def test_other_hints_stay_where_tokens_are_used() -> None:
    gmail = providers.find("gmail")
    assert gmail.by_token().hint(454) == gmail.hint(454) != ""
