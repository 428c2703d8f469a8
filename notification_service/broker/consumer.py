"""Takes messages from RabbitMQ, has them handled, and settles them: the only place that acks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, assert_never

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from notification_service.broker import messages
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.isolated_publisher import MessageRefusedError
from notification_service.broker.lenient_decoding import LOST
from notification_service.broker.messages import DEFAULT_MAX_EVENT_BYTES, bare, copied, read, returns
from notification_service.broker.topology import AGAIN_QUEUES, PARKED, again_queue, retry_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Outcome, Parked, ParkReason, summarize
from notification_service.delivery.observer import Observer, Stage
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.foundation.backoff import pauses

log = structlog.get_logger(__name__)

Handle = Callable[[InboundMessage], Awaitable[Settlement]]

_MIN_PAUSE_S, _MAX_PAUSE_S = 0.2, 10.0
_POLL_S = 0.1
_CLOSE_TIMEOUT_S = 5.0
_LARGE_BODY_BYTES = 2**20
"""Larger bodies are published one at a time, since publishing copies a body several times."""
_MAX_RETURNS = 3
"""Returns after which a message is moved to a queue of ours. RabbitMQ 4 limits a quorum queue without
`x-delivery-limit` to 20 returns, and drops the message where no dead-letter exchange is set. Our queues allow 1,000,
and dead-letter to the parking queue."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. `requeue_pause_s`: before a message is requeued that could not be settled: it may fail each time.

    `max_wait_s`, `max_hold_s`: how long a message that no queue accepts is held: between two tries, and until it is
    requeued.
    """

    requeue_pause_s: float = 5.0
    max_wait_s: float = 60.0
    max_hold_s: float = 300.0


class Consumer:
    """`max_bytes`: the largest body that is read for its event type."""

    def __init__(
        self,
        link: BrokerConnection,
        handle: Handle,
        retry_schedule: RetrySchedule,
        observer: Observer,
        *,
        channel: ChannelKind = ChannelKind.EMAIL,
        max_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        patience: Patience = Patience(),
    ) -> None:
        self._channel = channel
        self._max_bytes = max_bytes
        self._patience = patience
        self._link = link
        self._handle = handle
        self._retry_schedule = retry_schedule
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()
        self._large_body_lock = asyncio.Lock()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        """Start a task for the message: a lost channel cancels this callback, but not the task (pitfalls.md, 1)."""
        task = asyncio.create_task(self._process(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drain(self, grace_s: float, release_waiting: Callable[[], None]) -> int:
        """Wait up to `grace_s` seconds for the tasks, then cancel them. Returns how many did not finish.

        Their messages stay unacked. `release_waiting` is called repeatedly: it ends the waits that would outlast
        the grace period.
        """
        deadline, ended = time.monotonic() + grace_s, 0
        while self._tasks and time.monotonic() < deadline:
            release_waiting()
            done, _ = await asyncio.wait(self._tasks, timeout=_POLL_S)
            ended += sum(task.cancelled() for task in done)
        unfinished = list(self._tasks)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=_CLOSE_TIMEOUT_S)
        return ended + len(unfinished)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            log.error("delivery.unsettled", problem=f"{type(problem).__name__}: {problem}")

    async def _process(self, message: AbstractIncomingMessage) -> None:
        """Handle and settle one message, or requeue it: unacked, it would wait for ever (pitfalls.md, 3)."""
        try:
            await self._handle_and_settle(message)
        except Exception as problem:
            log.exception("delivery.unsettled", problem=type(problem).__name__)
            await asyncio.sleep(self._patience.requeue_pause_s)
            await _requeue(message)

    async def _handle_and_settle(self, message: AbstractIncomingMessage) -> None:
        started = time.monotonic()
        with self._observer.watched(read(message, max_bytes=self._max_bytes)) as inbound:
            if inbound.is_express_copy:
                await self._handle_express_copy(message, inbound)
            elif _returned_often(message) and await self._move_to_own_queue(message, inbound):
                queue, event_type = again_queue(self._channel), inbound.routing_key
                log.warning("event.moved", event_type=event_type, queue=queue, returns=returns(message))
            else:
                await self._handle_ordinary(message, inbound, started)

    async def _handle_express_copy(self, message: AbstractIncomingMessage, inbound: InboundMessage) -> None:
        """Handle a copy from the express lane and ack it in any case: the ordinary copy is the one that counts."""
        if not inbound.redelivered:
            await self._handled(inbound)
        await _ack(message)

    async def _move_to_own_queue(self, message: AbstractIncomingMessage, inbound: InboundMessage) -> bool:
        """Move a message to our own queue. Returns False where the broker refuses the copy, or the channel is lost."""
        try:
            moved = await self._move(message, again_queue(self._channel), messages.moving_slip(inbound))
            return moved and await _ack(message)
        except MessageRefusedError:
            return False

    async def _handle_ordinary(self, message: AbstractIncomingMessage, inbound: InboundMessage, started: float) -> None:
        settlement = await self._handled(inbound)
        with self._observer.timed(Stage.SETTLE):
            try:
                settled = settlement if await self._settle(message, inbound, settlement) else None
            except MessageRefusedError as problem:
                settled = await self._hold_unmovable(message, inbound, settlement, str(problem))
        if settled:
            self._observer.settled(inbound, settled, time.monotonic() - started)

    async def _hold_unmovable(
        self, message: AbstractIncomingMessage, inbound: InboundMessage, settlement: Settlement, problem: str
    ) -> Settlement | None:
        """Handle a message again and again whose copy the broker refuses, so that it can be neither retried nor parked.

        It is held unacked until it has an outcome: its record is then all that is left of it. Returns the settlement,
        or None where the message was requeued instead.
        """
        log.error("event.unmovable", event_type=inbound.routing_key, bytes=len(message.body), problem=problem)
        deadline = time.monotonic() + self._patience.max_hold_s
        while True:
            if isinstance(settlement, Retry):
                inbound = replace(inbound, attempt=inbound.attempt + settlement.counted)
                goes_on = await self._link.wait_unless_stopping(min(settlement.seconds, self._patience.max_wait_s))
                if not goes_on or time.monotonic() > deadline or not _still_ours(message):
                    await _requeue(message)
                    return None
            inbound = replace(inbound, unmovable=True)
            settlement = await self._handled(inbound)
            if not isinstance(settlement, Retry):
                _log_not_parked(inbound, settlement)
                return settlement if await _ack(message) else None

    async def _handled(self, inbound: InboundMessage) -> Settlement:
        try:
            return await self._handle(inbound)
        except Exception as problem:
            log.exception("delivery.failed", event_type=inbound.routing_key, problem=type(problem).__name__)
            return self._settlement_after_error(problem, inbound)

    def _settlement_after_error(self, problem: Exception, inbound: InboundMessage) -> Settlement:
        """The settlement after an unexpected error: a retry, and after the last one parking (pitfalls.md, 3)."""
        # The exception's text may hold a server's URL with its password: logs are redacted, headers are not.
        detail = type(problem).__name__
        seconds = self._retry_schedule.next_wait(inbound.attempt, None, jitter=1)
        if inbound.unmovable:
            # Its record may not be written yet, so the message is all there is.
            return Retry(self._patience.max_wait_s, counted=False, reason=detail)
        if seconds is None:
            return Park(Parked(ParkReason.INTERNAL_ERROR, detail))
        return Retry(seconds, counted=True, reason=detail)

    async def _settle(self, message: AbstractIncomingMessage, inbound: InboundMessage, settlement: Settlement) -> bool:
        """Settle the message. Returns False where its channel is lost: it comes again, and finds the outcome written.

        Raises `MessageRefusedError` where the broker refuses a copy of it.
        """
        match settlement:
            case Done():
                moved = True
            case Park(outcome):
                moved = await self._move(message, PARKED, messages.parking_slip(inbound, outcome, self._channel))
                if moved:
                    _log_parked(inbound, outcome)
            case Retry(seconds, counted, reason, not_before):
                # With a due time, the longest delay before it, so that messages do not all come back in one moment.
                schedule = self._retry_schedule
                delay = schedule.delay_within(seconds) if not_before else schedule.delay_for(seconds)
                slip = messages.retry_slip(inbound, settlement)
                moved = await self._move(message, retry_queue(self._channel, delay), slip)
                if moved:
                    retry = inbound.attempt + counted
                    log.info("event.retry_scheduled", retry=retry, wait_s=delay, counted=counted, reason=reason)
            case _:
                assert_never(settlement)
        return moved and await _ack(message)

    async def _move(self, message: AbstractIncomingMessage, queue: str, headers: dict[str, Any]) -> bool:
        """Publish a copy and wait for the confirm; the caller then acks the original. A crash in between leaves both.

        A copy that the broker refuses is published once more without the producer's headers and properties.
        """
        async with self._large_body_lock if len(message.body) > _LARGE_BODY_BYTES else nullcontext():
            try:
                return await self._publish_copy(message, queue, copied(message, headers))
            except MessageRefusedError as problem:
                log.warning("publish.refused", queue=queue, bytes=len(message.body), problem=str(problem))
                return await self._publish_copy(message, queue, bare(message, headers))

    async def _publish_copy(self, message: AbstractIncomingMessage, queue: str, copy: aio_pika.Message) -> bool:
        """Publish until it is confirmed. Returns False where the original went back to the broker meanwhile.

        Raises `MessageRefusedError`.
        """
        waits = pauses(_MIN_PAUSE_S, _MAX_PAUSE_S)
        while _still_ours(message):
            try:
                await self._link.publish(copy, queue)
            except LOST as problem:
                pause_s, why = next(waits), f"{type(problem).__name__}: {problem}"
                log.error("publish.failed", queue=queue, problem=why, pause_s=round(pause_s, 1))  # noqa: TRY400 - why
            else:
                return True
            await asyncio.sleep(pause_s)
        return False


def _returned_often(message: AbstractIncomingMessage) -> bool:
    return message.consumer_tag not in AGAIN_QUEUES and returns(message) >= _MAX_RETURNS


def _log_not_parked(inbound: InboundMessage, settlement: Done | Park) -> None:
    """Log that a message is parked in no queue, so that only its record can bring it back."""
    if isinstance(settlement, Park):
        summary = summarize(settlement.outcome)
        log.error("event.not_parked", event_type=inbound.routing_key, outcome=summary.outcome, reason=summary.reason)


def _log_parked(inbound: InboundMessage, outcome: Outcome) -> None:
    summary = summarize(outcome)
    log.warning("event.parked", event_type=inbound.routing_key, outcome=summary.outcome, reason=summary.reason)


def _still_ours(message: AbstractIncomingMessage) -> bool:
    """Whether it can still be acked: the broker redelivers the messages of a lost channel to others."""
    try:
        return not message.channel.is_closed
    except ChannelInvalidStateError:
        return False


async def _ack(message: AbstractIncomingMessage) -> bool:
    try:
        await message.ack()
    except LOST as problem:
        log.debug("ack.stale", problem=str(problem))
        return False
    return True


async def _requeue(message: AbstractIncomingMessage) -> None:
    try:
        await message.nack(requeue=True)
    except LOST as problem:
        log.debug("ack.stale", problem=str(problem))
