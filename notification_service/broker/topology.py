"""The exchange and the queues, as data, and how they come to stand in the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES
from notification_service.contract.notification_rules import TICKETS
from notification_service.foundation.errors import ConfigurationError

log = structlog.get_logger(__name__)

AGAIN = "notification.again"
"""Where every retry and every replay of an e-mail leads back to; see `again_queue`."""
PARKED = "notification.parked"
"""What waits for a person."""
EXPRESS = "notification.express"
"""A second copy of each event that becomes a ticket, so that a ticket does not stand behind a backlog of other mail.

The copy in the booking queue is the one that counts. What is lost here is only a head start, so this queue may drop
what is old or too much.
"""

SIGNALS = "notification.signals"
"""What providers, mailboxes and our own links say of messages that were sent."""
UNREADABLE_SIGNALS = "notification.signals.unreadable"
"""Signals that this version cannot read, or that fail again and again: kept, so that none is lost."""

_DELIVERY_LIMIT = 1000
"""Beyond any number that restarts and lost connections reach; RabbitMQ 4 would take 20 (pitfalls.md, 28, 29)."""


_LOOKS_LIMIT = 1_000_000
_HEAD_START = 300
"""Seconds after which a copy is no head start any more."""
_MAX_AHEAD = 1000
"""Copies. Beyond it the oldest is dropped: when tickets are the backlog, the newest is not behind them."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """`arguments`: what we create it with. `bound_to`: the routing keys that lead into it from the exchange."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bound_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelQueues:
    """The queues of one kind of channel. `fed`: those that the exchange feeds; the first ones are those that count.

    They may stand already, with arguments of their own. What reached the express lane alone would be confirmed to its
    producer, and might be lost, so it comes last. `again`: where every retry and every replay leads back to.
    """

    channel: ChannelKind
    fed: tuple[QueueSpec, ...]
    again: QueueSpec
    retries: tuple[QueueSpec, ...]

    @property
    def consumed(self) -> tuple[str, ...]:
        # One queue may be fed with both families of events.
        return tuple(dict.fromkeys((*(queue.name for queue in self.fed), self.again.name)))


@dataclass(frozen=True, slots=True)
class Topology:
    exchange: str
    channels: tuple[ChannelQueues, ...]
    parked: QueueSpec

    @property
    def fed(self) -> tuple[QueueSpec, ...]:
        return tuple(queue for each in self.channels for queue in each.fed)

    @property
    def own(self) -> tuple[QueueSpec, ...]:
        """Those of the service alone."""
        return (*(queue for each in self.channels for queue in (each.again, *each.retries)), self.parked)

    @property
    def consumed(self) -> tuple[str, ...]:
        return tuple(name for each in self.channels for name in each.consumed)


class TopologyError(Exception):
    """A queue of ours stands with other arguments; the text says which and what to do. Waiting may mend it."""


def _prefix(channel: ChannelKind) -> str:
    """The queues of e-mail are older than the other channels, and have no name of a channel in theirs."""
    return "notification." if channel is ChannelKind.EMAIL else f"notification.{channel}."


def again_queue(channel: ChannelKind) -> str:
    return AGAIN if channel is ChannelKind.EMAIL else f"notification.{channel}.again"


def retry_prefix(channel: ChannelKind) -> str:
    """How the names of the channel's retry queues begin."""
    return f"{_prefix(channel)}retry."


def retry_queue(channel: ChannelKind, seconds: int) -> str:
    return f"{retry_prefix(channel)}{seconds}s"


def fed_queue(channel: ChannelKind) -> str:
    """The queue that the exchange feeds for a channel that the booking system does not know of."""
    return f"notification.{channel}"


AGAIN_QUEUES = {again_queue(channel): channel for channel in ChannelKind}


def channel_by_queue(queue: str) -> ChannelKind:
    """The channel that a queue belongs to, by its name; the queues of the booking system are those of e-mail."""
    for channel in ChannelKind:
        if queue == fed_queue(channel) or queue.startswith(f"notification.{channel}."):
            return channel
    return ChannelKind.EMAIL


