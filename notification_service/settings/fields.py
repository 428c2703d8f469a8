"""The types of single settings, with the checks that each value has to pass."""

import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from notification_service.channels.email.smtp.greeting import check_name
from notification_service.content.links import check_link
from notification_service.contract.events import EVENT_TYPES
from notification_service.contract.experiments import parse_experiment
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.variants import Experiment, Variant, control_name, variant_name
from notification_service.foundation.addresses import NotAnAddressError, parse_address
from notification_service.foundation.credentials import misread, published
from notification_service.foundation.hosts import is_host
from notification_service.settings.choices import ServiceLink

Network = IPv4Network | IPv6Network

MIN_KEY_LENGTH = 16


class SettingsGroup(BaseSettings):
    """The settings that share one prefix in the environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", env_ignore_empty=True, hide_input_in_errors=True
    )


def split(value: object) -> object:
    """Split a text at its commas, so that a list needs no JSON."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


def _check_address(text: str | None) -> str | None:
    try:
        return parse_address(text) if text else None
    except NotAnAddressError as problem:
        raise ValueError(f"not a mail address: {problem}") from None


def _check_delays(delays: tuple[int, ...]) -> tuple[int, ...]:
    if not delays or list(delays) != sorted(set(delays)):
        raise ValueError("expected one or more delays in whole seconds, in rising order")
    return delays


def _check_template(name: str) -> str:
    if name not in TEMPLATES:
        raise ValueError(f"unknown template {name!r}; known: {', '.join(TEMPLATES)}")
    return name


def _read_experiment(value: object) -> object:
    return parse_experiment(value) if isinstance(value, str) else value


def _check_variant(name: str | None) -> str | None:
    if name and (control_name(name) not in TEMPLATES or name != variant_name(control_name(name), Variant.B)):
        raise ValueError(f"{name!r} is no variant of a template; write one such as payment_failed@b")
    return name


def _check_event_type(name: str) -> str:
    if name not in EVENT_TYPES:
        raise ValueError(f"unknown event type {name!r}; known: {', '.join(EVENT_TYPES)}")
    return name


def _check_country(name: str) -> str:
    if not re.fullmatch("[A-Z]{2}", name):
        raise ValueError(f"{name!r} is no country: write two capital letters (ISO 3166), such as DE")
    return name


def _check_sms_sender(sender: str | None) -> str | None:
    """Twilio refuses each message whose sender is a number with blanks or brackets."""
    if sender and not re.fullmatch(r"\+[0-9]+|[^+].*", sender):
        raise ValueError("a number is written in digits alone behind its plus sign, such as +15550100123")
    return sender


def _check_api_url(url: str) -> str:
    """Require https or this machine, since the login is sent there."""
    allowed = r"https://[^/@\s#?]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
    if not (re.fullmatch(allowed, url) and _has_host(url)):
        raise ValueError("not the https URL of a provider, without a path and without a slash at its end")
    return url


def _has_host(url: str) -> bool:
    """Whether a URL names a host, and no port that cannot exist."""
    try:
        parts = urlsplit(url)
        return is_host(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_host(name: str) -> str:
    if not is_host(name):
        raise ValueError(f"{name!r} is not a host name; write it without https:// and without a port")
    return name


def _check_smtp_server(name: str | None) -> str | None:
    if name and not is_host(name.strip()):
        raise ValueError("neither a host name nor gmail, outlook or yahoo; the port goes into SMTP_PORT")
    return name


def _check_collector(url: str | None) -> str | None:
    """Refuse a login in the URL, so that it is no secret: credentials go into OTEL_EXPORTER_OTLP_HEADERS."""
    if url and not (re.fullmatch(r"https?://[^/@\s]+/\S*", url) and _has_host(url)):
        raise ValueError("not the URL of a collector, without a login in it, such as http://collector:4318/v1/traces")
    return url


def _check_token_url(url: str | None) -> str | None:
    """Require https or this machine, since secrets are sent there; refuse a login and a fragment."""
    allowed = r"https://[^/@\s#]+/[^\s#]*|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/[^\s#]*"
    if url and not (re.fullmatch(allowed, url) and _has_host(url)):
        raise ValueError("not the https URL of a token endpoint")
    return url


def _normalize_origin(url: str | None) -> str | None:
    """Returns the origin as a browser writes it: in lower case, without the default port and without a path."""
    if not url:
        return None
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?", url):
        raise ValueError("expected a scheme and a host, such as https://notifications.cinema.example")
    if not _has_host(url):
        raise ValueError("its host or its port cannot exist")
    scheme, host = urlsplit(url.lower()).scheme, urlsplit(url.lower()).netloc
    return f"{scheme}://{host.removesuffix(':443' if scheme == 'https' else ':80')}"


def _check_proxies(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError("a network of all addresses would let every client forge its address; name your proxies only")
    return networks


def _check_console_token(token: SecretStr) -> SecretStr:
    if published(token.get_secret_value()):
        raise ValueError(
            "this token is from an example or a row of keys, so anybody can guess it; make one with "
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))", or leave it empty to turn the console off'
        )
    return token


