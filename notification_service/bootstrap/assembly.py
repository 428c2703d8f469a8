"""Connects the parts of the service: stores, channels and broker, closed in the reverse order."""

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from notification_service import bootstrap
from notification_service.bootstrap.parts import ChannelParts
from notification_service.broker import parking, topology
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.consumer import Consumer
from notification_service.channels.breaker import Breaker
from notification_service.channels.outbox import FileOutbox
from notification_service.channels.relays import Relays
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import Observer
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import LiveTransport
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.errors import ConfigurationError
from notification_service.observability.metrics import Gauges, Metrics
from notification_service.records.recalls import Recaller
from notification_service.records.retention_sweeper import Sweeper
from notification_service.settings import DeliveryMode, RecipientRecord, Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import GroupedReads
from notification_service.stores.mongo.directory import MongoDirectory
from notification_service.stores.mongo.experiments import MongoExperiments
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.recalls import MongoRecalls
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claims import RedisClaims
from notification_service.stores.redis.rates import RedisRates

if TYPE_CHECKING:
    from notification_service.bootstrap.feedback import SignalIntake
    from notification_service.stores.mongo.suppressions import MongoSuppressions

log = structlog.get_logger(__name__)

_DAY_S = 86400
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class RunningChannel:
    """The connected parts of one channel: its pipeline, the breaker around its transport, and its consumer.

    `relays`: for e-mail where there are several; `breaker` is that of the first.
    """

    pipeline: Pipeline
    breaker: Breaker
    consumer: Consumer
    relays: Relays | None = None

    @property
    def kind(self) -> ChannelKind:
        return self.pipeline.composer.channel

    @property
    def breakers(self) -> tuple[Breaker, ...]:
        return tuple(relay.breaker for relay in self.relays.relays) if self.relays else (self.breaker,)

    @property
    def held(self) -> dict[str, datetime]:
        """The domains that are held, and since when."""
        return {domain: at for each in reversed(self.breakers) for domain, at in each.refusals.held.items()}

    def cancel_waiting(self) -> None:
        (self.relays or self.breaker).cancel_waiting()


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
    relays = bootstrap.relays(settings) if settings.live else []
    transport = relays[0] if relays else bootstrap.transport(settings) if settings.live else None
    _log_mode(settings, transport, *relays[1:])
    renderer = bootstrap.load_renderer(settings)
    outbox = FileOutbox(settings.service.outbox_dir)
    _check_outbox(settings, outbox, is_only_copy=transport is None)
    metrics = Metrics(
        bootstrap.retry_schedule(settings), transport.provider if transport else settings.smtp.provider.name
    )
    async with AsyncExitStack() as stack:
        stores = await _stores(settings, stack)
        rates_of = partial(RedisRates, stores.redis_client)
        several = bootstrap.build_relays(settings, relays, rates_of, metrics.attempted) if relays else None
        breaker = (
            several.relays[0].breaker if several else bootstrap.build_channel(outbox, transport, metrics.attempted)
        )
        stack.push_async_callback((several or breaker).close)
        _check_names((breaker.name, *(each.name for each in relays[1:]), *(each.transport.name for each in others)))
        pipeline = bootstrap.pipeline(
            settings,
            bootstrap.email_composer(settings, renderer),
            renderer.zone,
            stores,
            leases=Leases(stores.claims, settings.service.lease_seconds),
            breaker=several or breaker,
            outbox=outbox,
            observer=_observer(settings, metrics, stack),
            optional_templates=renderer.optional_templates,
            experiment=stores.experiment,
        )
        channels: list[RunningChannel] = []
        link = _link(settings, pipeline, others, channels)
        email = RunningChannel(pipeline, breaker, _consumer(link, pipeline), several)
        running = tuple(_running(settings, each, stores=stores, email=email, link=link, stack=stack) for each in others)
        channels += (email, *running)
        refusals = several.refusals if several else breaker.refusals
        recaller = Recaller(stores.recalls, refusals, parking.republishing_over(link))
        for each in email.breakers:
            each.refusals.on_recall = recaller.alarm
        parts = Parts(
            stores.claims,
            stores.ledger,
            pipeline.leases,
            link,
            email,
            running,
            metrics,
            stores.listed,
            Sweeper(stores.retention, settings.service.retention_policy),
            recaller,
            _signals(settings, stores, metrics),
            stores.experiment,
        )
        for meter in filter(None, (each.meter for each in others)):
            meter.on_taken = metrics.sms_costs(meter.day_limit)
        metrics.watch(_gauges(parts, relays or [transport] if transport else []))
        yield parts


def _suppressions(settings: Settings, database: mongo.Database, reads: GroupedReads) -> "MongoSuppressions | None":
    if not settings.tracking.suppression:
        return None
    from notification_service.records import suppression_list  # noqa: PLC0415 - imported where it is on

    return suppression_list.of(settings, database, reads)


