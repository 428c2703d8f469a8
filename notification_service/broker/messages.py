"""Reads AMQP messages, and makes copies of them with our headers and those of the producer that fit."""

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
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.contract.outcomes import Outcome, summarize
from notification_service.delivery import planning
from notification_service.delivery.settlements import Retry
from notification_service.foundation import trace_context
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.trace_context import NO_HEADERS

log = structlog.get_logger(__name__)
ATTEMPT = "x-attempt"
EVENT_TYPE = "x-event-type"
REPLAY = "x-replay"
REDELIVERED = "x-suspect"
NOT_BEFORE = "x-not-before"
LIMITS_PASSED = "x-turns"
CHANNEL = "x-channel"

_OURS = (ATTEMPT, EVENT_TYPE, REPLAY, REDELIVERED, NOT_BEFORE, LIMITS_PASSED, CHANNEL)
"""Headers that only we write: they count only on messages from our own queues, and are not copied from others."""
_STALE = ("x-death", "x-first-death-", "x-last-death-", "x-reason", "x-detail", "x-parked-at", "x-delivery-count")
"""Prefixes of the headers that RabbitMQ or we wrote in other queues. Copies do not carry them."""
_FOR_THE_BROKER = ("CC", "BCC")
"""Headers by which RabbitMQ routes a published message to further queues: a copy is for one queue only."""
_MAX_HEADER_LENGTH = 500
_MAX_TOKEN_LENGTH = 200
_MAX_TYPE_LENGTH = 255
"""AMQP's limit for a routing key, and so for an event type."""
_MAX_HEADERS = 4096
"""Bytes of all headers of a copy: with the other properties they fit the smallest frame of RabbitMQ 4, 8 KiB."""
_MAX_DELAY_S = timedelta(days=31).total_seconds()
"""No rate limit makes a message wait longer; a later time in the header is ignored."""
DEFAULT_MAX_EVENT_BYTES = 256 * 1024
_RETURNS = "x-delivery-count"
_TYPE_HEADERS = ("cloudEvents:type", "cloudEvents_type", "ce-type", "ce_type", "__TypeId__", "task")
"""Headers in which producers name the type of an event: CloudEvents' binary mode, Spring, and Celery."""


def returns(message: AbstractIncomingMessage) -> int:
    """How often the message came back to its queue. Only quorum queues count that."""
    return _count(message.headers.get(_RETURNS))


def parking_slip(inbound: InboundMessage, outcome: Outcome, channel: ChannelKind) -> dict[str, Any]:
    """The headers of a copy in the parking queue."""
    summary = summarize(outcome)
    return {
        **_typed(inbound),
        CHANNEL: channel.value,
        "x-reason": f"{summary.outcome}({summary.reason})" if summary.reason else summary.outcome,
        "x-detail": _writable(mask_in(summary.detail or ""), _MAX_HEADER_LENGTH),
        "x-parked-at": datetime.now(UTC).isoformat(),
    }


def moving_slip(inbound: InboundMessage) -> dict[str, Any]:
    """The headers of a copy that goes on in our own queue."""
    return {**_typed(inbound), REDELIVERED: inbound.redelivered or None}


def retry_slip(inbound: InboundMessage, retry: Retry) -> dict[str, Any]:
    """The headers of a copy in a retry queue."""
    passed = inbound.limits_passed if retry.limits_passed is None else retry.limits_passed
    return {
        **moving_slip(inbound),
        ATTEMPT: inbound.attempt + retry.counted,
        REPLAY: inbound.replay,
        NOT_BEFORE: retry.not_before or inbound.not_before,
        LIMITS_PASSED: passed,
    }


def _typed(inbound: InboundMessage) -> dict[str, Any]:
    trace = inbound.trace.headers if inbound.trace else NO_HEADERS
    return {EVENT_TYPE: _writable(inbound.routing_key, _MAX_TYPE_LENGTH), **trace}


def _writable(text: str, max_bytes: int) -> str:
    """The text cut to `max_bytes` of UTF-8. Lone surrogates, which JSON allows, are replaced."""
    return text[:max_bytes].encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


