"""Takes deliveries in, has them handled, and settles them: the only place that acks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, assert_never

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError
from pamqp import encode

from notification_service import notices, traces
from notification_service.addresses import mask_in
from notification_service.broker import deaths
from notification_service.broker.apart import RefusedError
from notification_service.broker.link import Link
from notification_service.broker.tolerance import LOST
from notification_service.broker.topology import AGAIN, EXPRESS, PARKED, RUNG, rung_queue
from notification_service.notices import Delivery, body_id
from notification_service.observing import Observer, Stage
from notification_service.outcomes import Outcome, Parked, ParkReason, summarize
from notification_service.retries import Ladder
from notification_service.settlements import Done, Later, Park, Settlement
from notification_service.traces import NO_HEADERS

log = structlog.get_logger(__name__)

Handle = Callable[[Delivery], Awaitable[Settlement]]

ATTEMPT = "x-attempt"
EVENT_TYPE = "x-event-type"
REPLAY = "x-replay"
SUSPECT = "x-suspect"
NOT_BEFORE = "x-not-before"
TURNS = "x-turns"
_OURS = (ATTEMPT, EVENT_TYPE, REPLAY, SUSPECT, NOT_BEFORE, TURNS)
"""What we alone write, so it counts only on what came from a queue of ours. No copy takes it over from a message."""
_STALE = ("x-death", "x-first-death-", "x-last-death-", "x-reason", "x-detail", "x-parked-at", "x-delivery-count")
"""What earlier stays in other queues have written on a message."""
_FOR_THE_BROKER = ("CC", "BCC")
"""What RabbitMQ itself obeys when a message is published: a copy is for one queue."""

_LONGEST_PAUSE = 10.0
_LOOK_AGAIN = 0.1
_BEFORE_GIVING_BACK = 5.0
_GOODBYE = 5.0
_LONGEST_HEADER = 500
_LONGEST_TOKEN = 200
_LONGEST_TYPE = 255
"""No routing key is longer, and so no type of ours."""
_MOST_HEADERS = 4096
"""Bytes of all headers of a copy: with the other properties they fit the smallest frame of RabbitMQ 4, 8 KiB."""
_FURTHEST = timedelta(days=31).total_seconds()
"""No limit gives a time that is further off; what a header says beyond it is no time."""
_DEFAULT_LARGEST = 256 * 1024
_HEAVY = 2**20
"""Bytes. A body is copied several times on its way out, so larger ones go one after the other."""
_RETURNS = "x-delivery-count"
_OFTEN = 3
"""Returns after which an event is moved to a queue of ours. RabbitMQ 4 drops it from a quorum queue that says nothing
after 20 of them, silently where it has no dead-letter exchange; ours takes 1,000 and parks what is beyond."""
_LONGEST_REST, _LONGEST_STAY = 60.0, 300.0
"""Seconds that a delivery is held whose copy the broker refuses: at a time, and before it is given back."""


class Consumer:
    """`largest`: the bytes of an event that is read for its type."""

    def __init__(
        self, link: Link, handle: Handle, ladder: Ladder, observer: Observer, *, largest: int = _DEFAULT_LARGEST
    ) -> None:
        self._largest = largest
        self._link = link
        self._handle = handle
        self._ladder = ladder
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()
        self._heavy = asyncio.Lock()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        """Hand over to a task of our own: a lost channel cancels this callback, which must not end the job (trap 1)."""
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
            await asyncio.wait(unfinished, timeout=_GOODBYE)
        return ended + len(unfinished)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            log.error("delivery.unsettled", problem=f"{type(problem).__name__}: {problem}")

    async def _process(self, message: AbstractIncomingMessage) -> None:
        """One delivery. An error beside its handling gives it back: unacked, it would wait for ever (trap 3)."""
        try:
            await self._work_off(message)
        except Exception as problem:
            log.exception("delivery.unsettled", problem=type(problem).__name__)
            # What fails each time is not to keep a core busy with it.
            await asyncio.sleep(_BEFORE_GIVING_BACK)
            await _give_back(message)

    async def _work_off(self, message: AbstractIncomingMessage) -> None:
        started = time.monotonic()
        with self._observer.watched(read(message, largest=self._largest)) as delivery:
            if delivery.ahead:
                await self._run_ahead(message, delivery)
            elif _came_back_often(message) and await self._bring_home(message, delivery):
                log.warning("event.moved", event_type=delivery.routing_key, queue=AGAIN, returns=_returns(message))
            else:
                await self._see_through(message, delivery, started)

    async def _run_ahead(self, message: AbstractIncomingMessage, delivery: Delivery) -> None:
        """A copy that only saves time. Whatever becomes of it, the one in the ordinary queue finds what was written."""
        if not delivery.suspect:
            await self._handled(delivery)
        await _ack(message)

    async def _bring_home(self, message: AbstractIncomingMessage, delivery: Delivery) -> bool:
        """Whether it waits in `AGAIN` now; a copy that the broker refuses has to be handled where it is."""
        slip = {
            EVENT_TYPE: _writable(delivery.routing_key, _LONGEST_TYPE),
            SUSPECT: delivery.suspect or None,
            **_trace_headers(delivery),
        }
        try:
            return await self._move(message, AGAIN, slip) and await _ack(message)
        except RefusedError:
            return False

    async def _see_through(self, message: AbstractIncomingMessage, delivery: Delivery, started: float) -> None:
        settlement = await self._handled(delivery)
        with self._observer.timed(Stage.SETTLE):
            try:
                settled = settlement if await self._settle(message, delivery, settlement) else None
            except RefusedError as problem:
                settled = await self._stay(message, delivery, settlement, str(problem))
        if settled:
            self._observer.settled(delivery, settled, time.monotonic() - started)

    async def _stay(
        self, message: AbstractIncomingMessage, delivery: Delivery, settlement: Settlement, problem: str
    ) -> Settlement | None:
        """See a delivery through whose copy the broker refuses; by what it was settled, None where it was not.

        It waits in hand, and its record is all that is left of it. What has none by then is given back.
        """
        log.error("event.unmovable", event_type=delivery.routing_key, bytes=len(message.body), problem=problem)
        deadline = time.monotonic() + _LONGEST_STAY
        while True:
            if isinstance(settlement, Later):
                delivery = replace(delivery, attempt=delivery.attempt + settlement.counted)
                goes_on = await self._link.rest(min(settlement.seconds, _LONGEST_REST))
                if not goes_on or time.monotonic() > deadline or not _still_ours(message):
                    await _give_back(message)
                    return None
            delivery = replace(delivery, unmovable=True)
            settlement = await self._handled(delivery)
            if not isinstance(settlement, Later):
                _say_kept(delivery, settlement)
                return settlement if await _ack(message) else None

    async def _handled(self, delivery: Delivery) -> Settlement:
        try:
            return await self._handle(delivery)
        except Exception as problem:
            log.exception("delivery.failed", event_type=delivery.routing_key, problem=type(problem).__name__)
            return self._after(problem, delivery)

    def _after(self, problem: Exception, delivery: Delivery) -> Settlement:
        """A fault that no rule foresees: the ladder, then the parking queue, never unacked for ever (trap 3)."""
        # Its text may hold an address of a server with its password; the log has it, without those.
        detail = type(problem).__name__
        seconds = self._ladder.next_wait(delivery.attempt, None, scatter=1)
        if delivery.unmovable:
            # No record of it may be written, and then there is nothing else than this delivery.
            return Later(_LONGEST_REST, counted=False, reason=detail)
        if seconds is None:
            return Park(Parked(ParkReason.INTERNAL_ERROR, detail))
        return Later(seconds, counted=True, reason=detail)

    async def _settle(self, message: AbstractIncomingMessage, delivery: Delivery, settlement: Settlement) -> bool:
        """Whether it was settled; a delivery whose channel is gone comes again, and finds what was written down.

        Raises `RefusedError` where the broker takes no copy of it.
        """
        match settlement:
            case Done():
                moved = True
            case Park(outcome):
                moved = await self._move(message, PARKED, _parking_slip(delivery, outcome))
                if moved:
                    _say_parked(delivery, outcome)
            case Later(seconds, counted, reason, not_before, turns):
                # A crowd that was given times of its own must not come back together.
                rung = self._ladder.rung_within(seconds) if not_before else self._ladder.rung_for(seconds)
                attempt = delivery.attempt + counted
                slip = {
                    ATTEMPT: attempt,
                    EVENT_TYPE: _writable(delivery.routing_key, _LONGEST_TYPE),
                    REPLAY: delivery.replay,
                    SUSPECT: delivery.suspect or None,
                    NOT_BEFORE: not_before or delivery.not_before,
                    TURNS: delivery.turns if turns is None else turns,
                    **_trace_headers(delivery),
                }
                moved = await self._move(message, rung_queue(rung), slip)
                if moved:
                    log.info("event.waits", retry=attempt, wait_s=rung, counted=counted, reason=reason)
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
            except RefusedError as problem:
                log.warning("publish.refused", queue=queue, bytes=len(message.body), problem=str(problem))
                return await self._publish_copy(message, queue, bare(message, headers))

    async def _publish_copy(self, message: AbstractIncomingMessage, queue: str, copy: aio_pika.Message) -> bool:
        """Whether it was taken, before the original was somebody else's. Raises `RefusedError`."""
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
            pause = min(pause * 2, _LONGEST_PAUSE)
        return False


