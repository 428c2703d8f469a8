"""In-memory twins of the stores, for `demo`, `preview` and the tests. They pass the contract suite of the real ones."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from notification_service import placeholders
from notification_service.outcomes import PENDING, Bounced, Outcome, Sent, Unknown, may_be_reopened, summarize
from notification_service.ports import (
    AlreadyThere,
    Attempt,
    ClaimAnswer,
    Decided,
    Doubtful,
    Entry,
    Fence,
    Granted,
    Held,
    Intent,
    KeptToken,
    Opened,
    Order,
    Paid,
    Person,
    Tenure,
    Told,
)
from notification_service.quotas import Bucket, Quotas, Turn
from notification_service.stores.identities import as_text, spellings

T = TypeVar("T")


@dataclass(slots=True)
class _Claim:
    state: str
    owner: str
    until: float
    outcome: Outcome | None = None
    server: str = ""


class MemoryClaims:
    """`server`: which history of writes it has; "" where that is hidden. A store that has lost writes has another."""

    def __init__(self, lease_seconds: float = 30, clock: Callable[[], float] = time.monotonic) -> None:
        self.server = "one"
        self._lease = lease_seconds
        self._clock = clock
        self._claims: dict[str, _Claim] = {}
        self._begun: dict[str, int] = {}

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        now = self._clock()
        held = self._claims.get(notification_id)
        if reopen and held is not None and held.outcome is not None and may_be_reopened(held.outcome):
            doubt = isinstance(held.outcome, Unknown)
            held = self._claims[notification_id] = _Claim("sending" if doubt else "claimed", "", 0, None, self.server)
        if held is None:
            self._claims[notification_id] = _Claim("claimed", owner, now + self._lease, None, self.server)
            return Granted(fresh=True)
        if held.outcome is not None:
            return Decided(held.outcome)
        if held.owner != owner and held.until > now:
            return Held(held.until - now)
        # Our own claim, asked for again because the answer was lost, is as fresh as it was.
        fresh = held.owner == owner and held.state == "claimed"
        before, held.owner, held.until = held.owner, owner, now + self._lease
        certain = bool(self.server) and held.server == self.server
        if fresh:
            return Granted(fresh=True)
        if held.state == "claimed":
            held.server = self.server
            return Granted(fresh=False, before=before, certain=certain)
        again = held.state == "resending"
        held.state = "doubted" if held.state == "sending" else held.state
        return Doubtful(again, certain)

    async def mark_sending(
        self, notification_id: str, owner: str, *, again: bool = False, plant: bool = False
    ) -> Fence:
        if plant:
            new = _Claim("claimed", owner, self._clock() + self._lease, None, self.server)
            self._claims.setdefault(notification_id, new)
        held = self._claims.get(notification_id)
        if held is None or held.owner != owner or held.outcome is not None:
            return Fence.LOST
        held.state = "resending" if again or held.state in ("doubted", "resending") else "sending"
        held.until = self._clock() + self._lease
        return Fence.HELD if held.server == self.server else Fence.HELD_HERE

    async def unmark(self, notification_id: str, owner: str) -> None:
        held = self._claims.get(notification_id)
        if held is not None and held.owner == owner:
            held.state = {"sending": "claimed", "resending": "doubted"}.get(held.state, held.state)

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence:
        held = self._claims.get(notification_id)
        if held is not None and (held.owner != owner or held.outcome not in (None, outcome)):
            return Fence.LOST
        self._claims[notification_id] = _Claim("decided", owner, 0, outcome)
        return Fence.HELD

    async def release(self, notification_id: str, owner: str) -> Fence:
        held = self._claims.get(notification_id)
        if held is not None and (held.owner != owner or held.outcome is not None):
            return Fence.LOST
        self._claims.pop(notification_id, None)
        return Fence.HELD

    async def renew(self, held: Mapping[str, Tenure]) -> Collection[str]:
        renewed = []
        for notification_id, tenure in held.items():
            claim = self._claims.get(notification_id)
            if claim is not None and claim.owner == tenure.owner and claim.outcome is None:
                claim.until = self._clock() + self._lease
                if tenure.sending:
                    claim.state = "resending" if tenure.again or claim.state in ("doubted", "resending") else "sending"
                renewed.append(notification_id)
        return renewed

    async def begin(self, delivery: str) -> int:
        before = self._begun.get(delivery, 0)
        self._begun[delivery] = before + 1
        return before

    async def end(self, delivery: str, *, forget: bool = False) -> None:
        left = 0 if forget else self._begun.get(delivery, 0) - 1
        if left > 0:
            self._begun[delivery] = left
        else:
            self._begun.pop(delivery, None)


class MemoryRates:
    def __init__(self, quotas: Quotas | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._quotas = quotas or Quotas()
        self._clock = clock
        self._empty: dict[str, float] = {}

    async def reserve(self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False) -> Turn:
        turn, places = Turn(), dict[str, float]()
        for limit in self._quotas.of(address, ticket=ticket, taken=taken):
            seconds, key, empty = self._best(limit.lanes)
            places[key] = empty
            if seconds:
                turn = Turn(seconds, limit.setting)
                break
        if not (only_now and turn.seconds):
            self._empty |= places
        return turn

    def _best(self, lanes: Sequence[Bucket]) -> tuple[float, str, float]:
        """The shortest wait, the lane that has it, and when that lane would be empty then."""
        now = self._clock()
        then_empty = [max(self._empty.get(lane.key, now), now) + lane.interval for lane in lanes]
        waits = [max(empty - now - lane.window, 0) for empty, lane in zip(then_empty, lanes, strict=True)]
        chosen = waits.index(min(waits))
        return round(waits[chosen], 3), lanes[chosen].key, then_empty[chosen]


@dataclass(slots=True)
class Record:
    """One record, in the words that the real ledger writes."""

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
            return Opened() if own else AlreadyThere(replace(record.entry, later=record.later))
        entry = Entry(
            intent.notification_id,
            outcome=None,
            waiting=False,
            possible_duplicate=False,
            event_ids=(intent.event_id,),
            created_at=intent.created_at,
            owner=intent.owner,
            recipient=intent.recipient,
            event_id=intent.event_id,
        )
        self.records[intent.notification_id] = Record(intent, entry, intent.owner, recipient=intent.recipient)
        return Opened()

    async def told(self, notification_ids: Sequence[str]) -> list[Told]:
        return [_told(self.records[each]) for each in notification_ids if each in self.records]

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        possible_duplicate: bool,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
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
            of_event = {name: getattr(intent, name) for name in ("event_id", "event_type", "event_data")}
            record.intent = replace(record.intent, **of_event)
        record.entry = replace(
            record.entry,
            outcome=None,
            waiting=False,
            possible_duplicate=possible_duplicate or record.entry.possible_duplicate,
            event_ids=_with(record.entry.event_ids, event_id),
            owner=owner,
            event_id=record.intent.event_id,
            replays=(*record.entry.replays, replay) if replay else record.entry.replays,
            sending=False,
        )
        return Fence.HELD

    async def close(
        self,
        notification_id: str,
        owner: str | None,
        outcome: Outcome,
        *,
        at: datetime,
        recipient: str | None = None,
        subject: str | None = None,
        remarks: Sequence[str] = (),
        mail_digest: str | None = None,
        attempt: Attempt | None = None,
    ) -> Fence:
        record = self.records.get(notification_id)
        if record is None:
            return Fence.NO_ENTRY
        if owner == record.owner and record.outcome == summarize(outcome).outcome:
            return Fence.HELD
        if record.entry.outcome is not None or owner not in (None, record.owner):
            return Fence.LOST
        record.recipient = recipient or record.recipient
        record.entry = replace(record.entry, outcome=outcome, waiting=False, sending=False, recipient=record.recipient)
        record.subject = subject or record.subject
        record.remarks = tuple(remarks)
        record.mail_digest = mail_digest or record.mail_digest
        record.updated_at = at
        record.reason = summarize(outcome).reason
        record.sent_at = at if isinstance(outcome, Sent) else None
        record.due_at = None
        record.attempts += [attempt] if attempt else []
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
        record.entry = replace(record.entry, waiting=True, sending=False)
        record.updated_at, record.due_at, record.reason = at, due_at, reason
        record.attempts += [attempt] if attempt else []

    async def mark_sending(self, notification_id: str, owner: str) -> Fence:
        record = self.records.get(notification_id)
        if record is None:
            return Fence.NO_ENTRY
        if record.owner != owner or record.outcome != PENDING:
            return Fence.LOST
        record.entry = replace(record.entry, sending=True)
        return Fence.HELD

    async def unmark(self, notification_id: str, owner: str) -> None:
        record = self.records.get(notification_id)
        if record is not None and record.owner == owner and record.outcome == PENDING:
            record.entry = replace(record.entry, sending=False)

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        record = self.records.get(notification_id)
        if record is not None and attempt not in record.attempts:
            record.attempts.append(attempt)

    async def note_event(self, notification_id: str, event_id: str) -> None:
        if record := self.records.get(notification_id):
            record.entry = replace(record.entry, event_ids=_with(record.entry.event_ids, event_id))

    async def note_later(self, notification_id: str, later: str) -> None:
        if (record := self.records.get(notification_id)) and later not in record.later:
            record.later = (*record.later, later)

    async def first_report(self, fact: str, report: str) -> str:
        return self._first_reports.setdefault(fact, report)

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        moments = [each for each in (self._paid.get(booking_id, Paid(None)).at, at) if each]
        self._paid[booking_id] = Paid(max(moments, default=None))

    async def paid(self, booking_id: str) -> Paid | None:
        return self._paid.get(booking_id)


class MemoryRecalls:
    """Of the records of a ledger's twin."""

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


