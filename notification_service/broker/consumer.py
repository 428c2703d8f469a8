"""Takes deliveries in, has them handled, and settles them: the only place that acks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, assert_never

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from notification_service.broker.connection import BrokerConnection
from notification_service.broker.isolated_publisher import MessageRefusedError
from notification_service.broker.lenient_decoding import LOST
from notification_service.broker.messages import (
    _MAX_TYPE_LENGTH,
    ATTEMPT,
    DEFAULT_MAX_EVENT_BYTES,
    EVENT_TYPE,
    NOT_BEFORE,
    REPLAY,
    SUSPECT,
    TURNS,
    _parking_slip,
    _returns,
    _trace_headers,
    _writable,
    bare,
    copied,
    read,
)
from notification_service.broker.topology import AGAIN_QUEUES, PARKED, again_queue, retry_queue
from notification_service.contract.facts import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Outcome, Parked, ParkReason, summarize
from notification_service.delivery.observer import Observer, Stage
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement

log = structlog.get_logger(__name__)

Handle = Callable[[InboundMessage], Awaitable[Settlement]]


_MAX_PAUSE = 10.0
_LOOK_AGAIN = 0.1
_BEFORE_GIVING_BACK = 5.0
_CLOSE_TIMEOUT_S = 5.0
_HEAVY = 2**20
"""Bytes. A body is copied several times on its way out, so larger ones go one after the other."""
_OFTEN = 3
"""Returns after which an event is moved to a queue of ours. RabbitMQ 4 drops it from a quorum queue that says nothing
after 20 of them, silently where it has no dead-letter exchange; ours takes 1,000 and parks what is beyond."""
_MAX_REST, _MAX_STAY = 60.0, 300.0
"""Seconds that a delivery is held whose copy the broker refuses: at a time, and before it is given back."""


class Consumer:
    """`max_bytes`: the bytes of an event that is read for its type."""

    def __init__(
        self,
        link: BrokerConnection,
        handle: Handle,
        retry_schedule: RetrySchedule,
        observer: Observer,
        *,
        channel: ChannelKind = ChannelKind.EMAIL,
        max_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self._channel = channel
        self._max_bytes = max_bytes
        self._link = link
        self._handle = handle
        self._ladder = retry_schedule
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()
        self._heavy = asyncio.Lock()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        """Hands over to a task of its own: a lost channel cancels this callback, not the job (pitfalls.md, 1)."""
        task = asyncio.create_task(self._process(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drain(self, grace: float, let_go: Callable[[], None]) -> int:
        """Let the jobs finish for `grace` seconds; then end them. How many did not finish: they stay unacked.

        `let_go` ends those that wait for what will not come in that time; it is called again and again.
        """
        deadline, ended = time.monotonic() + grace, 0
        while self._tasks and time.monotonic() < deadline:
            let_go()
            done, _ = await asyncio.wait(self._tasks, timeout=_LOOK_AGAIN)
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
        """One delivery.

        An error beside its handling gives it back: unacked, it would wait for ever (pitfalls.md, 3).
        """
        try:
            await self._work_off(message)
        except Exception as problem:
            log.exception("delivery.unsettled", problem=type(problem).__name__)
            # What fails each time is not to keep a core busy with it.
            await asyncio.sleep(_BEFORE_GIVING_BACK)
            await _give_back(message)

    async def _work_off(self, message: AbstractIncomingMessage) -> None:
        started = time.monotonic()
        with self._observer.watched(read(message, max_bytes=self._max_bytes)) as inbound:
            if inbound.is_express_copy:
                await self._run_ahead(message, inbound)
            elif _came_back_often(message) and await self._bring_home(message, inbound):
                log.warning(
                    "event.moved",
                    event_type=inbound.routing_key,
                    queue=again_queue(self._channel),
                    returns=_returns(message),
                )
            else:
                await self._see_through(message, inbound, started)

    async def _run_ahead(self, message: AbstractIncomingMessage, inbound: InboundMessage) -> None:
        """A copy that only saves time. Whatever becomes of it, the one in the ordinary queue finds what was written."""
        if not inbound.redelivered:
            await self._handled(inbound)
        await _ack(message)

    async def _bring_home(self, message: AbstractIncomingMessage, inbound: InboundMessage) -> bool:
        """Whether it waits in the way back now; a copy that the broker refuses has to be handled where it is."""
        slip = {
            EVENT_TYPE: _writable(inbound.routing_key, _MAX_TYPE_LENGTH),
            SUSPECT: inbound.redelivered or None,
            **_trace_headers(inbound),
        }
        try:
            return await self._move(message, again_queue(self._channel), slip) and await _ack(message)
        except MessageRefusedError:
            return False

    async def _see_through(self, message: AbstractIncomingMessage, inbound: InboundMessage, started: float) -> None:
        settlement = await self._handled(inbound)
        with self._observer.timed(Stage.SETTLE):
            try:
                settled = settlement if await self._settle(message, inbound, settlement) else None
            except MessageRefusedError as problem:
                settled = await self._stay(message, inbound, settlement, str(problem))
        if settled:
            self._observer.settled(inbound, settled, time.monotonic() - started)

    async def _stay(
        self, message: AbstractIncomingMessage, inbound: InboundMessage, settlement: Settlement, problem: str
    ) -> Settlement | None:
        """See a delivery through whose copy the broker refuses; by what it was settled, None where it was not.

        It waits in hand, and its record is all that is left of it. What has none by then is given back.
        """
        log.error("event.unmovable", event_type=inbound.routing_key, bytes=len(message.body), problem=problem)
        deadline = time.monotonic() + _MAX_STAY
        while True:
            if isinstance(settlement, Retry):
                inbound = replace(inbound, attempt=inbound.attempt + settlement.counted)
                goes_on = await self._link.rest(min(settlement.seconds, _MAX_REST))
                if not goes_on or time.monotonic() > deadline or not _still_ours(message):
                    await _give_back(message)
                    return None
            inbound = replace(inbound, unmovable=True)
            settlement = await self._handled(inbound)
            if not isinstance(settlement, Retry):
                _say_kept(inbound, settlement)
                return settlement if await _ack(message) else None

    async def _handled(self, inbound: InboundMessage) -> Settlement:
        try:
            return await self._handle(inbound)
        except Exception as problem:
            log.exception("delivery.failed", event_type=inbound.routing_key, problem=type(problem).__name__)
            return self._after(problem, inbound)

    def _after(self, problem: Exception, inbound: InboundMessage) -> Settlement:
        """An unforeseen fault: retries, then the parking queue, never unacked for ever (pitfalls.md, 3)."""
        # Its text may hold an address of a server with its password; the log has it, without those.
        detail = type(problem).__name__
        seconds = self._ladder.next_wait(inbound.attempt, None, jitter=1)
        if inbound.unmovable:
            # No record of it may be written, and then there is nothing else than this delivery.
            return Retry(_MAX_REST, counted=False, reason=detail)
        if seconds is None:
            return Park(Parked(ParkReason.INTERNAL_ERROR, detail))
        return Retry(seconds, counted=True, reason=detail)

    async def _settle(self, message: AbstractIncomingMessage, inbound: InboundMessage, settlement: Settlement) -> bool:
        """Whether it was settled; a delivery whose channel is gone comes again, and finds what was written down.

        Raises `MessageRefusedError` where the broker takes no copy of it.
        """
        match settlement:
            case Done():
                moved = True
            case Park(outcome):
                moved = await self._move(message, PARKED, _parking_slip(inbound, outcome, self._channel))
                if moved:
                    _say_parked(inbound, outcome)
            case Retry(seconds, counted, reason, not_before, limits_passed):
                # A crowd that was given times of its own must not come back together.
                delay = self._ladder.delay_within(seconds) if not_before else self._ladder.delay_for(seconds)
                attempt = inbound.attempt + counted
                slip = {
                    ATTEMPT: attempt,
                    EVENT_TYPE: _writable(inbound.routing_key, _MAX_TYPE_LENGTH),
                    REPLAY: inbound.replay,
                    SUSPECT: inbound.redelivered or None,
                    NOT_BEFORE: not_before or inbound.not_before,
                    TURNS: inbound.limits_passed if limits_passed is None else limits_passed,
                    **_trace_headers(inbound),
                }
                moved = await self._move(message, retry_queue(self._channel, delay), slip)
                if moved:
                    log.info("event.retry_scheduled", retry=attempt, wait_s=delay, counted=counted, reason=reason)
            case _:
                assert_never(settlement)
        return moved and await _ack(message)

    async def _move(self, message: AbstractIncomingMessage, queue: str, headers: dict[str, Any]) -> bool:
        """Publish a copy, confirmed, before the original is acked; a crash between the two is one copy too many.

        One that the broker refuses is tried once more without anything that its producer wrote around the body.
        """
        async with self._heavy if len(message.body) > _HEAVY else nullcontext():
            try:
                return await self._publish_copy(message, queue, copied(message, headers))
            except MessageRefusedError as problem:
                log.warning("publish.refused", queue=queue, bytes=len(message.body), problem=str(problem))
                return await self._publish_copy(message, queue, bare(message, headers))

    async def _publish_copy(self, message: AbstractIncomingMessage, queue: str, copy: aio_pika.Message) -> bool:
        """Whether it was taken, before the original was somebody else's. Raises `MessageRefusedError`."""
        pause = 0.2
        while _still_ours(message):
            try:
                await self._link.publish(copy, queue)
            except LOST as problem:
                why = f"{type(problem).__name__}: {problem}"
                log.error("publish.failed", queue=queue, problem=why, pause_s=pause)  # noqa: TRY400 - it says all
            else:
                return True
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE)
        return False


def _came_back_often(message: AbstractIncomingMessage) -> bool:
    return message.consumer_tag not in AGAIN_QUEUES and _returns(message) >= _OFTEN


def _say_kept(inbound: InboundMessage, settlement: Done | Park) -> None:
    """What is parked in no queue: the record alone can bring it back."""
    if isinstance(settlement, Park):
        told = summarize(settlement.outcome)
        log.error("event.not_parked", event_type=inbound.routing_key, outcome=told.outcome, reason=told.reason)


def _say_parked(inbound: InboundMessage, outcome: Outcome) -> None:
    told = summarize(outcome)
    log.warning("event.parked", event_type=inbound.routing_key, outcome=told.outcome, reason=told.reason)


def _still_ours(message: AbstractIncomingMessage) -> bool:
    """Whether it can still be acked: the broker gives what stood on a lost channel to somebody else."""
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


async def _give_back(message: AbstractIncomingMessage) -> None:
    try:
        await message.nack(requeue=True)
    except LOST as problem:
        log.debug("ack.stale", problem=str(problem))
