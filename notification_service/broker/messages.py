"""AMQP messages read and copied: the headers of ours, and what of a producer's headers travels on."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage
from pamqp import encode

from notification_service.broker import dead_letters
from notification_service.broker.topology import AGAIN_QUEUES, EXPRESS, channel_by_queue, retry_prefix
from notification_service.contract.facts import ChannelKind
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.contract.outcomes import Outcome, summarize
from notification_service.delivery import planning
from notification_service.foundation import trace_context
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.trace_context import NO_HEADERS

log = structlog.get_logger(__name__)


ATTEMPT = "x-attempt"


EVENT_TYPE = "x-event-type"


REPLAY = "x-replay"


SUSPECT = "x-suspect"


NOT_BEFORE = "x-not-before"


TURNS = "x-turns"


CHANNEL = "x-channel"


_OURS = (ATTEMPT, EVENT_TYPE, REPLAY, SUSPECT, NOT_BEFORE, TURNS, CHANNEL)
"""What we alone write, so it counts only on what came from a queue of ours. No copy takes it over from a message."""


_STALE = ("x-death", "x-first-death-", "x-last-death-", "x-reason", "x-detail", "x-parked-at", "x-delivery-count")
"""What earlier stays in other queues have written on a message."""


_FOR_THE_BROKER = ("CC", "BCC")
"""What RabbitMQ itself obeys when a message is published: a copy is for one queue."""


_MAX_HEADER_LENGTH = 500


_MAX_TOKEN_LENGTH = 200


_MAX_TYPE_LENGTH = 255
"""No routing key is longer, and so no type of ours."""


_MAX_HEADERS = 4096
"""Bytes of all headers of a copy: with the other properties they fit the smallest frame of RabbitMQ 4, 8 KiB."""


_FURTHEST = timedelta(days=31).total_seconds()
"""No limit gives a time that is further off; what a header says beyond it is no time."""


_DEFAULT_LARGEST = 256 * 1024


_RETURNS = "x-delivery-count"


def _returns(message: AbstractIncomingMessage) -> int:
    """How often it came back, where its queue counts that: quorum queues do."""
    return _count(message.headers.get(_RETURNS))


def _parking_slip(inbound: InboundMessage, outcome: Outcome, channel: ChannelKind) -> dict[str, Any]:
    told = summarize(outcome)
    return {
        EVENT_TYPE: _writable(inbound.routing_key, _MAX_TYPE_LENGTH),
        CHANNEL: channel.value,
        "x-reason": f"{told.outcome}({told.reason})" if told.reason else told.outcome,
        "x-detail": _writable(mask_in(told.detail or ""), _MAX_HEADER_LENGTH),
        "x-parked-at": datetime.now(UTC).isoformat(),
        **_trace_headers(inbound),
    }


def _trace_headers(inbound: InboundMessage) -> Mapping[str, str | None]:
    return inbound.trace.headers if inbound.trace else NO_HEADERS


def _writable(text: str, longest: int) -> str:
    """At most so many bytes, without lone surrogates, which JSON can bring and a header cannot hold."""
    return text[:longest].encode("utf-8", "replace")[:longest].decode("utf-8", "ignore")


def read(message: AbstractIncomingMessage, *, largest: int = _DEFAULT_LARGEST) -> InboundMessage:
    """The message in our own words. Headers of ours are believed only where nobody else can have written them."""
    ours = {name: message.headers.get(name) for name in _OURS} if is_from_us(message) else {}
    event_type, replay = ours.get(EVENT_TYPE), ours.get(REPLAY)
    inbound = InboundMessage(
        body=message.body,
        routing_key=event_type if isinstance(event_type, str) else _came_under(message),
        message_id=message.message_id or None,
        content_encoding=message.content_encoding or None,
        content_type=message.content_type or None,
        attempt=_count(ours.get(ATTEMPT)),
        not_before=_soon(ours.get(NOT_BEFORE)),
        limits_passed=_count(ours.get(TURNS)),
        replay=replay if isinstance(replay, str) and 0 < len(replay) <= _MAX_TOKEN_LENGTH else None,
        is_express_copy=message.consumer_tag == EXPRESS,
        redelivered=bool(message.redelivered or ours.get(SUSPECT)),
        trace=trace_context.read(message.headers),
    )
    return planning.under_its_type(inbound, largest=largest)


def _came_under(message: AbstractIncomingMessage) -> str:
    """Its producer's routing key: what the broker parked, which comes without a consumer, has another one by then."""
    death = dead_letters.first(message.headers) if message.consumer_tag is None else None
    return death.routing_key if death else message.routing_key or ""


def is_from_us(message: AbstractIncomingMessage) -> bool:
    """Whether we published it: a consumer's tag is its queue's name, and what is parked comes without a consumer.

    The broker parks too, what came to its delivery limit: then its headers are those of where it died.
    """
    if message.consumer_tag is not None:
        return message.consumer_tag in AGAIN_QUEUES
    died_in = message.headers.get("x-first-death-queue")
    return died_in is None or _is_ours(str(died_in))


def _is_ours(queue: str) -> bool:
    channel = channel_by_queue(queue)
    return queue in AGAIN_QUEUES or queue.startswith(retry_prefix(channel))


def channel_of(message: AbstractIncomingMessage) -> ChannelKind:
    """The channel that a parked message belongs to. A message without the header is an e-mail's, as all once were.

    A message that the broker itself dead-lettered has no such header of ours: the queue that it came from decides.
    """
    if died_in := message.headers.get("x-first-death-queue"):
        return channel_by_queue(str(died_in))
    try:
        return ChannelKind(str(message.headers.get(CHANNEL, ChannelKind.EMAIL)))
    except ValueError:
        return ChannelKind.EMAIL


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
    left = _MAX_HEADERS - sum(_size(key, value) or 0 for key, value in fitting.items())
    theirs = {key: value for key, value in message.headers.items() if key not in headers and _is_producers(key, value)}
    sizes = {key: size for key, value in theirs.items() if (size := _size(key, value))}
    for key, size in sorted(sizes.items(), key=itemgetter(1)):
        if (left := left - size) >= 0:
            fitting[key] = theirs[key]
    if dropped := theirs.keys() - fitting.keys():
        log.warning("copy.shortened", left_out=len(dropped), bytes=sum(sizes.get(key, 0) for key in dropped))
    return fitting
