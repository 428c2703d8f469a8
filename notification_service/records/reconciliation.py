"""What one record, one event and one line of a publisher's list mean to an auditor. Pure."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from notification_service.contract import events
from notification_service.contract.events import EVENT_TYPES, UnreadableEventError
from notification_service.contract.facts import ChannelKind, Fact, notification_id
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import PENDING, WAITING, ParkReason, RejectReason, SkipReason, Status
from notification_service.delivery import planning
from notification_service.delivery.ports.claims import ClaimStatus
from notification_service.delivery.ports.recalls import Order
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.printable import shown

_STATUS = {
    PENDING: Status.PENDING,
    WAITING: Status.PENDING,
    "sent": Status.SENT,
    "simulated": Status.PENDING,
    "skipped": Status.FAILED,
    "bounced": Status.FAILED,
    "rejected": Status.FAILED,
    "parked": Status.FAILED,
    "unknown": Status.PENDING,
}
OUTCOMES = tuple(_STATUS)
FOR_A_PERSON = ("rejected", "parked", "unknown")
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

_MARGIN = timedelta(seconds=60)
_MASKED = "***@"
_CHANGED = re.compile(r"\ufffd|\"…\"|\"-?0x[0-9a-f]{16,}\"")
"""What stands in records older than `event_whole` for what they could not hold: a character, a depth, a number."""
_ALTERED = ("\ufffd", "?")
"""What stands in a record for characters that no database holds."""
_TAMPERED = "records are written by the service alone: see who changed it, and ask the mail server's log what went out"
_LATE = "start the service if it is down; if its queues are empty, `reconcile --repair` publishes its event again"

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One plain sentence on what is wrong and what to do. `stands_still`: publishing its event again may mend it."""

    notification_id: str
    text: str
    stands_still: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The moment of the look, and the settings that say how long what may take."""

    now: datetime
    lease: float
    retry_schedule: RetrySchedule

    def examine(self, record: Record, standing: ClaimStatus) -> list[Finding]:
        """`standing`: all its fields false where Redis knows nothing or does not answer."""
        wrong = list(_misshapen(record)) or list(_contradictions(record, standing))
        if wrong:
            return [Finding(str(record["_id"]), f"{named(record)} {text}; {_TAMPERED}") for text in wrong]
        late = [] if standing.alive else self._standing_still(record)
        return [Finding(str(record["_id"]), f"{named(record)} {text}; {_LATE}", stands_still=True) for text in late]

    def _standing_still(self, record: Record) -> Iterator[str]:
        touched: datetime = record["updated_at"]
        if record["outcome"] == PENDING and self.now - touched > timedelta(seconds=2 * self.lease) + _MARGIN:
            yield f"is pending since {_when(touched)}, and no worker is known to hold it"
        if record["outcome"] == WAITING:
            due = record["due_at"] if isinstance(record.get("due_at"), datetime) else touched
            # Its rung may be longer than the wait that was asked for.
            delay = timedelta(seconds=self.retry_schedule.delay_for((due - touched).total_seconds()))
            if self.now > due + delay + _MARGIN:
                yield f"waits for a retry that was due {_when(due)}"


def named(record: Record) -> str:
    """How a sentence calls a record: an operator searches for these."""
    booking = f", booking {shown(record['booking_id'])}" if record.get("booking_id") else ""
    return f"notification {record['_id']} (event {shown(record.get('event_id'))}{booking})"


def channel_of(record: Record) -> ChannelKind:
    """The kind of channel that a record belongs to; a record that does not say so is an e-mail's."""
    return ChannelKind(record.get("notification_type") or ChannelKind.EMAIL)


def event_kept(record: Record) -> Mapping[str, Any] | None:
    """The event of a record as it came; None where the record does not keep all of it."""
    body = body_kept(record)
    try:
        return None if body is None else events.read_object(body, largest=sys.maxsize)
    except UnreadableEventError:
        return None


def body_kept(record: Record) -> bytes | None:
    """The event of a record in JSON, as it came; None where the record does not keep all of it."""
    if text := record.get("event_json"):
        return str(text).encode()
    data = record.get("event_data")
    whole = record.get("event_whole", not _CHANGED.search(_json(data)))
    if not whole or not isinstance(data, Mapping) or "raw" in data or _MASKED in _json(data):
        return None
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        # No version of the service wrote what no JSON can hold, or an old one wrote an infinity.
        return None


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, default=str)


def told_twice(event_id: str, records: Sequence[Record]) -> tuple[list[Finding], list[str]]:
    """Findings and notes on an event that several records name."""
    ids = ", ".join(str(record["_id"]) for record in records)
    templates = [(record["template"], record.get("notification_type")) for record in records if record.get("template")]
    if len(set(templates)) < len(templates):
        text = f"event {shown(event_id)} is in {len(records)} records of one kind of mail, {ids}; {_TAMPERED}"
        return [Finding(str(records[0]["_id"]), text)], []
    if len({template for template, _ in templates}) < len(templates):
        # One for each channel.
        return [], []
    return [], [f"event {shown(event_id)} is in {len(records)} records, {ids}: its producer has used one id twice"]


def to_decide(record: Record) -> str:
    return (
        f"{named(record)} may have gone out: ask the mail server's log for {record.get('message_id')}, "
        "then `parked replay` or `parked discard` it"
    )