def _returns(message: AbstractIncomingMessage) -> int:
    """How often it came back, where its queue counts that: quorum queues do."""
    return _count(message.headers.get(_RETURNS))


def _came_back_often(message: AbstractIncomingMessage) -> bool:
    return message.consumer_tag != AGAIN and _returns(message) >= _OFTEN


def _parking_slip(delivery: Delivery, outcome: Outcome) -> dict[str, Any]:
    told = summarize(outcome)
    return {
        EVENT_TYPE: _writable(delivery.routing_key, _LONGEST_TYPE),
        "x-reason": f"{told.outcome}({told.reason})" if told.reason else told.outcome,
        "x-detail": _writable(mask_in(told.detail or ""), _LONGEST_HEADER),
        "x-parked-at": datetime.now(UTC).isoformat(),
        **_trace_headers(delivery),
    }


def _trace_headers(delivery: Delivery) -> Mapping[str, str | None]:
    return delivery.trace.headers if delivery.trace else NO_HEADERS


def _writable(text: str, longest: int) -> str:
    """At most so many bytes, without lone surrogates, which JSON can bring and a header cannot hold."""
    return text[:longest].encode("utf-8", "replace")[:longest].decode("utf-8", "ignore")


def _say_kept(delivery: Delivery, settlement: Done | Park) -> None:
    """What is parked in no queue: the record alone can bring it back."""
    if isinstance(settlement, Park):
        told = summarize(settlement.outcome)
        log.error("event.not_parked", event_type=delivery.routing_key, outcome=told.outcome, reason=told.reason)


