"""Connects the parts of the service: stores, channels and broker, closed in the reverse order."""

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
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
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import Observer
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import LiveTransport
from notification_service.delivery.rate_limits import RateLimits
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.errors import ConfigurationError
from notification_service.observability.metrics import Gauges, Metrics
from notification_service.records.recalls import Recaller
from notification_service.records.retention_sweeper import Sweeper
from notification_service.settings import DeliveryMode, RecipientRecord, Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import GroupedReads
from notification_service.stores.mongo.directory import MongoDirectory
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
    """The connected parts of one channel: its pipeline, the breaker around its transport, and its consumer."""

    pipeline: Pipeline
    breaker: Breaker
    consumer: Consumer

    @property
    def kind(self) -> ChannelKind:
        return self.pipeline.composer.channel


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

    @property
    def channels(self) -> tuple[RunningChannel, ...]:
        return (self.email, *self.others)


@asynccontextmanager
async def connected(settings: Settings, others: Sequence[ChannelParts] = ()) -> AsyncIterator[Parts]:
    """Connect all parts; each opens its connection on first use. `others`: the channels beside e-mail.

    Raises `ConfigurationError`.
    """
    transport = bootstrap.transport(settings) if settings.live else None
    _log_mode(settings, transport)
    renderer = bootstrap.load_renderer(settings)
    outbox = FileOutbox(settings.service.outbox_dir)
    _check_outbox(settings, outbox, is_only_copy=transport is None)
    service, mongodb, rabbit = settings.service, settings.mongodb, settings.rabbitmq
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            mongo.open_database(mongodb.uri.get_secret_value(), mongodb.database)
        )
        redis_client = redis.connect(settings.redis.url.get_secret_value())
        stack.push_async_callback(redis_client.aclose)

        claims = RedisClaims(
            redis_client, lease_seconds=service.lease_seconds, verdict_seconds=service.verdict_days * _DAY_S
        )
        reads = GroupedReads()
        ledger = MongoLedger(
            database,
            mongodb.collection,
            full_recipients=service.record_recipient is RecipientRecord.FULL,
            address_keys=settings.addresses.plain_keys,
            reads=reads,
        )
        suppressions = _suppressions(settings, database, reads)
        rates = RedisRates(redis_client, bootstrap.rate_limits(settings))
        stores = bootstrap.Stores(
            claims, ledger, MongoDirectory(database, settings.tracking.consent_field), rates, suppressions
        )
        provider = transport.provider if transport else settings.smtp.provider.name
        metrics = Metrics(bootstrap.retry_schedule(settings), provider)
        breaker = bootstrap.build_channel(outbox, transport, metrics.attempted)
        stack.push_async_callback(breaker.close)
        _check_names((breaker.name, *(each.transport.name for each in others)))
        leases = Leases(claims, service.lease_seconds)
        pipeline = bootstrap.pipeline(
            settings,
            bootstrap.email_composer(settings, renderer),
            renderer.zone,
            stores,
            leases=leases,
            breaker=breaker,
            outbox=outbox,
            observer=_observer(settings, metrics, stack),
            optional_templates=renderer.optional_templates,
        )
        channels: list[RunningChannel] = []
        link = BrokerConnection(
            rabbit.url.get_secret_value(),
            _topology(settings, pipeline.policy.retry_schedule, others),
            prefetch=rabbit.prefetch,
            on_ack_timeout=partial(_limit_waiting, channels),
        )
        email = RunningChannel(pipeline, breaker, _consumer(link, pipeline))
        unlimited = replace(stores, rates=RedisRates(redis_client, RateLimits()))
        running = tuple(
            _running(settings, each, stores=unlimited, email=email, link=link, stack=stack) for each in others
        )
        channels += (email, *running)

        recalls = MongoRecalls(database, mongodb.collection)
        recaller = Recaller(recalls, breaker.refusals, parking.republishing_over(link))
        breaker.refusals.on_recall = recaller.alarm
        sweeper = Sweeper(MongoRetention(database, mongodb.collection), service.retention_policy)
        signals = _signals(settings, database, metrics, suppressions)
        parts = Parts(claims, ledger, leases, link, email, running, metrics, suppressions, sweeper, recaller, signals)
        metrics.watch(_gauges(parts, transport))
        yield parts


def _suppressions(settings: Settings, database: mongo.Database, reads: GroupedReads) -> "MongoSuppressions | None":
    if not settings.tracking.suppression:
        return None
    from notification_service.records import suppression_list  # noqa: PLC0415 - imported where it is on

    return suppression_list.of(settings, database, reads)


def _signals(
    settings: Settings, database: mongo.Database, metrics: Metrics, suppressions: "MongoSuppressions | None"
) -> "SignalIntake | None":
    if not settings.feedback.enabled:
        return None
    # Imported here: a service without feedback does not need it.
    from notification_service.bootstrap import feedback  # noqa: PLC0415
    from notification_service.feedback.suppression import SuppressionHandler  # noqa: PLC0415

    handlers = [SuppressionHandler(suppressions, metrics.refused_by_policy)] if suppressions else []
    return feedback.signal_intake(settings, database, metrics.signalled, handlers)


def _gauges(parts: Parts, transport: LiveTransport | None) -> Gauges:
    breaker, state = parts.email.breaker, parts.email.pipeline.state
    return Gauges(
        under_way=lambda: sum(each.consumer.under_way for each in parts.channels),
        smtp_open=lambda: transport.open if transport else 0,
        talking=lambda: breaker.conversations,
        waiting=lambda: breaker.waiting,
        breakers={each.breaker.name: partial(getattr, each.breaker, "state") for each in parts.channels},
        consuming=lambda: parts.link.consuming,
        redis_away=lambda: state.redis_away,
        mongodb_away=lambda: state.mongodb_away,
        ledger_lag=lambda: state.lag,
        domains_held=lambda: len(breaker.refusals.held),
        simulated=transport is None,
        login_age=lambda: transport.login_age if transport else None,
    )


def _running(
    settings: Settings,
    parts: ChannelParts,
    *,
    stores: bootstrap.Stores,
    email: RunningChannel,
    link: BrokerConnection,
    stack: AsyncExitStack,
) -> RunningChannel:
    """Connect a further channel, which shares the stores, leases, outbox and observer of e-mail."""
    simulated = settings.service.delivery_mode is DeliveryMode.SIMULATE
    outbox = email.pipeline.outbox
    transport = SimulatedChannel(outbox, parts.transport.name) if simulated else parts.transport
    breaker = Breaker(transport, parts.max_concurrency)
    stack.push_async_callback(breaker.close)
    pipeline = bootstrap.pipeline(
        settings,
        parts.composer,
        email.pipeline.policy.zone,
        stores,
        leases=email.pipeline.leases,
        breaker=breaker,
        outbox=outbox,
        observer=email.pipeline.observer,
        optional_templates=email.pipeline.suppression.optional if email.pipeline.suppression else (),
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
        each.breaker.allow_to_wait(consumer_timeout_s / 3)


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


def _log_mode(settings: Settings, transport: LiveTransport | None) -> None:
    if transport is not None:
        log.info("service.starting", mode="live", **transport.where)
        return
    is_chosen = settings.service.delivery_mode is DeliveryMode.SIMULATE
    log.warning(
        "service.starting",
        mode="simulated",
        reason="DELIVERY_MODE=simulate" if is_chosen else settings.unconfigured,
        outbox=str(settings.service.outbox_dir),
        meaning="NO MAIL IS SENT: every mail is written to the outbox",
    )
