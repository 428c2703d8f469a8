"""The earlier messages about a booking, and what a further event means beside them. Pure.

Messages are ordered by the timestamps of their events. The first confirmation and the first cancellation of a booking
have the notification ids of their facts. A later message has an id that includes its event's id, and is listed in the
record of the first confirmation before it has a record of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import TypeVar

from notification_service.contract import events
from notification_service.contract.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingRefunded,
    PaymentFailed,
    UnreadableEventError,
)
from notification_service.contract.notification_rules import says_which_show, with_missing_details
from notification_service.contract.outcomes import Rejected, Sent, Simulated, Skipped, SkipReason, Unknown
from notification_service.delivery import show_changes
from notification_service.delivery.ports.ledger import Paid, RecordedEvent
from notification_service.delivery.show_changes import Zone

_DISTANT_PAST, _DISTANT_FUTURE = datetime(MINYEAR, 1, 1, tzinfo=UTC), datetime(MAXYEAR, 1, 1, tzinfo=UTC)

_NOT_SELECTED = Skipped(SkipReason.NOT_SELECTED)
_KNOWN_OTHERWISE = (Skipped(SkipReason.DUPLICATE), _NOT_SELECTED)

CancelledOrRefunded = TypeVar("CancelledOrRefunded", BookingCancelled, BookingRefunded)
T = TypeVar("T", BookingCancelled, BookingConfirmed)
BookingEvent = BookingConfirmed | BookingCancelled


@dataclass(frozen=True, slots=True)
class ReportedBooking:
    """One message about the booking. `at`: when its event happened, where that is known."""

    report: RecordedEvent
    event: BookingEvent

    @property
    def at(self) -> datetime | None:
        return self.event.timestamp

    @property
    def went_out(self) -> bool:
        """Whether the recipient has it. A message that may have been sent counts."""
        return isinstance(self.report.outcome, Sent | Simulated | Unknown)

    @property
    def is_told(self) -> bool:
        """Whether the recipient has it, or is told by another channel, where this one only hears of it."""
        return self.went_out or self.report.outcome == _NOT_SELECTED

    @property
    def stands(self) -> bool:
        """Whether the recipient has it, will get it, or gets it by another channel."""
        return self.went_out or self.report.outcome in (None, *_KNOWN_OTHERWISE)

    def before(self, moment: datetime | None) -> bool:
        """Whether its event is certainly older."""
        return self.at is not None and moment is not None and self.at < moment


@dataclass(frozen=True, slots=True)
class Relevance:
    """What becomes of a message: skipped as `obsolete`, sent later (`wait`), or sent with the content of `event`."""

    event: events.Event
    obsolete: SkipReason | None = None
    wait: bool = False


class BookingHistory:
    """`records`: those entries of the booking that were read from the ledger."""

    def __init__(self, records: Iterable[RecordedEvent], zone: Zone) -> None:
        self._zone = zone
        self.later: set[str] = set()
        reports = []
        for report in records:
            self.later.update(report.later)
            if event := _read(report):
                reports.append(ReportedBooking(report, event))
        reports.sort(key=lambda earlier: earlier.at or _DISTANT_PAST)
        self._confirmations = [each for each in reports if isinstance(each.event, BookingConfirmed)]
        self._cancellations = [each for each in reports if isinstance(each.event, BookingCancelled)]

    def up_to(self, moment: datetime | None) -> "BookingHistory":
        """The history without later events."""
        then = BookingHistory((), self._zone)
        then.later = self.later
        then._confirmations = [each for each in self._confirmations if not _after(each.at, moment)]
        then._cancellations = [each for each in self._cancellations if not _after(each.at, moment)]
        return then

    # ── does an event get a notification of its own? ─────────────────────────────────────────────────
    def is_news(self, event: BookingEvent) -> bool:
        """Whether an event gets a notification of its own, beside the one that its fact has.

        It does only if it is certainly newer, so an event without a timestamp never does.
        """
        return (
            self._is_confirmed_anew(event) if isinstance(event, BookingConfirmed) else self._is_cancelled_again(event)
        )

    def _is_confirmed_anew(self, event: BookingConfirmed) -> bool:
        if not all(each.before(event.timestamp) for each in self._cancellations):
            return False
        standing = [each for each in self._confirmations if each.stands]
        latest = standing[-1] if standing else self._confirmations[-1] if self._confirmations else None
        if latest is None or not latest.before(event.timestamp):
            return False
        # A rejected notification is taken over, under its own id, by an event that has what was missing.
        if isinstance(latest.report.outcome, Rejected):
            return False
        if not self._is_not_cancelled(latest):
            return True
        shown = self._shown(latest)
        return shown is not None and show_changes.since(shown, event, self._zone) is not None

    def _is_cancelled_again(self, event: BookingCancelled) -> bool:
        """Whether the booking was confirmed since its last cancellation."""
        between = [each for each in self._confirmations if each.stands and each.before(event.timestamp)]
        return any(map(self._is_not_cancelled, between))

    def _is_not_cancelled(self, confirmation: ReportedBooking) -> bool:
        """Whether every cancellation is older."""
        return all(off.before(confirmation.at) for off in self._cancellations)

    # ── is a message still relevant, and what does it say? ───────────────────────────────────────────
    def relevance(self, own_id: str, event: BookingEvent, *, claims_lapsed_before: datetime) -> Relevance:
        """`claims_lapsed_before`: a pending entry that was not changed since has no worker any more."""
        if isinstance(event, BookingCancelled):
            return self._of_cancellation(own_id, event)
        return self._of_confirmation(own_id, event, claims_lapsed_before)

    def _of_confirmation(self, own_id: str, event: BookingConfirmed, claims_lapsed_before: datetime) -> Relevance:
        now, calendar_fields = event.timestamp, self._calendar_fields(own_id, event)
        if not all(each.before(now) for each in self._cancellations):
            return Relevance(event, SkipReason.SUPERSEDED)
        others = [each for each in self._confirmations if each.report.notification_id != own_id]
        if not all(each.before(now) for each in others):
            return Relevance(event, SkipReason.SUPERSEDED)
        if any(_is_under_way(each.report, claims_lapsed_before) for each in others):
            return Relevance(event, wait=True)
        report = [each for each in others if each.went_out and self._is_not_cancelled(each)]
        shown = self._shown(report[-1]) if report else None
        if shown is None:
            return Relevance(_with(event, **calendar_fields, changed_from=None))
        since = show_changes.since(shown, event, self._zone)
        whole = _with(with_missing_details(event, shown), **calendar_fields, changed_from=since)
        return Relevance(whole, None if since else SkipReason.DUPLICATE)

    def _of_cancellation(self, own_id: str, event: BookingCancelled) -> Relevance:
        """A cancellation is superseded where a later booking was confirmed while the cancellation waited.

        It would be read as the newest message. Both the events' timestamps and our records have to be in that order.
        """
        own = next((each for each in self._cancellations if each.report.notification_id == own_id), None)
        overtaken = own is not None and any(
            own.before(each.at) and each.is_told and own.report.created_at < each.report.created_at
            for each in self._confirmations
        )
        report = _with(self.completed(event), **self._calendar_fields(own_id, event))
        return Relevance(report, SkipReason.SUPERSEDED if overtaken else None)

    def completed(self, event: CancelledOrRefunded) -> CancelledOrRefunded:
        """The event, with details of the show that it lacks taken from the last confirmation before it."""
        known = [
            each for each in self._confirmations if event.timestamp is None or not _after(each.at, event.timestamp)
        ]
        report = [each for each in known if each.went_out] or known or self._confirmations
        shown = self._shown(report[-1]) if report else None
        return with_missing_details(event, shown) if shown else event

    def is_overtaken(self, event: PaymentFailed, paid: Paid | None) -> bool:
        """Whether the booking is confirmed or paid, so that a request to try again would lead to a second payment.

        The order of the events does not matter, except after a cancellation with nothing paid or confirmed since.
        """
        moments = [each.at for each in self._confirmations] + ([paid.at] if paid else [])
        off = [each.at for each in self._cancellations]
        if not moments or not off:
            return bool(moments)
        last_off = max(filter(None, off), default=None)
        return (
            last_off is None
            or not all(_before(at, last_off) for at in moments)
            or not _before(last_off, event.timestamp)
        )

    def _shown(self, earlier: ReportedBooking) -> BookingConfirmed | None:
        """The details of the show that the recipient knew with this message, from it and those before it."""
        since = max((each.at for each in self._cancellations if each.at and not earlier.before(each.at)), default=None)
        shown: BookingConfirmed | None = None
        for each in self._confirmations:
            known = each is earlier or (each.went_out and _after(earlier.at, each.at) and not each.before(since))
            if known and isinstance(each.event, BookingConfirmed):
                shown = with_missing_details(each.event, shown) if shown else each.event
        return shown

    def _calendar_fields(self, own_id: str, event: BookingEvent) -> dict[str, int | None]:
        """The SEQUENCE of its calendar file (RFC 5545 §3.8.7.4); None where it is that of a first message."""
        sequence, alone = self._sequence(own_id, event), int(isinstance(event, BookingCancelled))
        return {"sequence": None if sequence == alone else sequence}

    def _sequence(self, own_id: str, event: BookingEvent) -> int:
        """A number higher than in every older message about the booking, and the same each time it is computed.

        It is even for confirmations and later messages and odd for the first cancellation, so that a cancellation which
        arrives out of order never has the number of another message.
        """
        further = [
            each for each in (*self._confirmations, *self._cancellations) if each.report.notification_id in self.later
        ]
        first_off = next((each for each in self._cancellations if each not in further), None)
        if isinstance(event, BookingCancelled) and own_id not in self.later:
            return 1 + 2 * sum(not _after(each.at, event.timestamp) for each in further)
        first = next((each.at for each in self._confirmations if each not in further), event.timestamp)
        booked_anew = first_off is not None and first_off.before(first)
        older = [each for each in further if each.report.notification_id != own_id and each.before(event.timestamp)]
        return 2 * (len(older) + (own_id in self.later) + booked_anew)


def relevance_when_sent(history: BookingHistory, own_id: str, event: events.Event) -> Relevance:
    """The relevance that a message had when it was sent, for reconstructing it."""
    match event:
        case BookingConfirmed() | BookingCancelled():
            return history.up_to(event.timestamp).relevance(own_id, event, claims_lapsed_before=_DISTANT_FUTURE)
        case BookingRefunded() if not says_which_show(event):
            return Relevance(history.completed(event))
        case _:
            return Relevance(event)


def further(records: Sequence[RecordedEvent]) -> list[str]:
    """The notification ids of the later messages that these records list."""
    return [later for report in records for later in report.later]


def contradicts(report: RecordedEvent, event: BookingConfirmed, zone: Zone) -> bool:
    """Whether the record is that of a newer event which contradicts this one."""
    known = _read(report)
    if not isinstance(known, BookingConfirmed) or not _after(known.timestamp, event.timestamp):
        return False
    return show_changes.since(event, known, zone) is not None


def _with(event: T, **fields: object) -> T:
    same = all(getattr(event, name) == value for name, value in fields.items())
    return event if same else event.model_copy(update=fields)


def _read(report: RecordedEvent) -> BookingEvent | None:
    try:
        event = events.parse(report.data, report.event_type)
    except UnreadableEventError:
        # There was such an event, and its content and time are unknown.
        event = events.parse({}, report.event_type)
    return event if isinstance(event, BookingConfirmed | BookingCancelled) else None


def _is_under_way(report: RecordedEvent, claims_lapsed_before: datetime) -> bool:
    return report.outcome is None and not report.waiting and report.updated_at > claims_lapsed_before


def _before(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


def _after(one: datetime | None, other: datetime | None) -> bool:
    return _before(other, one)
