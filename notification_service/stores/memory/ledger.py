"""In-memory ledger and recalls: the twins of `stores/mongo/ledger.py` and `stores/mongo/recalls.py`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from notification_service.contract.outcomes import PENDING, Bounced, Outcome, Sent, may_be_reopened, summarize
from notification_service.delivery.ports.channel import IN_DOUBT, SETTLED_DEVICE, Attempt, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Entry, Intent, Opened, Paid, RecordedEvent
from notification_service.delivery.ports.recalls import Order
from notification_service.delivery.ports.shadow import ShadowResult

T = TypeVar("T")


@dataclass(slots=True)
class Record:
    """One record, with the fields that the real ledger writes."""

    intent: Intent
    entry: Entry
    owner: str
    subject: str | None = None
    remarks: tuple[str, ...] = ()
    mail_digest: str | None = None
    recipient: str = ""
    updated_at: datetime | None = None
    reason: str | None = None
    sent_at: datetime | None = None
    due_at: datetime | None = None
    attempts: list[Attempt] = field(default_factory=list)
    history: list[Outcome] = field(default_factory=list)
    later: tuple[str, ...] = ()
    shadow: ShadowResult | None = None
    reported: bool = False

    @property
    def outcome(self) -> str:
        if self.entry.outcome is None:
            return "waiting" if self.entry.waiting else "pending"
        return summarize(self.entry.outcome).outcome


class MemoryLedger:
    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._first_reports: dict[str, str] = {}
        self._paid: dict[str, Paid] = {}

    async def open(self, intent: Intent) -> Opened | AlreadyThere:
        if record := self.records.get(intent.notification_id):
            own = record.owner == intent.owner and record.outcome == PENDING
            return (
                Opened()
                if own
                else AlreadyThere(
                    replace(
                        record.entry,
                        later=record.later,
                        reported=record.reported and not record.history,
                        held_by=_held_by(record.attempts),
                        settled={
                            each.device: each.result
                            for each in record.attempts
                            if each.device and each.result in SETTLED_DEVICE
                        },
                    )
                )
            )
        entry = Entry(
            intent.notification_id,
            outcome=None,
            waiting=False,
            resends=0,
            event_ids=(intent.event_id,),
            created_at=intent.created_at,
            owner=intent.owner,
            recipient=intent.recipient,
            event_id=intent.event_id,
            assignment=intent.assignment,
        )
        self.records[intent.notification_id] = Record(intent, entry, intent.owner, recipient=intent.recipient)
        return Opened()

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        return [_recorded_event(self.records[each]) for each in notification_ids if each in self.records]

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        resends: int,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
        lost: Attempt | None = None,
    ) -> Fence:
        record = self.records.get(notification_id)
        if (
            record is None
            or record.owner not in (seen, owner)
            or (record.entry.sending and not sending and record.owner != owner)
            or (record.entry.outcome and not may_be_reopened(record.entry.outcome))
        ):
            return Fence.LOST
        if replay in record.entry.replays:
            return Fence.HELD if record.owner == owner and record.outcome == PENDING else Fence.LOST
        record.owner, record.updated_at = owner, at
        record.history += [was] if was else []
        if intent is not None:
            event_fields = {name: getattr(intent, name) for name in ("event_id", "event_type", "event_data")}
            record.intent = replace(record.intent, **event_fields)
        record.entry = replace(
            record.entry,
            outcome=None,
            waiting=False,
            resends=resends or record.entry.resends,
            event_ids=_added(record.entry.event_ids, event_id),
            owner=owner,
            event_id=record.intent.event_id,
            replays=(*record.entry.replays, replay) if replay else record.entry.replays,
            sending=False,
            sending_by=None,
        )
        record.attempts += [lost] if lost and lost not in record.attempts else []
        return Fence.HELD

    async def close(
        self,
        notification_id: str,
        owner: str | None,
        outcome: Outcome,
        *,
        at: datetime,
        recipient: str | None = None,
        remarks: Sequence[str] = (),
        message: OutgoingMessage | None = None,
        attempt: Attempt | None = None,
        shadow: ShadowResult | None = None,
    ) -> Fence:
        record = self.records.get(notification_id)
        if record is None:
            return Fence.NO_ENTRY
        if owner == record.owner and record.outcome == summarize(outcome).outcome:
            return Fence.HELD
        if record.entry.outcome is not None or owner not in (None, record.owner):
            return Fence.LOST
        record.recipient = recipient or record.recipient
        record.entry = replace(
            record.entry, outcome=outcome, waiting=False, sending=False, sending_by=None, recipient=record.recipient
        )
        record.subject = (message and message.subject) or record.subject
        record.remarks = tuple(remarks)
        record.mail_digest = message.digest if message else record.mail_digest
        record.updated_at = at
        record.reason = summarize(outcome).reason
        record.sent_at = at if isinstance(outcome, Sent) else None
        record.due_at = None
        record.attempts += [attempt] if attempt else []
        record.shadow = shadow or record.shadow
        return Fence.HELD

    async def postpone(
        self,
        notification_id: str,
        owner: str,
        *,
        at: datetime,
        due_at: datetime,
        reason: str,
        attempt: Attempt | None,
    ) -> None:
        record = self.records.get(notification_id)
        if record is None or record.owner != owner or record.outcome != PENDING:
            return
        record.entry = replace(_unmarked(record.entry), waiting=True)
        record.updated_at, record.due_at, record.reason = at, due_at, reason
        record.attempts += [attempt] if attempt else []

    async def mark_sending(self, notification_id: str, owner: str, relay: str | None = None) -> Fence:
        record = self.records.get(notification_id)
        if record is None:
            return Fence.NO_ENTRY
        if record.owner != owner or record.outcome != PENDING:
            return Fence.LOST
        record.entry = replace(record.entry, sending=True, sending_by=relay or record.entry.sending_by)
        return Fence.HELD

    async def unmark(self, notification_id: str, owner: str) -> None:
        record = self.records.get(notification_id)
        if record is not None and record.owner == owner and record.outcome == PENDING:
            record.entry = _unmarked(record.entry)

    async def note_fallback(self, notification_id: str, owner: str, template_digest: str) -> None:
        record = self.records.get(notification_id)
        if record is None or record.owner != owner or record.outcome != PENDING or not record.entry.assignment:
            return
        record.entry = replace(record.entry, assignment=replace(record.entry.assignment, fell_back=True))
        record.intent = replace(record.intent, template_digest=template_digest)

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        record = self.records.get(notification_id)
        if record is not None and attempt not in record.attempts:
            record.attempts.append(attempt)

    async def note_event(self, notification_id: str, event_id: str) -> None:
        if record := self.records.get(notification_id):
            record.entry = replace(record.entry, event_ids=_added(record.entry.event_ids, event_id))

    async def note_later(self, notification_id: str, later: str) -> None:
        if (record := self.records.get(notification_id)) and later not in record.later:
            record.later = (*record.later, later)

    async def first_report(self, fact: str, report: str) -> str:
        return self._first_reports.setdefault(fact, report)

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        times = [each for each in (self._paid.get(booking_id, Paid(None)).at, at) if each]
        self._paid[booking_id] = Paid(max(times, default=None))

    async def paid(self, booking_id: str) -> Paid | None:
        return self._paid.get(booking_id)


class MemoryRecalls:
    """Recalls of the bounced records of a `MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._orders: dict[str, Order] = {}

    async def order(self, order: Order) -> None:
        first = self._orders.setdefault(order.fingerprint, order)
        self._orders[order.fingerprint] = replace(first, since=min(first.since, order.since))

    async def orders(self) -> Sequence[Order]:
        return list(self._orders.values())

    async def carried_out(self, order: Order) -> None:
        if (held := self._orders.get(order.fingerprint)) and held.opening == order.opening:
            del self._orders[order.fingerprint]

    async def bounced_by(self, fingerprint: str, since: datetime) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        records = [
            _bounced(record) for record in self._ledger.records.values() if _bounced_by(record, fingerprint, since)
        ]
        if records:
            yield records


def _bounced_by(record: Record, fingerprint: str, since: datetime) -> bool:
    outcome = record.entry.outcome
    at = record.updated_at
    return isinstance(outcome, Bounced) and outcome.fingerprint == fingerprint and at is not None and at >= since


def _bounced(record: Record) -> Mapping[str, Any]:
    intent = record.intent
    return {
        "_id": intent.notification_id,
        "event_id": intent.event_id,
        "event_type": intent.event_type,
        "updated_at": record.updated_at,
        "event_data": dict(intent.event_data),
    }


def _recorded_event(record: Record) -> RecordedEvent:
    created_at = record.intent.created_at
    return RecordedEvent(
        record.intent.notification_id,
        record.intent.event_type,
        record.intent.event_data,
        record.entry.outcome,
        record.entry.waiting,
        record.updated_at or created_at,
        created_at,
        record.later,
    )


def _added(event_ids: tuple[str, ...], event_id: str) -> tuple[str, ...]:
    return event_ids if event_id in event_ids else (*event_ids, event_id)


def _unmarked(entry: Entry) -> Entry:
    return replace(entry, sending=False, sending_by=None)


def _held_by(attempts: Sequence[Attempt]) -> str | None:
    return next((each.relay for each in reversed(attempts) if each.result == IN_DOUBT), None)
