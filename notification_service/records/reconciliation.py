"""The rules of `reconcile` for one record, one event and one line of a publisher's list. No I/O."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from notification_service.broker.parking import EventToPublish
from notification_service.contract import events
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES, UnreadableEventError
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.notification_ids import REPORT_FIELD, Fact, notification_id
from notification_service.contract.outcomes import (
    FOR_A_PERSON,
    PENDING,
    STATUS_OF,
    WAITING,
    ParkReason,
    RejectReason,
    SkipReason,
)
from notification_service.delivery import planning
from notification_service.delivery.ports.claims import ClaimStatus
from notification_service.delivery.ports.ledger import Record
from notification_service.delivery.ports.recalls import Order
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.printable import shown

OUTCOMES = tuple(STATUS_OF)
_REASONS: Mapping[str, type[StrEnum]] = {"skipped": SkipReason, "rejected": RejectReason, "parked": ParkReason}
_SHAPE: Mapping[str, type] = {
    "outcome": str,
    "status": str,
    "fact": str,
    "event_ids": list,
    "event_type": str,
    "updated_at": datetime,
    "attempts": list,
}

_TOLERANCE = timedelta(seconds=60)
_MASKED = "***@"
_REPLACED = re.compile(r"\ufffd|\"…\"|\"-?0x[0-9a-f]{16,}\"")
"""Placeholders in records older than `event_whole`, for characters, nesting and numbers that they could not hold."""
_ALTERED = ("\ufffd", "?")
"""Placeholders in a record for characters that MongoDB cannot hold."""
_TAMPERED = (
    "only the service writes records: find out who changed it, and check the mail server's log for what went out"
)
_LATE = "start the service if it is down; if its queues are empty, `reconcile --repair` publishes its event again"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong and what to do, in one sentence. `is_stalled`: publishing its event again may help."""

    notification_id: str
    text: str
    is_stalled: bool = False


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The time of the audit, and the settings that say how long each step may take."""

    now: datetime
    lease_s: float
    retry_schedule: RetrySchedule

    def examine(self, record: Record, claim: ClaimStatus) -> list[Finding]:
        """`claim`: the default if Redis has no claim or does not answer."""
        wrong = list(_misshapen(record)) or list(_contradictions(record, claim))
        if wrong:
            return [Finding(str(record["_id"]), f"{describe(record)} {text}; {_TAMPERED}") for text in wrong]
        late = [] if claim.alive else self._stalled(record)
        return [Finding(str(record["_id"]), f"{describe(record)} {text}; {_LATE}", is_stalled=True) for text in late]

    def _stalled(self, record: Record) -> Iterator[str]:
        touched: datetime = record["updated_at"]
        if record["outcome"] == PENDING and self.now - touched > timedelta(seconds=2 * self.lease_s) + _TOLERANCE:
            yield f"has been pending since {_when(touched)}, and no worker holds its claim"
        if record["outcome"] == WAITING:
            due = record["due_at"] if isinstance(record.get("due_at"), datetime) else touched
            # It waits in a queue whose delay may be longer than the wait that was asked for.
            delay = timedelta(seconds=self.retry_schedule.delay_for((due - touched).total_seconds()))
            if self.now > due + delay + _TOLERANCE:
                yield f"waits for a retry that was due {_when(due)}"


def describe(record: Record) -> str:
    """Returns the ids by which an operator finds the record."""
    booking = f", booking {shown(record['booking_id'])}" if record.get("booking_id") else ""
    return f"notification {record['_id']} (event {shown(record.get('event_id'))}{booking})"


def channel_of(record: Record) -> ChannelKind:
    """Returns the channel of a record; a record that does not name one is of e-mail."""
    return ChannelKind(record.get("notification_type") or ChannelKind.EMAIL)


def stored_event(record: Record) -> Mapping[str, Any] | None:
    """Returns the event of a record as it was published; None if the record does not hold all of it."""
    body = stored_body(record)
    try:
        return None if body is None else events.read_object(body, max_bytes=sys.maxsize)
    except UnreadableEventError:
        return None


def stored_body(record: Record) -> bytes | None:
    """Returns the JSON body of a record's event as it was published; None if the record does not hold all of it."""
    if text := record.get("event_json"):
        return str(text).encode()
    data = record.get("event_data")
    whole = record.get("event_whole", not _REPLACED.search(_json(data)))
    if not whole or not isinstance(data, Mapping) or "raw" in data or _MASKED in _json(data):
        return None
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        # Written by somebody else, or an infinity written by an old version.
        return None


