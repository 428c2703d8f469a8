"""Makes the parts of the service from the settings. Nothing is connected here."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from notification_service.channels.breaker import Breaker
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.smtp import sending_services
from notification_service.channels.email.template_loading import load
from notification_service.channels.email.wallet.tickets import PassFiles, SaveLinks, Wallets
from notification_service.channels.relays import Relay, Relays
from notification_service.channels.simulated import SimulatedChannel
from notification_service.content import branding, links, variant_folders
from notification_service.content.branding import Brand
from notification_service.content.localization import Cinema, Defaults
from notification_service.content.profile import Policies, SenderProfile
from notification_service.content.reader_links import ReaderLinks
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.variants import Variant, variant_name
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import Observer
from notification_service.delivery.pipeline import Pipeline, Policy
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.ports.channel import Attempt, Channel, LiveTransport, LookUp, Outbox, Transport
from notification_service.delivery.ports.claims import Claims
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import Directory
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.ports.suppressions import Suppressions
from notification_service.delivery.rate_limits import RateLimits
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.shadow import Shadow
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import SuppressionCheck
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, SmtpSettings, Tracking, TransportKind, WalletSettings, plain

if TYPE_CHECKING:
    from notification_service.channels.sms.cost_meter import CostMeter

_SIMULATED_SENDER = "tickets@cinema.example"
_MAX_SIMULATED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of a pipeline: the real ones or their in-memory twins."""

    claims: Claims
    ledger: Ledger
    directory: Directory
    rates: Rates
    suppressions: Suppressions | None = None


@dataclass(frozen=True, slots=True)
class ChannelParts:
    """The parts of a further channel beside e-mail. `event_types`: the types of event that it has a record of.

    `max_concurrency`: how many messages it hands over at once. `chosen`: the types that it sends, where those are not
    all of them. `look_up`: where its provider can say whether it has a message. `hold_unknown`: a message in doubt is
    never sent again. `rate_limits`: of its own. `meter`: tells what its messages cost.
    """

    composer: Composer
    transport: Transport
    event_types: tuple[str, ...]
    max_concurrency: int = 8
    chosen: tuple[str, ...] | None = None
    look_up: LookUp | None = None
    hold_unknown: bool = False
    rate_limits: RateLimits = field(default_factory=RateLimits)
    meter: "CostMeter | None" = None

    @property
    def not_selected(self) -> frozenset[str]:
        return frozenset() if self.chosen is None else frozenset(self.event_types) - frozenset(self.chosen)


def templates_directory(settings: Settings) -> Path:
    """The folder of the setting, else that inside the package, else that of the checkout."""
    if settings.service.templates_dir is not None:
        return settings.service.templates_dir
    package = Path(__file__).parents[1]
    packaged = package / "templates"
    return packaged if packaged.is_dir() else package.parent / "templates"


def load_renderer(settings: Settings) -> Renderer:
    """Load the templates. Raises `ConfigurationError` with file and line if one is wrong, or a file of a wallet.

    It also raises it if a variant that a setting names is missing.
    """
    renderer = load(templates_directory(settings), profile(settings), wallets(settings))
    experiment, shadow = settings.service.experiment, settings.service.shadow_variant
    if experiment:
        variant_folders.require(renderer.templates, variant_name(experiment.template, Variant.B), "EXPERIMENT")
    if shadow:
        variant_folders.require(renderer.templates, shadow, "SHADOW_VARIANT")
    return renderer


def wallets(settings: Settings) -> Wallets:
    """The wallets that are set up. Raises `ConfigurationError` if one of their files cannot be used."""
    return Wallets(_apple_wallet(settings.wallet), _google_wallet(settings.wallet))


def _apple_wallet(wallet: WalletSettings) -> PassFiles | None:
    certificate, key, wwdr = wallet.apple_certificate, wallet.apple_key, wallet.apple_wwdr
    if certificate is None or key is None or wwdr is None:
        return None
    from notification_service.channels.email.wallet import apple  # noqa: PLC0415 - what is off is not imported

    return apple.AppleWallet(apple.read_signer(certificate, key, wwdr, plain(wallet.apple_key_password)))


def _google_wallet(wallet: WalletSettings) -> SaveLinks | None:
    if wallet.google_service_account_file is None or wallet.google_issuer_id is None:
        return None
    from notification_service.channels.email.service_keys import read_service_key  # noqa: PLC0415 - as above
    from notification_service.channels.email.wallet.google import GoogleWallet  # noqa: PLC0415

    key = read_service_key(wallet.google_service_account_file, "WALLET_GOOGLE_SERVICE_ACCOUNT_FILE")
    return GoogleWallet(key, wallet.google_issuer_id)


def profile(settings: Settings) -> SenderProfile:
    """The sender's brand, defaults, links and policies. Raises `ConfigurationError` if the logo cannot be read."""
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
            cancel_hours=service.cancel_hours,
        ),
    )


def email_composer(settings: Settings, renderer: Renderer, *, preview: bool = False) -> EmailComposer:
    """`preview`: its mails reach no reader, so no link in them leads by way of our listener.

    Raises `ConfigurationError` if readers could not unsubscribe from an optional template.
    """
    return EmailComposer(
        renderer,
        sender_identity(settings),
        max_attachment_bytes=settings.service.max_attachment_bytes,
        reader_links=None if preview else reader_links(settings, renderer.optional_templates),
    )


def reader_links(settings: Settings, optional_templates: Collection[str]) -> ReaderLinks | None:
    """What makes the links that lead by way of our listener; None where no mail needs one.

    Raises `ConfigurationError` if readers could not unsubscribe from an optional template.
    """
    tracking, url = settings.tracking, settings.feedback.callback_url or ""
    clicks = tracking.tracking is Tracking.CLICKS
    if optional_templates:
        _check_unsubscribing(settings, min(optional_templates))
    elif not clicks:
        return None
    return ReaderLinks(tracking.token_keys, url, clicks)