def _signals(settings: Settings, stores: "_ConnectedStores", metrics: Metrics) -> "SignalIntake | None":
    if not settings.feedback.enabled:
        return None
    # Imported here: a service without feedback does not need it.
    from notification_service.bootstrap import feedback  # noqa: PLC0415
    from notification_service.feedback.suppression import SuppressionHandler  # noqa: PLC0415

    handlers = [SuppressionHandler(stores.listed, metrics.refused_by_policy)] if stores.listed else []
    return feedback.signal_intake(settings, stores.database, metrics.signalled, handlers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ConnectedStores(bootstrap.Stores):
    """The stores of a pipeline, and those of what works on its records. `listed`: `suppressions`, as MongoDB has it."""

    database: mongo.Database
    claims: RedisClaims
    ledger: MongoLedger
    recalls: MongoRecalls
    retention: MongoRetention
    redis_client: redis.RedisClient
    listed: "MongoSuppressions | None"
    experiment: RunningExperiment | None


async def _stores(settings: Settings, stack: AsyncExitStack) -> _ConnectedStores:
    service, mongodb = settings.service, settings.mongodb
    opening = mongo.open_database(mongodb.uri.get_secret_value(), mongodb.database)
    database = await stack.enter_async_context(opening)
    client = redis.connect(settings.redis.url.get_secret_value())
    stack.push_async_callback(client.aclose)
    reads = GroupedReads()
    listed = _suppressions(settings, database, reads)
    return _ConnectedStores(
        database=database,
        claims=RedisClaims(client, lease_seconds=service.lease_seconds, verdict_seconds=service.verdict_days * _DAY_S),
        ledger=MongoLedger(
            database,
            mongodb.collection,
            full_recipients=service.record_recipient is RecipientRecord.FULL,
            address_keys=settings.addresses.plain_keys,
            reads=reads,
        ),
        directory=MongoDirectory(database, settings.tracking.consent_field),
        rates=RedisRates(client, bootstrap.rate_limits(settings)),
        recalls=MongoRecalls(database, mongodb.collection),
        retention=MongoRetention(database, mongodb.collection),
        redis_client=client,
        suppressions=listed,
        listed=listed,
        experiment=RunningExperiment(service.experiment, MongoExperiments(database)) if service.experiment else None,
    )


def _link(
    settings: Settings, pipeline: Pipeline, others: Sequence[ChannelParts], channels: Sequence[RunningChannel]
) -> BrokerConnection:
    """`channels`: those whose messages the broker may limit the wait of, once they run."""
    return BrokerConnection(
        settings.rabbitmq.url.get_secret_value(),
        _topology(settings, pipeline.policy.retry_schedule, others),
        prefetch=settings.rabbitmq.prefetch,
        on_ack_timeout=partial(_limit_waiting, channels),
    )


def _gauges(parts: Parts, transports: Sequence[LiveTransport]) -> Gauges:
    breakers, state = parts.email.breakers, parts.email.pipeline.state
    return Gauges(
        under_way=lambda: sum(each.consumer.under_way for each in parts.channels),
        smtp_open=lambda: sum(each.open for each in transports),
        talking=lambda: sum(each.conversations for each in breakers),
        waiting=lambda: max(each.waiting for each in breakers),
        breakers={
            breaker.name: partial(getattr, breaker, "state") for each in parts.channels for breaker in each.breakers
        },
        consuming=lambda: parts.link.consuming,
        redis_away=lambda: state.redis_away,
        mongodb_away=lambda: state.mongodb_away,
        ledger_lag=lambda: state.lag,
        domains_held=lambda: len(parts.email.held),
        simulated=not transports,
        extensions_given_up=lambda: [name for each in transports for name in each.extensions_given_up],
        login_age=lambda: max((age for each in transports if (age := each.login_age) is not None), default=None),
    )


def _running(
    settings: Settings,
    parts: ChannelParts,
    *,
    stores: _ConnectedStores,
    email: RunningChannel,
    link: BrokerConnection,
    stack: AsyncExitStack,
) -> RunningChannel:
    """Connect a further channel, which shares the stores, leases, outbox and observer of e-mail, but not its limits."""
    simulated = settings.service.delivery_mode is DeliveryMode.SIMULATE
    outbox = email.pipeline.outbox
    transport = SimulatedChannel(outbox, parts.transport.name) if simulated else parts.transport
    breaker = Breaker(transport, parts.max_concurrency)
    stack.push_async_callback(breaker.close)
    pipeline = bootstrap.pipeline(
        settings,
        parts.composer,
        email.pipeline.policy.zone,
        replace(stores, rates=RedisRates(stores.redis_client, parts.rate_limits)),
        leases=email.pipeline.leases,
        breaker=breaker,
        outbox=outbox,
        observer=email.pipeline.observer,
        optional_templates=email.pipeline.suppression.optional if email.pipeline.suppression else (),
        experiment=email.pipeline.experiment,
        further=replace(parts, look_up=None) if simulated else parts,
    )
    return RunningChannel(pipeline, breaker, _consumer(link, pipeline))


def _consumer(link: BrokerConnection, pipeline: Pipeline) -> Consumer:
    policy = pipeline.policy
    return Consumer(
        link,
        pipeline.handle,
        policy.retry_schedule,
        pipeline.observer,
        channel=pipeline.composer.channel,
        max_bytes=policy.max_event_bytes,
    )


def _observer(settings: Settings, metrics: Observer, stack: AsyncExitStack) -> Observer:
    """The metrics, and spans if tracing is on. Raises `ConfigurationError` if the extra for tracing is missing."""
    endpoint = settings.service.tracing_endpoint
    if endpoint is None:
        return metrics
    try:
        from notification_service.observability import tracing  # noqa: PLC0415 - an extra, which may be missing
    except ImportError as problem:
        raise ConfigurationError(
            f"TRACING_ENDPOINT needs the extra: pip install 'notification-service[tracing]' ({problem})"
        ) from problem
    observer = tracing.Tracing(metrics, tracing.exporter(endpoint))
    stack.push_async_callback(asyncio.to_thread, observer.close)
    return observer


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


def _limit_waiting(channels: Sequence[RunningChannel], consumer_timeout_s: float) -> None:
    """Divide the broker's delivery timeout between the two places where a message waits, and the work itself."""
    for each in channels:
        each.pipeline.poison_guard.allow_to_wait(consumer_timeout_s / 3)
        for breaker in each.breakers:
            breaker.allow_to_wait(consumer_timeout_s / 3)


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


def _log_mode(settings: Settings, transport: LiveTransport | None, *others: LiveTransport) -> None:
    if transport is not None:
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
