"""The exchange and the queues as data, and their declaration in the broker."""

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
"""Retries and replays of e-mails return here; see `again_queue`."""
PARKED = "notification.parked"
"""Events that wait for a person."""
EXPRESS = "notification.express"
"""The express lane: a second copy of each event that becomes a ticket, so that it does not wait behind other mail.

The copy in the booking queue counts. Losing the copy here costs only the head start, so this queue may drop
messages that are too old or too many.
"""

SIGNALS = "notification.signals"
"""What providers, mailboxes and our own links say of messages that were sent."""
UNREADABLE_SIGNALS = "notification.signals.unreadable"
"""Signals that this version cannot read, or that fail again and again: kept, so that none is lost."""

_DELIVERY_LIMIT = 1000
"""More redeliveries than restarts and lost connections cause; RabbitMQ 4 would allow 20 (pitfalls.md, 28, 29)."""


_PARKED_DELIVERY_LIMIT = 1_000_000
_EXPRESS_TTL_S = 300
"""An older copy has no head start any more."""
_MAX_EXPRESS_COPIES = 1000
"""With more, the oldest is dropped, so that the newest does not wait when tickets themselves are the backlog."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """`arguments`: those with which the service creates it. `bound_to`: its routing keys at the exchange."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bound_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelQueues:
    """The queues of one kind of channel. `fed`: those that are bound to the exchange, the express lane last.

    They may exist already, with other arguments. An event that reaches only the express lane is confirmed to its
    producer but may be lost, so that queue is bound last. `again`: the queue to which retries and replays return.
    """

    channel: ChannelKind
    fed: tuple[QueueSpec, ...]
    again: QueueSpec
    retries: tuple[QueueSpec, ...]

    @property
    def consumed(self) -> tuple[str, ...]:
        # Booking and payment events may share one queue.
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
        """The queues that only the service uses."""
        return (*(queue for each in self.channels for queue in (each.again, *each.retries)), self.parked)

    @property
    def consumed(self) -> tuple[str, ...]:
        return tuple(name for each in self.channels for name in each.consumed)


class TopologyError(Exception):
    """One of our queues exists with other arguments; the text says which, and what to do. It may be temporary."""


def _prefix(channel: ChannelKind) -> str:
    """E-mail, the oldest channel, has queues without the channel's name."""
    return "notification." if channel is ChannelKind.EMAIL else f"notification.{channel}."


def again_queue(channel: ChannelKind) -> str:
    return AGAIN if channel is ChannelKind.EMAIL else f"notification.{channel}.again"


def retry_prefix(channel: ChannelKind) -> str:
    """The prefix of the names of the channel's retry queues."""
    return f"{_prefix(channel)}retry."


def retry_queue(channel: ChannelKind, seconds: int) -> str:
    return f"{retry_prefix(channel)}{seconds}s"


def fed_queue(channel: ChannelKind) -> str:
    """The queue, bound to the exchange, of a channel other than e-mail."""
    return f"notification.{channel}"


AGAIN_QUEUES = {again_queue(channel): channel for channel in ChannelKind}


def channel_by_queue(queue: str) -> ChannelKind:
    """The channel that a queue belongs to, by its name; the booking system's queues are e-mail's."""
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
    """`others`: the event types of each further channel.

    Raises `ConfigurationError` if a name for the booking system's queues is one of our own queues.
    """
    fed = (
        QueueSpec(booking_queue, _WORK, _types_of("booking.")),
        QueueSpec(payment_queue, _WORK, _types_of("payment.")),
        *([QueueSpec(EXPRESS, _EXPRESS_QUEUE, TICKETS)] if express else ()),
    )
    channels = (
        _channel(ChannelKind.EMAIL, fed, delays),
        *(_channel(kind, (QueueSpec(fed_queue(kind), _WORK, keys),), delays) for kind, keys in (others or {}).items()),
    )
    # `parked list` takes all messages and returns them, which counts as a delivery each time.
    parked = {**_QUORUM, "x-message-ttl": round(parking_seconds * 1000), "x-delivery-limit": _PARKED_DELIVERY_LIMIT}
    topology = Topology(exchange, channels, QueueSpec(PARKED, parked))
    reserved = {EXPRESS, *(queue.name for queue in topology.own), *map(fed_queue, ChannelKind)}
    if ours := {booking_queue, payment_queue} & reserved:
        raise ConfigurationError(
            f"RABBITMQ_BOOKING_QUEUE, RABBITMQ_PAYMENT_QUEUE: {', '.join(sorted(ours))} is one of the service's "
            "own queues: name the queue that the booking system publishes to"
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
_EXPRESS_QUEUE = {"x-queue-type": "quorum", "x-message-ttl": _EXPRESS_TTL_S * 1000, "x-max-length": _MAX_EXPRESS_COPIES}


_SIGNAL_QUEUES = (
    QueueSpec(UNREADABLE_SIGNALS, _QUORUM),
    QueueSpec(SIGNALS, {**_QUORUM, "x-delivery-limit": _DELIVERY_LIMIT, **_dead_letters_to(UNREADABLE_SIGNALS)}),
)


async def declare_signals(connection: AbstractConnection) -> None:
    """Bring up the queues for signals. Raises `TopologyError` and the broker's own errors."""
    for queue in _SIGNAL_QUEUES:
        await _create(connection, queue)


async def declare(connection: AbstractConnection, topology: Topology) -> None:
    """Declare what is missing, and leave existing queues unchanged. Raises `TopologyError` and the broker's errors.

    Each call has an AMQP channel of its own, since the broker closes the channel on each refusal (pitfalls.md, 5).
    """
    if not await _exchange_exists(connection, topology.exchange):
        async with connection.channel() as channel:
            await channel.declare_exchange(topology.exchange, ExchangeType.TOPIC, durable=True)
        log.info("broker.created", exchange=topology.exchange)
    for queue in topology.own:
        await _create(connection, queue)
    for queue in topology.fed:
        if await queue_exists(connection, queue.name):
            log.debug("broker.kept", queue=queue.name)
        else:
            await _create(connection, queue)
            log.info("broker.created", queue=queue.name)
        await _bind(connection, queue, topology.exchange)


async def _exchange_exists(connection: AbstractConnection, name: str) -> bool:
    try:
        async with connection.channel() as channel:
            await channel.declare_exchange(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    return True


async def queue_exists(connection: AbstractConnection, name: str) -> bool:
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
            f"queue {queue.name} exists with other arguments than ours: empty it, delete it, and it is created again "
            f"({problem})"
        ) from problem


async def _bind(connection: AbstractConnection, queue: QueueSpec, exchange: str) -> None:
    """Bind the queue: a topic exchange drops messages that no binding matches (pitfalls.md, 30).

    Without the permission to bind, log a warning: somebody else has to bind it.
    """
    try:
        async with connection.channel() as channel:
            bound = await channel.get_queue(queue.name, ensure=False)
            for routing_key in queue.bound_to:
                await bound.bind(exchange, routing_key)
    except AMQPError as problem:
        log.warning("broker.not_bound", queue=queue.name, keys=queue.bound_to, problem=str(problem))