class MemoryDirectory:
    """`users` by id, and whose a booking is, with ids in whatever type a database may hold them."""

    def __init__(self, users: Mapping[Any, Person], users_of_bookings: Mapping[Any, Any]) -> None:
        self._users = users
        self._users_of_bookings = users_of_bookings

    async def user(self, user_id: str) -> Person | None:
        found = _of(self._users, user_id)
        return _readable(found) if found else None

    async def user_of_booking(self, booking_id: str) -> Person | None:
        user_id = as_text(_of(self._users_of_bookings, booking_id))
        return await self.user(user_id) if user_id else None


def _of(held: Mapping[Any, T], text: str) -> T | None:
    return next((held[key] for key in spellings(text) if key in held), None)


def _readable(person: Person) -> Person:
    return Person(
        email=placeholders.known(person.email),
        first_name=placeholders.name(person.first_name),
        last_name=placeholders.name(person.last_name),
        locale=placeholders.known(person.locale),
    )


def _told(record: Record) -> Told:
    made = record.intent.created_at
    return Told(
        record.intent.notification_id,
        record.intent.event_type,
        record.intent.event_data,
        record.entry.outcome,
        record.entry.waiting,
        record.updated_at or made,
        made,
        record.later,
    )


def _with(event_ids: tuple[str, ...], event_id: str) -> tuple[str, ...]:
    return event_ids if event_id in event_ids else (*event_ids, event_id)


class MemoryRefreshTokens:
    def __init__(self) -> None:
        self._kept: dict[str, KeptToken] = {}

    async def find(self, login: str) -> KeptToken | None:
        return self._kept.get(login)

    async def keep(self, login: str, token: KeptToken) -> None:
        kept = self._kept.get(login)
        if kept is None or kept.renewed_at < token.renewed_at:
            self._kept[login] = token

    async def close(self) -> None:
        pass


class MemorySessions:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    async def begin(self, key: str, seconds: int) -> None:
        self._until[key] = self._clock() + seconds

    async def stands(self, key: str) -> bool:
        return self._until.get(key, 0) > self._clock()

    async def end(self, key: str) -> None:
        self._until.pop(key, None)
