"""Publishes what the broker may refuse: one at a time, on a connection that nobody else needs.

To a message that it does not take, RabbitMQ answers by closing the channel (406: larger than max_message_size, a header
that it reads itself) or the whole connection (501: more headers than a frame holds). Among other publishes nobody can
tell whose fault that is, and everybody pays. Alone, a refusal is proof, and costs no session.
"""

import asyncio

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelPreconditionFailed, ConnectionClosed, DeliveryError

from notification_service.broker import lenient_decoding
from notification_service.broker.lenient_decoding import LOST

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 3.0
_FRAMES = ("FRAME_ERROR", "SYNTAX_ERROR", "UNEXPECTED_FRAME")
"""How the broker's text begins where it closes the connection because of what it read."""
_CONTENT_TOO_LARGE = 311
"""AMQP 0-9-1 §1.8's own word for it, which RabbitMQ does not use."""


class MessageRefusedError(Exception):
    """The broker does not take this message, nor would it the next time; the text is the broker's."""


def blames_a_message(problem: BaseException) -> bool:
    """Whether the broker closed because of something that was published, and not for reasons of its own."""
    if isinstance(problem, ChannelClosed):
        return isinstance(problem, ChannelPreconditionFailed) or problem.args[:1] == (_CONTENT_TOO_LARGE,)
    return isinstance(problem, ConnectionClosed) and str(problem).startswith(_FRAMES)


class IsolatedPublisher:
    """`name`: what the broker calls the connection, which is made when the first message needs it."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._turn = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def publish(self, message: aio_pika.Message, queue: str) -> None:
        """Returns when the broker has confirmed it. Raises `MessageRefusedError`, or one of `LOST`."""
        async with self._turn:
            channel = await self._ready()
            try:
                await confirmed(channel, message, queue)
            except DeliveryError:
                # The broker answered, and the channel stands.
                raise
            except LOST as problem:
                await self.close()
                if blames_a_message(problem):
                    raise MessageRefusedError(str(problem)) from problem
                raise

    async def close(self) -> None:
        """What is under way fails with one of `LOST`."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await goodbye(connection)

    async def _ready(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            await self.close()
            named = {"connection_name": self._name}
            self._connection = await lenient_decoding.connect(self._url, timeout=_TIMEOUT_S, client_properties=named)
            async with asyncio.timeout(_TIMEOUT_S):
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        return self._channel


async def confirmed(channel: AbstractChannel, message: aio_pika.Message, queue: str) -> None:
    """Publish to a queue, and wait for its confirm. Raises `MessageRefusedError` where no frame can hold it."""
    try:
        await channel.default_exchange.publish(message, queue, mandatory=True)
    except LOST:
        raise
    except Exception as problem:
        # pamqp's errors have no kind in common.
        raise MessageRefusedError(f"{type(problem).__name__}: {problem}") from problem


async def goodbye(connection: AbstractConnection) -> None:
    """Close it, unless the other end no longer listens."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.close()
    except LOST as problem:
        log.debug("broker.goodbye_failed", problem=str(problem))
