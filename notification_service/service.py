"""The life of the service: puts the parts together, runs them, and takes them down in the reverse order."""

import asyncio
import errno
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from notification_service import bootstrap
from notification_service.bootstrap import ChannelParts
from notification_service.broker import parking, topology
from notification_service.broker.connection import BrokerConnection, Handlers
from notification_service.broker.consumer import Consumer
from notification_service.channels.breaker import Breaker, LiveTransport, State
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.outbox import FileOutbox
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.facts import ChannelKind
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import Observer
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.rate_limits import RateLimits
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.errors import ConfigurationError, DependencyError, StoreUnavailableError
from notification_service.foundation.redaction import Secrecy
from notification_service.observability import health, serving
from notification_service.observability.health import Part, Readiness
from notification_service.observability.metrics import Gauges, Metrics
from notification_service.records.recalls import Recaller
from notification_service.records.retention import Sweeper
from notification_service.settings import DeliveryMode, RecipientRecord, Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.directory import MongoDirectory
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.recalls import MongoRecalls
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claims import RedisClaims
from notification_service.stores.redis.rates import RedisRates

log = structlog.get_logger(__name__)

_DAY = 86400
_INDEX_AGAIN = 30.0
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MAX_LISTED = 5
"""Held domains that the health page names."""


@dataclass(frozen=True, slots=True)
class RunningChannel:
    """One kind of channel at work: what handles its messages, what guards its transport, what takes and acks them."""

    pipeline: Pipeline
    breaker: Breaker
    consumer: Consumer

    @property
    def kind(self) -> ChannelKind:
        return self.pipeline.composer.channel


