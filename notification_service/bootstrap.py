"""What the settings say, as parts: nothing here is connected, and nothing runs."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from notification_service.channels.breaker import Breaker
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.greeting import own_name
from notification_service.channels.email.smtp.pool import Limits, Pool, Server, tls_context
from notification_service.channels.email.smtp.tokens import Tokens, TokenSource
from notification_service.channels.email.template_loading import load
from notification_service.channels.simulated import SimulatedChannel
from notification_service.content import branding, links
from notification_service.content.branding import Brand
from notification_service.content.localization import Cinema, Defaults
from notification_service.content.profile import Policies, SenderProfile
from notification_service.contract.facts import ChannelKind
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import Observer
from notification_service.delivery.pipeline import Pipeline, Policy
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.ports.channel import Attempt, LiveTransport, Outbox, Transport
from notification_service.delivery.ports.claims import Claims
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import Directory
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.ports.retention import RetentionPolicy
from notification_service.delivery.rate_limits import RateLimits
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.redaction import Secrecy
from notification_service.settings import Grant, Login, Security, Settings, TransportKind, plain

_SIMULATED_SENDER = "tickets@cinema.example"
_SIMULATED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Stores:
    """What a pipeline remembers with: the real stores, or their twins."""

    claims: Claims
    ledger: Ledger
    directory: Directory
    rates: Rates


@dataclass(frozen=True, slots=True)
class ChannelParts:
    """What a further channel than e-mail is made of. `event_types`: of the events that go out by it.

    `max_concurrency`: how many messages are handed over at once.
    """

    composer: Composer
    transport: Transport
    event_types: tuple[str, ...]
    max_concurrency: int = 8


def templates_directory(settings: Settings) -> Path:
    """The setting, else the templates inside the package, else those of the checkout."""
    if settings.service.templates_dir is not None:
        return settings.service.templates_dir
    here = Path(__file__).parent
    packaged = here / "templates"
    return packaged if packaged.is_dir() else here.parent / "templates"


def load_renderer(settings: Settings) -> Renderer:
    """Raises `ConfigurationError` with file and line where a template is at fault."""
    return load(templates_directory(settings), profile(settings))


def profile(settings: Settings) -> SenderProfile:
    """What the settings say about whoever writes. Raises `ConfigurationError` where the logo cannot be read."""
    service, brand = settings.service, settings.brand
    return SenderProfile(
        Brand(
            name=brand.name or settings.sender.name,
            support_email=brand.support_email,
            site_url=brand.site_url,
            address=brand.address,
            sender=settings.sender_address or _SIMULATED_SENDER,
            colour=brand.colour,
            logo=branding.read_logo(brand.logo) if brand.logo else None,
        ),
        Defaults(
            service.default_locale,
            service.default_time_zone,
            service.default_currency,
            {name.casefold(): Cinema(**cinema.model_dump()) for name, cinema in service.cinemas.items()},
        ),
        links.LinkPatterns(
            hosts=frozenset(host.lower() for host in service.link_hosts),
            retry=service.retry_url,
            booking=service.booking_url,
            support=service.support_url,
        ),
        Policies(
            refund_days={method.casefold(): days for method, days in service.refund_days.items()},
            show_minutes=service.show_minutes,
            arrive_minutes=service.arrive_minutes,
        ),
    )


def email_composer(settings: Settings, renderer: Renderer) -> EmailComposer:
    return EmailComposer(
        renderer, sender_identity(settings), max_attachment_bytes=settings.service.max_attachment_bytes
    )


def sender_identity(settings: Settings) -> SenderIdentity:
    return SenderIdentity(settings.sender_address or _SIMULATED_SENDER, settings.sender.name)


def channel(settings: Settings) -> LiveTransport:
    """The way out that the settings choose, for whoever is to send for real. Raises `ConfigurationError`."""
    match settings.transport:
        case TransportKind.SMTP:
            return _smtp(settings)


def tls(settings: Settings) -> ssl.SSLContext:
    """For the mail server and the token endpoint. Raises `ConfigurationError` where SMTP_CA_FILE cannot be read."""
    try:
        return tls_context(settings.smtp.ca_file)
    except OSError as problem:
        raise ConfigurationError(f"SMTP_CA_FILE={settings.smtp.ca_file} cannot be read: {problem}") from problem


def _smtp(settings: Settings) -> SmtpChannel:
    """Raises `ConfigurationError`."""
    smtp, timeout, context = settings.smtp, settings.service.notification_timeout, tls(settings)
    server = Server(
        smtp.host,
        smtp.connect_port,
        start_tls=smtp.protection is Security.STARTTLS,
        implicit_tls=smtp.protection is Security.IMPLICIT,
        username=smtp.username,
        password=plain(smtp.password) if smtp.auth is Login.PASSWORD else None,
        timeout=timeout,
        ehlo_name=smtp.ehlo_name or own_name(),
    )
    tokens = _tokens(settings, context) if smtp.auth is Login.OAUTH2 else None
    pool = Pool(server, Limits(smtp.pool_size, smtp.max_idle, smtp.max_age, smtp.max_mails), context, tokens=tokens)
    provider = smtp.provider.by_token() if tokens else smtp.provider
    return SmtpChannel(pool, provider, timeout=timeout, data_timeout=smtp.data_timeout)


def _tokens(settings: Settings, context: ssl.SSLContext) -> Tokens:
    """Raises `ConfigurationError` where SMTP_OAUTH_SERVICE_ACCOUNT_FILE cannot be read."""
    # Imported here, as their libraries cost every other start time.
    from notification_service.channels.email.smtp import oauth  # noqa: PLC0415
    from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint  # noqa: PLC0415

    smtp = settings.smtp
    known = (plain(smtp.oauth_client_secret), plain(smtp.oauth_refresh_token))
    hide = Secrecy(mark="***", in_pieces=filter(None, known))
    client = Client(smtp.oauth_client_id or "", plain(smtp.oauth_client_secret), smtp.scope)
    endpoint = Endpoint(smtp.token_url or "", context, hide)
    source: TokenSource
    match smtp.grant:
        case Grant.CLIENT_CREDENTIALS:
            source = oauth.ClientCredentials(endpoint, client)
        case Grant.REFRESH_TOKEN:
            from notification_service.stores.mongo.refresh_tokens import MongoRefreshTokens  # noqa: PLC0415 - as above

            kept = MongoRefreshTokens(settings.mongodb.uri.get_secret_value(), settings.mongodb.database)
            source = oauth.RefreshToken(endpoint, client, plain(smtp.oauth_refresh_token) or "", kept)
        case Grant.SERVICE_ACCOUNT:
            key = oauth.read_service_key(smtp.oauth_service_account_file or Path())
            source = oauth.ServiceAccount(endpoint, key, smtp.username or "", smtp.scope)
    return Tokens(source, hide, deadline=settings.service.notification_timeout)


def unusable_outbox(named: str, folder: Path, problem: OSError) -> ConfigurationError:
    """`named`: the setting or the option that says which folder."""
    return ConfigurationError(
        f"{named}={folder} cannot be written to: {problem.strerror}; it has to be a folder that the service may write "
        "to, with room on its disk"
    )


def build_channel(
    outbox: Outbox, channel: LiveTransport | None, attempted: Callable[[Attempt], None] | None = None
) -> Breaker:
    """Either behind its breaker. None: mail is simulated, and no setting is here to say otherwise."""
    if channel is None:
        return Breaker(SimulatedChannel(outbox), _SIMULATED_AT_ONCE, on_attempt=attempted)
    return Breaker(channel, channel.max_concurrency, on_attempt=attempted)


def rate_limits(settings: Settings) -> RateLimits:
    """Those of the mail server are what its provider publishes, unless a setting says otherwise."""
    service, smtp = settings.service, settings.smtp
    minute, day = smtp.mails_per_minute, smtp.mails_per_day
    by_smtp = settings.live and settings.transport is TransportKind.SMTP
    return RateLimits(
        per_address_hour=service.recipient_mails_per_hour,
        per_domain_minute={name.lower(): most for name, most in service.domain_mails_per_minute.items()},
        per_minute=(smtp.provider.mails_a_minute if minute is None else minute) if by_smtp else 0,
        per_day=(smtp.provider.mails_a_day if day is None else day) if by_smtp else 0,
        server=f"{smtp.host}:{smtp.username or ''}",
        grain=min(service.retry_rungs) + 1,
    )


def ages(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(settings.service.record_days_full, settings.service.record_days)


def retry_schedule(settings: Settings) -> RetrySchedule:
    return RetrySchedule(settings.service.max_retry_attempts, settings.service.retry_rungs)


def pipeline(
    settings: Settings,
    composer: Composer,
    zone: Zone,
    stores: Stores,
    *,
    leases: Leases,
    breaker: Breaker,
    outbox: Outbox,
    observer: Observer,
) -> Pipeline:
    service = settings.service
    return Pipeline(
        state=DeliveryState(stores.claims, stores.ledger, leases, stores.rates),
        leases=leases,
        directory=stores.directory,
        composer=composer,
        channel=breaker,
        outbox=outbox,
        policy=Policy(
            retry_schedule=retry_schedule(settings),
            max_event_bytes=service.max_event_bytes,
            zone=zone,
            hold_unknown=frozenset(service.unknown_hold),
            express=settings.rabbitmq.express_lane and composer.channel is ChannelKind.EMAIL,
        ),
        jobs=Jobs(),
        poison_guard=PoisonGuard(stores.claims),
        observer=observer,
    )