def _say_parked(delivery: Delivery, outcome: Outcome) -> None:
    told = summarize(outcome)
    log.warning("event.parked", event_type=delivery.routing_key, outcome=told.outcome, reason=told.reason)


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


def read(message: AbstractIncomingMessage, *, largest: int = _DEFAULT_LARGEST) -> Delivery:
    """The message in our own words. Headers of ours are believed only where nobody else can have written them."""
    ours = {name: message.headers.get(name) for name in _OURS} if is_from_us(message) else {}
    event_type, replay = ours.get(EVENT_TYPE), ours.get(REPLAY)
    delivery = Delivery(
        body=message.body,
        routing_key=event_type if isinstance(event_type, str) else _came_under(message),
        message_id=message.message_id or None,
        content_encoding=message.content_encoding or None,
        content_type=message.content_type or None,
        attempt=_count(ours.get(ATTEMPT)),
        not_before=_soon(ours.get(NOT_BEFORE)),
        turns=_count(ours.get(TURNS)),
        replay=replay if isinstance(replay, str) and 0 < len(replay) <= _LONGEST_TOKEN else None,
        ahead=message.consumer_tag == EXPRESS,
        suspect=bool(message.redelivered or ours.get(SUSPECT)),
        trace=traces.read(message.headers),
    )
    return notices.under_its_type(delivery, largest=largest)