def _check_url_login(url: SecretStr) -> SecretStr:
    if misread(url.get_secret_value()):
        raise ValueError(
            "its login holds one of / ? # where a client would end the host; write them as %2F, %3F and %23 "
            "(and @ as %40, : as %3A, % as %25)"
        )
    return url


def _check_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < MIN_KEY_LENGTH:
        raise ValueError(f"a key needs at least {MIN_KEY_LENGTH} characters; `openssl rand -hex 32` makes one")
    return key


def _check_broker_name(name: str) -> str:
    """AMQP 0-9-1, 1.2: a short string has up to 255 bytes. Of RabbitMQ's own exchanges `amq.topic` fits."""
    if len(name.encode()) > _MAX_BROKER_NAME_BYTES or not name.isprintable():
        raise ValueError(f"a name in RabbitMQ has up to {_MAX_BROKER_NAME_BYTES} bytes, without control characters")
    if name.startswith("amq.") and name != "amq.topic":
        raise ValueError("RabbitMQ keeps names that begin with amq. to itself")
    return name


def _check_collection(name: str) -> str:
    """Refuse what MongoDB refuses, and the collections that hold something else than records."""
    if not re.fullmatch(r"(?!system\.)[^$\0.]+(\.[^$\0.]+)*", name) or len(name.encode()) > _MAX_COLLECTION_BYTES:
        raise ValueError("not a name that MongoDB takes for a collection, such as notification_logs")
    if name in _OTHER_COLLECTIONS:
        raise ValueError(f"{name} holds something else than records; name a collection of its own for them")
    return name


_MAX_BROKER_NAME_BYTES = 255
_MAX_COLLECTION_BYTES = 120
"""MongoDB before 4.4 allows 120 bytes for a database and a collection, later versions 255."""
_OTHER_COLLECTIONS = frozenset(
    {
        *("users", "bookings"),
        *(f"notification_{name}" for name in ("facts", "logins", "suppressions", "signals")),
    }
)
_DAY_S, _MOST = 86400, 10**9

Seconds = Annotated[float, Field(gt=0, le=_DAY_S)]
Lease = Annotated[float, Field(ge=0.1, le=_DAY_S)]
Count = Annotated[int, Field(ge=1, le=_MOST)]
Prefetch = Annotated[int, Field(ge=1, le=65535)]
"""AMQP 0-9-1, basic.qos: a short."""
Days = Annotated[float, Field(ge=0, le=36525)]
DaysInStore = Annotated[float, Field(gt=0, le=3650)]
"""RabbitMQ keeps a message for ten years at most."""
Limit = Annotated[int, Field(ge=0, le=_MOST)] | None
BrokerName = Annotated[str, AfterValidator(_check_broker_name)]
CollectionName = Annotated[str, AfterValidator(_check_collection)]
DatabaseName = Annotated[str, Field(pattern=r'^[^/\\. "$*<>:|?\x00]{1,63}$')]
Port = Annotated[int, Field(ge=1, le=65535)]

ApiUrl = Annotated[str, AfterValidator(_check_api_url)]
Country = Annotated[str, AfterValidator(_check_country)]
EventTypes = Annotated[tuple[Annotated[str, AfterValidator(_check_event_type)], ...], NoDecode, BeforeValidator(split)]
Price = Annotated[Decimal, Field(gt=0, le=1000)]
Address = Annotated[str | None, AfterValidator(_check_address)]
AddressKeys = Annotated[tuple[Annotated[SecretStr, AfterValidator(_check_key)], ...], NoDecode, BeforeValidator(split)]
BusinessDays = Annotated[str, Field(pattern="^[0-9]{1,3}(-[0-9]{1,3})?$")]
Collector = Annotated[str | None, AfterValidator(_check_collector)]
ConsoleToken = Annotated[SecretStr, Field(min_length=16), AfterValidator(_check_console_token)] | None
EhloName = Annotated[str | None, AfterValidator(lambda name: check_name(name) if name else None)]
ExperimentSetting = Annotated[Experiment | None, NoDecode, BeforeValidator(_read_experiment)]
FieldOfUser = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$")
"""The name of a field of a user, with dots between nested names."""
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_check_host)], ...], NoDecode, BeforeValidator(split)]
Links = Annotated[tuple[ServiceLink, ...], NoDecode, BeforeValidator(split)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(split), AfterValidator(_check_proxies)]
Origin = Annotated[str | None, AfterValidator(_normalize_origin)]
RetryDelays = Annotated[
    tuple[Annotated[int, Field(ge=1, le=31 * _DAY_S)], ...],
    NoDecode,
    BeforeValidator(split),
    AfterValidator(_check_delays),
]
SafeLink = Annotated[str | None, AfterValidator(check_link)]
SecretUrl = Annotated[SecretStr, AfterValidator(_check_url_login)]
SmtpServer = Annotated[str | None, AfterValidator(_check_smtp_server)]
TemplateNames = Annotated[tuple[Annotated[str, AfterValidator(_check_template)], ...], NoDecode, BeforeValidator(split)]
Tenant = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9.-]+$")]
VariantName = Annotated[str | None, AfterValidator(_check_variant)]
SmsSender = Annotated[str | None, AfterValidator(_check_sms_sender)]
TokenUrl = Annotated[str | None, AfterValidator(_check_token_url)]
