"""Every setting, read once from the environment (or `.env`) into one frozen tree.

The names are those of the deployed booking system where it has one; `.env.example` says what each means.
"""

import re
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from notification_service.addresses import NotAnAddressError, parse_address
from notification_service.branding import ACCENT, check_colour
from notification_service.channels.smtp import providers
from notification_service.channels.smtp.greeting import check_name
from notification_service.credentials import misread, passwords, published, published_login, sent_by_auth
from notification_service.links import check_link
from notification_service.notices import TEMPLATES
from notification_service.outcomes import ConfigurationError
from notification_service.retries import RUNGS
from notification_service.wording import check_locale, check_zone

EXIT_CONFIGURATION = 78
EXIT_UNAVAILABLE = 69


class DeliveryMode(StrEnum):
    AUTO = "auto"
    LIVE = "live"
    SIMULATE = "simulate"


class Transport(StrEnum):
    """What carries a mail that is sent for real, as `doctor` calls it."""

    SMTP = "SMTP"


class Security(StrEnum):
    """How the SMTP conversation is protected. `auto`: implicit TLS on port 465, else STARTTLS, which is demanded."""

    AUTO = "auto"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    PLAIN = "plain"


class Login(StrEnum):
    """How we log in at the mail server, where it wants that."""

    PASSWORD = "password"  # noqa: S105 - the word, not one
    OAUTH2 = "oauth2"


class Grant(StrEnum):
    """How tokens are had; which one follows from what is set."""

    CLIENT_CREDENTIALS = "client credentials"
    REFRESH_TOKEN = "refresh token"  # noqa: S105 - the word, not one
    SERVICE_ACCOUNT = "service account"


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Link(StrEnum):
    """What the service talks to besides the mail server."""

    RABBITMQ = "rabbitmq"
    REDIS = "redis"
    MONGODB = "mongodb"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class RecipientRecord(StrEnum):
    FULL = "full"
    MASKED = "masked"


def _address(text: str | None) -> str | None:
    try:
        return parse_address(text) if text else None
    except NotAnAddressError as problem:
        raise ValueError(f"this is no mail address: {problem}") from None


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _rising(rungs: tuple[int, ...]) -> tuple[int, ...]:
    if not rungs or list(rungs) != sorted(set(rungs)):
        raise ValueError("the rungs are whole seconds, rising, at least one")
    return rungs


def _template(name: str) -> str:
    if name not in TEMPLATES:
        raise ValueError(f"{name!r} is no template; there are {', '.join(TEMPLATES)}")
    return name


def _collector(url: str | None) -> str | None:
    """Without a login in it, so that it is no secret: those go into OTEL_EXPORTER_OTLP_HEADERS."""
    if url and not re.fullmatch(r"https?://[^/@\s]+/\S*", url):
        raise ValueError("this is no address of a collector without a login, such as http://collector:4318/v1/traces")
    return url


EhloName = Annotated[str | None, AfterValidator(lambda name: check_name(name) if name else None)]


def _token_url(url: str | None) -> str | None:
    """Secrets go there: https, or this machine; no login and no fragment in it."""
    if url and not re.fullmatch(
        r"https://[^/@\s#]+/[^\s#]*|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/[^\s#]*", url
    ):
        raise ValueError("this is no https address of a token endpoint")
    return url


def _protected(login: Login, read: ValidationInfo) -> Login:
    if login is Login.OAUTH2 and read.data.get("security") is Security.PLAIN:
        raise ValueError("oauth2 is not spoken over SMTP_SECURITY=plain, where everybody on the way can read the token")
    return login


def _unguessed(token: SecretStr) -> SecretStr:
    if published(token.get_secret_value()):
        raise ValueError(
            "this token stands in a form or is no more than a row of keys, so everybody knows it: make one with "
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))", or leave it empty: no console then'
        )
    return token


def _readable(url: SecretStr) -> SecretStr:
    if misread(url.get_secret_value()):
        raise ValueError(
            "a login in it holds one of / ? # which ends the host there: write them as %2F, %3F and %23 "
            "(and @ as %40, : as %3A, % as %25)"
        )
    return url