def plan(
    *,
    exchange: str,
    booking_queue: str,
    payment_queue: str,
    delays: tuple[int, ...],
    parking_seconds: float,
    express: bool,
    others: Mapping[ChannelKind, tuple[str, ...]] | None = None,
) -> Topology:
    """`others`: the types of the events that further channels are fed with.

    Raises `ConfigurationError` where a queue of ours is to be fed by the booking system.
    """
    fed = (
        QueueSpec(booking_queue, _WORK, _types_of("booking.")),
        QueueSpec(payment_queue, _WORK, _types_of("payment.")),
        *([QueueSpec(EXPRESS, _HEAD_START_QUEUE, TICKETS)] if express else ()),
    )
    channels = (
        _channel(ChannelKind.EMAIL, fed, delays),
        *(_channel(kind, (QueueSpec(fed_queue(kind), _WORK, keys),), delays) for kind, keys in (others or {}).items()),
    )
    # Every look at it takes what is there and puts it back, which counts as a delivery.
    parked = {**_QUORUM, "x-message-ttl": round(parking_seconds * 1000), "x-delivery-limit": _LOOKS_LIMIT}
    topology = Topology(exchange, channels, QueueSpec(PARKED, parked))
    reserved = {EXPRESS, *(queue.name for queue in topology.own), *map(fed_queue, ChannelKind)}
    if ours := {booking_queue, payment_queue} & reserved:
        raise ConfigurationError(
            f"RABBITMQ_BOOKING_QUEUE, RABBITMQ_PAYMENT_QUEUE: {', '.join(sorted(ours))} is a queue of the service's "
            "own; name the one that the booking system feeds"
        )
    return topology


def _types_of(family: str) -> tuple[str, ...]:
    return tuple(event_type for event_type in EVENT_TYPES if event_type.startswith(family))


def _channel(channel: ChannelKind, fed: tuple[QueueSpec, ...], delays: tuple[int, ...]) -> ChannelQueues:
    again = again_queue(channel)
    retries = tuple(
        QueueSpec(
            retry_queue(channel, seconds), {**_QUORUM, "x-message-ttl": seconds * 1000, **_dead_letters_to(again)}
        )
        for seconds in delays
    )
    return ChannelQueues(channel, fed, QueueSpec(again, _WORK), retries)


def _dead_letters_to(queue: str) -> dict[str, str]:
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
    }


_QUORUM = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
_WORK = {**_QUORUM, "x-delivery-limit": _DELIVERY_LIMIT, **_dead_letters_to(PARKED)}
_HEAD_START_QUEUE = {"x-queue-type": "quorum", "x-message-ttl": _HEAD_START * 1000, "x-max-length": _MAX_AHEAD}


_SIGNAL_QUEUES = (
    QueueSpec(UNREADABLE_SIGNALS, _QUORUM),
    QueueSpec(SIGNALS, {**_QUORUM, "x-delivery-limit": _DELIVERY_LIMIT, **_dead_letters_to(UNREADABLE_SIGNALS)}),
)


async def declare_signals(connection: AbstractConnection) -> None:
    """Bring up the queues for signals. Raises `TopologyError` and the broker's own errors."""
    for queue in _SIGNAL_QUEUES:
        await _create(connection, queue)


async def declare(connection: AbstractConnection, topology: Topology) -> None:
    """Bring up what is missing, and change nothing that stands. Raises `TopologyError` and the broker's own errors.

    Every question has a channel of its own, since the broker closes the channel with each "no" (pitfalls.md, 5).
    """
    if not await _exchange_stands(connection, topology.exchange):
        async with connection.channel() as channel:
            await channel.declare_exchange(topology.exchange, ExchangeType.TOPIC, durable=True)
        log.info("broker.created", exchange=topology.exchange)
    for queue in topology.own:
        await _create(connection, queue)
    for queue in topology.fed:
        if await queue_stands(connection, queue.name):
            log.debug("broker.kept", queue=queue.name)
        else:
            await _create(connection, queue)
            log.info("broker.created", queue=queue.name)
        await _bind(connection, queue, topology.exchange)


async def _exchange_stands(connection: AbstractConnection, name: str) -> bool:
    try:
        async with connection.channel() as channel:
            await channel.declare_exchange(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    return True


async def queue_stands(connection: AbstractConnection, name: str) -> bool:
    try:
        async with connection.channel() as channel:
            await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    return True


async def _create(connection: AbstractConnection, queue: QueueSpec) -> None:
    try:
        async with connection.channel() as channel:
            await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    except ChannelPreconditionFailed as problem:
        raise TopologyError(
            f"queue {queue.name} stands with other arguments than ours: empty it, delete it, and it is created anew "
            f"({problem})"
        ) from problem


async def _bind(connection: AbstractConnection, queue: QueueSpec, exchange: str) -> None:
    """A topic exchange drops what no queue is bound to (pitfalls.md, 30).

    Where we may not bind, somebody else has to.
    """
    try:
        async with connection.channel() as channel:
            bound = await channel.get_queue(queue.name, ensure=False)
            for routing_key in queue.bound_to:
                await bound.bind(exchange, routing_key)
    except AMQPError as problem:
        log.warning("broker.not_bound", queue=queue.name, keys=queue.bound_to, problem=str(problem))
