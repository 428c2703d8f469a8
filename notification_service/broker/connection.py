"""The connection to RabbitMQ: built whole, and built anew whenever any part of it is lost."""

import asyncio
import hashlib
import random
import re
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import PublishError
from pamqp.commands import Basic

from notification_service.broker import lenient_decoding, topology
from notification_service.broker.isolated_publisher import (
    IsolatedPublisher,
    MessageRefusedError,
    blames_a_message,
    confirmed,
    goodbye,
)
from notification_service.broker.lenient_decoding import LOST, parsed
from notification_service.broker.topology import ChannelQueues, Topology, TopologyError
from notification_service.contract.facts import ChannelKind

log = structlog.get_logger(__name__)

OnMessage = Callable[[AbstractIncomingMessage], Awaitable[None]]
Handlers = Mapping[ChannelKind, OnMessage]


_HEARTBEAT = 5
_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 3.0
_MIN_PAUSE, _MAX_PAUSE = 0.5, 5.0
_LARGE = 64 * 1024
"""Bytes of a body that a broker may find too large; those of ordinary events are a few thousand."""
_MAX_SUSPECTS = 1000
_TOO_LONG = re.compile(r"acknowledgement on channel \d+ timed out\. Timeout value used: (\d+) ms")
"""How RabbitMQ says that a delivery was held too long, and how long it allows: by default 30 minutes."""


class NotLinkedError(ConnectionError):
    """There is no connection to the broker at the moment."""


def _not_told(_: float) -> None: ...