def _check_unsubscribing(settings: Settings, template: str) -> None:
    """Raises `ConfigurationError`. RFC 8058 requires https."""
    needed = {
        "CALLBACK_URL with https": (settings.feedback.callback_url or "").startswith("https://"),
        "LINK_KEYS": bool(settings.tracking.link_keys),
        "SUPPRESSION=true": settings.tracking.suppression,
    }
    if missing := [name for name, there in needed.items() if not there]:
        raise ConfigurationError(
            f"template {template} is optional, so readers may unsubscribe from it: that needs {', '.join(missing)}"
        )


def sender_identity(settings: Settings) -> SenderIdentity:
    """With an envelope sender for each notification, and a tag for the server's reports, where the settings ask."""
    service = sending_services.find(settings.smtp.host) if settings.feedback.has_webhooks else None
    return SenderIdentity(
        settings.sender_address or _SIMULATED_SENDER,
        settings.sender.name,
        _return_path(settings),
        service.tag if service else None,
    )


def _return_path(settings: Settings) -> Callable[[str], str] | None:
    if settings.feedback.return_path_domain is None:
        return None
    from notification_service.feedback.return_path import ReturnPath  # noqa: PLC0415 - only where it is asked for

    return ReturnPath(settings.tracking.token_keys, settings.feedback.return_path_domain).of


def unusable_outbox(option: str, folder: Path, problem: OSError) -> ConfigurationError:
    """`option`: the setting or command-line option that names the folder."""
    return ConfigurationError(
        f"{option}={folder} cannot be written to: {problem.strerror}; it needs a folder that the service may write to, "
        "and free space on its disk"
    )


def build_channel(
    outbox: Outbox, transport: LiveTransport | None, attempted: Callable[[Attempt], None] | None = None
) -> Breaker:
    """The breaker around the transport; None: around simulation, whatever the settings say."""
    if transport is None:
        return Breaker(SimulatedChannel(outbox), _MAX_SIMULATED_AT_ONCE, on_attempt=attempted)
    return Breaker(transport, transport.max_concurrency, on_attempt=attempted)


def build_relays(
    settings: Settings,
    transports: Sequence[LiveTransport],
    rates_of: Callable[[RateLimits], Rates],
    attempted: Callable[[Attempt, str], None],
) -> Relays:
    """The channel over the relays, each with a breaker and limits of its own. `attempted` gets the provider too."""

    def relay(transport: LiveTransport, smtp: SmtpSettings) -> Relay:
        told = partial(_told, attempted, transport.provider)
        breaker = Breaker(transport, transport.max_concurrency, on_attempt=told, log_in=transport.check)
        return Relay(breaker, rates_of(relay_limits(settings, smtp)), smtp.named)

    return Relays([relay(*each) for each in zip(transports, settings.relays, strict=True)])


def _told(attempted: Callable[[Attempt, str], None], provider: str, attempt: Attempt) -> None:
    attempted(attempt, provider)


def rate_limits(settings: Settings) -> RateLimits:
    """The limits before a message is composed; those of the mail server too, unless there are several relays."""
    service = settings.service
    by_smtp = settings.live and not settings.fallback.server and settings.transport is TransportKind.SMTP
    return replace(
        relay_limits(settings, settings.smtp) if by_smtp else RateLimits(grain=_grain(settings)),
        per_address_hour=service.recipient_mails_per_hour,
        per_domain_minute={name.lower(): limit for name, limit in service.domain_mails_per_minute.items()},
    )


def relay_limits(settings: Settings, smtp: SmtpSettings) -> RateLimits:
    """The limits of a mail server are those that its provider publishes, unless a setting overrides them."""
    minute, day = smtp.mails_per_minute, smtp.mails_per_day
    return RateLimits(
        per_minute=smtp.provider.mails_a_minute if minute is None else minute,
        per_day=smtp.provider.mails_a_day if day is None else day,
        server=f"{smtp.host}:{smtp.username or ''}",
        grain=_grain(settings),
    )


def _grain(settings: Settings) -> float:
    return min(settings.service.retry_rungs) + 1


def retry_schedule(settings: Settings) -> RetrySchedule:
    return RetrySchedule(settings.service.max_retry_attempts, settings.service.retry_rungs)


def pipeline(
    settings: Settings,
    composer: Composer,
    zone: Zone,
    stores: Stores,
    *,
    leases: Leases,
    breaker: Channel,
    outbox: Outbox,
    observer: Observer,
    optional_templates: Collection[str] = (),
    experiment: RunningExperiment | None = None,
    further: ChannelParts | None = None,
) -> Pipeline:
    """`optional_templates`: those that readers may unsubscribe from. `further`: a channel beside e-mail."""
    service = settings.service
    hold_all = further is not None and further.hold_unknown
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
            hold_unknown=frozenset(TEMPLATES if hold_all else service.unknown_hold),
            not_selected=further.not_selected if further else frozenset(),
            ask_consent=bool(settings.tracking.consent_field),
            express=settings.rabbitmq.express_lane and composer.channel is ChannelKind.EMAIL,
        ),
        jobs=Jobs(),
        poison_guard=PoisonGuard(stores.claims),
        observer=observer,
        suppression=SuppressionCheck(
            stores.suppressions, composer.channel, settings.tracking.suppression_time, optional_templates
        )
        if stores.suppressions
        else None,
        experiment=experiment.for_channel(composer) if experiment else None,
        shadow=Shadow(composer, service.shadow_variant) if service.shadow_variant else None,
        look_up=further.look_up if further else None,
    )
