"""Channels whose parts are connected: the pipeline, the breaker around the transport, and the consumer."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from notification_service import bootstrap
from notification_service.bootstrap.parts import ChannelParts
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.consumer import Consumer
from notification_service.channels.breaker import Breaker
from notification_service.channels.look_ups import GuardedLookUps
from notification_service.channels.relays import Relays
from notification_service.channels.simulated import SimulatedChannel
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.ports.channel import LookUp
from notification_service.settings import DeliveryMode, Settings
from notification_service.stores.redis.rates import RedisRates

if TYPE_CHECKING:
    pass

from notification_service.bootstrap.connected_stores import ConnectedStores


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


def further_channel(
    settings: Settings,
    parts: ChannelParts,
    *,
    stores: ConnectedStores,
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
        experiment=email.pipeline.experiment,
        further=replace(parts, look_up=_guarded(parts, breaker, simulated=simulated)),
    )
    return RunningChannel(pipeline, breaker, consumer(link, pipeline))


def _guarded(parts: ChannelParts, breaker: Breaker, *, simulated: bool) -> LookUp | None:
    return GuardedLookUps(parts.look_up, breaker) if parts.look_up and not simulated else None


def consumer(link: BrokerConnection, pipeline: Pipeline) -> Consumer:
    policy = pipeline.policy
    return Consumer(
        link,
        pipeline.handle,
        policy.retry_schedule,
        pipeline.observer,
        channel=pipeline.composer.channel,
        max_bytes=policy.max_event_bytes,
    )


def limit_waiting(channels: Sequence[RunningChannel], consumer_timeout_s: float) -> None:
    """Divide the broker's delivery timeout between the two places where a message waits, and the work itself."""
    for each in channels:
        each.pipeline.poison_guard.allow_to_wait(consumer_timeout_s / 3)
        for breaker in each.breakers:
            breaker.allow_to_wait(consumer_timeout_s / 3)
