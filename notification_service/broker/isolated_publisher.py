"""Publishes messages that the broker may refuse: one at a time, on a connection of their own.

RabbitMQ refuses a message by closing the channel (406: larger than max_message_size, or a header that RabbitMQ itself
reads) or the whole connection (501: more headers than fit in a frame). With several messages in flight, nobody can tell
which one it was, and all of them fail. Alone on its connection, the message is known to be refused, and no other fails.
"""

import asyncio

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelPreconditionFailed, ConnectionClosed, DeliveryError

from notification_service.broker import lenient_decoding
from notification_service.broker.lenient_decoding import LOST, cancellations_told_apart

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 3.0
_FRAMES = ("FRAME_ERROR", "SYNTAX_ERROR", "UNEXPECTED_FRAME")
"""How the broker's text begins when it closes the connection because of a frame that it read."""
_CONTENT_TOO_LARGE = 311
"""The reply code of AMQP 0-9-1 §1.8; RabbitMQ itself uses 406."""


class MessageRefusedError(Exception):
    """The broker refuses this message, and would refuse it again. The text is the broker's."""


def blames_a_message(problem: BaseException) -> bool:
    """Whether the broker closed the channel or connection because of a published message."""
    if isinstance(problem, ChannelClosed):
        return isinstance(problem, ChannelPreconditionFailed) or problem.args[:1] == (_CONTENT_TOO_LARGE,)
    return isinstance(problem, ConnectionClosed) and str(problem).startswith(_FRAMES)


class IsolatedPublisher:
    """Connects when the first message is published. `name`: the name of the connection at the broker."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._lock = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def publish(self, message: aio_pika.Message, queue: str) -> None:
        """Publish, and return when the broker has confirmed it. Raises `MessageRefusedError`, or one of `LOST`."""
        async with self._lock, cancellations_told_apart():
            channel = await self._ready()
            try:
                await confirmed(channel, message, queue)
            except DeliveryError:
                # The broker answered on a channel that stays open.
                raise
            except LOST as problem:
                await self.close()
                if blames_a_message(problem):
                    raise MessageRefusedError(str(problem)) from problem
                raise

    async def close(self) -> None:
        """Close the connection. A message in flight fails with one of `LOST`."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await close_quietly(connection)

    async def _ready(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            await self.close()
            named = {"connection_name": self._name}
            self._connection = await lenient_decoding.connect(self._url, timeout=_TIMEOUT_S, client_properties=named)
            async with asyncio.timeout(_TIMEOUT_S):
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        return self._channel


async def confirmed(channel: AbstractChannel, message: aio_pika.Message, queue: str) -> None:
    """Publish to a queue, and wait for the confirm. Raises `MessageRefusedError` where its headers fit in no frame."""
    try:
        async with cancellations_told_apart():
            await channel.default_exchange.publish(message, queue, mandatory=True)
    except LOST:
        raise
    except Exception as problem:
        # pamqp's errors have no common base class.
        raise MessageRefusedError(f"{type(problem).__name__}: {problem}") from problem


async def close_quietly(connection: AbstractConnection) -> None:
    """Close the connection; an error or a timeout is only logged."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S), cancellations_told_apart():
            await connection.close()
    except LOST as problem:
        log.debug("broker.goodbye_failed", problem=str(problem))
