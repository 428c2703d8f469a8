"""One event through the guarantee: planned, claimed, recorded, checked, composed, sent, closed."""

import asyncio
import math
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from notification_service.contract.events import Event, PaymentSucceeded
from notification_service.contract.facts import Fact, notification_id
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.contract.outcomes import (
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    Sent,
    Skipped,
    SkipReason,
    Unknown,
    summarize,
)
from notification_service.contract.remarks import Remark
from notification_service.contract.rules import is_ticket
from notification_service.delivery import intents, planning, recipients
from notification_service.delivery.closing import Closer, log_fields, settlement_of
from notification_service.delivery.decisions import (
    AlreadyEnded,
    ClaimsUnavailable,
    DeliveryRequest,
    Proceed,
    WaitForRedis,
    WaitOutLease,
    knows_better,
    next_step,
)
from notification_service.delivery.jobs import Job, JobResult, Jobs, SeparateNotification
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import NoObserver, Observer, Stage
from notification_service.delivery.planning import IgnoredEvent, Notification, UnreadableMessage
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.ports.channel import (
    Accepted,
    Channel,
    ClaimLost,
    Deferred,
    InDoubt,
    Outbox,
    OutgoingMessage,
    PutOff,
    Refused,
    SimulatedSend,
    Verdict,
)
from notification_service.delivery.ports.claims import ClaimAnswer, Decided, Fence, Granted, Held, InterruptedSend
from notification_service.delivery.ports.composer import Composer, CompositionError, MessageIds
from notification_service.delivery.ports.directory import Directory, Recipient
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Opened
from notification_service.delivery.relevance import RelevanceCheck, may_be_news
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.delivery.show_changes import Zone
from notification_service.delivery.state import DeliveryState
from notification_service.foundation.addresses import mask

log = structlog.get_logger(__name__)

_REDIS_WAIT_S = 10.0
_SOON_SENT_S = 0.3
_TURN_WAIT_S = 5.0
_MAX_STARTS, _MAX_UNREAD_STARTS = 3, 10
"""Starts that never ended, after which a message is given up, and after which the event is not even read any more."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`zone`: the time zone in which an event's show takes place, where one is known."""

    retry_schedule: RetrySchedule
    max_event_bytes: int
    zone: Zone
    hold_unknown: frozenset[str] = frozenset()
    """Templates whose message is never sent again when it may have gone out."""
    express: bool = False
    """Whether each ticket's event comes twice, one copy ahead."""