def _came_under(message: AbstractIncomingMessage) -> str:
    """Its producer's routing key: what the broker parked, which comes without a consumer, has another one by then."""
    death = deaths.first(message.headers) if message.consumer_tag is None else None
    return death.routing_key if death else message.routing_key or ""


def is_from_us(message: AbstractIncomingMessage) -> bool:
    """Whether we published it: a consumer's tag is its queue's name, and what is parked comes without a consumer.

    The broker parks too, what came to its delivery limit: then its headers are those of where it died.
    """
    if message.consumer_tag is not None:
        return message.consumer_tag == AGAIN
    died_in = str(message.headers.get("x-first-death-queue", AGAIN))
    return died_in == AGAIN or died_in.startswith(RUNG)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _soon(value: object) -> int | None:
    moment = _count(value)
    return moment if 0 < moment <= time.time() + _FURTHEST else None


def copied(message: AbstractIncomingMessage, headers: dict[str, Any]) -> aio_pika.Message:
    """The same message for another queue, persistent, with `headers` in place of what earlier stays wrote on it.

    A header that is None is taken off, and so is every header of ours that `headers` does not name. Of the others as
    many are kept as fit beside them.
    """
    return aio_pika.Message(
        message.body,
        headers=_fitting(message, headers),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        # aiormq makes an id up for a message without one, and the copy would be another event.
        message_id=message.message_id or body_id(message.body),
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def bare(message: AbstractIncomingMessage, headers: dict[str, Any]) -> aio_pika.Message:
    """The same event with as little around it as it takes to read it."""
    return aio_pika.Message(
        message.body,
        headers=_written(headers),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.message_id or body_id(message.body),
    )


def _written(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in headers.items() if value is not None}


def _is_producers(key: str, value: object) -> bool:
    """Whether a copy takes it over: texts, numbers and moments, none of ours, and nothing that the broker obeys."""
    theirs = key not in _OURS and key not in _FOR_THE_BROKER and not key.startswith(_STALE)
    return theirs and isinstance(value, str | bool | int | float | datetime)


def _size(key: str, value: Any) -> int | None:  # noqa: ANN401 - whatever a producer wrote
    """Bytes in a frame; None for what cannot be written again, such as a number that only a longer kind holds."""
    try:
        return len(encode.field_table({key: value})) - len(encode.field_table({}))
    except Exception:  # noqa: BLE001 - pamqp's errors have no kind in common
        return None


def _fitting(message: AbstractIncomingMessage, headers: Mapping[str, Any]) -> dict[str, Any]:
    """`headers`, and of those that a producer wrote as many as fit beside them, the shortest first."""
    fitting = _written(headers)
    left = _MOST_HEADERS - sum(_size(key, value) or 0 for key, value in fitting.items())
    theirs = {key: value for key, value in message.headers.items() if key not in headers and _is_producers(key, value)}
    sizes = {key: size for key, value in theirs.items() if (size := _size(key, value))}
    for key, size in sorted(sizes.items(), key=itemgetter(1)):
        if (left := left - size) >= 0:
            fitting[key] = theirs[key]
    if dropped := theirs.keys() - fitting.keys():
        log.warning("copy.shortened", left_out=len(dropped), bytes=sum(sizes.get(key, 0) for key in dropped))
    return fitting