@dataclass(frozen=True, slots=True)
class Service:
    """`breaker`, `consumer`: those of e-mail. `others`: the further channels."""

    settings: Settings
    claims: RedisClaims
    ledger: MongoLedger
    leases: Leases
    breaker: Breaker
    link: BrokerConnection
    consumer: Consumer
    metrics: Metrics
    sweeper: Sweeper
    recaller: Recaller
    secrecy: Secrecy
    others: tuple[RunningChannel, ...] = ()

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`, then drain. Raises `DependencyError` where a dependency never comes up."""
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self.leases.renew_forever())
            await self._prepare_ledger(stop)
            keeping_house = group.create_task(self._keep_house())
            consuming = group.create_task(self.link.run(self._handlers()))
            try:
                await self._wait_for_broker(stop)
                recalling = group.create_task(self.recaller.forever())
                await stop.wait()
                recalling.cancel()
            finally:
                await self._drain()
                consuming.cancel()
                keeping_house.cancel()
                renewing.cancel()

    async def _keep_house(self) -> None:
        """What nobody waits for: the indexes, which on a large collection take long, and then the sweeps."""
        while True:
            try:
                await self.ledger.index()
            except StoreUnavailableError as problem:
                log.warning("ledger.not_created", what="indexes", problem=str(problem))
            else:
                break
            await asyncio.sleep(_INDEX_AGAIN)
        await self.sweeper.forever()

    async def _prepare_ledger(self, stop: asyncio.Event) -> None:
        deadline = time.monotonic() + self.settings.service.startup_timeout
        while not stop.is_set():
            try:
                await self.ledger.prepare()
            except StoreUnavailableError as problem:
                log.warning("service.waiting", waits_for="MongoDB", setting="MONGODB_URI", problem=str(problem))
                if time.monotonic() > deadline:
                    raise DependencyError(f"MongoDB never came up (MONGODB_URI): {problem}") from problem
            else:
                return
            await _first_of(stop.wait(), seconds=1)

    async def _wait_for_broker(self, stop: asyncio.Event) -> None:
        deadline = time.monotonic() + self.settings.service.startup_timeout
        while not self.link.consuming and not stop.is_set():
            # A queue that stands with other arguments is a person's to mend: waiting beats a crash loop.
            if time.monotonic() > deadline and not self.link.mismatched:
                raise DependencyError(f"RabbitMQ never came up (RABBITMQ_URL): {self.link.problem}")
            await _first_of(stop.wait(), seconds=0.02)
        if self.link.consuming:
            log.info("service.ready", mode=self.mode)

    def _handlers(self) -> Handlers:
        return {
            ChannelKind.EMAIL: self.consumer.on_message,
            **{each.kind: each.consumer.on_message for each in self.others},
        }

    async def _drain(self) -> None:
        grace = self.settings.service.shutdown_grace
        log.info("service.draining", under_way=self._under_way, grace_s=grace)
        await self.link.stop_consuming()
        unfinished = await asyncio.gather(
            self.consumer.drain(grace, self.breaker.cancel_waiting),
            *(each.consumer.drain(grace, each.breaker.cancel_waiting) for each in self.others),
        )
        log.info("service.drained", unfinished=sum(unfinished))

    @property
    def _under_way(self) -> int:
        return self.consumer.under_way + sum(each.consumer.under_way for each in self.others)

    @property
    def mode(self) -> str:
        return "live" if self.settings.live else "simulated"

    async def examine(self) -> Readiness:
        claims, ledger = await asyncio.gather(_answer(self.claims.ping()), _answer(self.ledger.ping()))
        closed = self.breaker.state is State.CLOSED
        held = self.breaker.refusals.held
        parts = {
            "rabbitmq": Part(
                "consuming" if self.link.consuming else "not consuming",
                ok=self.link.consuming,
                needed=True,
                detail=self.link.problem,
            ),
            "mongodb": Part("up" if ledger is None else "down", ok=ledger is None, needed=True, detail=ledger),
            "redis": Part("up" if claims is None else "down", ok=claims is None, needed=False, detail=claims),
            self.breaker.name: Part(self.breaker.state, ok=closed, needed=False, detail=self.breaker.reason),
            **{
                each.breaker.name: Part(
                    each.breaker.state,
                    ok=each.breaker.state is State.CLOSED,
                    needed=False,
                    detail=each.breaker.reason,
                )
                for each in self.others
            },
            # One customer's server is no fault of this service.
            **({"domains": Part(f"{len(held)} held", ok=True, needed=False, detail=_told(held))} if held else {}),
        }
        # What a library or a server says may repeat what it was given.
        hide = self.secrecy.text
        said = {name: replace(part, detail=part.detail and hide(part.detail)) for name, part in parts.items()}
        return Readiness(mode=self.mode, parts=said)


def _hold_shorter(channels: Sequence[tuple[Breaker, PoisonGuard]], allowed: float) -> None:
    """What the broker allows is shared by the two places where a delivery waits, and by the work itself."""
    for breaker, poison_guard in channels:
        poison_guard.allow_to_wait(allowed / 3)
        breaker.allow_to_wait(allowed / 3)


def _told(held: Mapping[str, datetime]) -> str:
    told = [f"{domain} refuses us since {since:%Y-%m-%d %H:%M} UTC" for domain, since in held.items()]
    return "; ".join((*told[:_MAX_LISTED], *([f"and {len(told) - _MAX_LISTED} more"] if told[_MAX_LISTED:] else [])))


async def _answer(ping: Awaitable[None]) -> str | None:
    """None, or what is wrong."""
    try:
        await ping
    except StoreUnavailableError as problem:
        return str(problem)
    return None


async def _first_of(waited: Awaitable[object], *, seconds: float) -> None:
    try:
        await asyncio.wait_for(asyncio.ensure_future(waited), seconds)
    except TimeoutError:
        return


@asynccontextmanager
async def opened(settings: Settings, others: Sequence[ChannelParts] = ()) -> AsyncIterator[Service]:
    """Every part, connected when it is first used, and closed in the reverse order. `others`: beside e-mail."""
    channel = bootstrap.channel(settings) if settings.live else None
    _say_how_mail_goes(settings, channel)
    renderer = bootstrap.load_renderer(settings)
    outbox = FileOutbox(settings.service.outbox_dir)
    _check_outbox(settings, outbox, needed=channel is None)
    async with AsyncExitStack() as stack:
        client = mongo.connect(settings.mongodb.uri.get_secret_value())
        stack.callback(client.close)
        claims = redis.connect(settings.redis.url.get_secret_value())
        stack.push_async_callback(claims.aclose)
        yield await _assembled(
            settings, renderer, channel, outbox, stack, others=others, client=client, redis_client=claims
        )


async def _assembled(
    settings: Settings,
    renderer: Renderer,
    channel: LiveTransport | None,
    outbox: FileOutbox,
    stack: AsyncExitStack,
    *,
    others: Sequence[ChannelParts],
    client: mongo.Client,
    redis_client: redis.Client,
) -> Service:
    service, rabbit = settings.service, settings.rabbitmq
    database = client[settings.mongodb.database]
    full, keys = service.record_recipient is RecipientRecord.FULL, settings.addresses.texts
    claims = RedisClaims(redis_client, lease_seconds=service.lease_seconds, verdict_seconds=service.verdict_days * _DAY)
    ledger = MongoLedger(database, settings.mongodb.collection, full_recipients=full, address_keys=keys)
    rates = RedisRates(redis_client, bootstrap.rate_limits(settings))
    leases = Leases(claims, service.lease_seconds)
    metrics = Metrics(bootstrap.retry_schedule(settings), channel.provider if channel else settings.smtp.provider.name)
    breaker = bootstrap.build_channel(outbox, channel, metrics.attempted)
    stack.push_async_callback(breaker.close)
    stores = bootstrap.Stores(claims, ledger, MongoDirectory(database), rates)
    observer = _observer(settings, metrics, stack)
    composer = bootstrap.email_composer(settings, renderer)
    pipeline = bootstrap.pipeline(
        settings, composer, renderer.zone, stores, leases=leases, breaker=breaker, outbox=outbox, observer=observer
    )
    hide = Secrecy(settings.secrets())
    keeping = MongoRetention(database, settings.mongodb.collection)
    sweeper = Sweeper(keeping, bootstrap.ages(settings))
    _check_names((breaker.name, *(each.transport.name for each in others)))
    guarded = [(breaker, pipeline.poison_guard)]
    link = BrokerConnection(
        rabbit.url.get_secret_value(),
        _topology(settings, pipeline.policy.retry_schedule, others),
        prefetch=rabbit.prefetch,
        held_too_long=partial(_hold_shorter, guarded),
    )
    consumer = _consumer(link, pipeline, observer)
    unlimited = replace(stores, rates=RedisRates(redis_client, RateLimits()))
    running = tuple(
        _running(settings, parts, stores=unlimited, email=pipeline, link=link, stack=stack) for parts in others
    )
    guarded += [(each.breaker, each.pipeline.poison_guard) for each in running]
    recalls = MongoRecalls(database, settings.mongodb.collection)
    recaller = Recaller(recalls, breaker.refusals, parking.bringing_in_by(link))
    breaker.refusals.alarmed = recaller.alarm
    metrics.watch(
        Gauges(
            under_way=lambda: consumer.under_way + sum(each.consumer.under_way for each in running),
            smtp_open=lambda: channel.open if channel else 0,
            talking=lambda: breaker.talking,
            waiting=lambda: breaker.waiting,
            breakers={each.name: partial(getattr, each, "state") for each, _ in guarded},
            consuming=lambda: link.consuming,
            redis_away=lambda: pipeline.state.redis_away,
            mongodb_away=lambda: pipeline.state.mongodb_away,
            ledger_lag=lambda: pipeline.state.lag,
            domains_held=lambda: len(breaker.refusals.held),
            simulated=channel is None,
            login_age=lambda: channel.login_age if channel else None,
        )
    )
    return Service(settings, claims, ledger, leases, breaker, link, consumer, metrics, sweeper, recaller, hide, running)


def _check_names(names: Sequence[str]) -> None:
    """Metrics, logs and the health page tell the channels apart by the names of their transports."""
    if len(set(names)) < len(names):
        raise ConfigurationError(f"two channels have a transport of one name: {', '.join(names)}")


def _running(
    settings: Settings,
    parts: ChannelParts,
    *,
    stores: bootstrap.Stores,
    email: Pipeline,
    link: BrokerConnection,
    stack: AsyncExitStack,
) -> RunningChannel:
    """A further channel beside e-mail: it shares the stores and the leases, and has all else for itself."""
    simulated = settings.service.delivery_mode is DeliveryMode.SIMULATE
    transport = SimulatedChannel(email.outbox, parts.transport.name) if simulated else parts.transport
    breaker = Breaker(transport, parts.max_concurrency)
    stack.push_async_callback(breaker.close)
    pipeline = bootstrap.pipeline(
        settings,
        parts.composer,
        email.policy.zone,
        stores,
        leases=email.leases,
        breaker=breaker,
        outbox=email.outbox,
        observer=email.observer,
    )
    return RunningChannel(pipeline, breaker, _consumer(link, pipeline, email.observer))


def _consumer(link: BrokerConnection, pipeline: Pipeline, observer: Observer) -> Consumer:
    policy = pipeline.policy
    return Consumer(
        link,
        pipeline.handle,
        policy.retry_schedule,
        observer,
        channel=pipeline.composer.channel,
        largest=policy.max_event_bytes,
    )


def _observer(settings: Settings, metrics: Observer, stack: AsyncExitStack) -> Observer:
    """The metrics, with spans beside them where asked for. Raises `ConfigurationError` where their extra is missing."""
    endpoint = settings.service.tracing_endpoint
    if endpoint is None:
        return metrics
    try:
        from notification_service.observability import tracing  # noqa: PLC0415 - an extra, which need not be there
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
        parking_seconds=settings.service.parking_days * _DAY,
        express=settings.rabbitmq.express_lane,
        others={each.composer.channel: each.event_types for each in others},
    )


Beside = Callable[[Settings], AbstractAsyncContextManager[None]]
"""What else is there for as long as the service is."""


async def run(settings: Settings, beside: Beside, others: Sequence[ChannelParts] = ()) -> None:
    """The whole life of the process: until SIGTERM or SIGINT, a second of which ends it at once."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, partial(_on_signal, stop))
    async with opened(settings, others) as service, beside(settings):
        app = health.application(service.examine, service.metrics.page)
        try:
            async with serving.serving(app, settings.service.http_host, settings.service.port):
                await service.run(stop)
        except OSError as problem:
            where = f"{settings.service.http_host}:{settings.service.port}"
            raise ConfigurationError(f"PORT: {where} cannot be listened on: {problem}") from problem


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)
    stop.set()


def _check_outbox(settings: Settings, outbox: FileOutbox, *, needed: bool) -> None:
    """Raises `ConfigurationError`, but not where mail goes out and only the disk is full: that holds no mail back.

    Then only a copy of what is given up is put there.
    """
    try:
        outbox.check()
    except OSError as problem:
        if needed or problem.errno not in _NO_ROOM:
            raise bootstrap.unusable_outbox("OUTBOX_DIR", settings.service.outbox_dir, problem) from problem
        log.error("outbox.failed", problem=str(problem))  # noqa: TRY400 - the text says it all


def _say_how_mail_goes(settings: Settings, channel: LiveTransport | None) -> None:
    if channel is not None:
        log.info("service.starting", mode="live", **channel.where)
        return
    asked = settings.service.delivery_mode is DeliveryMode.SIMULATE
    reason = "DELIVERY_MODE=simulate" if asked else settings.unconfigured
    log.warning(
        "service.starting",
        mode="simulated",
        reason=reason,
        outbox=str(settings.service.outbox_dir),
        meaning="NO MAIL IS SENT: every mail is written to the outbox",
    )
