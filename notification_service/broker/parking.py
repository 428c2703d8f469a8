"""The parking queue, as a person sees it: what waits there, sent on its way again, or thrown away."""

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
    """`reason`: its outcome and the reason, such as `rejected(no_recipient)`. `body`: unpacked, in UTF-8."""

    event_id: str
    event_type: str
    reason: str
    detail: str
    parked_at: datetime
    body: bytes
    channel: ChannelKind = ChannelKind.EMAIL
    properties: str = field(default="", repr=False)
    """Everything else that its producer wrote: ids, and headers of any depth."""


ParkedFilter = Callable[[ParkedEvent], bool]


class BringIn(Protocol):
    """Brings an event in anew. It returns when the broker has confirmed it, and raises `DependencyError`.

    Where that is an `EventRefusedError`, the next event may be brought in all the same.
    """

    async def __call__(
        self,
        body: bytes,
        event_type: str,
        event_id: str | None = None,
        replay: str | None = None,
        channel: ChannelKind = ChannelKind.EMAIL,
    ) -> None:
        """`event_id`: of an event whose body names none. `replay`: the token of a wish to have it again."""


Told = Callable[[ParkedEvent], None]
"""Is told of each event that was moved, when it was."""


Refused = Callable[[EventRefusedError], None]
"""Is told of each event that the broker does not take; what it raises ends the work."""
Publish = Callable[[aio_pika.Message, str], Awaitable[None]]


def _untold(event: ParkedEvent) -> None: ...


def _raised(problem: EventRefusedError) -> None:
    raise problem


async def look(url: str, wanted: ParkedFilter, *, max_bytes: int) -> list[ParkedEvent]:
    """What waits, the oldest first; nothing is moved. `max_bytes`: the bytes of an event that is read for its id."""
    async with _open(url) as channel:
        return [event async for event, _ in _parked(channel, max_bytes) if wanted(event)]


async def replay(
    url: str, wanted: ParkedFilter, *, max_bytes: int, moved_one: Told = _untold, refused_one: Refused = _raised
) -> list[ParkedEvent]:
    """Send what is wanted through the ordinary way again: each copy is confirmed before the original is acked.

    One that the broker refuses stays where it is.
    """
    moved = []
    async with _open(url) as channel, _apart(url) as publish:
        async for event, message in _parked(channel, max_bytes):
            if wanted(event):
                slip = {REPLAY: secrets.token_hex(8), EVENT_TYPE: event.event_type}
                try:
                    await _either(publish, again_queue(channel_of(message)), copied(message, slip), bare(message, slip))
                except MessageRefusedError as problem:
                    refused_one(EventRefusedError(event.event_id, str(problem)))
                    continue
                await message.ack()
                moved.append(event)
                moved_one(event)
    return moved


async def _either(publish: Publish, queue: str, copy: aio_pika.Message, barer: aio_pika.Message) -> None:
    try:
        await publish(copy, queue)
    except MessageRefusedError:
        await publish(barer, queue)


async def discard(url: str, wanted: ParkedFilter, *, max_bytes: int, moved_one: Told = _untold) -> list[ParkedEvent]:
    """Throw away what is wanted. Its record stays, and keeps saying what became of it."""
    gone = []
    async with _open(url) as channel:
        async for event, message in _parked(channel, max_bytes):
            if wanted(event):
                await message.ack()
                gone.append(event)
                moved_one(event)
    return gone


async def depths(url: str, queues: Iterable[str]) -> dict[str, int]:
    """How many messages are ready in each of these queues; one that is missing has none."""
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
async def bringing_in(url: str) -> AsyncIterator[BringIn]:
    """Bring events in anew, behind the exchange; each call returns when the broker has confirmed its event."""
    async with _apart(url) as publish:

        async def bring_in(
            body: bytes,
            event_type: str,
            event_id: str | None = None,
            replay: str | None = None,
            channel: ChannelKind = ChannelKind.EMAIL,
        ) -> None:
            message = _anew(body, event_type, event_id, replay)
            try:
                await publish(message, again_queue(channel))
            except MessageRefusedError as problem:
                raise EventRefusedError(message.message_id or "", str(problem)) from problem
            except DeliveryError as problem:
                raise DependencyError(
                    f"RabbitMQ did not take an event into {again_queue(channel)}: {problem}; run `doctor`"
                ) from problem

        yield bring_in


def bringing_in_by(link: BrokerConnection) -> BringIn:
    """The same, on the connection of the service that runs."""

    async def bring_in(
        body: bytes,
        event_type: str,
        event_id: str | None = None,
        replay: str | None = None,
        channel: ChannelKind = ChannelKind.EMAIL,
    ) -> None:
        try:
            await link.publish(_anew(body, event_type, event_id, replay), again_queue(channel))
        except MessageRefusedError as problem:
            raise EventRefusedError(event_id or body_id(body), str(problem)) from problem
        except LOST as problem:
            raise DependencyError(f"RabbitMQ did not take an event into {again_queue(channel)}: {problem}") from problem

    return bring_in


def _anew(body: bytes, event_type: str, event_id: str | None, replay: str | None) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        headers={EVENT_TYPE: event_type, **({REPLAY: replay} if replay else {})},
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event_id or body_id(body),
    )


@asynccontextmanager
async def _apart(url: str) -> AsyncIterator[Publish]:
    """Publishes with confirms; a refusal costs nothing else. Raises `DependencyError` where nobody answers.

    Each call raises `MessageRefusedError`, and `DeliveryError` where the queue has no room or is missing.
    """
    apart = IsolatedPublisher(url, "notification-service")

    async def publish(message: aio_pika.Message, queue: str) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            await apart.publish(message, queue)

    try:
        yield publish
    except LOST as problem:
        raise DependencyError(f"RabbitMQ broke off: {type(problem).__name__}: {problem}; look again") from problem
    finally:
        await apart.close()


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel; what was taken on it and not acked is back in the queue when it closes. Raises `DependencyError`."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            connection = await lenient_decoding.connect(url)
    except LOST as problem:
        raise DependencyError(f"RABBITMQ_URL: {type(problem).__name__}: {problem}") from problem
    async with connection:
        try:
            yield await connection.channel(publisher_confirms=True, on_return_raises=True)
        except LOST as problem:
            raise DependencyError(f"RabbitMQ broke off: {type(problem).__name__}: {problem}; look again") from problem


async def _parked(
    channel: AbstractChannel, max_bytes: int
) -> AsyncIterator[tuple[ParkedEvent, AbstractIncomingMessage]]:
    """Each message that is there now, once: what is parked meanwhile is for the next look."""
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
    """Why and when it was parked. What the broker parked by itself carries what its producer wrote, and how it died."""
    if is_from_us(message) and "x-reason" in message.headers:
        return message.headers
    death = dead_letters.first(message.headers)
    if death is None:
        return {}
    detail = f"RabbitMQ took it from {death.queue} by itself; its record, if it has one, may say pending"
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
    """An age as somebody writes it. Raises `ValueError` where it could not be meant."""
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
    """What every given condition holds for; without any, everything."""

    def wanted(parked: ParkedEvent) -> bool:
        return (
            (event is None or parked.event_id == event)
            and (reason is None or reason in parked.reason)
            and (event_type is None or parked.event_type == event_type)
            and (older_than is None or age(parked) > timedelta(hours=older_than))
            and (channel is None or parked.channel is channel)
        )

    return wanted
