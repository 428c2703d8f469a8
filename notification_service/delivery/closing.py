"""Ends the work on a notification: records the outcome or the retry, and returns the settlement for the broker."""

import math
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import structlog

from notification_service.contract.events import BookingConfirmed, Event
from notification_service.contract.outcomes import (
    Outcome,
    Parked,
    ParkReason,
    Skipped,
    SkipReason,
    summarize,
    waits_for_a_person,
)
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.jobs import Job
from notification_service.delivery.observer import ClosedNotification, Observer, Stage
from notification_service.delivery.ports.channel import Attempt, Outbox, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Opened
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState
from notification_service.foundation.addresses import mask
from notification_service.foundation.mailbox_classes import mailbox_class

log = structlog.get_logger(__name__)

_MIN_WAIT_S = 5.0
_EASTMOST_ZONE = timezone(timedelta(hours=14))
"""The zone in which a show begins first, assumed where its own is unknown."""
_WAIT_FOR_EARLIER_S = 2.0
_LOST_TO = {Fence.LOST: "another worker took it over", Fence.NO_ENTRY: "its entry is gone"}
_UNMOVABLE = "RabbitMQ refuses a copy of its event, so it could not be tried later"


@dataclass(frozen=True, slots=True)
class Closer:
    """`channel_name`: the transport, for metrics. `zone`: the time zone in which an event's show takes place."""

    state: DeliveryState
    observer: Observer
    outbox: Outbox
    retry_schedule: RetrySchedule
    zone: Zone
    channel_name: str
    lease_s: float

    async def close(self, job: Job, outcome: Outcome, attempt: Attempt | None = None) -> Settlement:
        with self.observer.timed(Stage.OUTCOME):
            fence = await self.state.close(job, outcome, attempt)
        # A parked event needs no entry: one that MongoDB refuses must not be retried for ever. Of an event that no
        # queue accepts, the entry is all that is left.
        needs_no_entry = isinstance(outcome, Parked) and not job.inbound.unmovable
        if fence is Fence.LOST or (fence is Fence.NO_ENTRY and not needs_no_entry):
            return self.after_lease(_LOST_TO[fence])
        log.info(
            "notification.closed",
            **log_fields(outcome),
            duration_ms=job.duration_ms,
            code=attempt.code if attempt else None,
            connection=attempt.connection if attempt else None,
            recipient=mask(job.recipient) if job.recipient else None,
        )
        self._observe(job, outcome)
        return settlement_of(outcome)

    async def retry(
        self,
        job: Job,
        reason: ParkReason,
        detail: str,
        attempt: Attempt | None = None,
        server_wait_s: float | None = None,
    ) -> Settlement:
        """Nothing was sent: wait for the next delay of the schedule, or park the event after the last retry."""
        job.sending = False
        jitter = random.random()  # noqa: S311 - no secret
        seconds = self.retry_schedule.next_wait(job.inbound.attempt, server_wait_s, jitter)
        if job.inbound.unmovable:
            reason, detail, seconds = ParkReason.UNMOVABLE, f"{_UNMOVABLE}: {detail}", None
        if seconds is not None:
            wait = self._before_the_show(max(seconds, server_wait_s or 0), job.notification.event)
            await self.state.postpone(job, wait, detail, attempt)
            # A wait that is none of the delays gets a due time, until which the message goes round.
            due = None if wait == seconds else math.ceil(time.time() + wait)
            return Retry(wait, counted=True, reason=detail, not_before=due)
        if job.message is not None:
            await self._keep(job.message)
        return await self.close(job, Parked(reason, detail), attempt)

    async def step_back(self, job: Job, found: Opened | AlreadyThere) -> Settlement:
        """Leave the notification to a newer event, whose message says otherwise."""
        await self.state.note_event(job, found)
        await self.state.leave(job)
        outcome = Skipped(SkipReason.SUPERSEDED)
        log.info("event.duplicate", outcome=summarize(outcome).outcome, duration_ms=job.duration_ms)
        return Done(outcome)

    async def give_way(self, job: Job) -> Settlement:
        """Wait for an earlier message about the booking: whether it is sent decides what this one says."""
        reason = "an earlier mail about its booking is under way"
        await self.state.postpone(job, _WAIT_FOR_EARLIER_S, reason, None)
        if job.inbound.is_express_copy:
            return Done(None)
        return Retry(_WAIT_FOR_EARLIER_S, counted=False, reason=reason)

    def after_lease(self, reason: str) -> Retry:
        """Come back after a lease, when another worker has finished or lost its claim."""
        return Retry(self.lease_s, counted=False, reason=reason)

    def _before_the_show(self, wait: float, event: Event) -> float:
        """Limit a ticket's wait to half of the time until its show, so that several tries come before it."""
        show_at = self._show_at(event)
        if show_at is None:
            return wait
        begins = show_at if show_at.tzinfo else show_at.replace(tzinfo=_EASTMOST_ZONE)
        left = (begins - datetime.now(UTC)).total_seconds()
        return min(wait, max(left / 2, _MIN_WAIT_S))

    def _show_at(self, event: Event) -> datetime | None:
        """When the show of a ticket begins; None for any other message."""
        shown = event.showtime if isinstance(event, BookingConfirmed) else None
        return parse_showtime(shown, self.zone(event)) if shown else None

    async def _keep(self, message: OutgoingMessage) -> None:
        try:
            path = await self.outbox.keep(message)
        except OSError as problem:
            # The message can be composed again from the parked event.
            log.error("outbox.failed", problem=str(problem))  # noqa: TRY400 - the text is enough
        else:
            log.warning("mail.simulated", reason="nothing was sent: gave up after the last retry", path=path)

    def _observe(self, job: Job, outcome: Outcome) -> None:
        event = job.notification.event
        show_at = self._show_at(event)
        self.observer.closed(
            ClosedNotification(
                template=job.notification.template,
                channel=self.channel_name,
                outcome=outcome,
                event_at=event.timestamp,
                ready_at=job.ready_at,
                closed_at=datetime.now(UTC),
                show_at=show_at if show_at and show_at.tzinfo else None,
                mailbox=mailbox_class(job.recipient) if job.recipient and "@" in job.recipient else "",
            )
        )


def settlement_of(outcome: Outcome) -> Settlement:
    return Park(outcome) if waits_for_a_person(outcome) else Done(outcome)


def log_fields(outcome: Outcome) -> dict[str, str | None]:
    summary = summarize(outcome)
    return {"outcome": summary.outcome, "reason": summary.reason, "detail": summary.detail}
