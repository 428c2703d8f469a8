"""Every setting, read once from the environment (or `.env`) into one frozen tree.

The names are those of the deployed booking system where it has one; `.env.example` says what each means.
"""

import re
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

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

from notification_service.channels.email.smtp import providers
from notification_service.channels.email.smtp.greeting import check_name
from notification_service.content.branding import ACCENT, check_colour
from notification_service.content.links import check_link
from notification_service.content.localization import check_locale
from notification_service.contract.rules import TEMPLATES
from notification_service.contract.time_zones import check_zone
from notification_service.delivery.retries import DEFAULT_DELAYS_S
from notification_service.foundation.addresses import NotAnAddressError, parse_address
from notification_service.foundation.credentials import misread, passwords, published, published_login, sent_by_auth
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.hosts import is_host

EXIT_CONFIGURATION = 78
EXIT_UNAVAILABLE = 69
EXIT_OUTPUT = 74

Network = IPv4Network | IPv6Network


class DeliveryMode(StrEnum):
    AUTO = "auto"
    LIVE = "live"
    SIMULATE = "simulate"


class TransportKind(StrEnum):
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


class ServiceLink(StrEnum):
    """What the service talks to."""

    RABBITMQ = "rabbitmq"
    REDIS = "redis"
    MONGODB = "mongodb"
    SMTP = "smtp"


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


def _rising(delays: tuple[int, ...]) -> tuple[int, ...]:
    if not delays or list(delays) != sorted(set(delays)):
        raise ValueError("the rungs are whole seconds, rising, at least one")
    return delays


def _template(name: str) -> str:
    if name not in TEMPLATES:
        raise ValueError(f"{name!r} is no template; there are {', '.join(TEMPLATES)}")
    return name


def _leads_somewhere(url: str) -> bool:
    """Whether there is a host in it, and no port that cannot be."""
    try:
        parts = urlsplit(url)
        return is_host(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _host(name: str) -> str:
    if not is_host(name):
        raise ValueError(f"{name!r} is no host: its name alone, without https:// before it or a port behind it")
    return name


def _server(name: str | None) -> str | None:
    if name and not is_host(name.strip()):
        raise ValueError("this is neither a host name nor gmail, outlook or yahoo; its port goes into SMTP_PORT")
    return name


def _collector(url: str | None) -> str | None:
    """Without a login in it, so that it is no secret: those go into OTEL_EXPORTER_OTLP_HEADERS."""
    if url and not (re.fullmatch(r"https?://[^/@\s]+/\S*", url) and _leads_somewhere(url)):
        raise ValueError("this is no address of a collector without a login, such as http://collector:4318/v1/traces")
    return url


EhloName = Annotated[str | None, AfterValidator(lambda name: check_name(name) if name else None)]


def _token_url(url: str | None) -> str | None:
    """Secrets go there: https, or this machine; no login and no fragment in it."""
    allowed = r"https://[^/@\s#]+/[^\s#]*|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/[^\s#]*"
    if url and not (re.fullmatch(allowed, url) and _leads_somewhere(url)):
        raise ValueError("this is no https address of a token endpoint")
    return url


def _origin(url: str | None) -> str | None:
    """As a browser writes it: in lower case, without a port that goes without saying, without a path."""
    if not url:
        return None
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?", url):
        raise ValueError("it has to be a scheme and a host, such as https://notifications.cinema.example")
    scheme, host = urlsplit(url.lower()).scheme, urlsplit(url.lower()).netloc
    return f"{scheme}://{host.removesuffix(':443' if scheme == 'https' else ':80')}"


def _not_everybody(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("a network of all addresses lets everybody say who they are: name your proxies alone")
    return networks


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
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], NoDecode, BeforeValidator(_words)]
TemplateNames = Annotated[tuple[Annotated[str, AfterValidator(_template)], ...], NoDecode, BeforeValidator(_words)]
RetryDelays = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], NoDecode, BeforeValidator(_words), AfterValidator(_rising)
]
BusinessDays = Annotated[str, Field(pattern="^[0-9]{1,3}(-[0-9]{1,3})?$")]
TokenUrl = Annotated[str | None, AfterValidator(_token_url)]
Tenant = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9.-]+$")]
SafeLink = Annotated[str | None, AfterValidator(check_link)]
Links = Annotated[tuple[ServiceLink, ...], NoDecode, BeforeValidator(_words)]
Collector = Annotated[str | None, AfterValidator(_collector)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Days = Annotated[float, Field(ge=0)]
Limit = Annotated[int, Field(ge=0)] | None
Port = Annotated[int, Field(ge=1, le=65535)]
Origin = Annotated[str | None, AfterValidator(_origin)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_words), AfterValidator(_not_everybody)]


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
    management_url: SecretStr | None = None


