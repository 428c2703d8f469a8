"""What was told of a booking so far, and what a further event means beside it. Pure.

The mails about one booking are ordered by the timestamps of their events. The first confirmation and the first
cancellation have the ids of their facts; what is news after them has the id of the event that decided it, and stands
in the list of the first confirmation's record before it has a record of its own.
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
from notification_service.contract.outcomes import Rejected, Sent, Simulated, Skipped, SkipReason, Unknown
from notification_service.contract.rules import filled, says_which_show
from notification_service.delivery import show_changes
from notification_service.delivery.ports.ledger import Paid, RecordedEvent
from notification_service.delivery.show_changes import Zone

_LONG_AGO, _FOR_EVER = datetime(MINYEAR, 1, 1, tzinfo=UTC), datetime(MAXYEAR, 1, 1, tzinfo=UTC)

Off = TypeVar("Off", BookingCancelled, BookingRefunded)
T = TypeVar("T", BookingCancelled, BookingConfirmed)
BookingEvent = BookingConfirmed | BookingCancelled


@dataclass(frozen=True, slots=True)
class ReportedBooking:
    """One mail of the story. `at`: when its event happened, where that is known."""

    report: RecordedEvent
    event: BookingEvent

    @property
    def at(self) -> datetime | None:
        return self.event.timestamp

    @property
    def went_out(self) -> bool:
        """As far as its reader is concerned: what may have gone out is taken for read."""
        return isinstance(self.report.outcome, Sent | Simulated | Unknown)

    @property
    def stands(self) -> bool:
        """Whether it is what the reader knows last, or is about to know."""
        return self.went_out or self.report.outcome in (None, Skipped(SkipReason.DUPLICATE))

    def before(self, moment: datetime | None) -> bool:
        """Whether it is older for certain."""
        return self.at is not None and moment is not None and self.at < moment


@dataclass(frozen=True, slots=True)
class Relevance:
    """What a mail comes to in the light of its story: not sent for a reason, put off, or sent as `event` says it."""

    event: events.Event
    obsolete: SkipReason | None = None
    wait: bool = False


class BookingHistory:
    """`tellings`: what the ledger says of the booking's mails, as far as they were asked for."""

    def __init__(self, tellings: Iterable[RecordedEvent], zone: Zone) -> None:
        self._zone = zone
        self.later: set[str] = set()
        chapters = []
        for report in tellings:
            self.later.update(report.later)
            if event := _read(report):
                chapters.append(ReportedBooking(report, event))
        chapters.sort(key=lambda chapter: chapter.at or _LONG_AGO)
        self._confirmations = [each for each in chapters if isinstance(each.event, BookingConfirmed)]
        self._cancellations = [each for each in chapters if isinstance(each.event, BookingCancelled)]

    def up_to(self, moment: datetime | None) -> "BookingHistory":
        """As far as its events had happened by then."""
        then = BookingHistory((), self._zone)
        then.later = self.later
        then._confirmations = [each for each in self._confirmations if not _after(each.at, moment)]
        then._cancellations = [each for each in self._cancellations if not _after(each.at, moment)]
        return then

    # ── is it news? ──────────────────────────────────────────────────────────────────────────────────
    def is_news(self, event: BookingEvent) -> bool:
        """Whether an event, beside the mail that its fact has already, is to have one of its own.

        Only what is newer for certain is: an event without a timestamp tells nobody anything new.
        """
        return self._is_booked_anew(event) if isinstance(event, BookingConfirmed) else self._is_off_again(event)

    def _is_booked_anew(self, event: BookingConfirmed) -> bool:
        if not all(each.before(event.timestamp) for each in self._cancellations):
            return False
        standing = [each for each in self._confirmations if each.stands]
        latest = standing[-1] if standing else self._confirmations[-1] if self._confirmations else None
        if latest is None or not latest.before(event.timestamp):
            return False
        # What was rejected is taken up again under its own id by whatever event knows more.
        if isinstance(latest.report.outcome, Rejected):
            return False
        if not self._holds(latest):
            return True
        shown = self._shown(latest)
        return shown is not None and show_changes.since(shown, event, self._zone) is not None

    def _is_off_again(self, event: BookingCancelled) -> bool:
        """There was a confirmation since the last cancellation."""
        between = [each for each in self._confirmations if each.stands and each.before(event.timestamp)]
        return any(map(self._holds, between))

    def _holds(self, confirmation: ReportedBooking) -> bool:
        """Whether every cancellation is older than it."""
        return all(off.before(confirmation.at) for off in self._cancellations)

    # ── what it says, and whether it still has to ────────────────────────────────────────────────────
    def relevance(self, own_id: str, event: BookingEvent, *, hand_ends: datetime) -> Relevance:
        """`hand_ends`: what was in a worker's hand, and was touched before this moment, is in nobody's any more."""
        if isinstance(event, BookingCancelled):
            return self._of_cancellation(own_id, event)
        return self._of_confirmation(own_id, event, hand_ends)

    def _of_confirmation(self, own_id: str, event: BookingConfirmed, hand_ends: datetime) -> Relevance:
        now, ours = event.timestamp, self._ours(own_id, event)
        if not all(each.before(now) for each in self._cancellations):
            return Relevance(event, SkipReason.SUPERSEDED)
        others = [each for each in self._confirmations if each.report.notification_id != own_id]
        if not all(each.before(now) for each in others):
            return Relevance(event, SkipReason.SUPERSEDED)
        if any(_in_hand(each.report, hand_ends) for each in others):
            return Relevance(event, wait=True)
        report = [each for each in others if each.went_out and self._holds(each)]
        shown = self._shown(report[-1]) if report else None
        if shown is None:
            return Relevance(_with(event, **ours, changed_from=None))
        since = show_changes.since(shown, event, self._zone)
        whole = _with(filled(event, shown), **ours, changed_from=since)
        return Relevance(whole, None if since else SkipReason.DUPLICATE)

    def _of_cancellation(self, own_id: str, event: BookingCancelled) -> Relevance:
        """One that was overtaken by a later booking, which was told while it waited, would be read as the last word.

        Both the events' clock and ours have to say so: what we learnt after the confirmation is told.
        """
        own = next((each for each in self._cancellations if each.report.notification_id == own_id), None)
        overtaken = own is not None and any(
            own.before(each.at) and each.went_out and own.report.created_at < each.report.created_at
            for each in self._confirmations
        )
        report = _with(self.completed(event), **self._ours(own_id, event))
        return Relevance(report, SkipReason.SUPERSEDED if overtaken else None)

    def completed(self, event: Off) -> Off:
        """The event with what was told of the show last before it, where it says nothing of its own."""
        known = [
            each for each in self._confirmations if event.timestamp is None or not _after(each.at, event.timestamp)
        ]
        report = [each for each in known if each.went_out] or known or self._confirmations
        shown = self._shown(report[-1]) if report else None
        return filled(event, shown) if shown else event

    def is_overtaken(self, event: PaymentFailed, paid: Paid | None) -> bool:
        """Whether the booking is confirmed or paid: who is then asked to try again pays twice, whatever came first.

        But for an attempt after the booking was cancelled, with nothing paid or confirmed since.
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

    def _shown(self, chapter: ReportedBooking) -> BookingConfirmed | None:
        """All that its reader knew of the show: what it said, and what was told before it."""
        since = max((each.at for each in self._cancellations if each.at and not chapter.before(each.at)), default=None)
        shown: BookingConfirmed | None = None
        for each in self._confirmations:
            known = each is chapter or (each.went_out and _after(chapter.at, each.at) and not each.before(since))
            if known and isinstance(each.event, BookingConfirmed):
                shown = filled(each.event, shown) if shown else each.event
        return shown

    def _ours(self, own_id: str, event: BookingEvent) -> dict[str, int | None]:
        """The sequence of its calendar file (RFC 5545 §3.8.7.4), where it is another than that of a mail alone."""
        sequence, alone = self._sequence(own_id, event), int(isinstance(event, BookingCancelled))
        return {"sequence": None if sequence == alone else sequence}

    def _sequence(self, own_id: str, event: BookingEvent) -> int:
        """Higher than that of every older mail about the booking, and the same whenever it is made again.

        Even for confirmations and what is further, odd for the first cancellation, so that one which is out of order
        never shares a number.
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


def told_beside(story: BookingHistory, own_id: str, event: events.Event) -> Relevance:
    """How a mail reads that was sent at some time beside the others of its booking."""
    match event:
        case BookingConfirmed() | BookingCancelled():
            return story.up_to(event.timestamp).relevance(own_id, event, hand_ends=_FOR_EVER)
        case BookingRefunded() if not says_which_show(event):
            return Relevance(story.completed(event))
        case _:
            return Relevance(event)


def further(tellings: Sequence[RecordedEvent]) -> list[str]:
    """The ids of the further mails that these name."""
    return [later for report in tellings for later in report.later]


def contradicts(report: RecordedEvent, event: BookingConfirmed, zone: Zone) -> bool:
    """Whether the entry is that of a newer event, which says otherwise."""
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
        # It stood there, and nobody knows what it said or when.
        event = events.parse({}, report.event_type)
    return event if isinstance(event, BookingConfirmed | BookingCancelled) else None


def _in_hand(report: RecordedEvent, hand_ends: datetime) -> bool:
    return report.outcome is None and not report.waiting and report.updated_at > hand_ends


def _before(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


def _after(one: datetime | None, other: datetime | None) -> bool:
    return _before(other, one)
