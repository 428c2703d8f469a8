"""The queue for signals: published to by whoever hears one, consumed by the worker, on connections of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from pamqp.commands import Basic

from notification_service.broker import lenient_decoding, topology
from notification_service.broker.connection import _cancel, _channel, _mark_lost, _name_for, _watch, _with_heartbeat
from notification_service.broker.isolated_publisher import MessageRefusedError, close_quietly, confirmed
from notification_service.broker.lenient_decoding import LOST, cancellations_told_apart
from notification_service.broker.topology import SIGNALS, TopologyError
from notification_service.foundation.backoff import pauses
from notification_service.foundation.errors import DependencyError, StoreUnavailableError

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0
_PUBLISH_TIMEOUT_S = 5.0
"""Providers wait for 10 to 15 s; one that hears nothing repeats what is confirmed already, which says nothing new."""
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.5, 10.0
_REQUEUE_PAUSE_S = 5.0
_PREFETCH = 200

Take = Callable[[bytes], Awaitable[bool]]
"""Handles one body. Returns False where it cannot be read; raises `StoreUnavailableError` where it is to come again."""


class SignalPublisher:
    """Connects when the first signal is published. `use`: a part of the connection's name at the broker."""

    def __init__(self, url: str, use: str) -> None:
        self._url = _with_heartbeat(url)
        self._name = _name_for(use)
        self._lock = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def publish(self, bodies: Sequence[bytes]) -> None:
        """Publish, and return when the broker has confirmed all. Raises `DependencyError`: some may be in the queue."""
        if not bodies:
            return
        channel: AbstractChannel | None = None
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S), cancellations_told_apart():
                channel = await self._ready()
                await asyncio.gather(*(confirmed(channel, _message(body), SIGNALS) for body in bodies))
        except (MessageRefusedError, TopologyError, *LOST) as problem:
            await self._drop(channel)
            raise DependencyError(f"RABBITMQ_URL: a signal cannot be stored: {type(problem).__name__}") from problem

    async def check(self) -> None:
        """Raises `DependencyError` if the broker does not answer."""
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S), cancellations_told_apart():
                await self._ready()
        except (TopologyError, *LOST) as problem:
            raise DependencyError(f"RABBITMQ_URL: {type(problem).__name__}: {problem}") from problem

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await close_quietly(connection)

    async def _ready(self) -> AbstractChannel:
        async with self._lock:
            if self._channel is None or self._channel.is_closed or self._connection is None:
                await self.close()
                named = {"connection_name": self._name}
                self._connection = await lenient_decoding.connect(
                    self._url, timeout=_PUBLISH_TIMEOUT_S, client_properties=named
                )
                await topology.declare_signals(self._connection)
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel

    async def _drop(self, channel: AbstractChannel | None) -> None:
        """Begin anew with the next publish, unless another one has done so already."""
        if channel is not None and channel is self._channel:
            await self.close()


class SignalConsumer:
    """Consumes signals through every outage. One that cannot be handled for now is held, and comes again."""

    def __init__(self, url: str, take: Take, *, prefetch: int = _PREFETCH) -> None:
        self._url = _with_heartbeat(url)
        self._take = take
        self._prefetch = prefetch
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Consume until cancelled, or until `stop`."""
        waits = pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)
        while not self._stopping.is_set():
            try:
                async with cancellations_told_apart(), self._session() as lost:
                    waits = pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)
                    log.info("signals.consuming", queue=SIGNALS)
                    reason = await lost
                    if not self._stopping.is_set():
                        log.warning("signals.lost", reason=reason)
            except (TopologyError, *LOST) as problem:
                log.warning("signals.unavailable", problem=f"{type(problem).__name__}: {problem}")
            await asyncio.sleep(next(waits))

    async def stop(self, grace_s: float) -> None:
        """Finish what was begun within `grace_s`; what is left stays unacked, and comes again."""
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncio.Future[str]]:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        named = {"connection_name": _name_for("consuming signals")}
        connection = await lenient_decoding.connect(self._url, timeout=_TIMEOUT_S, client_properties=named)
        try:
            _watch(connection, lost, "the connection for signals was closed")
            async with asyncio.timeout(3 * _TIMEOUT_S):
                await topology.declare_signals(connection)
                channel = await _channel(connection, lost, "consuming signals")
                await channel.set_qos(prefetch_count=self._prefetch)
                queue = await channel.get_queue(SIGNALS, ensure=False)
                (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(_cancelled(lost))
                tag = await queue.consume(self._begin)
            stopping = asyncio.create_task(self._stopping.wait())
            stopping.add_done_callback(lambda _: _mark_lost(lost, "the service stops"))
            yield lost
            stopping.cancel()
            await _cancel(queue, tag)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_TIMEOUT_S)
        finally:
            await close_quietly(connection)

    async def _begin(self, message: AbstractIncomingMessage) -> None:
        """Start a task: a lost channel cancels this callback, but not the task (pitfalls.md, 1)."""
        task = asyncio.create_task(self._process(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, message: AbstractIncomingMessage) -> None:
        try:
            readable = await self._taken(message)
            if readable is None:
                return
            await (message.ack() if readable else message.reject(requeue=False))
        except LOST as problem:
            log.debug("ack.stale", problem=str(problem))
        except Exception as problem:
            log.exception("signal.failed", problem=type(problem).__name__)
            await asyncio.sleep(_REQUEUE_PAUSE_S)
            await _requeue(message)

    async def _taken(self, message: AbstractIncomingMessage) -> bool | None:
        """Hold the message while a store is away. None: its channel is lost, and it comes again."""
        for pause_s in pauses(_MIN_PAUSE_S, _MAX_PAUSE_S):
            try:
                return await self._take(message.body)
            except StoreUnavailableError as problem:
                log.warning("signal.waits", problem=str(problem), pause_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)
            if message.channel.is_closed:
                break
        return None


def _message(body: bytes) -> aio_pika.Message:
    persistent = aio_pika.DeliveryMode.PERSISTENT
    return aio_pika.Message(body, content_type="application/json", delivery_mode=persistent)


def _cancelled(lost: asyncio.Future[str]) -> Callable[[Basic.Cancel], None]:
    def mark(frame: Basic.Cancel) -> None:
        _mark_lost(lost, f"the broker cancelled the consumer {frame.consumer_tag}")

    return mark


async def _requeue(message: AbstractIncomingMessage) -> None:
    try:
        await message.nack(requeue=True)
    except LOST as problem:
        log.debug("ack.stale", problem=str(problem))
