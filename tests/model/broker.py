"""A broker that delivers at least once: unacked messages are redelivered, and retry queues have fixed delays."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from notification_service.broker.connection import BrokerConnection, NotLinkedError
from notification_service.broker.isolated_publisher import MessageRefusedError
from notification_service.broker.topology import AGAIN, EXPRESS, PARKED, retry_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.retries import DEFAULT_DELAYS_S
from tests.model.process import Clock, Process

_RUNGS = {retry_queue(ChannelKind.EMAIL, seconds): seconds for seconds in DEFAULT_DELAYS_S}


@dataclass(frozen=True, slots=True)
class Message:
    body: bytes = field(repr=False)
    routing_key: str
    message_id: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    redelivered: bool = False
    is_express_copy: bool = False
    """On the express lane."""


class Connection:
    """What one process has in hand. `is_closed` is what the consumer asks of a message's channel."""

    def __init__(self) -> None:
        self.is_closed = False
        self.unacked: list[Message] = []


class Incoming:
    """A message as the consumer sees it; it can be acked as long as its connection stands."""

    content_type, content_encoding, correlation_id = "application/json", None, None
    timestamp, type, app_id = None, None, None

    def __init__(
        self, message: Message, connection: Connection, process: Process, give_back: Callable[[Message], None]
    ) -> None:
        self.body, self.headers, self.message_id = message.body, dict(message.headers), message.message_id
        self.routing_key, self.redelivered = message.routing_key, message.redelivered
        self.consumer_tag = EXPRESS if message.is_express_copy else None
        self.channel = connection
        self._message = message
        self._process = process
        self._give_back = give_back

    async def ack(self) -> None:
        await self._process.gate("broker.ack")
        if self.channel.is_closed:
            raise NotLinkedError("the channel of this delivery is gone")
        self.channel.unacked.remove(self._message)
        await self._process.gate("broker.ack done")

    async def nack(self, *, requeue: bool) -> None:
        assert requeue
        await self._process.gate("broker.nack")
        if self.channel.is_closed:
            raise NotLinkedError("the channel of this delivery is gone")
        self.channel.unacked.remove(self._message)
        self._give_back(replace(self._message, redelivered=True))
        await self._process.gate("broker.nack done")


class Broker:
    """`refusing`: it delivers what it has, and takes no copy of it."""

    def __init__(self, clock: Clock, *, refusing: bool = False) -> None:
        self._clock = clock
        self._refusing = refusing
        self.ready: list[Message] = []
        self.waiting: list[tuple[float, Message]] = []
        self.parked: list[Message] = []

    @property
    def next_due(self) -> float | None:
        return min((due for due, _ in self.waiting), default=None)

    def cancel_waiting(self) -> None:
        """What has waited long enough goes back to work."""
        self.ready += [message for due, message in self.waiting if due <= self._clock.now]
        self.waiting = [(due, message) for due, message in self.waiting if due > self._clock.now]

    def deliver(self, connection: Connection, process: Process) -> AbstractIncomingMessage:
        """The next message, into the hands of this process."""
        message = self.ready.pop(0)
        connection.unacked.append(message)
        # The few things that the consumer asks of a message.
        return cast("AbstractIncomingMessage", Incoming(message, connection, process, self.ready.append))

    def lose(self, connection: Connection) -> None:
        """What was not acked is delivered again, before all else."""
        connection.is_closed = True
        for each in reversed(connection.unacked):
            self.ready.insert(0, replace(each, redelivered=True))
        connection.unacked.clear()

    def publish(self, copy: aio_pika.Message, queue: str) -> None:
        if self._refusing:
            raise MessageRefusedError("PRECONDITION_FAILED - message size 1 is larger than configured max size 0")
        message = Message(copy.body, queue, copy.message_id or "", dict(copy.headers))
        if queue == PARKED:
            self.parked.append(message)
        elif queue == AGAIN:
            self.ready.append(message)
        else:
            self.waiting.append((self._clock.now + _RUNGS[queue], message))


class _Publishing:
    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def publish(self, copy: aio_pika.Message, queue: str) -> None:
        await self._process.gate(f"broker.publish {queue}")
        self._broker.publish(copy, queue)
        await self._process.gate(f"broker.publish {queue} done")

    async def wait_unless_stopping(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return True


def link(broker: Broker, process: Process) -> BrokerConnection:
    """All that the consumer uses of a link: publishing with confirms, and its wait."""
    return cast("BrokerConnection", _Publishing(broker, process))
