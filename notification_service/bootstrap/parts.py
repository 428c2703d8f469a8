"""Makes the parts of the service from the settings. Nothing is connected here."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from notification_service.channels.breaker import Breaker
from notification_service.channels.relays import Relay, Relays
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.device_check import DeviceCheck
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import Observer
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.channel import Attempt, Channel, LiveTransport, LookUp, Outbox, Transport
from notification_service.delivery.ports.claims import Claims
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import ConsentRule, Directory
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.ports.suppressions import Suppressions
from notification_service.delivery.rate_limits import RateLimits
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.shadow import Shadow
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import ListCheck, SuppressionCheck
from notification_service.foundation.errors import ConfigurationError
from notification_service.settings import Settings, SmtpSettings, TransportKind

if TYPE_CHECKING:
    from notification_service.channels.sms.cost_meter import CostMeter

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
    all of them. `look_up`: where its provider can say whether it has a message. `max_resends`: how often a message in
    doubt is sent again. `rate_limits`: of its own. `meter`: tells what its messages cost.
    """

    composer: Composer
    transport: Transport
    event_types: tuple[str, ...]
    max_concurrency: int = 8
    chosen: tuple[str, ...] | None = None
    look_up: LookUp | None = None
    max_resends: int = 1
    rate_limits: RateLimits = field(default_factory=RateLimits)
    meter: "CostMeter | None" = None

    @property
    def not_selected(self) -> frozenset[str]:
        return frozenset() if self.chosen is None else frozenset(self.event_types) - frozenset(self.chosen)


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
    return Pipeline(
        state=DeliveryState(stores.claims, stores.ledger, leases, stores.rates),
        leases=leases,
        directory=stores.directory,
        composer=composer,
        channel=breaker,
        outbox=outbox,
        policy=_policy(settings, composer.channel, zone, further),
        jobs=Jobs(),
        poison_guard=PoisonGuard(stores.claims),
        observer=observer,
        suppression=_list_check(settings, composer, stores.suppressions, optional_templates),
        experiment=experiment.for_channel(composer) if experiment else None,
        shadow=Shadow.of(composer, service.shadow_variant) if service.shadow_variant else None,
        look_up=further.look_up if further else None,
    )


def _list_check(
    settings: Settings, composer: Composer, held: Suppressions | None, optional_templates: Collection[str]
) -> ListCheck | None:
    time = settings.tracking.suppression_time
    if held is None:
        return None
    if composer.address_field == "device_tokens":
        return DeviceCheck(held, composer.address, time)
    return SuppressionCheck(held, composer.channel, time, optional_templates)


def _policy(settings: Settings, kind: ChannelKind, zone: Zone, further: ChannelParts | None) -> Policy:
    service, reader = settings.service, settings.reader_settings.get(kind)
    return Policy(
        retry_schedule=retry_schedule(settings),
        max_event_bytes=service.max_event_bytes,
        zone=zone,
        hold_unknown=frozenset(service.unknown_hold),
        max_resends=further.max_resends if further else 1,
        not_selected=further.not_selected if further else frozenset(),
        ask_consent=bool(settings.tracking.consent_field),
        consent=ConsentRule(f"{kind.upper()}_CONSENT", reader.consent_required)
        if reader and reader.consent_field
        else None,
        quiet_hours=reader.quiet_hours if reader else None,
        express=settings.rabbitmq.express_lane and kind is ChannelKind.EMAIL,
    )