class RedisSettings(_Slice):
    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretUrl = SecretStr("redis://localhost:6379/0")


def _key(text: str) -> str:
    if len(text) < _SHORTEST_KEY:
        raise ValueError(f"a key has at least {_SHORTEST_KEY} characters, such as `openssl rand -hex 32` gives")
    return text


_SHORTEST_KEY = 16
Key = Annotated[SecretStr, AfterValidator(lambda key: SecretStr(_key(key.get_secret_value())))]
Keys = Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_words)]


class PrivacySettings(_Slice):
    """`keys`: of the digests by which the records of an address are found; the present one first, then older ones."""

    model_config = SettingsConfigDict(env_prefix="ADDRESS_")

    keys: Keys = ()

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(key.get_secret_value() for key in self.keys)


class MongoSettings(_Slice):
    model_config = SettingsConfigDict(env_prefix="MONGODB_")

    uri: SecretUrl = SecretStr("mongodb://localhost:27017")
    database: str = "movie_booking"
    collection: str = "notification_logs"


_FILE = "SMTP_OAUTH_SERVICE_ACCOUNT_FILE"


class SmtpSettings(_Slice):
    """`server`: a host name, or `gmail`, `outlook`, `yahoo`. Unset, mail is simulated."""

    model_config = SettingsConfigDict(env_prefix="SMTP_")

    server: Annotated[str | None, AfterValidator(_server)] = None
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
        if self.provider.plain:
            return Security.PLAIN
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
                return self.oauth.application_scope
            case Grant.REFRESH_TOKEN:
                return self.oauth.person_scope
            case Grant.SERVICE_ACCOUNT:
                return self.oauth.delegate_scope

    def for_a_person(self) -> "SmtpSettings":
        """As it will be when somebody has agreed, and SMTP_OAUTH_REFRESH_TOKEN is what that gave."""
        agreed = {"auth": Login.OAUTH2, "oauth_service_account_file": None, "oauth_refresh_token": SecretStr("agreed")}
        return self.model_copy(update=agreed)

    @property
    def _missing_for_tokens(self) -> str | None:
        name, oauth = self.provider.name, self.oauth
        asked = set((oauth.person_scope if oauth else "").split()) & {"offline_access"}
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
    """The web console is off without a token. `url`: the scheme and host under which browsers open it."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    token: ConsoleToken = None
    host: str = "127.0.0.1"
    port: Port = 8085
    url: Origin = None
    trusted_proxies: Networks = ()


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
    retry_rungs: RetryDelays = DEFAULT_DELAYS_S
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
    link_hosts: Hosts = ()
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
    addresses: PrivacySettings
    smtp: SmtpSettings
    sender: SenderSettings
    brand: BrandSettings
    console: ConsoleSettings
    service: ServiceSettings

    @property
    def transport(self) -> TransportKind:
        """Which way out is chosen, whether or not all is set that it needs. Nothing else decides it."""
        return TransportKind.SMTP

    @property
    def unconfigured(self) -> str | None:
        """What keeps mail from being sent for real, as one line that names the setting; None when nothing does."""
        no_sender = "FROM_EMAIL is not set, and SMTP_USERNAME is no mail address that could stand for it"
        sender = None if self.sender_address else no_sender
        match self.transport:
            case TransportKind.SMTP:
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
    def plaintext(self) -> dict[ServiceLink, str]:
        """What others could read along or answer in the other's place, and PLAINTEXT_ALLOWED does not name.

        Raises `ConfigurationError` where a URL cannot be read.
        """
        from notification_service import protection  # noqa: PLC0415 - the clients, which a health check does not need

        urls = (self.rabbitmq.url, self.redis.url, self.mongodb.uri)
        rabbitmq, redis, mongodb = (url.get_secret_value() for url in urls)
        judged = protection.unprotected(rabbitmq=rabbitmq, redis_url=redis, mongodb=mongodb)
        faults = {ServiceLink(name): fault for name, fault in judged.items()}
        management = plain(self.rabbitmq.management_url)
        if management and not management.lower().startswith("https://"):
            faults.setdefault(ServiceLink.RABBITMQ, "RABBITMQ_MANAGEMENT_URL has to be https://")
        if self.smtp.server and self.smtp.username and self.smtp.protection is Security.PLAIN:
            faults[ServiceLink.SMTP] = (
                f"SMTP_USERNAME would log in at {self.smtp.host}:{self.smtp.connect_port} in plain text: SMTP_SECURITY "
                "has to be starttls or implicit"
            )
        return {link: fault for link, fault in faults.items() if link not in self.service.plaintext_allowed}

    def secrets(self) -> list[str]:
        """Every secret in the tree, for the redaction of what is logged; the passwords inside the URLs too."""
        slices = (self.rabbitmq, self.redis, self.mongodb, self.smtp, self.console)
        held = [value.get_secret_value() for part in slices for _, value in part if isinstance(value, SecretStr)]
        held += self.addresses.texts
        sent = sent_by_auth(self.smtp.username or "", plain(self.smtp.password) or "") if self.smtp.password else ()
        return [*sent, *(secret for whole in held for secret in (whole, *passwords(whole)) if secret)]

    @property
    def published(self) -> list[str]:
        """The settings whose secret everybody can know."""
        urls = {"RABBITMQ_URL": self.rabbitmq.url, "REDIS_URL": self.redis.url, "MONGODB_URI": self.mongodb.uri}
        smtp = {f"SMTP_{name.upper()}": value for name, value in self.smtp if isinstance(value, SecretStr)}
        known = [name for name, url in urls.items() if published_login(url.get_secret_value())]
        return known + [name for name, secret in smtp.items() if published(secret.get_secret_value())]


def plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _said(problem: OSError | UnicodeDecodeError) -> str:
    """Without the bytes, which may be those of a secret."""
    return problem.strerror or "" if isinstance(problem, OSError) else f"byte {problem.start} begins no UTF-8"


def load(env_file: str | Path | None = ".env", *, links: bool = True) -> Settings:
    """Read the environment, once. Raises `ConfigurationError` that names each setting at fault and hides its value.

    `links`: judge in production how they are protected, which takes their clients' half a second of imports.
    """
    parts: dict[str, _Slice] = {}
    faults: list[str] = []
    for name, field in Settings.model_fields.items():
        kind: type[_Slice] = field.annotation  # type: ignore[assignment]  # every field of the tree is a slice
        prefix = kind.model_config.get("env_prefix", "")
        try:
            parts[name] = kind(_env_file=env_file)
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigurationError(f"{env_file} cannot be read: {_said(problem)}") from None
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
    if settings.console.token and settings.console.port == settings.service.port:
        raise ConfigurationError("CONSOLE_PORT is PORT: the console has a port of its own, apart from the metrics")
    if settings.service.environment is Environment.PRODUCTION:
        _check_production(settings, links=links)
    return settings


def _check_production(settings: Settings, *, links: bool) -> None:
    if links and (open_links := settings.plaintext):
        raise ConfigurationError(
            f"ENVIRONMENT=production, but {', '.join(open_links.values())}; where the network itself is protected, "
            f"PLAINTEXT_ALLOWED={','.join(open_links)} allows it"
        )
    if known := settings.published:
        raise ConfigurationError(
            f"ENVIRONMENT=production, but the password in {', '.join(known)} is one that everybody knows, such as "
            "change-me: give the server another, and set that"
        )
