"""The parking queue for operators: list, replay and discard parked events; and publish recorded events again."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError

from notification_service.broker import dead_letters, lenient_decoding
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.isolated_publisher import IsolatedPublisher, MessageRefusedError
from notification_service.broker.lenient_decoding import LOST
from notification_service.broker.messages import EVENT_TYPE, REPLAY, bare, channel_of, copied, is_from_us, read
from notification_service.broker.topology import PARKED, again_queue
from notification_service.contract import bodies
from notification_service.contract.bodies import NotReadError
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.delivery import planning
from notification_service.foundation.errors import DependencyError, EventRefusedError

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """`reason`: the outcome with its reason, such as `rejected(no_recipient)`. `body`: decompressed, in UTF-8."""

    event_id: str
    event_type: str
    reason: str
    detail: str
    parked_at: datetime
    body: bytes
    channel: ChannelKind = ChannelKind.EMAIL
    properties: str = field(default="", repr=False)
    """The producer's ids and headers, for searching."""


ParkedFilter = Callable[[ParkedEvent], bool]


class Republish(Protocol):
    """Publishes an event again, and returns when the broker has confirmed it. Raises `DependencyError`.

    After an `EventRefusedError`, other events may still be published.
    """

    async def __call__(
        self,
        body: bytes,
        event_type: str,
        event_id: str | None = None,
        replay: str | None = None,
        channel: ChannelKind = ChannelKind.EMAIL,
    ) -> None:
        """`event_id`: for a body without an id. `replay`: the token of a replay."""


OnMoved = Callable[[ParkedEvent], None]
"""Called for each event after it was replayed or discarded."""


OnRefused = Callable[[EventRefusedError], None]
"""Called for each event that the broker refuses. If it raises, the replay ends."""
Publish = Callable[[aio_pika.Message, str], Awaitable[None]]


def _ignore(event: ParkedEvent) -> None: ...


def _raise(problem: EventRefusedError) -> None:
    raise problem


async def look(url: str, wanted: ParkedFilter, *, max_bytes: int) -> list[ParkedEvent]:
    """List the parked events, the oldest first. `max_bytes`: the largest body that is read for the event's id."""
    async with _open(url) as channel:
        return [event async for event, _ in _parked(channel, max_bytes) if wanted(event)]


async def replay(
    url: str, wanted: ParkedFilter, *, max_bytes: int, on_moved: OnMoved = _ignore, on_refused: OnRefused = _raise
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


async def discard(url: str, wanted: ParkedFilter, *, max_bytes: int, on_moved: OnMoved = _ignore) -> list[ParkedEvent]:
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


@asynccontextmanager
async def republishing(url: str) -> AsyncIterator[Republish]:
    """Publish events directly to the channels' queues, on a connection of its own, until the block ends."""
    async with _isolated(url) as publish:

        async def republish(
            body: bytes,
            event_type: str,
            event_id: str | None = None,
            replay: str | None = None,
            channel: ChannelKind = ChannelKind.EMAIL,
        ) -> None:
            message = _message(body, event_type, event_id, replay)
            try:
                await publish(message, again_queue(channel))
            except MessageRefusedError as problem:
                raise EventRefusedError(message.message_id or "", str(problem)) from problem
            except DeliveryError as problem:
                raise DependencyError(
                    f"RabbitMQ did not take an event into {again_queue(channel)}: {problem}; run `doctor`"
                ) from problem

        yield republish


def republishing_over(link: BrokerConnection) -> Republish:
    """As `republishing`, over the connection of the running service."""

    async def republish(
        body: bytes,
        event_type: str,
        event_id: str | None = None,
        replay: str | None = None,
        channel: ChannelKind = ChannelKind.EMAIL,
    ) -> None:
        try:
            await link.publish(_message(body, event_type, event_id, replay), again_queue(channel))
        except MessageRefusedError as problem:
            raise EventRefusedError(event_id or body_id(body), str(problem)) from problem
        except LOST as problem:
            raise DependencyError(f"RabbitMQ did not take an event into {again_queue(channel)}: {problem}") from problem

    return republish


def _message(body: bytes, event_type: str, event_id: str | None, replay: str | None) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        headers={EVENT_TYPE: event_type, **({REPLAY: replay} if replay else {})},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event_id or body_id(body),
    )


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
        yield _event(message, max_bytes), message


def _event(message: AbstractIncomingMessage, max_bytes: int) -> ParkedEvent:
    inbound = read(message, max_bytes=max_bytes)
    slip = _slip(message)
    return ParkedEvent(
        event_id=planning.event_id(inbound, max_bytes=max_bytes),
        event_type=inbound.routing_key,
        reason=str(slip.get("x-reason", "")),
        detail=str(slip.get("x-detail", "")),
        parked_at=_moment(slip.get("x-parked-at")),
        body=_readable(inbound, max_bytes),
        channel=channel_of(message),
        properties=repr((message.message_id, message.correlation_id, message.user_id, message.app_id, message.headers)),
    )


def _slip(message: AbstractIncomingMessage) -> Mapping[str, Any]:
    """Headers that say why and when it was parked; made from `x-death` if the broker dead-lettered it."""
    if is_from_us(message) and "x-reason" in message.headers:
        return message.headers
    death = dead_letters.first(message.headers)
    if death is None:
        return {}
    detail = f"RabbitMQ dead-lettered it from {death.queue}; its record, if it has one, may say pending"
    return {"x-reason": f"broker({death.reason})", "x-detail": detail, "x-parked-at": death.at.isoformat()}


def _readable(inbound: InboundMessage, max_bytes: int) -> bytes:
    try:
        return bodies.text_of(inbound.content, max_bytes=max_bytes).encode("utf-8", "surrogatepass")
    except NotReadError:
        return inbound.body


def age(event: ParkedEvent) -> timedelta:
    return datetime.now(UTC) - event.parked_at


def _moment(written: object) -> datetime:
    try:
        return datetime.fromisoformat(str(written))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


_MAX_AGE_HOURS = 10 * 366 * 24


def age_in_hours(text: str) -> float:
    """Read an age in hours. Raises `ValueError` if it is not a number in the allowed range."""
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= _MAX_AGE_HOURS:
        raise ValueError(f"the age has to be a number of hours from 0 to {_MAX_AGE_HOURS}, such as 0.5 or 48")
    return found


def chosen(
    event: str | None,
    reason: str | None,
    event_type: str | None,
    older_than: float | None,
    channel: ChannelKind | None = None,
) -> ParkedFilter:
    """A filter for events that meet all given conditions; without any, every event."""

    def wanted(parked: ParkedEvent) -> bool:
        return (
            (event is None or parked.event_id == event)
            and (reason is None or reason in parked.reason)
            and (event_type is None or parked.event_type == event_type)
            and (older_than is None or age(parked) > timedelta(hours=older_than))
            and (channel is None or parked.channel is channel)
        )

    return wanted
