"""The way of one event: plan its notification, claim it, compare claim and ledger, then send or finish.

`sending` has the way from there to the provider, `closing` how each notification ends.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

import structlog

from notification_service.contract.inbound import InboundMessage
from notification_service.contract.notification_rules import is_ticket
from notification_service.contract.outcomes import (
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    Sent,
    Skipped,
    SkipReason,
    is_about_the_address,
    summarize,
)
from notification_service.contract.variants import Variant, variant_name
from notification_service.delivery import first_reports, intents, planning, recipients
from notification_service.delivery.closing import Closer, log_fields, settlement_of
from notification_service.delivery.decisions import (
    AlreadyEnded,
    AskProvider,
    ClaimsUnavailable,
    DeliveryRequest,
    Proceed,
    Step,
    WaitForRedis,
    WaitOutLease,
    knows_better,
    next_step,
)
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.jobs import Job, JobResult, Jobs, SeparateNotification
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import NoObserver, Observer, Stage
from notification_service.delivery.planning import IgnoredEvent, Notification, UnreadableMessage
from notification_service.delivery.poison_guard import PoisonGuard, guard_key, lost_workers
from notification_service.delivery.ports.channel import (
    CannotTell,
    Channel,
    Found,
    LookUp,
    LookUpFailed,
    NotFound,
    Outbox,
)
from notification_service.delivery.ports.claims import ClaimAnswer, Claimed, Decided, Fence, Held, InterruptedSend
from notification_service.delivery.ports.composer import Composer, CompositionError
from notification_service.delivery.ports.directory import Directory, Recipient
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Opened
from notification_service.delivery.relevance import RelevanceCheck, may_be_news
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.sending import Sender
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.delivery.shadow import Shadow
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import SuppressionCheck
from notification_service.foundation.addresses import mask

log = structlog.get_logger(__name__)

_REDIS_WAIT_S = 10.0
_OTHER_COPY_WAIT_S = 0.3
_TURN_WAIT_S = 5.0
_MAX_UNREAD_STARTS = 10
"""Unfinished starts of a message, after which it is parked without being read: reading may be what kills workers."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`zone`: the time zone in which an event's show takes place, where one is known."""

    retry_schedule: RetrySchedule
    max_event_bytes: int
    zone: Zone
    hold_unknown: frozenset[str] = frozenset()
    """Templates whose message is never sent again when it may have gone out."""
    express: bool = False
    """Whether each ticket's event also comes as a copy on the express lane."""
    ask_consent: bool = False
    """Whether clicks are counted where a reader agrees."""
    not_selected: frozenset[str] = frozenset()
    """Types of events that are only recorded, to know what they make obsolete."""


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
    suppression: SuppressionCheck | None = None
    experiment: RunningExperiment | None = None
    shadow: Shadow | None = None
    look_up: LookUp | None = None
    """Asks the provider whether it has a message in doubt; None where it cannot say."""

    @cached_property
    def relevance(self) -> RelevanceCheck:
        return RelevanceCheck(self.state, self.composer.channel, self.policy.zone, lease_s=self.leases.seconds)

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
            self.suppression,
            self.experiment,
            self.shadow,
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
            and await self._has_another_address(job)
        ):
            answer = await self.state.claim(job, reopen=True)
        if isinstance(answer, Held):
            if job.inbound.is_express_copy:
                return Done(None)
            log.info("event.claimed_elsewhere", wait_s=answer.seconds)
            return Retry(answer.seconds, counted=False, reason="another worker holds it")
        with self.leases.renewed(job.notification_id, job.lease):
            return await self._compare(job, answer)

    async def _ask_for_claim(self, job: Job) -> ClaimAnswer | ClaimsUnavailable:
        """Claim the notification. A ticket that is claimed elsewhere is asked for twice.

        Its other copy on the express lane is usually sent within milliseconds, and a short wait here costs less than a
        round through a retry queue.
        """
        with self.observer.timed(Stage.CLAIM):
            answer = await self.state.claim(job)
        if not isinstance(answer, Held) or job.inbound.is_express_copy or not self._is_on_express_lane(job):
            return answer
        await asyncio.sleep(_OTHER_COPY_WAIT_S)
        with self.observer.timed(Stage.CLAIM):
            return await self.state.claim(job)

    async def _has_another_address(self, job: Job) -> bool:
        """Whether the event leads to another address than the one that was refused, which only the ledger has."""
        await self._find_recipient(job)
        found = await self.state.open(job, self._intent(job))
        if not isinstance(found, AlreadyThere) or found.entry.outcome is None:
            return False
        return knows_better(found.entry, found.entry.outcome, self._request(job))

    def _is_on_express_lane(self, job: Job) -> bool:
        return self.policy.express and is_ticket(job.notification.event)

    # ── claim and ledger ─────────────────────────────────────────────────────────────────────────────
    async def _compare(self, job: Job, claim: Claimed | InterruptedSend | Decided | ClaimsUnavailable) -> JobResult:
        decided = isinstance(claim, Decided)
        with self.observer.timed(Stage.FIND):
            recipient = Recipient(None) if decided else await self._find_recipient(job)
        with self.observer.timed(Stage.INTENT):
            found = await self.state.open(job, self._intent(job))
        if await self.relevance.is_news(job, found):
            await self.state.leave(job)
            return SeparateNotification()
        job.has_siblings = job.further or (isinstance(found, AlreadyThere) and bool(found.entry.later))
        step: Step | Retry = next_step(claim, found, self._request(job))
        if isinstance(step, AskProvider):
            step = await self._ask_provider(job, found, recipient, step)
        if isinstance(step, Retry):
            return step
        return await self._take(step, job, claim, found, recipient)

    async def _take(
        self,
        step: Step,
        job: Job,
        claim: Claimed | InterruptedSend | Decided | ClaimsUnavailable,
        found: Opened | AlreadyThere,
        recipient: Recipient | Rejected | Skipped,
    ) -> JobResult:
        match step:
            case Proceed(take_over, possible_duplicate):
                job.possible_duplicate = possible_duplicate
                job.held_by = found.entry.held_by if possible_duplicate and isinstance(found, AlreadyThere) else None
                # A replay is a person's wish to send it again, to every device.
                if isinstance(found, AlreadyThere) and not job.inbound.replay:
                    job.settled = found.entry.settled
                return await self._proceed(job, found, recipient, take_over=take_over)
            case AlreadyEnded(outcome, repair=True) if may_be_news(job, found):
                if await self.state.repair(job, outcome) is not Fence.HELD:
                    return self.closer.after_lease("another worker closed it otherwise")
                return await self._compare(job, claim)
            case AlreadyEnded(outcome, repair):
                return await self._finish(job, found, outcome, repair=repair)
            case WaitOutLease():
                log.warning("claims.forgotten", reason="pending in the ledger, unknown to Redis")
                await self.state.mark_in_doubt(job)
                return self.closer.after_lease("Redis forgot who works on it")
            case WaitForRedis():
                return Retry(_REDIS_WAIT_S, counted=False, reason="Redis cannot be asked who works on it")
            case AskProvider(otherwise):
                return await self._take(otherwise, job, claim, found, recipient)

    async def _ask_provider(
        self, job: Job, found: Opened | AlreadyThere, recipient: Recipient | Rejected | Skipped, step: AskProvider
    ) -> Step | Retry:
        """The next step by what the provider has of a message in doubt. One that it cannot be asked about waits."""
        message = await self.sender.composed_again(job, recipient)
        if message is None or self.look_up is None:
            return step.otherwise
        match await self.look_up(message, job.created_at):
            case Found(attempt):
                log.info("mail.found", reason="the provider has it", reply=attempt.reply)
                await self.state.note_attempt(job, attempt)
                resent = isinstance(found, AlreadyThere) and found.entry.possible_duplicate
                return AlreadyEnded(Sent(resent), repair=True)
            case NotFound():
                log.info("mail.not_found", reason="the provider does not have it: it is sent once more")
                return Proceed(take_over=True, possible_duplicate=True)
            case CannotTell():
                return step.otherwise
            case LookUpFailed(reason):
                log.warning("mail.look_up_failed", reason=reason)
                await self.state.mark_in_doubt(job)
                return self.closer.after_lease("the provider cannot be asked whether it has the message")

    async def _proceed(
        self, job: Job, found: Opened | AlreadyThere, recipient: Recipient | Rejected | Skipped, *, take_over: bool
    ) -> Settlement:
        if take_over and await self.relevance.is_older(job, found):
            return await self.closer.step_back(job, found)
        if take_over and await self.state.take_over(job, found, self._intent(job)) is Fence.LOST:
            return self.closer.after_lease("another worker closed it")
        return await self.sender.send(job, recipient)

    def _request(self, job: Job) -> DeliveryRequest:
        resend = job.notification.template not in self.policy.hold_unknown
        return DeliveryRequest(
            job.notification.event_id,
            resend,
            job.inbound.replay,
            job.recipient,
            can_look_up=self.look_up is not None,
        )

    def _intent(self, job: Job) -> Intent:
        reference = self.composer.reference(job.notification_id)
        return intents.of_job(job, self.composer.channel, self._digest(job), reference)

    def _digest(self, job: Job) -> str:
        template = job.notification.template
        if job.variant is Variant.B:
            # Its folder may be gone: then the control is sent.
            with suppress(CompositionError, LookupError):
                return self.composer.digest(variant_name(template, job.variant))
        return self.composer.digest(template)

    async def _finish(self, job: Job, found: Opened | AlreadyThere, outcome: Outcome, *, repair: bool) -> Settlement:
        if await self.state.finish(job, found, outcome, repair=repair) is not Fence.HELD:
            return self.closer.after_lease("another worker closed it otherwise")
        fields = {"outcome": summarize(outcome).outcome, "duration_ms": job.duration_ms}
        if repair:
            log.info("outcome.repaired", **fields)
        elif self._is_on_express_lane(job) and _other_copy_was_first(job, found):
            log.debug("event.was_ahead", **fields)
        else:
            log.info("event.duplicate", **fields)
        return settlement_of(outcome)

    async def _find_recipient(self, job: Job) -> Recipient | Rejected | Skipped:
        if job.notification.event.event_type in self.policy.not_selected:
            return Skipped(SkipReason.NOT_SELECTED)
        found = await self.state.outages.wait_for_mongodb(
            lambda: recipients.find(
                job.notification.event, self.directory, self.composer, ask_consent=self.policy.ask_consent
            )
        )
        if isinstance(found, recipients.Addressee):
            job.recipient = found.address
            log.debug("recipient.found", recipient=mask(found.address))
            return found.recipient
        return found


def _other_copy_was_first(job: Job, found: Opened | AlreadyThere) -> bool:
    """Whether the express copy was probably handled first. A producer that publishes an event twice looks the same."""
    retried = job.inbound.attempt or job.inbound.replay or job.inbound.redelivered
    return not retried and isinstance(found, AlreadyThere) and found.entry.knows(job.notification.event_id)
