"""Whether a notification is still needed, and what its message says beside the earlier ones about its booking."""

import asyncio
import math
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingRefunded,
    Event,
    PaymentFailed,
)
from notification_service.contract.notification_rules import booking_ids, is_ticket, receipt_id, says_which_show
from notification_service.contract.outcomes import SkipReason
from notification_service.contract.showtimes import has_begun
from notification_service.delivery import booking_history, planning
from notification_service.delivery.booking_history import BookingEvent, BookingHistory, Relevance
from notification_service.delivery.jobs import Job, is_of_another_event
from notification_service.delivery.ports.ledger import AlreadyThere, Opened
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState


class RelevanceCheck:
    """`zone`: the time zone in which an event's show takes place. `lease_s`: how long a worker holds a claim.

    `lasts_s`: for how long an answer is used.
    """

    def __init__(
        self, state: DeliveryState, channel: ChannelKind, zone: Zone, *, lease_s: float, lasts_s: float
    ) -> None:
        self._state = state
        self._channel = channel
        self._zone = zone
        self._lease_s = lease_s
        self._lasts_s = lasts_s

    async def check(self, job: Job) -> Relevance:
        """Decide by what is known of the booking now, and keep the answer in the job."""
        job.looked_at, event = time.monotonic(), job.notification.event
        match event:
            case BookingConfirmed() | BookingCancelled():
                job.relevance = await self._beside_its_booking(job, event)
            case BookingRefunded() if not says_which_show(event):
                job.relevance = Relevance((await self._history(event)).completed(event))
            case PaymentFailed() if await self._is_paid_by_now(event):
                job.relevance = Relevance(event, SkipReason.SUPERSEDED)
            case _:
                job.relevance = Relevance(event)
        return job.relevance

    async def recheck(self, job: Job) -> Relevance | None:
        """Check again right before the handover: a message that waited in the channel may be obsolete by now.

        None where the last answer is recent enough.
        """
        return await self.check(job) if time.monotonic() - job.looked_at > self._lasts_s else None

    @staticmethod
    def forget(job: Job) -> None:
        """Let the next recheck ask: a try has failed, and how long the next one is away nobody knows."""
        job.looked_at = -math.inf

    async def is_news(self, job: Job, found: Opened | AlreadyThere) -> bool:
        """Whether the event gets a notification of its own, beside the closed one of its fact.

        If so, this is first noted in the ledger, so that the event is recognised when it comes again.
        """
        event = job.notification.event
        if not may_be_news(job, found) or not isinstance(event, BookingEvent):
            return False
        if not isinstance(found, AlreadyThere) or found.entry.outcome is None:
            return False
        ids, own_id = booking_ids(event, self._channel), planning.further_id(job.notification, self._channel)
        history = await self._history(event)
        if own_id in history.later or ids is None:
            return own_id in history.later
        if news := history.is_news(event):
            await self._state.note_later(ids[0], own_id)
        return news

    async def is_older(self, job: Job, found: Opened | AlreadyThere) -> bool:
        """Whether a newer event, which contradicts this one, has taken the entry over."""
        event = job.notification.event
        if not isinstance(event, BookingConfirmed) or not is_of_another_event(job, found):
            return False
        recorded = await self._state.event_data_of([job.notification_id])
        return any(booking_history.contradicts(each, event, self._zone) for each in recorded)

    async def _beside_its_booking(self, job: Job, event: BookingEvent) -> Relevance:
        if self._has_begun(event):
            return Relevance(event, SkipReason.EXPIRED)
        # For a first confirmation the only question is whether its booking was cancelled.
        whole = job.has_siblings or isinstance(event, BookingCancelled)
        history = await self._history(event, whole=whole)
        claims_lapsed_before = datetime.now(UTC) - timedelta(seconds=2 * self._lease_s)
        relevance = history.relevance(job.notification_id, event, claims_lapsed_before=claims_lapsed_before)
        return replace(relevance, obsolete=SkipReason.EXPIRED) if self._has_begun(relevance.event) else relevance

    def _has_begun(self, event: Event) -> bool:
        showtime = getattr(event, "showtime", None)
        return is_ticket(event) and has_begun(showtime, self._zone(event), datetime.now(UTC))

    async def _history(self, event: Event, *, whole: bool = True) -> BookingHistory:
        ids = booking_ids(event, self._channel)
        if ids is None:
            return BookingHistory((), self._zone)
        recorded = await self._state.event_data_of(ids if whole else ids[1:])
        if later := booking_history.further(recorded):
            recorded += await self._state.event_data_of(later)
        return BookingHistory(recorded, self._zone)

    async def _is_paid_by_now(self, event: PaymentFailed) -> bool:
        if not event.booking_id:
            receipt = receipt_id(event, self._channel)
            return bool(receipt and await self._state.event_data_of([receipt]))
        history, paid = await asyncio.gather(self._history(event), self._state.paid(event.booking_id))
        return history.is_overtaken(event, paid)


def may_be_news(job: Job, found: Opened | AlreadyThere) -> bool:
    """Whether the event is a report on a booking that its entry does not have yet."""
    known = not isinstance(found, AlreadyThere) or found.entry.knows(job.notification.event_id)
    return isinstance(job.notification.event, BookingEvent) and not job.further and not known
