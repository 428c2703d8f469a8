"""When a message may go: not in the quiet hours of its channel, and not before its places at the rate limits."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.contract.notification_rules import is_ticket
from notification_service.delivery.jobs import Job
from notification_service.delivery.observer import Observer
from notification_service.delivery.quiet_hours import QuietHours
from notification_service.delivery.settlements import Done, Retry
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState

QUIET_HOURS = "QUIET_HOURS"
"""The end of the setting's name, which begins with the channel's."""
_JUDGED_AGAIN_S = 3600


@dataclass(frozen=True, slots=True)
class Waiting:
    """`quiet_hours`: None where no hour is quiet. `zone`: the time zone in which an event's show takes place."""

    state: DeliveryState
    channel: ChannelKind
    observer: Observer
    zone: Zone
    quiet_hours: QuietHours | None = None

    def is_quiet(self, job: Job, event: Event) -> bool:
        return self._quiet_until(job, event) is not None

    async def for_quiet_hours(self, job: Job, event: Event) -> Retry | None:
        """None where the message may go now, else when it comes back: uncounted, in the morning or within an hour.

        Each hour it is judged again, since the setting may have changed. A retry and a resend wait too. A message that
        no queue takes cannot wait, so it goes.
        """
        end = self._quiet_until(job, event)
        if end is None:
            return None
        setting = f"{self.channel.upper()}_{QUIET_HOURS}"
        reason = f"it is night there until {end:%Y-%m-%d %H:%M} UTC ({setting})"
        seconds = max((end - datetime.now(UTC)).total_seconds(), 0)
        await self.state.postpone(job, seconds, reason, None)
        self.observer.held_back(self.channel, setting)
        # Rounded down: a delay of an hour is over when the message comes back after it.
        next_look = int(time.time()) + _JUDGED_AGAIN_S
        not_before = min(math.ceil(end.timestamp()), next_look)
        return Retry(min(seconds, _JUDGED_AGAIN_S), counted=False, reason=reason, not_before=not_before)

    async def for_limits(self, job: Job) -> Retry | Done | None:
        """Take a place at each rate limit; None where the message may go now, else when it comes back.

        A retry and a resend have their places already. A message that was put off after it had passed all limits takes
        places again, so that the pace holds after an outage too; the quotas get theirs back until then. An express copy
        takes a place only where one is free now, since the ordinary copy takes one anyway. A message that no queue
        accepts cannot wait, so it goes.
        """
        if job.inbound.attempt or job.resends or job.inbound.unmovable:
            return None
        ticket, only_now = is_ticket(job.notification.event), job.inbound.is_express_copy
        reservation = await self.state.reserve(
            job.recipient or "", ticket=ticket, taken=job.inbound.limits_passed, only_now=only_now
        )
        if not reservation.seconds:
            job.places = reservation.places
            return None
        reason, due = reservation.reason, math.ceil(time.time() + reservation.seconds)
        if only_now:
            await self.state.postpone(job, 0, reason, None)
            return Done(None)
        await self.state.postpone(job, reservation.seconds, reason, None)
        self.observer.held_back(self.channel, reservation.limit)
        return Retry(reservation.seconds, counted=False, reason=reason, not_before=due, limits_passed=reservation.taken)

    def _quiet_until(self, job: Job, event: Event) -> datetime | None:
        if self.quiet_hours is None or job.inbound.unmovable:
            return None
        return self.quiet_hours.wait_until(event, self.zone, datetime.now(UTC))
