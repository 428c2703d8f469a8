"""The way of one event: plan its notification, and claim it.

`steps` compares claim and ledger, `sending` has the way from there to the provider, `closing` how each ends.
"""

import asyncio
import time
from dataclasses import dataclass, field, replace
from functools import cached_property

import structlog

from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import (
    Parked,
    ParkReason,
    Skipped,
    SkipReason,
    is_about_the_address,
    summarize,
)
from notification_service.delivery import first_reports, intents, planning
from notification_service.delivery.closing import Closer, log_fields
from notification_service.delivery.decisions import (
    ClaimsUnavailable,
)
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.jobs import Job, JobResult, Jobs, SeparateNotification
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import NoObserver, Observer, Stage
from notification_service.delivery.planning import IgnoredEvent, Notification, UnreadableMessage
from notification_service.delivery.poison_guard import PoisonGuard, guard_key, lost_workers
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.channel import (
    Channel,
    LookUp,
    Outbox,
)
from notification_service.delivery.ports.claims import ClaimAnswer, Decided, Held
from notification_service.delivery.ports.composer import Composer
from notification_service.delivery.ports.directory import Directory
from notification_service.delivery.ports.ledger import AlreadyThere
from notification_service.delivery.relevance import RelevanceCheck
from notification_service.delivery.sending import Sender
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.delivery.shadow import Shadow
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.steps import Steps
from notification_service.delivery.suppression_check import ListCheck
from notification_service.delivery.waiting import Waiting

log = structlog.get_logger(__name__)

_OTHER_COPY_WAIT_S = 0.3
_TURN_WAIT_S = 5.0
_MAX_UNREAD_STARTS = 10
"""Unfinished starts of a message, after which it is parked without being read: reading may be what kills workers."""


