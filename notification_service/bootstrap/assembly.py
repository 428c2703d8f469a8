"""Connects the parts of the service: stores, channels and broker, closed in the reverse order."""

import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from notification_service import bootstrap
from notification_service.bootstrap import optional_parts, threads
from notification_service.bootstrap.connected_stores import ConnectedStores, connected_stores
from notification_service.bootstrap.parts import ChannelParts
from notification_service.bootstrap.running_channels import RunningChannel, consumer, further_channel, limit_waiting
from notification_service.broker import parking, topology
from notification_service.broker.connection import BrokerConnection
from notification_service.channels.breaker import Breaker
from notification_service.channels.outbox import FileOutbox
from notification_service.channels.relays import Relays
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.leases import Leases
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import LiveTransport
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.errors import ConfigurationError
from notification_service.observability.gauges import Gauges
from notification_service.observability.metrics import Metrics
from notification_service.records.recalls import Recaller
from notification_service.records.retention_sweeper import Sweeper
from notification_service.settings import DeliveryMode, Settings
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.redis.claims import RedisClaims
from notification_service.stores.redis.rates import RedisRates

if TYPE_CHECKING:
    from notification_service.bootstrap.feedback import SignalIntake
    from notification_service.stores.mongo.suppressions import MongoSuppressions

log = structlog.get_logger(__name__)

_DAY_S = 86400
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Parts:
    """The connected parts of the service. `others`: the channels beside e-mail.

    `suppressions`: None where it is off. `signals`: None without feedback.
    """

    claims: RedisClaims
    ledger: MongoLedger
    leases: Leases
    link: BrokerConnection
    email: RunningChannel
    others: tuple[RunningChannel, ...]
    metrics: Metrics
    suppressions: "MongoSuppressions | None"
    sweeper: Sweeper
    recaller: Recaller
    signals: "SignalIntake | None" = None
    experiment: RunningExperiment | None = None

    @property
    def channels(self) -> tuple[RunningChannel, ...]:
        return (self.email, *self.others)


@asynccontextmanager
async def connected(settings: Settings, others: Sequence[ChannelParts] = ()) -> AsyncIterator[Parts]:
    """Connect all parts; each opens its connection on first use. `others`: the channels beside e-mail.

    Raises `ConfigurationError`.
    """
    transports = _transports(settings)
    threads.give_each_its_own(others)
    _log_mode(settings, transports)
    renderer = bootstrap.load_renderer(settings)
    outbox = FileOutbox(settings.service.outbox_dir)
    _check_outbox(settings, outbox, is_only_copy=not transports)
    metrics = Metrics(
        bootstrap.retry_schedule(settings), transports[0].provider if transports else settings.smtp.provider.name
    )
    async with AsyncExitStack() as stack:
        stores = await connected_stores(settings, stack)
        breaker, relays = _email_channel(settings, outbox, transports, stores, metrics)
        stack.push_async_callback((relays or breaker).close)
        _check_names((breaker.name, *(each.name for each in transports[1:]), *(each.transport.name for each in others)))
        pipeline = bootstrap.pipeline(
            settings,
            bootstrap.email_composer(settings, renderer),
            renderer.zone,
            stores,
            leases=Leases(stores.claims, settings.service.lease_seconds),
            breaker=relays or breaker,
            outbox=outbox,
            observer=optional_parts.observer(settings, metrics, stack),
            optional_templates=renderer.optional_templates,
            experiment=stores.experiment,
        )
        channels: list[RunningChannel] = []
        link = _link(settings, pipeline, others, channels)
        email = RunningChannel(pipeline, breaker, consumer(link, pipeline), relays)
        further = tuple(
            further_channel(settings, each, stores=stores, email=email, link=link, stack=stack) for each in others
        )
        channels += (email, *further)
        parts = _parts(settings, stores, link, email=email, further=further, metrics=metrics)
        for meter in filter(None, (each.meter for each in others)):
            meter.on_taken = metrics.sms_costs(meter.day_limit)
        metrics.watch(_gauges(parts, transports))
        yield parts


def _transports(settings: Settings) -> list[LiveTransport]:
    """Of e-mail: one, or several that are relays; none where mail is simulated. Raises `ConfigurationError`."""
    if not settings.live:
        return []
    return [*bootstrap.relays(settings)] or [bootstrap.transport(settings)]


def _email_channel(
    settings: Settings,
    outbox: FileOutbox,
    transports: Sequence[LiveTransport],
    stores: ConnectedStores,
    metrics: Metrics,
) -> tuple[Breaker, Relays | None]:
    """The breaker, and the relays where there are several: the breaker is then that of the first."""
    if len(transports) > 1:
        rates_of = partial(RedisRates, stores.redis_client)
        relays = bootstrap.build_relays(settings, transports, rates_of, metrics.attempted)
        return relays.relays[0].breaker, relays
    return bootstrap.build_channel(outbox, transports[0] if transports else None, metrics.attempted), None