def to_publish(record: Record, replay: str | None = None) -> EventToPublish | None:
    """Returns the event of a record for publishing it again; None if the record does not hold all of it."""
    body, channel = stored_body(record), channel_of(record)
    event_type, event_id = str(record.get("event_type")), str(record.get("event_id"))
    return None if body is None else EventToPublish(body, event_type, event_id, replay, channel)


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, default=str)


def shared_event(event_id: str, records: Sequence[Record]) -> tuple[list[Finding], list[str]]:
    """Returns findings and notes about an event that several records contain."""
    ids = ", ".join(str(record["_id"]) for record in records)
    # One id for two bookings is the producer's doing, and each booking has its mail.
    mails = [
        (record["template"], record.get("booking_id"), record.get("notification_type"))
        for record in records
        if record.get("template")
    ]
    if len(set(mails)) < len(mails):
        text = f"event {shown(event_id)} is in {len(records)} records of the same e-mail, {ids}; {_TAMPERED}"
        return [Finding(str(records[0]["_id"]), text)], []
    if len({(template, booking) for template, booking, _ in mails}) < len(mails):
        # One for each channel.
        return [], []
    return [], [f"event {shown(event_id)} is in {len(records)} records, {ids}: the producer used one event id twice"]


def to_decide(record: Record) -> str:
    return (
        f"{describe(record)} may have gone out: search the mail server's log for {record.get('message_id')}, "
        "then `parked replay` or `parked discard` it"
    )


def open_order(order: Order) -> str:
    return (
        f"bounces with the fingerprint {order.fingerprint} since {_when(order.since)} are recalled "
        "once a mail is accepted: see the log's channel.breaker"
    )


def missing_record(notification: str) -> Finding:
    text = (
        f"notification {notification} has a verdict in Redis and no record: find out who removed it. "
        f"Restore it from a backup, or delete the key notification:{notification} if the record is not needed"
    )
    return Finding(notification, text)


def not_recorded(event_id: str, channel: ChannelKind, parked: str | None, waiting: Mapping[str, int]) -> Finding:
    """`parked`: the reason, if the event is parked. `waiting`: the depths of the other queues that are not empty."""
    if parked is not None:
        where = f"it is parked, {parked}: `parked show` it, then `parked replay` or `parked discard` it"
    elif waiting:
        depths = " and ".join(f"{depth} in {name}" for name, depth in waiting.items())
        where = f"{depths} are waiting: start the service, or check its log if the number does not fall"
    else:
        where = "no queue has a ready message: if that lasts for a minute, publish it again (--repair)"
    by = "" if channel is ChannelKind.EMAIL else f" of its {channel}"
    return Finding("", f"event {shown(event_id)} was confirmed and has no record{by}; {where}")


def _misshapen(record: Record) -> Iterator[str]:
    for name, kind in _SHAPE.items():
        if not isinstance(record.get(name), kind):
            yield f"has no readable {name}"


