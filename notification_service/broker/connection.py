"""The connection to RabbitMQ: opened as a whole, and reopened as a whole when any part of it is lost."""

import asyncio
import hashlib
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
    close_quietly,
    confirmed,
)
from notification_service.broker.lenient_decoding import LOST, cancellations_told_apart, parsed
from notification_service.broker.topology import ChannelQueues, Topology, TopologyError
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.foundation.backoff import jittered, pauses

log = structlog.get_logger(__name__)

MessageCallback = Callable[[AbstractIncomingMessage], Awaitable[None]]
Handlers = Mapping[ChannelKind, MessageCallback]

_HEARTBEAT_S = 5
_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 3.0
_LARGE_BODY_BYTES = 64 * 1024
"""A body that a broker may find too large. Ordinary events have a few thousand bytes."""
_MAX_REFUSED = 1000
_ACK_TIMEOUT = re.compile(r"acknowledgement on channel \d+ timed out\. Timeout value used: (\d+) ms")
"""How RabbitMQ says that a message was not acked in time (`consumer_timeout`, by default 30 minutes)."""


class NotLinkedError(ConnectionError):
    """There is no connection to RabbitMQ at the moment."""


def _ignore(_: float) -> None: ...


class BrokerConnection:
    """Consumes the work queues and publishes with confirms, each on an AMQP channel of its own (pitfalls.md, 5).

    A connection that repairs itself keeps consumers that no longer consume (pitfalls.md, 6, 7). So a lost channel, a
    consumer that the broker cancels, and a lost connection are handled alike: everything is closed and opened again.

    `on_ack_timeout` gets the seconds that the broker allows until an ack, when it has closed a channel for that.
    `pauses_s`: the first and the longest pause before a session is opened again.
    """

    def __init__(
        self,
        url: str,
        plan: Topology,
        *,
        prefetch: int,
        on_ack_timeout: Callable[[float], None] = _ignore,
        pauses_s: tuple[float, float] = (0.5, 5.0),
    ) -> None:
        self.problem: str | None = "not connected yet"
        self.mismatched = False
        self._url = _with_heartbeat(url)
        self._plan = plan
        self._prefetch = prefetch
        self._on_ack_timeout = on_ack_timeout
        self._pauses_s = pauses_s
        self._publishing: AbstractChannel | None = None
        self._consumers: list[tuple[AbstractQueue, str]] = []
        self._lost: asyncio.Future[str] | None = None
        self._stopping = asyncio.Event()
        self._isolated = IsolatedPublisher(self._url, _name_for("publishing apart"))
        self._refused: OrderedDict[str, None] = OrderedDict()

    @property
    def consuming(self) -> bool:
        """Whether every consumer is registered, which "connected" does not mean (pitfalls.md, 7)."""
        return len(self._consumers) == len(self._plan.consumed)

    async def run(self, handlers: Handlers) -> None:
        """Consume until `stop_consuming` and `close`, through every outage."""
        waits = pauses(*self._pauses_s)
        while not self._stopping.is_set():
            try:
                async with cancellations_told_apart(), self._session(handlers) as lost:
                    if self._stopping.is_set():
                        return
                    waits = pauses(*self._pauses_s)
                    self.problem, self.mismatched = None, False
                    log.info("broker.consuming", queues=self._plan.consumed, prefetch=self._prefetch)
                    reason = await lost
                    log.warning("broker.lost", reason=reason)
                    self.problem = reason
                    if timeout := _ACK_TIMEOUT.search(reason):
                        self._on_ack_timeout(int(timeout[1]) / 1000)
                pause_s = next(waits)
            except TopologyError as problem:
                self.problem, self.mismatched = str(problem), True
                pause_s = jittered(self._pauses_s[1])
                log.error("broker.mismatch", problem=self.problem, pause_s=round(pause_s, 1))  # noqa: TRY400 - why
            except LOST as problem:
                self.problem = f"{type(problem).__name__}: {problem}"
                pause_s = next(waits)
                log.warning("broker.unavailable", problem=self.problem, pause_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)

    @asynccontextmanager
    async def _session(self, handlers: Handlers) -> AsyncIterator[asyncio.Future[str]]:
        lost = self._lost = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            # Two connections: a broker that is short of memory or disk stops reading from one that publishes.
            consuming = await self._connect(stack, lost, "consuming")
            publishing = await self._connect(stack, lost, "publishing")
            stack.push_async_callback(self._isolated.close)
            # Registered before consumers are added: a session may end half-way through that.
            stack.callback(self._clear)
            async with asyncio.timeout(6 * _TIMEOUT_S):
                await topology.declare(consuming, self._plan)
                self._publishing = await _channel(publishing, lost, "publishing")
                for queues in self._plan.channels:
                    # One AMQP channel for each kind: the broker closes it for a message of its own only.
                    amqp_channel = await _channel(consuming, lost, f"consuming for {queues.channel}")
                    await self._consume(amqp_channel, lost, queues, handlers[queues.channel])
            yield lost

    async def _connect(self, stack: AsyncExitStack, lost: asyncio.Future[str], use: str) -> AbstractConnection:
        named = {"connection_name": _name_for(use)}
        connection = await lenient_decoding.connect(self._url, timeout=_TIMEOUT_S, client_properties=named)
        stack.push_async_callback(close_quietly, connection)
        _watch(connection, lost, f"the connection for {use} was closed")
        return connection

    def _clear(self) -> None:
        self._publishing, self._consumers = None, []

    async def _consume(
        self, channel: AbstractChannel, lost: asyncio.Future[str], queues: ChannelQueues, on_message: MessageCallback
    ) -> None:
        def cancelled(frame: Basic.Cancel) -> None:
            _mark_lost(lost, f"the broker cancelled the consumer {frame.consumer_tag}")

        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(cancelled)
        await channel.set_qos(prefetch_count=self._prefetch)
        for name in queues.consumed:
            queue = await channel.get_queue(name, ensure=False)
            # The consumer tag is the queue's name, so that a message shows which queue it comes from.
            self._consumers.append((queue, await queue.consume(on_message, consumer_tag=name)))

    async def publish(self, message: aio_pika.Message, queue: str) -> None:
        """Publish, and return when the broker has confirmed it.

        Raises one of `LOST`, after which the message may be in the queue or not, or `MessageRefusedError`. While the
        connection is open there is no timeout: giving up and publishing again would make two messages of one.
        """
        if self._publishing is None:
            raise NotLinkedError("there is no connection to RabbitMQ")
        try:
            async with _log_while_waiting(queue):
                if self._may_be_refused(message):
                    await self._isolated.publish(message, queue)
                else:
                    await confirmed(self._publishing, message, queue)
        except PublishError:
            # The queue was deleted; the next session declares it again.
            if self._lost is not None:
                _mark_lost(self._lost, f"queue {queue} is missing")
            raise
        except (MessageRefusedError, *LOST) as problem:
            if isinstance(problem, MessageRefusedError) or blames_a_message(problem):
                self._publish_isolated_from_now(message)
            raise

    def _may_be_refused(self, message: aio_pika.Message) -> bool:
        return len(message.body) > _LARGE_BODY_BYTES or (bool(self._refused) and _body_digest(message) in self._refused)

    def _publish_isolated_from_now(self, message: aio_pika.Message) -> None:
        """Use the isolated publisher for this body: it was in flight when the broker closed because of some message."""
        self._refused[_body_digest(message)] = None
        if len(self._refused) > _MAX_REFUSED:
            self._refused.popitem(last=False)

    async def wait_unless_stopping(self, seconds: float) -> bool:
        """Wait, or until the service stops consuming. Returns whether it still consumes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    async def stop_consuming(self) -> None:
        """Take no further messages. Those that were taken can still be settled."""
        self._stopping.set()
        consumers, self._consumers = self._consumers, []
        await asyncio.gather(*(_cancel(queue, tag) for queue, tag in consumers))


def _name_for(use: str) -> str:
    return f"notification-service@{socket.gethostname()} {use}"


def _body_digest(message: aio_pika.Message) -> str:
    return hashlib.sha256(message.body).hexdigest()


@asynccontextmanager
async def _log_while_waiting(queue: str) -> AsyncIterator[None]:
    """Log a warning every `_TIMEOUT_S` seconds until the block ends."""

    async def log_repeatedly() -> None:
        while True:
            await asyncio.sleep(_TIMEOUT_S)
            log.warning("publish.waits", queue=queue, meaning="RabbitMQ does not confirm it: has it an alarm?")

    logging = asyncio.create_task(log_repeatedly())
    try:
        yield
    finally:
        logging.cancel()


async def _channel(connection: AbstractConnection, lost: asyncio.Future[str], use: str) -> AbstractChannel:
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    _watch(channel, lost, f"the channel for {use} was closed")
    return channel


async def _cancel(queue: AbstractQueue, tag: str) -> None:
    try:
        async with cancellations_told_apart():
            await queue.cancel(tag, timeout=_CLOSE_TIMEOUT_S)
    except LOST as problem:
        log.debug("broker.cancel_failed", queue=queue.name, problem=str(problem))


def _watch(part: AbstractConnection | AbstractChannel, lost: asyncio.Future[str], reason: str) -> None:
    def closed(_: Any, problem: BaseException | None) -> None:  # noqa: ANN401 - aio-pika's own signature
        _mark_lost(lost, f"{reason}: {problem}" if problem else reason)

    part.close_callbacks.add(closed)


def _mark_lost(lost: asyncio.Future[str], reason: str) -> None:
    if not lost.done():
        lost.set_result(reason)


def _with_heartbeat(urls: str) -> str:
    """Add our heartbeat interval to each URL that names none.

    With 5 s, aiormq notices a silent connection within 20 s: it waits three times (interval + 1 s) for a frame, and
    checks every 2 s.
    """
    listed = parsed(urls)
    return ",".join(
        str(url if "heartbeat" in url.query else url.update_query(heartbeat=_HEARTBEAT_S)) for url in listed
    )
