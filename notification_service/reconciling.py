"""What stands still, and what contradicts itself, in one record of the ledger. Pure: a record in, findings out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from notification_service.notices import Fact, notification_id
from notification_service.outcomes import (
    PENDING,
    WAITING,
    ParkReason,
    RejectReason,
    SkipReason,
    Status,
)
from notification_service.ports import Standing
from notification_service.retries import Ladder

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

_MARGIN = timedelta(seconds=60)
_TAMPERED = "records are written by the service alone: see who changed it, and ask the mail server's log what went out"

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
    ladder: Ladder

    def examine(self, record: Record, standing: Standing) -> list[Finding]:
        """`standing`: all its fields false where Redis knows nothing or does not answer."""
        found = [Finding(str(record["_id"]), f"{named(record)} {text}") for text in _contradictions(record, standing)]
        return found or [
            Finding(str(record["_id"]), f"{named(record)} {text}", stands_still=True)
            for text in self._standing_still(record, standing)
        ]

    def _standing_still(self, record: Record, standing: Standing) -> Iterator[str]:
        touched = record["updated_at"]
        if record["outcome"] == PENDING and not standing.alive and self.now - touched > self._lease + _MARGIN:
            yield f"is pending since {_when(touched)}, and no worker holds it"
        if record["outcome"] == WAITING and (due := record.get("due_at")):
            # Its rung may be longer than the wait that was asked for.
            rung = timedelta(seconds=self.ladder.rung_for((due - touched).total_seconds()))
            if self.now > due + rung + _MARGIN and not standing.alive:
                yield f"waits for a retry that was due {_when(due)}"

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=2 * self.lease)


def named(record: Record) -> str:
    """How a sentence calls a record: an operator searches for these."""
    booking = f", booking {record['booking_id']}" if record.get("booking_id") else ""
    return f"notification {record['_id']} (event {record.get('event_id')}{booking})"


def _contradictions(record: Record, standing: Standing) -> Iterator[str]:
    outcome, reason = record.get("outcome"), record.get("reason")
    if outcome not in _STATUS:
        yield f"has the outcome {outcome!r}, which is none; {_TAMPERED}"
        return
    if record.get("status") != _STATUS[outcome]:
        yield f"has the status {record.get('status')!r} and the outcome {outcome!r}, which do not fit; {_TAMPERED}"
    if outcome in _REASONS and reason not in set(map(str, _REASONS[outcome])):
        yield f"is {outcome} for the reason {reason!r}, which is none; {_TAMPERED}"
    if outcome == "sent":
        yield from _not_sent(record)
    if not _knows_itself(record):
        yield f"does not have the id of its own fact, {record.get('fact')!r}; {_TAMPERED}"
    if record.get("message_id") and str(record["message_id"]).strip("<>").partition("@")[0] != record["_id"]:
        yield f"has the Message-ID {record['message_id']}, which belongs to another; {_TAMPERED}"
    if outcome not in (PENDING, WAITING) and standing.decided not in (None, outcome):
        yield f"says {outcome}, and Redis remembers {standing.decided}; {_TAMPERED}"


def _not_sent(record: Record) -> Iterator[str]:
    taken = any(attempt.get("result") == "accepted" for attempt in record.get("attempts", ()))
    # An outcome that was taken from the verdict in Redis has no attempt: its worker was lost with that.
    if not taken and not record.get("repaired"):
        yield f"says sent, and no attempt of it was accepted; {_TAMPERED}"
    if not record.get("sent_at"):
        yield f"says sent, and not when; {_TAMPERED}"


def _knows_itself(record: Record) -> bool:
    """A fact may be reported under a name of its own, as a second refund is: then the id is that of both."""
    fact, template = str(record.get("fact")), str(record.get("template") or "none")
    report = record.get("event_data", {}).get("refund_transaction_id")
    reports = [None, str(report).strip()] if report else [None]
    if "\ufffd" in fact:
        return True  # it holds what no database does
    channel = str(record.get("notification_type"))
    return record["_id"] in {notification_id(Fact(fact, each), None, template, channel) for each in reports}


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
