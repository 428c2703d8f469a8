"""The parking queue for operators: list, replay and discard parked events; and publish recorded events again."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from notification_service.broker import lenient_decoding, parked_events
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.isolated_publisher import IsolatedPublisher, MessageRefusedError
from notification_service.broker.lenient_decoding import LOST
from notification_service.broker.messages import EVENT_TYPE, REPLAY, bare, channel_of, copied
from notification_service.broker.parked_events import ParkedEvent
from notification_service.broker.topology import PARKED, again_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import body_id
from notification_service.foundation.errors import DependencyError, EventRefusedError

_TIMEOUT_S = 10.0

Wanted = Callable[[ParkedEvent], bool]
OnMoved = Callable[[ParkedEvent], None]
"""Called for each event after it was replayed or discarded."""
OnRefused = Callable[[EventRefusedError], None]
"""Called for each event that the broker refuses. If it raises, the replay ends."""
Publish = Callable[[aio_pika.Message, str], Awaitable[None]]


def _ignore(event: ParkedEvent) -> None: ...


def _raise(problem: EventRefusedError) -> None:
    raise problem


async def look(url: str, wanted: Wanted, *, max_bytes: int) -> list[ParkedEvent]:
    """List the parked events, the oldest first. `max_bytes`: the largest body that is read for the event's id."""
    async with _open(url) as channel:
        return [event async for event, _ in _parked(channel, max_bytes) if wanted(event)]


async def replay(
    url: str, wanted: Wanted, *, max_bytes: int, on_moved: OnMoved = _ignore, on_refused: OnRefused = _raise
) -> list[ParkedEvent]:
    """Move the wanted events back to the work queues. Each copy is confirmed before the original is acked.

    An event that the broker refuses stays parked.
    """
    moved = []
    async with _open(url) as channel, _isolated(url) as publish:
        async for event, message in _parked(channel, max_bytes):
            if wanted(event):
                slip = {REPLAY: secrets.token_hex(8), EVENT_TYPE: event.event_type}
                try:
                    await _publish_one_of(
                        publish, again_queue(channel_of(message)), copied(message, slip), bare(message, slip)
                    )
                except MessageRefusedError as problem:
                    on_refused(EventRefusedError(event.event_id, str(problem)))
                    continue
                await message.ack()
                moved.append(event)
                on_moved(event)
    return moved


async def _publish_one_of(publish: Publish, queue: str, copy: aio_pika.Message, barer: aio_pika.Message) -> None:
    try:
        await publish(copy, queue)
    except MessageRefusedError:
        await publish(barer, queue)


async def discard(url: str, wanted: Wanted, *, max_bytes: int, on_moved: OnMoved = _ignore) -> list[ParkedEvent]:
    """Delete the wanted events from the parking queue. Their records stay unchanged."""
    discarded = []
    async with _open(url) as channel:
        async for event, message in _parked(channel, max_bytes):
            if wanted(event):
                await message.ack()
                discarded.append(event)
                on_moved(event)
    return discarded


async def depths(url: str, queues: Iterable[str]) -> dict[str, int]:
    """The number of ready messages in each queue; 0 for a missing queue."""
    found = {}
    async with _open(url) as channel:
        for name in queues:
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                await channel.reopen()
                found[name] = 0
            else:
                found[name] = queue.declaration_result.message_count or 0
    return found


@dataclass(frozen=True, slots=True)
class EventToPublish:
    """An event that is published again. `event_id`: for a body without an id. `replay`: the token of a replay."""

    body: bytes = field(repr=False)
    event_type: str
    event_id: str | None = None
    replay: str | None = None
    channel: ChannelKind = ChannelKind.EMAIL


Republish = Callable[[EventToPublish], Awaitable[None]]
"""Publishes an event again, and returns when the broker has confirmed it. Raises `DependencyError`.

After an `EventRefusedError`, other events may still be published.
"""


@asynccontextmanager
async def republishing(url: str) -> AsyncIterator[Republish]:
    """Publish events directly to the channels' queues, on a connection of its own, until the block ends."""
    async with _isolated(url) as publish:
        yield partial(_republish, publish)


def republishing_over(link: BrokerConnection) -> Republish:
    """As `republishing`, over the connection of the running service."""
    return partial(_republish, link.publish)


async def _republish(publish: Publish, event: EventToPublish) -> None:
    event_id, queue = event.event_id or body_id(event.body), again_queue(event.channel)
    message = aio_pika.Message(
        event.body,
        headers={EVENT_TYPE: event.event_type, **({REPLAY: event.replay} if event.replay else {})},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event_id,
    )
    try:
        await publish(message, queue)
    except MessageRefusedError as problem:
        raise EventRefusedError(event_id, str(problem)) from problem
    except LOST as problem:
        raise DependencyError(f"RabbitMQ did not take an event into {queue}: {problem}; run `doctor`") from problem


@asynccontextmanager
async def _isolated(url: str) -> AsyncIterator[Publish]:
    """Publish with confirms, so that a refused message affects no other. Raises `DependencyError`.

    Each call raises `MessageRefusedError`, or `DeliveryError` if the queue is full or missing.
    """
    publisher = IsolatedPublisher(url, "notification-service")

    async def publish(message: aio_pika.Message, queue: str) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            await publisher.publish(message, queue)

    try:
        yield publish
    except LOST as problem:
        raise _closed(problem) from problem
    finally:
        await publisher.close()


def _closed(problem: BaseException) -> DependencyError:
    return DependencyError(
        f"RabbitMQ closed the connection: {type(problem).__name__}: {problem}; run the command again"
    )


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[AbstractChannel]:
    """An AMQP channel. When it closes, messages that were not acked return to their queue. Raises `DependencyError`."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            connection = await lenient_decoding.connect(url)
    except LOST as problem:
        raise DependencyError(f"RABBITMQ_URL: {type(problem).__name__}: {problem}") from problem
    async with connection:
        try:
            yield await connection.channel(publisher_confirms=True, on_return_raises=True)
        except LOST as problem:
            raise _closed(problem) from problem


async def _parked(
    channel: AbstractChannel, max_bytes: int
) -> AsyncIterator[tuple[ParkedEvent, AbstractIncomingMessage]]:
    """Each message that is in the queue now, once. Messages that are parked meanwhile are left out."""
    try:
        queue = await channel.declare_queue(PARKED, passive=True)
    except ChannelNotFoundEntity as problem:
        raise DependencyError(f"there is no queue {PARKED}: the service has never run on this broker") from problem
    for _ in range(queue.declaration_result.message_count or 0):
        message = await queue.get(fail=False, timeout=_TIMEOUT_S)
        if message is None:
            return
        yield parked_events.read(message, max_bytes), message