def ordered(order: Order) -> str:
    return (
        f"what bounced by {order.fingerprint} since {_when(order.since)} is called back when a mail is accepted again: "
        "see the log's channel.breaker"
    )


def lost(notification: str) -> Finding:
    text = (
        f"notification {notification} has a verdict in Redis and no record: who removed it? "
        f"Restore it from a backup, or delete the key notification:{notification} if it is not missed"
    )
    return Finding(notification, text)


def not_recorded(event_id: str, channel: ChannelKind, parked: str | None, waiting: Mapping[str, int]) -> Finding:
    """`parked`: the reason, where it waits for a person. `waiting`: how many wait where to be taken up."""
    if parked is not None:
        where = f"it is parked, {parked}: `parked show` it, then `parked replay` or `parked discard` it"
    elif waiting:
        depths = " and ".join(f"{depth} in {name}" for name, depth in waiting.items())
        where = f"{depths} wait: start the service, or if they do not fall, see its log"
    else:
        where = "no queue holds one that is ready: if it stays so for a minute, publish it again (--repair)"
    by = "" if channel is ChannelKind.EMAIL else f" of its {channel}"
    return Finding("", f"event {shown(event_id)} was confirmed and has no record{by}; {where}")


def _misshapen(record: Record) -> Iterator[str]:
    for name, kind in _SHAPE.items():
        if not isinstance(record.get(name), kind):
            yield f"has no {name} that could be read"


def _contradictions(record: Record, standing: ClaimStatus) -> Iterator[str]:
    outcome, reason = record["outcome"], record.get("reason")
    if outcome not in _STATUS:
        yield f"has the outcome {_quoted(outcome)}, which is none"
        return
    if record["status"] != _STATUS[outcome]:
        yield f"has the status {_quoted(record['status'])} and the outcome {outcome!r}, which do not fit"
    if outcome in _REASONS and str(reason) not in set(_REASONS[outcome]):
        yield f"is {outcome} for the reason {_quoted(reason)}, which is none"
    if outcome == "sent":
        yield from _not_sent(record)
    if record.get("event_id") not in record["event_ids"]:
        yield "does not name its own event among its event_ids"
    if not _knows_itself(record):
        yield f"does not have the id of its own fact, {_quoted(record['fact'])}"
    if not _has_own_message_id(record):
        yield f"has the Message-ID {_quoted(record['message_id'])}, which belongs to another"
    erased = reason == SkipReason.ERASED and standing.decided in (*FOR_A_PERSON, "bounced")
    if outcome not in (PENDING, WAITING) and standing.decided not in (None, outcome) and not erased:
        yield f"says {outcome}, and Redis remembers {_quoted(standing.decided)}"


def _has_own_message_id(record: Record) -> bool:
    """Whether the notification id is in its Message-ID. Other channels' references have the form that they need."""
    reference = record.get("message_id")
    if not reference or channel_of(record) is not ChannelKind.EMAIL:
        return True
    return bool(str(reference).strip("<>").partition("@")[0] == record["_id"])


def _not_sent(record: Record) -> Iterator[str]:
    taken = any(isinstance(attempt, Mapping) and attempt.get("result") == "accepted" for attempt in record["attempts"])
    # An outcome that was taken from the verdict in Redis has no attempt: its worker was lost with that.
    if not taken and not record.get("repaired"):
        yield "says sent, and no attempt of it was accepted"
    if not isinstance(record.get("sent_at"), datetime):
        yield "says sent, and not when"


def _knows_itself(record: Record) -> bool:
    """A fact may be reported under a name of its own, as a second refund is: then the id is that of both.

    A further mail about a booking has the id of its event in its own.
    """
    fact, template, data = record["fact"], str(record.get("template") or "none"), record.get("event_data")
    report = data.get("refund_transaction_id") if isinstance(data, Mapping) else None
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
    """An event that the broker has confirmed to its publisher. `event_type`: None where only its id is known."""

    event_id: str
    event_type: str | None = None
    body: bytes = b""


def read_line(line: str) -> Confirmed | None:
    """A line of a publisher's list: an id, or an object with one. None for an event of another kind.

    Its `routing_key`, where the publisher writes one beside the fields, says the type as it does in the broker.
    Raises `ValueError`.
    """
    line = line.strip()
    if not line.startswith("{"):
        return Confirmed(line)
    body = line.encode("utf-8", "surrogatepass")
    event = events.read_object(body, largest=sys.maxsize)
    if "event_id" not in event:
        raise ValueError("an event without event_id")
    routing_key = event.get("routing_key")
    named = InboundMessage(body, routing_key if isinstance(routing_key, str) else "")
    inbound = planning.under_its_type(named, largest=sys.maxsize)
    ours = inbound.routing_key in EVENT_TYPES
    if not ours and inbound.routing_key:
        return None
    # The service's own reading of it: what is too long for an id is known by its digest.
    known = inbound if ours else InboundMessage(body, EVENT_TYPES[0])
    event_id = planning.event_id(known, largest=sys.maxsize)
    whole = ours and len(event) > len({"event_id", "event_type"})
    return Confirmed(event_id, inbound.routing_key, body) if whole else Confirmed(event_id)