ConsoleToken = Annotated[SecretStr, Field(min_length=16), AfterValidator(_unguessed)] | None
SecretUrl = Annotated[SecretStr, AfterValidator(_readable)]
Address = Annotated[str | None, AfterValidator(_address)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
TemplateNames = Annotated[tuple[Annotated[str, AfterValidator(_template)], ...], NoDecode, BeforeValidator(_words)]
Rungs = Annotated[tuple[Annotated[int, Field(ge=1)], ...], NoDecode, BeforeValidator(_words), AfterValidator(_rising)]
BusinessDays = Annotated[str, Field(pattern="^[0-9]{1,3}(-[0-9]{1,3})?$")]
TokenUrl = Annotated[str | None, AfterValidator(_token_url)]
Tenant = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9.-]+$")]
SafeLink = Annotated[str | None, AfterValidator(check_link)]
Links = Annotated[tuple[Link, ...], NoDecode, BeforeValidator(_words)]
Collector = Annotated[str | None, AfterValidator(_collector)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Days = Annotated[float, Field(ge=0)]
Limit = Annotated[int, Field(ge=0)] | None
Port = Annotated[int, Field(ge=1, le=65535)]


class _Slice(BaseSettings):
    """The part of the environment that one part of the service sees."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", env_ignore_empty=True, hide_input_in_errors=True
    )


class RabbitSettings(_Slice):
    model_config = SettingsConfigDict(env_prefix="RABBITMQ_")

    url: SecretUrl = SecretStr("amqp://guest:guest@localhost:5672/")
    exchange: str = "movie_app_events"
    booking_queue: str = "notification.booking_events"
    payment_queue: str = "notification.payment_events"
    prefetch: Count = 32
    express_lane: bool = False


class RedisSettings(_Slice):
    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretUrl = SecretStr("redis://localhost:6379/0")


class MongoSettings(_Slice):
    model_config = SettingsConfigDict(env_prefix="MONGODB_")

    uri: SecretUrl = SecretStr("mongodb://localhost:27017")
    database: str = "movie_booking"
    collection: str = "notification_logs"


_FILE = "SMTP_OAUTH_SERVICE_ACCOUNT_FILE"


class SmtpSettings(_Slice):
    """`server`: a host name, or `gmail`, `outlook`, `yahoo`. Unset, mail is simulated."""

    model_config = SettingsConfigDict(env_prefix="SMTP_")

    server: str | None = None
    port: Port | None = None
    username: str | None = None
    password: SecretStr | None = None
    security: Security = Security.AUTO
    ca_file: Path | None = None
    ehlo_name: EhloName = None
    auth: Annotated[Login, AfterValidator(_protected)] = Login.PASSWORD
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_tenant: Tenant = None
    oauth_refresh_token: SecretStr | None = None
    oauth_service_account_file: Path | None = None
    oauth_token_url: TokenUrl = None
    oauth_scope: str | None = None
    pool_size: Count = 8
    max_idle: Seconds = 30
    max_age: Seconds = 300
    max_mails: Count = 1000
    data_timeout: Seconds = 600
    mails_per_minute: Limit = None
    mails_per_day: Limit = None

    @cached_property
    def provider(self) -> providers.Provider:
        return providers.find(self.server or "")

    @property
    def host(self) -> str:
        return self.provider.host or self.server or ""

    @property
    def connect_port(self) -> int:
        if self.port is not None:
            return self.port
        return 465 if self.security is Security.IMPLICIT else self.provider.port

    @property
    def protection(self) -> Security:
        if self.security is not Security.AUTO:
            return self.security
        return Security.IMPLICIT if self.connect_port == 465 else Security.STARTTLS  # noqa: PLR2004 - RFC 8314

    @property
    def missing(self) -> str | None:
        """What keeps it from being used, as one line that names the setting; None when nothing does."""
        if not self.server:
            return "SMTP_SERVER is not set"
        if self.auth is Login.OAUTH2:
            return self._missing_for_tokens
        if self.username and not self.password:
            by_token = self.oauth_client_id or self.oauth_service_account_file
            return "SMTP_USERNAME is set, and SMTP_PASSWORD is not" + (", nor SMTP_AUTH=oauth2" if by_token else "")
        if self.password and not self.username:
            return "SMTP_PASSWORD is set, and SMTP_USERNAME is not"
        if self.provider.needs_login and not self.username:
            return f"{self.provider.name} needs SMTP_USERNAME and SMTP_PASSWORD ({self.provider.setup})"
        return None

    @property
    def grant(self) -> Grant:
        if self.oauth_service_account_file:
            return Grant.SERVICE_ACCOUNT
        return Grant.REFRESH_TOKEN if self.oauth_refresh_token else Grant.CLIENT_CREDENTIALS

    @property
    def oauth(self) -> providers.OAuth | None:
        """What is known of where tokens come from."""
        return self.provider.oauth or (providers.GOOGLE if self.grant is Grant.SERVICE_ACCOUNT else None)

    @property
    def token_url(self) -> str | None:
        """Where tokens are asked for; None where that is not known."""
        if self.oauth_token_url or self.oauth is None:
            return self.oauth_token_url
        tenant = self.oauth_tenant or (self.oauth.tenant if self.grant is Grant.REFRESH_TOKEN else "")
        named = tenant or "{tenant}" not in self.oauth.token_url
        return self.oauth.token_url.format(tenant=tenant) if named else None

    @property
    def scope(self) -> str:
        """What a token is to allow; empty: whatever the endpoint gives."""
        if self.oauth_scope or self.oauth is None:
            return self.oauth_scope or ""
        match self.grant:
            case Grant.CLIENT_CREDENTIALS:
                return self.oauth.application
            case Grant.REFRESH_TOKEN:
                return self.oauth.person
            case Grant.SERVICE_ACCOUNT:
                return self.oauth.delegate

    def for_a_person(self) -> "SmtpSettings":
        """As it will be when somebody has agreed, and SMTP_OAUTH_REFRESH_TOKEN is what that gave."""
        agreed = {"auth": Login.OAUTH2, "oauth_service_account_file": None, "oauth_refresh_token": SecretStr("agreed")}
        return self.model_copy(update=agreed)

    @property
    def _missing_for_tokens(self) -> str | None:
        name, oauth = self.provider.name, self.oauth
        asked = set((oauth.person if oauth else "").split()) & {"offline_access"}
        person, account = self.grant is Grant.REFRESH_TOKEN, self.grant is Grant.SERVICE_ACCOUNT
        secret = self.oauth_client_secret is not None
        faults = (
            (not self.username, "SMTP_AUTH=oauth2 needs SMTP_USERNAME, the mailbox"),
            (account and self.oauth_refresh_token, f"{_FILE} and SMTP_OAUTH_REFRESH_TOKEN are both set: unset one"),
            (account and not self.scope, f"{name} knows no service accounts: unset {_FILE}"),
            (not account and not self.oauth_client_id, f"SMTP_AUTH=oauth2 needs SMTP_OAUTH_CLIENT_ID, or {_FILE}"),
            (
                self.grant is Grant.CLIENT_CREDENTIALS and oauth and not self.scope,
                f"{name} needs SMTP_OAUTH_REFRESH_TOKEN beside SMTP_OAUTH_CLIENT_ID, or {_FILE}",
            ),
            (
                self.grant is Grant.CLIENT_CREDENTIALS and not secret,
                "SMTP_AUTH=oauth2 needs SMTP_OAUTH_CLIENT_SECRET or SMTP_OAUTH_REFRESH_TOKEN",
            ),
            (
                person and oauth and oauth.needs_secret and not secret,
                f"{name} needs SMTP_OAUTH_CLIENT_SECRET beside SMTP_OAUTH_REFRESH_TOKEN",
            ),
            (
                person and not asked <= set(self.scope.split()),
                "SMTP_OAUTH_SCOPE has to name offline_access, or the refresh token is never renewed and dies",
            ),
            (
                not account and not self.token_url,
                "SMTP_OAUTH_TENANT is not set" if oauth else "SMTP_OAUTH_TOKEN_URL is not set",
            ),
        )
        return next((what for at_fault, what in faults if at_fault), None)


class SenderSettings(_Slice):
    model_config = SettingsConfigDict(env_prefix="FROM_")

    email: Address = None
    name: str = "Movie Tickets"


class BrandSettings(_Slice):
    """Who the mails speak for. `name` is FROM_NAME unless it is set."""

    model_config = SettingsConfigDict(env_prefix="BRAND_")

    name: str | None = None
    support_email: Address = None
    site_url: SafeLink = None
    address: str | None = None
    colour: Annotated[str, AfterValidator(check_colour)] = ACCENT
    logo: Path | None = None


class ConsoleSettings(_Slice):
    """The web console is off without a token."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    token: ConsoleToken = None


class CinemaSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str | None = None
    time_zone: Annotated[str | None, AfterValidator(check_zone)] = None
    map_url: SafeLink = None


class ServiceSettings(_Slice):
    environment: Environment = Environment.DEVELOPMENT
    plaintext_allowed: Links = ()
    delivery_mode: DeliveryMode = DeliveryMode.AUTO
    outbox_dir: Path = Path("outbox")
    templates_dir: Path | None = None
    log_level: Annotated[str, Field(pattern="(?i)^(debug|info|warning|error|critical)$")] = "INFO"
    log_format: LogFormat = LogFormat.AUTO
    http_host: str = "0.0.0.0"  # noqa: S104 - the gateway and the prober live in other containers
    port: Port = 8084
    tracing_endpoint: Collector = None
    max_retry_attempts: Annotated[int, Field(ge=0)] = 5
    retry_rungs: Rungs = RUNGS
    notification_timeout: Seconds = 30
    startup_timeout: Seconds = 120
    shutdown_grace: Seconds = 25
    lease_seconds: Seconds = 30
    verdict_days: Seconds = 15
    parking_days: Seconds = 7
    record_days_full: Days = 0
    record_days: Days = 0
    recipient_mails_per_hour: Count = 60
    domain_mails_per_minute: dict[str, Annotated[int, Field(ge=0)]] = {}
    max_event_bytes: Count = 256 * 1024
    max_attachment_bytes: Count = 5 * 1024 * 1024
    unknown_hold: TemplateNames = ()
    record_recipient: RecipientRecord = RecipientRecord.FULL
    link_hosts: Words = ()
    retry_url: SafeLink = None
    booking_url: SafeLink = None
    support_url: SafeLink = None
    cinemas: dict[str, CinemaSettings] = {}
    refund_days: dict[str, BusinessDays] = {}
    show_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 150
    arrive_minutes: Annotated[int, Field(ge=1, le=24 * 60)] | None = None
    default_locale: Annotated[str, AfterValidator(check_locale)] = "en_US"
    default_time_zone: Annotated[str | None, AfterValidator(check_zone)] = None
    default_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"

    @property
    def too_short(self) -> str | None:
        """What would be forgotten while something may still ask for it; None where nothing is."""
        for name, days in (("RECORD_DAYS_FULL", self.record_days_full), ("RECORD_DAYS", self.record_days)):
            if days and days < self.parking_days:
                return f"{name}={days:g} is less than PARKING_DAYS={self.parking_days:g}: a replay needs its record"
        if self.record_days and self.record_days < self.verdict_days:
            return (
                f"RECORD_DAYS={self.record_days:g} is less than VERDICT_DAYS={self.verdict_days:g}: "
                "a verdict needs its record"
            )
        return None


class Settings(BaseModel):
    """The tree. Secrets are `SecretStr` in it, so no repr of any part shows one."""

    model_config = ConfigDict(frozen=True)

    rabbitmq: RabbitSettings
    redis: RedisSettings
    mongodb: MongoSettings
    smtp: SmtpSettings
    sender: SenderSettings
    brand: BrandSettings
    console: ConsoleSettings
    service: ServiceSettings

    @property
    def transport(self) -> Transport:
        """Which way out is chosen, whether or not all is set that it needs. Nothing else decides it."""
        return Transport.SMTP

    @property
    def unconfigured(self) -> str | None:
        """What keeps mail from being sent for real, as one line that names the setting; None when nothing does."""
        no_sender = "FROM_EMAIL is not set, and SMTP_USERNAME is no mail address that could stand for it"
        sender = None if self.sender_address else no_sender
        match self.transport:
            case Transport.SMTP:
                return self.smtp.missing or sender

    @property
    def sender_address(self) -> str | None:
        if self.sender.email:
            return self.sender.email
        try:
            return parse_address(self.smtp.username or "")
        except NotAnAddressError:
            return None

    @property
    def live(self) -> bool:
        return self.service.delivery_mode is not DeliveryMode.SIMULATE and self.unconfigured is None

    @property
    def plaintext(self) -> dict[Link, str]:
        """The settings whose URL sends everything in plain text, and that PLAINTEXT_ALLOWED does not name."""
        queries = {
            Link.RABBITMQ: ("RABBITMQ_URL has to be amqps://", self.rabbitmq.url, r"amqps://(?!.*,\s*amqp://)"),
            Link.REDIS: ("REDIS_URL has to be rediss:// or unix://", self.redis.url, r"(rediss(\+sentinel)?|unix)://"),
            Link.MONGODB: ("MONGODB_URI has to say tls=true", self.mongodb.uri, _MONGODB_TLS),
        }
        return {
            link: what
            for link, (what, url, protected) in queries.items()
            if link not in self.service.plaintext_allowed
            and not re.match(protected, url.get_secret_value(), re.IGNORECASE)
        }

    def secrets(self) -> list[str]:
        """Every secret in the tree, for the redaction of what is logged; the passwords inside the URLs too."""
        slices = (self.rabbitmq, self.redis, self.mongodb, self.smtp, self.console)
        held = [value.get_secret_value() for part in slices for _, value in part if isinstance(value, SecretStr)]
        sent = sent_by_auth(self.smtp.username or "", plain(self.smtp.password) or "") if self.smtp.password else ()
        return [*sent, *(secret for whole in held for secret in (whole, *passwords(whole)) if secret)]

    @property
    def published(self) -> list[str]:
        """The settings whose secret everybody can know."""
        urls = {"RABBITMQ_URL": self.rabbitmq.url, "REDIS_URL": self.redis.url, "MONGODB_URI": self.mongodb.uri}
        smtp = {f"SMTP_{name.upper()}": value for name, value in self.smtp if isinstance(value, SecretStr)}
        known = [name for name, url in urls.items() if published_login(url.get_secret_value())]
        return known + [name for name, secret in smtp.items() if published(secret.get_secret_value())]


_MONGODB_TLS = r"mongodb\+srv://(?!.*[?&](tls|ssl)=false)|mongodb://.*[?&](tls|ssl)=true"
"""An address that is looked up by SRV speaks TLS unless it says otherwise."""


def plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def load(env_file: str | Path | None = ".env") -> Settings:
    """Read the environment, once. Raises `ConfigurationError` that names each setting at fault and hides its value."""
    parts: dict[str, _Slice] = {}
    faults: list[str] = []
    for name, field in Settings.model_fields.items():
        kind: type[_Slice] = field.annotation  # type: ignore[assignment]  # every field of the tree is a slice
        prefix = kind.model_config.get("env_prefix", "")
        try:
            parts[name] = kind(_env_file=env_file)
        except SettingsError as problem:
            # It names the field, in lower case and without our prefix, and hides the value.
            named = re.search(r'field "(\w+)"', str(problem))
            faults.append(f"{prefix}{named[1].upper() if named else 'a setting'}: it has to be JSON, see .env.example")
        except ValidationError as problem:
            faults += [
                f"{prefix}{str(fault['loc'][0]).upper()}: {fault['msg']}"
                for fault in problem.errors(include_input=False, include_url=False)
            ]
    if faults:
        raise ConfigurationError("; ".join(faults))
    settings = Settings(**parts)
    if settings.service.delivery_mode is DeliveryMode.LIVE and settings.unconfigured:
        raise ConfigurationError(f"DELIVERY_MODE=live, but {settings.unconfigured}")
    if short := settings.service.too_short:
        raise ConfigurationError(short)
    if settings.service.environment is Environment.PRODUCTION:
        _check_production(settings)
    return settings


def _check_production(settings: Settings) -> None:
    if plain := settings.plaintext:
        raise ConfigurationError(
            f"ENVIRONMENT=production, but {', '.join(plain.values())}; where the network itself is protected, "
            f"PLAINTEXT_ALLOWED={','.join(plain)} allows it"
        )
    if known := settings.published:
        raise ConfigurationError(
            f"ENVIRONMENT=production, but the password in {', '.join(known)} is one that everybody knows, such as "
            "change-me: give the server another, and set that"
        )