@dataclass(frozen=True)
class Pipeline:
    """The guarantee for one kind of channel: `composer` makes its messages, `channel` sends them."""

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
    relevance: RelevanceCheck = field(init=False)
    closer: Closer = field(init=False)

    def __post_init__(self) -> None:
        lease_s, zone = self.leases.seconds, self.policy.zone
        relevance = RelevanceCheck(self.state, self.composer.channel, zone, lease_s=lease_s)
        closer = Closer(
            self.state, self.observer, self.outbox, self.policy.retry_schedule, zone, self.channel.name, lease_s
        )
        object.__setattr__(self, "relevance", relevance)
        object.__setattr__(self, "closer", closer)

    async def handle(self, inbound: InboundMessage) -> Settlement:
        """What becomes of a message. It returns when everything that the settlement promises is written down."""
        structlog.contextvars.clear_contextvars()
        if trace := inbound.trace:
            structlog.contextvars.bind_contextvars(trace_id=trace.trace_id, span_id=trace.span_id)
        if not inbound.redelivered:
            return await self._handle(inbound)
        async with self.poison_guard.turn(self._guarded(inbound)) as unfinished_starts:
            if unfinished_starts is None:
                return Retry(_TURN_WAIT_S, counted=False, reason="what came back before it goes first")
            return await self._handle(replace(inbound, unfinished_starts=unfinished_starts))

    def _guarded(self, inbound: InboundMessage) -> str:
        """The name under which the starts of a message are counted."""
        return self.composer.channel.own(body_id(inbound.body))

    async def _handle(self, inbound: InboundMessage) -> Settlement:
        if inbound.unfinished_starts >= _MAX_UNREAD_STARTS:
            detail = f"{_lost_workers(inbound)}; it was not read again"
            return await self._record_unreadable(planning.unread(inbound, Parked(ParkReason.CRASHED_WORKERS, detail)))
        if (early := (inbound.not_before or 0) - time.time()) > 0 and not inbound.unmovable:
            return Retry(early, counted=False, reason="its time has not come", not_before=inbound.not_before)
        with self.observer.timed(Stage.PARSE):
            planned = planning.plan(inbound, largest=self.policy.max_event_bytes)
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
            # Parked once more, it would say again what somebody had erased.
            log.info("event.duplicate", outcome=summarize(erased).outcome)
            return Done(erased)
        log.warning("event.rejected", event_type=event.event_type, **log_fields(event.outcome))
        return Park(event.outcome)

    # ── which notification it is ─────────────────────────────────────────────────────────────────────
    async def _notify(self, notification: Notification, inbound: InboundMessage) -> Settlement:
        channel = self.composer.channel
        notification = await self._by_first_report(notification)
        fact, first = notification.fact, None
        if fact.report:
            first = await self.state.first_report(channel.own(fact.key), fact.report)
        own_id = notification_id(fact, first, notification.template, channel)
        result = await self._run_alone(Job(own_id, notification, inbound))
        while isinstance(result, SeparateNotification):
            own_id = planning.further_id(notification, channel)
            result = await self._run_alone(Job(own_id, notification, inbound, further=True))
        return result

    async def _by_first_report(self, notification: Notification) -> Notification:
        """A payment by the name under which it was reported first; that it was made is noted for its booking."""
        fact, event = notification.fact, notification.event
        if not isinstance(event, PaymentSucceeded):
            return notification
        first, _ = await asyncio.gather(self._first_name(fact), self._note_paid(event))
        return replace(notification, fact=fact.known_as(first))

    async def _first_name(self, fact: Fact) -> str:
        return await self.state.first_report(fact.alias, fact.key) if fact.alias else fact.key

    async def _note_paid(self, event: PaymentSucceeded) -> None:
        if event.booking_id:
            await self.state.note_paid(event.booking_id, event.timestamp)

    # ── whose work it is ─────────────────────────────────────────────────────────────────────────────
    async def _run_alone(self, job: Job) -> JobResult:
        notification = job.notification
        # For the rest of this message, its settlement in the broker included.
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
            # What it says may hold a password: the log hides those, a record does not.
            detail = f"{type(problem).__name__}: the log's job.failed says more"
            return await self.closer.retry(job, ParkReason.INTERNAL_ERROR, detail)

    async def _claim(self, job: Job) -> JobResult:
        answer = await self._ask_for_claim(job)
        if isinstance(answer, Decided) and isinstance(answer.outcome, Bounced) and await self._knows_better(job):
            answer = await self.state.claim(job, reopen=True)
        if isinstance(answer, Held):
            if job.inbound.is_express_copy:
                return Done(None)
            log.info("event.claimed_elsewhere", wait_s=answer.seconds)
            return Retry(answer.seconds, counted=False, reason="another worker holds it")
        with self.leases.kept(job.notification_id, job.lease):
            return await self._work(job, answer)

    async def _ask_for_claim(self, job: Job) -> ClaimAnswer | ClaimsUnavailable:
        """A ticket that another worker has in hand is soon sent: waiting here costs less than another round."""
        with self.observer.timed(Stage.CLAIM):
            answer = await self.state.claim(job)
        if not isinstance(answer, Held) or job.inbound.is_express_copy or not self._is_on_express_lane(job):
            return answer
        await asyncio.sleep(_SOON_SENT_S)
        with self.observer.timed(Stage.CLAIM):
            return await self.state.claim(job)

    async def _knows_better(self, job: Job) -> bool:
        """Whether its event names another address than the one that bounced. Redis does not know; the ledger does."""
        await self._find_recipient(job)
        found = await self.state.open(job, self._intent(job))
        if not isinstance(found, AlreadyThere) or found.entry.outcome is None:
            return False
        return knows_better(found.entry, found.entry.outcome, self._request(job))

    def _is_on_express_lane(self, job: Job) -> bool:
        return self.policy.express and is_ticket(job.notification.event)

    async def _work(self, job: Job, claim: Granted | InterruptedSend | Decided | ClaimsUnavailable) -> JobResult:
        decided = isinstance(claim, Decided)
        with self.observer.timed(Stage.FIND):
            recipient = Recipient(None) if decided else await self._find_recipient(job)
        with self.observer.timed(Stage.INTENT):
            found = await self.state.open(job, self._intent(job))
        if await self.relevance.is_news(job, found):
            await self.state.leave(job)
            return SeparateNotification()
        job.whole_story = job.further or (isinstance(found, AlreadyThere) and bool(found.entry.later))
        match next_step(claim, found, self._request(job)):
            case Proceed(take_over, possible_duplicate):
                job.possible_duplicate = possible_duplicate
                if take_over and await self.relevance.is_older(job, found):
                    return await self.closer.step_back(job, found)
                if take_over and await self.state.take_over(job, found, self._intent(job)) is Fence.LOST:
                    return self.closer.after_lease("another worker closed it")
                return await self._begin(job, recipient)
            case AlreadyEnded(outcome, repair=True) if may_be_news(job, found):
                if await self.state.repair(job, outcome) is not Fence.HELD:
                    return self.closer.after_lease("another worker closed it otherwise")
                return await self._work(job, claim)
            case AlreadyEnded(outcome, repair):
                return await self._finish(job, found, outcome, repair=repair)
            case WaitOutLease():
                log.warning("claims.forgotten", reason="pending in the ledger, unknown to Redis")
                await self.state.mark_in_doubt(job)
                return self.closer.after_lease("Redis forgot who works on it")
            case WaitForRedis():
                return Retry(_REDIS_WAIT_S, counted=False, reason="Redis cannot be asked who works on it")

    def _request(self, job: Job) -> DeliveryRequest:
        resend = job.notification.template not in self.policy.hold_unknown
        return DeliveryRequest(job.notification.event_id, resend, job.inbound.replay, job.recipient)

    def _intent(self, job: Job) -> Intent:
        composer = self.composer
        digest, reference = composer.digest(job.notification.template), composer.reference(job.notification_id)
        return intents.of_job(job, composer.channel, digest, reference)

    async def _finish(self, job: Job, found: Opened | AlreadyThere, outcome: Outcome, *, repair: bool) -> Settlement:
        if await self.state.finish(job, found, outcome, repair=repair) is not Fence.HELD:
            return self.closer.after_lease("another worker closed it otherwise")
        said = {"outcome": summarize(outcome).outcome, "duration_ms": job.duration_ms}
        if repair:
            log.info("outcome.repaired", **said)
        elif self._is_on_express_lane(job) and _other_copy_was_first(job, found):
            log.debug("event.was_ahead", **said)
        else:
            log.info("event.duplicate", **said)
        return settlement_of(outcome)

    # ── from the claim to the handover ───────────────────────────────────────────────────────────────
    async def _find_recipient(self, job: Job) -> Recipient | Rejected | Skipped:
        found = await self.state.through_outage(
            lambda: recipients.find(job.notification.event, self.directory, self.composer)
        )
        if isinstance(found, recipients.Addressee):
            job.recipient = found.address
            log.debug("recipient.found", recipient=mask(found.address))
            return found.recipient
        return found

    async def _begin(self, job: Job, recipient: Recipient | Rejected | Skipped) -> Settlement:
        self._remark(job, *job.notification.remarks)
        if isinstance(recipient, Rejected | Skipped):
            return await self.closer.close(job, recipient)
        self._remark(job, *recipients.passed_over(job.notification.event, recipient, self.composer))
        if job.inbound.unfinished_starts >= _MAX_STARTS:
            return await self._give_up_after_crashes(job)
        relevance = await self.relevance.check(job)
        if relevance.obsolete:
            return await self.closer.close(job, Skipped(relevance.obsolete))
        if relevance.wait:
            return await self.closer.give_way(job)
        if wait := await self._wait_for_limits(job):
            return wait
        if job.possible_duplicate:
            log.warning("mail.resend", reason="it may have gone out before; the Message-ID is the same")
        try:
            job.message = self._compose(job, relevance.event, recipient)
        except CompositionError as problem:
            log.error("template.failed", where=problem.where, problem=str(problem))  # noqa: TRY400 - where says it all
            return await self.closer.close(job, Parked(ParkReason.TEMPLATE_ERROR, str(problem)))
        job.ready_at = datetime.now(UTC)
        with self.observer.timed(Stage.SEND):
            verdict = await self.channel.deliver(
                job.message, lambda: self._before_handover(job), lambda: self.state.nothing_sent(job)
            )
        return await self._conclude(job, verdict)

    def _remark(self, job: Job, *remarks: Remark) -> None:
        job.remarks += remarks
        for remark in remarks:
            log.warning("mail.warning", field=remark.field, remark=str(remark))
            self.observer.remarked(remark)

    async def _give_up_after_crashes(self, job: Job) -> Settlement:
        detail = _lost_workers(job.inbound)
        outcome = Unknown(detail) if job.possible_duplicate else Parked(ParkReason.CRASHED_WORKERS, detail)
        settlement = await self.closer.close(job, outcome)
        await self.poison_guard.end(self._guarded(job.inbound), forget=True)
        return settlement

    async def _wait_for_limits(self, job: Job) -> Retry | Done | None:
        """What is beyond a limit gets a time of its own, and takes its turn at each limit only once.

        A copy on the express lane takes none that is not free: the ordinary one will. What no queue takes goes on.
        """
        if job.inbound.attempt or job.possible_duplicate or job.inbound.unmovable:
            return None
        ticket, only_now = is_ticket(job.notification.event), job.inbound.is_express_copy
        reservation = await self.state.reserve(
            job.recipient or "", ticket=ticket, taken=job.inbound.limits_passed, only_now=only_now
        )
        if not reservation.seconds:
            return None
        reason, due = reservation.reason, math.ceil(time.time() + reservation.seconds)
        if only_now:
            await self.state.postpone(job, 0, reason, None)
            return Done(None)
        await self.state.postpone(job, reservation.seconds, reason, None)
        return Retry(reservation.seconds, counted=False, reason=reason, not_before=due, limits_passed=reservation.taken)

    def _compose(self, job: Job, event: Event, recipient: Recipient) -> OutgoingMessage:
        notification = job.notification
        ids = MessageIds(
            job.notification_id,
            notification.event_id,
            notification.template,
            notification.event.booking_id,
            job.created_at,
        )
        with self.observer.timed(Stage.COMPOSE):
            message = self.composer.compose(event, recipient, ids)
        self._remark(job, *message.remarks)
        return message

    async def _before_handover(self, job: Job) -> Fence:
        """Right before the first byte of content."""
        relevance = await self.relevance.recheck(job)
        if relevance and (relevance.obsolete or relevance.wait):
            return Fence.LOST
        return await self.state.mark_sending(job)

    # ── what the provider said ───────────────────────────────────────────────────────────────────────
    async def _conclude(self, job: Job, verdict: Verdict) -> Settlement:
        closer = self.closer
        match verdict:
            case Accepted(attempt):
                return await closer.close(job, Sent(job.possible_duplicate), attempt)
            case SimulatedSend(outcome, attempt):
                return await closer.close(job, outcome, attempt)
            case Refused(attempt, code, fingerprint):
                return await closer.close(job, Bounced(code, attempt.reply or "", fingerprint), attempt)
            case Deferred(attempt, server_wait_s, about):
                detail = ": ".join(filter(None, (about, attempt.reply or attempt.result)))
                return await closer.retry(job, ParkReason.RETRIES_EXHAUSTED, detail, attempt, server_wait_s)
            case PutOff(seconds, reason, tried):
                job.sending = False
                await self.state.postpone(job, seconds, reason, tried)
                return Retry(seconds, counted=False, reason=reason)
            case InDoubt(attempt):
                log.warning("mail.in_doubt", reply=attempt.reply, connection=attempt.connection)
                await self.state.note_attempt(job, attempt)
                return closer.after_lease("it may have gone out")
            case ClaimLost() if job.relevance and job.relevance.obsolete:
                return await closer.close(job, Skipped(job.relevance.obsolete))
            case ClaimLost() if job.relevance and job.relevance.wait:
                return await closer.give_way(job)
            case ClaimLost():
                reason = "the claim was lost before DATA"
                await self.state.postpone(job, self.leases.seconds, reason, None)
                return closer.after_lease(reason)


def _other_copy_was_first(job: Job, found: Opened | AlreadyThere) -> bool:
    """As far as can be told: a producer that publishes an event twice does the same."""
    came_back = job.inbound.attempt or job.inbound.replay or job.inbound.redelivered
    return not came_back and isinstance(found, AlreadyThere) and found.entry.knows(job.notification.event_id)


def _lost_workers(inbound: InboundMessage) -> str:
    return f"{inbound.unfinished_starts} workers were lost while they had it in hand"