class BrokerConnection:
    """Consumes the work queues, and publishes with confirms; each on a channel of its own (pitfalls.md, 5).

    A connection that mends itself keeps consumers that no longer consume (pitfalls.md, 6, 7): here a lost channel, a
    consumer that the broker cancels, and a lost connection are one thing, and all is built up again.

    `held_too_long` is told how many seconds the broker lets a delivery be held, when it has closed a channel for it.
    """

    def __init__(
        self, url: str, plan: Topology, *, prefetch: int, held_too_long: Callable[[float], None] = _not_told
    ) -> None:
        self.problem: str | None = "not connected yet"
        self.mismatched = False
        self._url = _with_heartbeat(url)
        self._plan = plan
        self._prefetch = prefetch
        self._held_too_long = held_too_long
        self._publishing: AbstractChannel | None = None
        self._consumers: list[tuple[AbstractQueue, str]] = []
        self._lost: asyncio.Future[str] | None = None
        self._stopping = asyncio.Event()
        self._apart = IsolatedPublisher(self._url, _name_for("publishing apart"))
        self._suspects: OrderedDict[str, None] = OrderedDict()

    @property
    def consuming(self) -> bool:
        """Whether every consumer is registered, which "connected" does not mean (pitfalls.md, 7)."""
        return len(self._consumers) == len(self._plan.consumed)

    async def run(self, handlers: Handlers) -> None:
        """Consume until `stop_consuming` and `close`, through every outage."""
        pause = _MIN_PAUSE
        while not self._stopping.is_set():
            try:
                async with self._session(handlers) as lost:
                    if self._stopping.is_set():
                        return
                    pause = _MIN_PAUSE
                    self.problem, self.mismatched = None, False
                    log.info("broker.consuming", queues=self._plan.consumed, prefetch=self._prefetch)
                    reason = await lost
                    log.warning("broker.lost", reason=reason)
                    self.problem = reason
                    if too_long := _TOO_LONG.search(reason):
                        self._held_too_long(int(too_long[1]) / 1000)
            except TopologyError as problem:
                self.problem, self.mismatched = str(problem), True
                log.error("broker.mismatch", problem=self.problem, pause_s=_MAX_PAUSE)  # noqa: TRY400 - it says all
                pause = _MAX_PAUSE
            except LOST as problem:
                self.problem = f"{type(problem).__name__}: {problem}"
                log.warning("broker.unavailable", problem=self.problem, pause_s=round(pause, 1))
            # Scattered, so that the workers do not come back to a restarted broker all at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, _MAX_PAUSE)

    @asynccontextmanager
    async def _session(self, handlers: Handlers) -> AsyncIterator[asyncio.Future[str]]:
        lost = self._lost = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            # Two connections: a broker that is short of memory or disk stops reading the one that publishes.
            consuming = await self._connect(stack, lost, "consuming")
            publishing = await self._connect(stack, lost, "publishing")
            stack.push_async_callback(self._apart.close)
            # Before anything is remembered: a session may end half-way through consuming.
            stack.callback(self._forget)
            async with asyncio.timeout(6 * _TIMEOUT_S):
                await topology.declare(consuming, self._plan)
                self._publishing = await _channel(publishing, lost, "publishing")
                for queues in self._plan.channels:
                    # A channel that is shut holds its own messages, and those of no other.
                    amqp_channel = await _channel(consuming, lost, f"consuming for {queues.channel}")
                    await self._consume(amqp_channel, lost, queues, handlers[queues.channel])
            yield lost

    async def _connect(self, stack: AsyncExitStack, lost: asyncio.Future[str], use: str) -> AbstractConnection:
        named = {"connection_name": _name_for(use)}
        connection = await lenient_decoding.connect(self._url, timeout=_TIMEOUT_S, client_properties=named)
        stack.push_async_callback(goodbye, connection)
        _watch(connection, lost, f"the connection for {use} was closed")
        return connection

    def _forget(self) -> None:
        self._publishing, self._consumers = None, []

    async def _consume(
        self, channel: AbstractChannel, lost: asyncio.Future[str], queues: ChannelQueues, on_message: OnMessage
    ) -> None:
        def cancelled(frame: Basic.Cancel) -> None:
            _tell(lost, f"the broker cancelled the consumer {frame.consumer_tag}")

        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(cancelled)
        await channel.set_qos(prefetch_count=self._prefetch)
        for name in queues.consumed:
            queue = await channel.get_queue(name, ensure=False)
            # Tagged with its queue's name, so that a delivery tells where it comes from.
            self._consumers.append((queue, await queue.consume(on_message, consumer_tag=name)))

    async def publish(self, message: aio_pika.Message, queue: str) -> None:
        """Returns when the broker has confirmed it. Raises one of `LOST`, after which it may or may not be there.

        Raises `MessageRefusedError` for what the broker does not take. There is no time limit while the
        connection stands: giving up and publishing again would make it two.
        """
        if self._publishing is None:
            raise NotLinkedError("there is no connection to RabbitMQ")
        try:
            async with _impatience(queue):
                if self._may_be_refused(message):
                    await self._apart.publish(message, queue)
                else:
                    await confirmed(self._publishing, message, queue)
        except PublishError:
            # The queue is gone: the next session declares it again.
            if self._lost is not None:
                _tell(self._lost, f"queue {queue} is missing")
            raise
        except (MessageRefusedError, *LOST) as problem:
            if isinstance(problem, MessageRefusedError) or blames_a_message(problem):
                self._suspect(message)
            raise

    def _may_be_refused(self, message: aio_pika.Message) -> bool:
        return len(message.body) > _LARGE or (bool(self._suspects) and _digest(message) in self._suspects)

    def _suspect(self, message: aio_pika.Message) -> None:
        """It was under way when the broker closed: from now on it goes apart, whatever queue it is for."""
        self._suspects[_digest(message)] = None
        if len(self._suspects) > _MAX_SUSPECTS:
            self._suspects.popitem(last=False)

    async def rest(self, seconds: float) -> bool:
        """Wait; whether the service goes on consuming then."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    async def stop_consuming(self) -> None:
        """No further deliveries; those that are here can still be settled."""
        self._stopping.set()
        consumers, self._consumers = self._consumers, []
        await asyncio.gather(*(_cancel(queue, tag) for queue, tag in consumers))


def _name_for(use: str) -> str:
    return f"notification-service@{socket.gethostname()} {use}"


def _digest(message: aio_pika.Message) -> str:
    return hashlib.sha256(message.body).hexdigest()


@asynccontextmanager
async def _impatience(queue: str) -> AsyncIterator[None]:
    async def say() -> None:
        while True:
            await asyncio.sleep(_TIMEOUT_S)
            log.warning("publish.waits", queue=queue, meaning="RabbitMQ does not confirm it: has it an alarm?")

    saying = asyncio.create_task(say())
    try:
        yield
    finally:
        saying.cancel()


async def _channel(connection: AbstractConnection, lost: asyncio.Future[str], use: str) -> AbstractChannel:
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    _watch(channel, lost, f"the channel for {use} was closed")
    return channel


async def _cancel(queue: AbstractQueue, tag: str) -> None:
    try:
        await queue.cancel(tag, timeout=_CLOSE_TIMEOUT_S)
    except LOST as problem:
        log.debug("broker.cancel_failed", queue=queue.name, problem=str(problem))


def _watch(part: AbstractConnection | AbstractChannel, lost: asyncio.Future[str], reason: str) -> None:
    def closed(_: Any, problem: BaseException | None) -> None:  # noqa: ANN401 - aio-pika's own signature
        _tell(lost, f"{reason}: {problem}" if problem else reason)

    part.close_callbacks.add(closed)


def _tell(lost: asyncio.Future[str], reason: str) -> None:
    if not lost.done():
        lost.set_result(reason)


def _with_heartbeat(urls: str) -> str:
    """The URLs with our heartbeat, in seconds, unless they name one.

    aiormq notices a black hole after three of them, a second, and what is left of a fourth: within 21 s.
    """
    listed = parsed(urls)
    return ",".join(str(url if "heartbeat" in url.query else url.update_query(heartbeat=_HEARTBEAT)) for url in listed)