def read(message: AbstractIncomingMessage, *, max_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> InboundMessage:
    """Read a message. Our headers count only on messages that nobody else can have published."""
    ours = {name: message.headers.get(name) for name in _OURS} if is_from_us(message) else {}
    event_type, replay = ours.get(EVENT_TYPE), ours.get(REPLAY)
    inbound = InboundMessage(
        body=message.body,
        routing_key=event_type if isinstance(event_type, str) else _came_under(message),
        message_id=message.message_id or None,
        type_name=_type_name(message),
        content_encoding=message.content_encoding or None,
        content_type=message.content_type or None,
        attempt=_count(ours.get(ATTEMPT)),
        not_before=_due(ours.get(NOT_BEFORE)),
        limits_passed=_count(ours.get(LIMITS_PASSED)),
        replay=replay if isinstance(replay, str) and 0 < len(replay) <= _MAX_TOKEN_LENGTH else None,
        is_express_copy=message.consumer_tag == EXPRESS,
        redelivered=bool(message.redelivered or ours.get(REDELIVERED)),
        trace=trace_context.read(message.headers),
    )
    return planning.under_its_type(inbound, max_bytes=max_bytes)


def _type_name(message: AbstractIncomingMessage) -> str | None:
    """The type that the producer names beside the body: in the property for it, else in a header."""
    named = (message.type, *map(message.headers.get, _TYPE_HEADERS))
    return next((str(each) for each in named if isinstance(each, str) and each.strip()), None)


def _came_under(message: AbstractIncomingMessage) -> str:
    """The producer's routing key, also of a message that the broker parked under another one."""
    death = dead_letters.first(message.headers) if message.consumer_tag is None else None
    return death.routing_key if death else message.routing_key or ""


def is_from_us(message: AbstractIncomingMessage) -> bool:
    """Whether we published the message.

    A consumed message shows its queue in the consumer tag. A parked one is fetched without a consumer; where the broker
    parked it, at a delivery limit, its headers are those it had in the queue where it was dead-lettered.
    """
    if message.consumer_tag is not None:
        return message.consumer_tag in AGAIN_QUEUES
    died_in = message.headers.get("x-first-death-queue")
    return died_in is None or _is_ours(str(died_in))


def _is_ours(queue: str) -> bool:
    channel = channel_by_queue(queue)
    return queue in AGAIN_QUEUES or queue.startswith(retry_prefix(channel))


def channel_of(message: AbstractIncomingMessage) -> ChannelKind:
    """The channel of a parked message. Without our header it is e-mail, the only channel of older versions.

    A message that the broker dead-lettered has its producer's headers only, so its first queue decides.
    """
    if died_in := message.headers.get("x-first-death-queue"):
        return channel_by_queue(str(died_in))
    try:
        return ChannelKind(str(message.headers.get(CHANNEL, ChannelKind.EMAIL)))
    except ValueError:
        return ChannelKind.EMAIL


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _due(value: object) -> int | None:
    moment = _count(value)
    return moment if 0 < moment <= time.time() + _MAX_DELAY_S else None


def copied(message: AbstractIncomingMessage, headers: dict[str, Any]) -> aio_pika.Message:
    """A persistent copy for another queue with `headers`, and as many of the producer's as fit beside them.

    A header that is None is removed, and so is every header of ours that `headers` does not name.
    """
    return aio_pika.Message(
        message.body,
        headers=_fitting(message, headers),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        # For a message without an id aiormq makes one up, and the copy would count as another event.
        message_id=message.message_id or body_id(message.body),
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def bare(message: AbstractIncomingMessage, headers: dict[str, Any]) -> aio_pika.Message:
    """A copy with `headers`, and of the producer's properties only those that are needed to read the body."""
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
    """Whether a copy carries a producer's header: a text, number or time that neither we nor the broker interpret."""
    theirs = key not in _OURS and key not in _FOR_THE_BROKER and not key.startswith(_STALE)
    return theirs and isinstance(value, str | bool | int | float | datetime)


def _size(key: str, value: Any) -> int | None:  # noqa: ANN401 - whatever a producer wrote
    """The bytes of a header in a frame; None where pamqp cannot encode it, such as a number that is too large."""
    try:
        return len(encode.field_table({key: value})) - len(encode.field_table({}))
    except Exception:  # noqa: BLE001 - pamqp's errors have no common base class
        return None


def _fitting(message: AbstractIncomingMessage, headers: Mapping[str, Any]) -> dict[str, Any]:
    """`headers`, and as many of the producer's as fit beside them, the shortest first."""
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