@dataclass(frozen=True)
class Pipeline:
    """The guarantee for one kind of channel: `composer` makes its messages, `channel` sends them.

    `suppression`: None where every address is written to.
    `experiment`, `shadow`: None where no template is tested, and none is rendered beside another.
    """

    state: DeliveryState
    leases: Leases
    directory: Directory
    composer: Composer
    channel: Channel
    outbox: Outbox
    policy: Policy
    jobs: Jobs
    poison_guard: PoisonGuard
    observer: Observer = field(default_factory=NoObserver)
    suppression: ListCheck | None = None
    experiment: RunningExperiment | None = None
    shadow: Shadow | None = None
    look_up: LookUp | None = None
    """Asks the provider whether it has a message in doubt; None where it cannot say."""

    @cached_property
    def relevance(self) -> RelevanceCheck:
        policy, lease_s = self.policy, self.leases.seconds
        return RelevanceCheck(
            self.state, self.composer.channel, policy.zone, lease_s=lease_s, lasts_s=policy.relevance_lasts_s
        )

    @cached_property
    def closer(self) -> Closer:
        schedule, zone = self.policy.retry_schedule, self.policy.zone
        return Closer(self.state, self.observer, self.outbox, schedule, zone, self.channel.name, self.leases.seconds)

    @cached_property
    def sender(self) -> Sender:
        return Sender(
            self.state,
            self.composer,
            self.channel,
            self.observer,
            self.relevance,
            self.closer,
            self.poison_guard,
            Waiting(self.state, self.composer.channel, self.observer, self.policy.zone, self.policy.quiet_hours),
            self.suppression,
            self.experiment,
            self.shadow,
        )

    @cached_property
    def steps(self) -> Steps:
        return Steps(
            self.state,
            self.directory,
            self.composer,
            self.policy,
            self.observer,
            self.relevance,
            self.closer,
            self.sender,
            self.look_up,
        )

    async def handle(self, inbound: InboundMessage) -> Settlement:
        """Handle one message. Everything that the returned settlement promises is already written when it returns."""
        structlog.contextvars.clear_contextvars()
        if trace := inbound.trace:
            structlog.contextvars.bind_contextvars(trace_id=trace.trace_id, span_id=trace.span_id)
        if not inbound.redelivered:
            return await self._handle(inbound)
        async with self.poison_guard.turn(guard_key(self.composer.channel, inbound)) as unfinished_starts:
            if unfinished_starts is None:
                return Retry(_TURN_WAIT_S, counted=False, reason="other redelivered messages go first")
            return await self._handle(replace(inbound, unfinished_starts=unfinished_starts))

    async def _handle(self, inbound: InboundMessage) -> Settlement:
        if inbound.unfinished_starts >= _MAX_UNREAD_STARTS:
            detail = f"{lost_workers(inbound)}; it was not read again"
            return await self._record_unreadable(planning.unread(inbound, Parked(ParkReason.CRASHED_WORKERS, detail)))
        if (early := (inbound.not_before or 0) - time.time()) > 0 and not inbound.unmovable:
            return Retry(early, counted=False, reason="its time has not come", not_before=inbound.not_before)
        with self.observer.timed(Stage.PARSE):
            planned = planning.plan(inbound, max_bytes=self.policy.max_event_bytes)
        match planned:
            case IgnoredEvent(event_type):
                log.debug("event.not_ours", event_type=event_type)
                return Done(None)
            case UnreadableMessage() as unreadable:
                if inbound.is_express_copy:
                    return Done(None)
                return await self._record_unreadable(unreadable)
            case Notification() as notification:
                return await self._notify(notification, inbound)

    async def _record_unreadable(self, event: UnreadableMessage) -> Settlement:
        structlog.contextvars.bind_contextvars(event_id=event.event_id)
        found = await self.state.record(intents.of_unreadable(event, self.composer.channel), event.outcome)
        erased = Skipped(SkipReason.ERASED)
        if isinstance(found, AlreadyThere) and found.entry.outcome == erased:
            # Parking it again would bring back personal data that was erased.
            log.info("event.duplicate", outcome=summarize(erased).outcome)
            return Done(erased)
        log.warning("event.rejected", event_type=event.event_type, **log_fields(event.outcome))
        return Park(event.outcome)

    # ── the notification id ──────────────────────────────────────────────────────────────────────────
    async def _notify(self, notification: Notification, inbound: InboundMessage) -> Settlement:
        channel = self.composer.channel
        notification, own_id = await first_reports.identified(notification, channel, self.state)
        assignment = self.experiment.assign(notification) if self.experiment else None
        result = await self._run_alone(Job(own_id, notification, inbound, assignment=assignment))
        while isinstance(result, SeparateNotification):
            own_id = planning.further_id(notification, channel)
            further = Job(own_id, notification, inbound, further=True, assignment=assignment)
            result = await self._run_alone(further)
        return result

    # ── the claim ────────────────────────────────────────────────────────────────────────────────────
    async def _run_alone(self, job: Job) -> JobResult:
        notification = job.notification
        # Bound for the rest of this message, including its settlement.
        structlog.contextvars.bind_contextvars(
            event_id=notification.event_id,
            notification_id=job.notification_id,
            booking_id=notification.event.booking_id,
            template=notification.template,
        )
        return await self.jobs.run(job.notification_id, lambda: self._run(job))

    async def _run(self, job: Job) -> JobResult:
        try:
            return await self._claim(job)
        except asyncio.CancelledError:
            await self.state.release_on_shutdown(job)
            raise
        except Exception as problem:
            log.exception("job.failed", problem=type(problem).__name__)
            if job.sending:
                return self.closer.after_lease("it failed while it was sending")
            # The exception's text may hold a password: logs are redacted, records are not.
            detail = f"{type(problem).__name__}: the log's job.failed says more"
            return await self.closer.retry(job, ParkReason.INTERNAL_ERROR, detail)

    async def _claim(self, job: Job) -> JobResult:
        answer = await self._ask_for_claim(job)
        if (
            isinstance(answer, Decided)
            and is_about_the_address(answer.outcome)
            and await self.steps.has_another_address(job)
        ):
            answer = await self.state.claim(job, reopen=True)
        if isinstance(answer, Held):
            if job.inbound.is_express_copy:
                return Done(None)
            log.info("event.claimed_elsewhere", wait_s=answer.seconds)
            return Retry(answer.seconds, counted=False, reason="another worker holds it")
        with self.leases.renewed(job.notification_id, job.lease):
            return await self.steps.compare(job, answer)

    async def _ask_for_claim(self, job: Job) -> ClaimAnswer | ClaimsUnavailable:
        """Claim the notification. A ticket that is claimed elsewhere is asked for twice.

        Its other copy on the express lane is usually sent within milliseconds, and a short wait here costs less than a
        round through a retry queue.
        """
        with self.observer.timed(Stage.CLAIM):
            answer = await self.state.claim(job)
        if (
            not isinstance(answer, Held)
            or job.inbound.is_express_copy
            or not self.policy.is_on_express_lane(job.notification.event)
        ):
            return answer
        await asyncio.sleep(_OTHER_COPY_WAIT_S)
        with self.observer.timed(Stage.CLAIM):
            return await self.state.claim(job)