def _parts(
    settings: Settings,
    stores: ConnectedStores,
    link: BrokerConnection,
    *,
    email: RunningChannel,
    further: tuple[RunningChannel, ...],
    metrics: Metrics,
) -> Parts:
    refusals = email.relays.refusals if email.relays else email.breaker.refusals
    recaller = Recaller(stores.recalls, refusals, parking.republishing_over(link))
    for each in email.breakers:
        each.refusals.on_recall = recaller.alarm
    return Parts(
        stores.claims,
        stores.ledger,
        email.pipeline.leases,
        link,
        email,
        further,
        metrics,
        stores.listed,
        Sweeper(stores.retention, settings.service.retention_policy),
        recaller,
        optional_parts.signals(settings, stores.database, stores.listed, metrics),
        stores.experiment,
    )


def _link(
    settings: Settings, pipeline: Pipeline, others: Sequence[ChannelParts], channels: Sequence[RunningChannel]
) -> BrokerConnection:
    """`channels`: those whose messages the broker may limit the wait of, once they run."""
    return BrokerConnection(
        settings.rabbitmq.url.get_secret_value(),
        _topology(settings, pipeline.policy.retry_schedule, others),
        prefetch=settings.rabbitmq.prefetch,
        on_ack_timeout=partial(limit_waiting, channels),
    )


def _gauges(parts: Parts, transports: Sequence[LiveTransport]) -> Gauges:
    email, state = parts.email, parts.email.pipeline.state
    # By relay; where there is one server, or none, its name is left out.
    breakers = {breaker.name if email.relays else "": breaker for breaker in email.breakers}
    return Gauges(
        under_way=lambda: sum(each.consumer.under_way for each in parts.channels),
        smtp_open=dict(zip(breakers, (partial(getattr, each, "open") for each in transports), strict=False))
        or {"": lambda: 0},
        talking={relay: partial(getattr, each, "conversations") for relay, each in breakers.items()},
        waiting=lambda: max(each.waiting for each in email.breakers),
        breakers={(email.breaker.name, relay): partial(getattr, each, "state") for relay, each in breakers.items()}
        | {(each.breaker.name, ""): partial(getattr, each.breaker, "state") for each in parts.others},
        consuming=lambda: parts.link.consuming,
        redis_away=lambda: state.redis_away,
        mongodb_away=lambda: state.mongodb_away,
        ledger_lag=lambda: state.lag,
        domains_held=lambda: len(email.held),
        simulated=not transports,
        extensions_given_up=lambda: [name for each in transports for name in each.extensions_given_up],
        login_age=lambda: max((age for each in transports if (age := each.login_age) is not None), default=None),
    )


def _topology(settings: Settings, retry_schedule: RetrySchedule, others: Sequence[ChannelParts]) -> topology.Topology:
    return topology.plan(
        exchange=settings.rabbitmq.exchange,
        booking_queue=settings.rabbitmq.booking_queue,
        payment_queue=settings.rabbitmq.payment_queue,
        delays=retry_schedule.delays,
        parking_seconds=settings.service.parking_days * _DAY_S,
        express=settings.rabbitmq.express_lane,
        others={each.composer.channel: each.event_types for each in others},
    )


def _check_names(names: Sequence[str]) -> None:
    """Metrics, logs and the health page name a channel by its transport. Raises `ConfigurationError`."""
    if len(set(names)) < len(names):
        raise ConfigurationError(f"two channels have a transport of one name: {', '.join(names)}")


def _check_outbox(settings: Settings, outbox: FileOutbox, *, is_only_copy: bool) -> None:
    """Raises `ConfigurationError`, unless the disk is full and real mail is sent.

    The outbox then only gets copies of mails that were given up, and must not keep the others from being sent.
    """
    try:
        outbox.check()
    except OSError as problem:
        if is_only_copy or problem.errno not in _DISK_FULL:
            raise bootstrap.unusable_outbox("OUTBOX_DIR", settings.service.outbox_dir, problem) from problem
        log.error("outbox.failed", problem=str(problem))  # noqa: TRY400 - the text is enough


def _log_mode(settings: Settings, transports: Sequence[LiveTransport]) -> None:
    if transports:
        transport, *others = transports
        second = {f"fallback_{name}": value for other in others for name, value in other.where.items()}
        log.info("service.starting", mode="live", **transport.where, **second)
        return
    is_chosen = settings.service.delivery_mode is DeliveryMode.SIMULATE
    log.warning(
        "service.starting",
        mode="simulated",
        reason="DELIVERY_MODE=simulate" if is_chosen else settings.unconfigured,
        outbox=str(settings.service.outbox_dir),
        meaning="NO MAIL IS SENT: every mail is written to the outbox",
    )