def _contradictions(record: Record, claim: ClaimStatus) -> Iterator[str]:
    outcome, reason = record["outcome"], record.get("reason")
    if outcome not in STATUS_OF:
        yield f"has the unknown outcome {_quoted(outcome)}"
        return
    if record["status"] != STATUS_OF[outcome]:
        yield f"has the status {_quoted(record['status'])}, which does not fit the outcome {outcome!r}"
    if outcome in _REASONS and str(reason) not in set(_REASONS[outcome]):
        yield f"is {outcome} for the unknown reason {_quoted(reason)}"
    if outcome == "sent":
        yield from _unproven_sent(record)
    if record.get("event_id") not in record["event_ids"]:
        yield "does not list its own event in event_ids"
    if not _has_own_id(record):
        yield f"has an id that does not follow from its fact, {_quoted(record['fact'])}"
    if not _has_own_message_id(record):
        yield f"has the Message-ID {_quoted(record['message_id'])}, which belongs to another notification"
    erased = reason == SkipReason.ERASED and claim.decided in (*FOR_A_PERSON, "bounced")
    if outcome not in (PENDING, WAITING) and claim.decided not in (None, outcome) and not erased:
        yield f"is {outcome}, but the verdict in Redis is {_quoted(claim.decided)}"


def _has_own_message_id(record: Record) -> bool:
    """Returns whether the Message-ID holds the notification id. The reference of another channel has any form."""
    reference = record.get("message_id")
    if not reference or channel_of(record) is not ChannelKind.EMAIL:
        return True
    return bool(str(reference).strip("<>").partition("@")[0] == record["_id"])


def _unproven_sent(record: Record) -> Iterator[str]:
    accepted = any(
        isinstance(attempt, Mapping) and attempt.get("result") == "accepted" for attempt in record["attempts"]
    )
    # An outcome that was restored from the verdict in Redis has no attempt: the worker crashed before writing it.
    if not accepted and not record.get("repaired"):
        yield "is sent, but none of its attempts was accepted"
    if not isinstance(record.get("sent_at"), datetime):
        yield "is sent, but has no sent_at"


def _has_own_id(record: Record) -> bool:
    """Returns whether the id follows from the fact, alone or with its report: a second refund, or a further mail.

    The report of a further mail about a booking is the id of its event.
    """
    fact, template, data = record["fact"], str(record.get("template") or "none"), record.get("event_data")
    report = data.get(REPORT_FIELD) if isinstance(data, Mapping) else None
    reports = [None, str(record.get("event_id")), *([str(report).strip()] if report else [])]
    if any(mark in f"{fact}{report}" for mark in _ALTERED):
        return True
    channel = str(record.get("notification_type"))
    return record["_id"] in {notification_id(Fact(fact, each), None, template, channel) for each in reports}


def _quoted(value: object) -> str:
    return mask_in(repr(value))


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An event that RabbitMQ confirmed to its publisher. `event_type`: None if only its id is known."""

    event_id: str
    event_type: str | None = None
    body: bytes = b""


def read_line(line: str) -> Confirmed | None:
    """Parse a line of a publisher's list: an event id, or an event. Returns None for an event of another service.

    A `routing_key` beside the event's fields gives the type, as it does in RabbitMQ. Raises `ValueError`.
    """
    line = line.strip()
    if not line.startswith("{"):
        return Confirmed(line)
    body = line.encode("utf-8", "surrogatepass")
    event = events.read_object(body, max_bytes=sys.maxsize)
    if "event_id" not in event:
        raise ValueError("an event without event_id")
    routing_key = event.get("routing_key")
    listed = InboundMessage(body, routing_key if isinstance(routing_key, str) else "")
    inbound = planning.under_its_type(listed, max_bytes=sys.maxsize)
    ours = inbound.routing_key in EVENT_TYPES
    if not ours and inbound.routing_key:
        return None
    # Read as the service reads it: an id that is too long is replaced by its digest.
    readable = inbound if ours else InboundMessage(body, EVENT_TYPES[0])
    event_id = planning.event_id(readable, max_bytes=sys.maxsize)
    whole = ours and len(event) > len({"event_id", "event_type"})
    return Confirmed(event_id, inbound.routing_key, body) if whole else Confirmed(event_id)
