"""The story of one event, from the broker's bytes to what becomes of them."""

import asyncio
import math
import random
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

import structlog

from notification_service.channels.email import mime
from notification_service.channels.email.rendering import Renderer
from notification_service.content.templates import TemplateFaultError
from notification_service.contract.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingRefunded,
    Event,
    PaymentFailed,
    PaymentSucceeded,
)
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
    waits_for_a_person,
)
from notification_service.contract.remarks import Remark
from notification_service.contract.rules import booking_ids, is_ticket, receipt_id, says_which_show
from notification_service.contract.showtimes import has_begun, parse_showtime
from notification_service.delivery import booking_history, intents, planning, recipients
from notification_service.delivery.booking_history import BookingEvent, BookingHistory, Relevance
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
from notification_service.delivery.observer import ClosedNotification, NoObserver, Observer, Stage
from notification_service.delivery.planning import IgnoredEvent, Notification, UnreadableMessage
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    Channel,
    ClaimLost,
    Deferred,
    Envelope,
    InDoubt,
    Outbox,
    PutOff,
    Refused,
    SimulatedSend,
    Verdict,
)
from notification_service.delivery.ports.claims import ClaimAnswer, Decided, Fence, Granted, Held, InterruptedSend
from notification_service.delivery.ports.directory import Directory, Recipient
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Opened
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.delivery.state import DeliveryState, is_of_another
from notification_service.foundation.addresses import mask

log = structlog.get_logger(__name__)

_UNTIL_REDIS_IS_BACK = 10.0
_UNTIL_ITS_TURN = 5.0
_SOON_SENT = 0.3
_SHORTEST_WAIT = 5.0
_FIRST_ZONE = timezone(timedelta(hours=14))
"""Where a show begins first, should nobody have said in which zone it is."""
_FRESH = 0.2
"""Seconds for which the look around holds: an ordinary mail is at its first byte by then."""
_UNTIL_THE_OTHER_IS_SENT = 2.0
_LOST_TO = {Fence.LOST: "another worker took it over", Fence.NO_ENTRY: "its entry is gone"}
_OVER = {
    "RECIPIENT_MAILS_PER_HOUR": "its address gets many mails (RECIPIENT_MAILS_PER_HOUR)",
    "DOMAIN_MAILS_PER_MINUTE": "its domain gets many mails (DOMAIN_MAILS_PER_MINUTE)",
    "SMTP_MAILS_PER_MINUTE": "our mail server takes no more a minute (SMTP_MAILS_PER_MINUTE)",
    "SMTP_MAILS_PER_DAY": "our mail server takes no more a day (SMTP_MAILS_PER_DAY)",
}
_UNMOVABLE = "RabbitMQ refuses a copy of its event, so it could not be tried later"
_MAX_CRASHES, _UNREAD_CRASHES = 3, 10
"""Starts that were never ended, after which a mail is given up, and after which the event is not even read any more."""


@dataclass(frozen=True, slots=True)
class Policy:
    sender_identity: mime.SenderIdentity
    retry_schedule: RetrySchedule
    max_event_bytes: int
    max_attachment_bytes: int
    hold_unknown: frozenset[str] = frozenset()
    """Templates whose mail is never sent again when it may have gone out."""
    express: bool = False
    """Whether each ticket's event comes twice, one copy ahead."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    state: DeliveryState
    leases: Leases
    directory: Directory
    renderer: Renderer
    channel: Channel
    outbox: Outbox
    policy: Policy
    jobs: Jobs
    poison_guard: PoisonGuard
    observer: Observer = field(default_factory=NoObserver)

    async def handle(self, inbound: InboundMessage) -> Settlement:
        """What becomes of a delivery. It returns when everything that the settlement promises is written down."""
        structlog.contextvars.clear_contextvars()
        if trace := inbound.trace:
            structlog.contextvars.bind_contextvars(trace_id=trace.trace_id, span_id=trace.span_id)
        if not inbound.redelivered:
            return await self._handle(inbound)
        async with self.poison_guard.turn(body_id(inbound.body)) as unfinished_starts:
            if unfinished_starts is None:
                return Retry(_UNTIL_ITS_TURN, counted=False, reason="what came back before it goes first")
            return await self._handle(replace(inbound, unfinished_starts=unfinished_starts))

    async def _handle(self, inbound: InboundMessage) -> Settlement:
        if inbound.unfinished_starts >= _UNREAD_CRASHES:
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

    async def _notify(self, notification: Notification, inbound: InboundMessage) -> Settlement:
        notification = await self._named(notification)
        fact, first = notification.fact, None
        if fact.report:
            first = await self.state.first_report(fact.key, fact.report)
        job = Job(notification_id(fact, first, notification.template), notification, inbound)
        ending = await self._run_alone(job)
        while isinstance(ending, SeparateNotification):
            ending = await self._run_alone(Job(planning.further_id(notification), notification, inbound, further=True))
        return ending

    async def _named(self, notification: Notification) -> Notification:
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

    async def _run_alone(self, job: Job) -> JobResult:
        notification = job.notification
        # For the rest of this delivery, its settlement in the broker included.
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
                return self._after_a_lease("it failed while it was sending")
            # What it says may hold a password: the log hides those, a record does not.
            detail = f"{type(problem).__name__}: the log's job.failed says more"
            return await self._retry(job, ParkReason.INTERNAL_ERROR, detail)

    async def _claim(self, job: Job) -> JobResult:
        answer = await self._ask_for_the_claim(job)
        if isinstance(answer, Decided) and isinstance(answer.outcome, Bounced) and await self._knows_better(job):
            answer = await self.state.claim(job, reopen=True)
        if isinstance(answer, Held):
            if job.inbound.is_express_copy:
                return Done(None)
            log.info("event.held", wait_s=answer.seconds)
            return Retry(answer.seconds, counted=False, reason="another worker holds it")
        with self.leases.kept(job.notification_id, job.lease):
            return await self._work(job, answer)

    async def _ask_for_the_claim(self, job: Job) -> ClaimAnswer | ClaimsUnavailable:
        """A ticket that another worker has in hand is soon sent: waiting here costs less than another round."""
        with self.observer.timed(Stage.CLAIM):
            answer = await self.state.claim(job)
        if not isinstance(answer, Held) or job.inbound.is_express_copy or not self._on_the_express_lane(job):
            return answer
        await asyncio.sleep(_SOON_SENT)
        with self.observer.timed(Stage.CLAIM):
            return await self.state.claim(job)

    async def _knows_better(self, job: Job) -> bool:
        """Whether its event names another address than the one that bounced. Redis does not know; the ledger does."""
        await self._find_person(job)
        found = await self.state.open(job, self._intent(job))
        if not isinstance(found, AlreadyThere) or found.entry.outcome is None:
            return False
        return knows_better(found.entry, found.entry.outcome, self._asked(job))

    def _on_the_express_lane(self, job: Job) -> bool:
        return self.policy.express and is_ticket(job.notification.event)

    async def _work(self, job: Job, claim: Granted | InterruptedSend | Decided | ClaimsUnavailable) -> JobResult:
        decided = isinstance(claim, Decided)
        with self.observer.timed(Stage.FIND):
            person = Recipient(None) if decided else await self._find_person(job)
        with self.observer.timed(Stage.INTENT):
            found = await self.state.open(job, self._intent(job))
        if await self._is_news(job, found):
            await self.state.leave(job)
            return SeparateNotification()
        job.whole_story = job.further or (isinstance(found, AlreadyThere) and bool(found.entry.later))
        match next_step(claim, found, self._asked(job)):
            case Proceed(take_over, possible_duplicate):
                job.possible_duplicate = possible_duplicate
                if take_over and await self._is_older(job, found):
                    return await self._step_back(job, found)
                if take_over and await self.state.take_over(job, found, self._intent(job)) is Fence.LOST:
                    return self._after_a_lease("another worker closed it")
                return await self._begin(job, person)
            case AlreadyEnded(outcome, repair=True) if _may_be_news(job, found):
                if await self.state.repair(job, outcome) is not Fence.HELD:
                    return self._after_a_lease("another worker closed it otherwise")
                return await self._work(job, claim)
            case AlreadyEnded(outcome, repair):
                return await self._finish(job, found, outcome, repair=repair)
            case WaitOutLease():
                log.warning("claims.forgotten", reason="pending in the ledger, unknown to Redis")
                await self.state.mark_in_doubt(job)
                return self._after_a_lease("Redis forgot who works on it")
            case WaitForRedis():
                return Retry(_UNTIL_REDIS_IS_BACK, counted=False, reason="Redis cannot be asked who works on it")

    def _asked(self, job: Job) -> DeliveryRequest:
        resend = job.notification.template not in self.policy.hold_unknown
        return DeliveryRequest(job.notification.event_id, resend, job.inbound.replay, job.recipient)

    async def _find_person(self, job: Job) -> Recipient | Rejected:
        person = await self.state.through_outage(lambda: recipients.find(job.notification.event, self.directory))
        if isinstance(person, Recipient):
            job.recipient = person.email
            log.debug("recipient.found", recipient=mask(person.email or ""))
        return person

    async def _begin(self, job: Job, person: Recipient | Rejected) -> Settlement:
        self._remark(job, *job.notification.remarks)
        if isinstance(person, Rejected):
            return await self._close(job, person)
        self._remark(job, *recipients.passed_over(job.notification.event, person))
        if job.inbound.unfinished_starts >= _MAX_CRASHES:
            return await self._set_aside(job)
        relevance = await self._look_around(job)
        if relevance.obsolete:
            return await self._close(job, Skipped(relevance.obsolete))
        if relevance.wait:
            return await self._give_way(job)
        if wait := await self._wait_for_its_turn(job, person):
            return wait
        if job.possible_duplicate:
            log.warning("mail.resend", reason="it may have gone out before; the Message-ID is the same")
        try:
            job.envelope = self._compose(job, relevance.event, person)
        except TemplateFaultError as problem:
            log.error("template.failed", where=problem.where, problem=str(problem))  # noqa: TRY400 - where says it all
            return await self._close(job, Parked(ParkReason.TEMPLATE_ERROR, str(problem)))
        job.ready_at = datetime.now(UTC)
        with self.observer.timed(Stage.SMTP):
            verdict = await self.channel.deliver(
                job.envelope, lambda: self._last_look(job), lambda: self.state.nothing_sent(job)
            )
        return await self._conclude(job, verdict)

    def _remark(self, job: Job, *remarks: Remark) -> None:
        job.remarks += remarks
        for remark in remarks:
            log.warning("mail.remark", field=remark.field, remark=str(remark))
            self.observer.remarked(remark)

    async def _look_around(self, job: Job) -> Relevance:
        """What its mail says beside what is known of its booking by now, and whether anybody still needs it."""
        job.looked_at, event = time.monotonic(), job.notification.event
        match event:
            case BookingConfirmed() | BookingCancelled():
                job.relevance = await self._beside_its_story(job, event)
            case BookingRefunded() if not says_which_show(event):
                job.relevance = Relevance((await self._story(event)).completed(event))
            case PaymentFailed() if await self._is_paid_by_now(event):
                job.relevance = Relevance(event, SkipReason.SUPERSEDED)
            case _:
                job.relevance = Relevance(event)
        return job.relevance

    async def _beside_its_story(self, job: Job, event: BookingEvent) -> Relevance:
        if self._has_begun(event):
            return Relevance(event, SkipReason.EXPIRED)
        # Of a first confirmation there is one question: whether its booking was cancelled.
        whole = job.whole_story or isinstance(event, BookingCancelled)
        story = await self._story(event, whole=whole)
        hand_ends = datetime.now(UTC) - timedelta(seconds=2 * self.leases.seconds)
        relevance = story.relevance(job.notification_id, event, hand_ends=hand_ends)
        return replace(relevance, obsolete=SkipReason.EXPIRED) if self._has_begun(relevance.event) else relevance

    def _has_begun(self, event: Event) -> bool:
        showtime = getattr(event, "showtime", None)
        return is_ticket(event) and has_begun(showtime, self.renderer.zone(event), datetime.now(UTC))

    async def _story(self, event: Event, *, whole: bool = True) -> BookingHistory:
        ids = booking_ids(event)
        if ids is None:
            return BookingHistory((), self.renderer.zone)
        told = await self.state.event_data_of(ids if whole else ids[1:])
        if later := booking_history.further(told):
            told += await self.state.event_data_of(later)
        return BookingHistory(told, self.renderer.zone)

    async def _is_paid_by_now(self, event: PaymentFailed) -> bool:
        if not event.booking_id:
            receipt = receipt_id(event)
            return bool(receipt and await self.state.event_data_of([receipt]))
        story, paid = await asyncio.gather(self._story(event), self.state.paid(event.booking_id))
        return story.is_overtaken(event, paid)

    async def _last_look(self, job: Job) -> Fence:
        """Right before the first byte. What has waited, for a connection or in the breaker, may be needless by now."""
        if time.monotonic() - job.looked_at > _FRESH:
            relevance = await self._look_around(job)
            if relevance.obsolete or relevance.wait:
                return Fence.LOST
        return await self.state.mark_sending(job)

    async def _is_news(self, job: Job, found: Opened | AlreadyThere) -> bool:
        """Whether the event is to have a mail of its own, beside that of its fact, which is closed.

        That is written down first: whoever finds the event again, or sends the mail of its fact again, knows of it.
        """
        event = job.notification.event
        if not _may_be_news(job, found) or not isinstance(event, BookingEvent):
            return False
        if not isinstance(found, AlreadyThere) or found.entry.outcome is None:
            return False
        ids, own_id = booking_ids(event), planning.further_id(job.notification)
        story = await self._story(event)
        if own_id in story.later or ids is None:
            return own_id in story.later
        if news := story.is_news(event):
            await self.state.note_later(ids[0], own_id)
        return news

    async def _is_older(self, job: Job, found: Opened | AlreadyThere) -> bool:
        """Whether the entry is by now that of a newer event, which says otherwise of the booking."""
        event = job.notification.event
        if not isinstance(event, BookingConfirmed) or not is_of_another(job, found):
            return False
        told = await self.state.event_data_of([job.notification_id])
        return any(booking_history.contradicts(each, event, self.renderer.zone) for each in told)

    async def _step_back(self, job: Job, found: Opened | AlreadyThere) -> Settlement:
        """The newer event's own delivery sees to the mail."""
        await self.state.note_event(job, found)
        await self.state.leave(job)
        outcome = Skipped(SkipReason.SUPERSEDED)
        log.info("event.duplicate", outcome=summarize(outcome).outcome, duration_ms=job.duration_ms)
        return Done(outcome)

    async def _give_way(self, job: Job) -> Settlement:
        """What its mail says depends on whether one that is under way is sent."""
        reason = "an earlier mail about its booking is under way"
        await self.state.postpone(job, _UNTIL_THE_OTHER_IS_SENT, reason, None)
        if job.inbound.is_express_copy:
            return Done(None)
        return Retry(_UNTIL_THE_OTHER_IS_SENT, counted=False, reason=reason)

    async def _wait_for_its_turn(self, job: Job, person: Recipient) -> Retry | Done | None:
        """What is beyond a limit gets a time of its own, and takes its turn at each limit only once.

        A copy on the express lane takes none that is not free: the ordinary one will. What no queue takes goes on.
        """
        if job.inbound.attempt or job.possible_duplicate or job.inbound.unmovable:
            return None
        ticket, is_express_copy = is_ticket(job.notification.event), job.inbound.is_express_copy
        turn = await self.state.reserve(
            person.email or "", ticket=ticket, taken=job.inbound.limits_passed, only_now=is_express_copy
        )
        if not turn.seconds:
            return None
        if is_express_copy:
            await self.state.postpone(job, 0, _OVER[turn.limit], None)
            return Done(None)
        reason, due = _OVER[turn.limit], math.ceil(time.time() + turn.seconds)
        await self.state.postpone(job, turn.seconds, reason, None)
        return Retry(turn.seconds, counted=False, reason=reason, not_before=due, limits_passed=turn.taken)

    def _compose(self, job: Job, event: Event, person: Recipient) -> Envelope:
        notification = job.notification
        with self.observer.timed(Stage.RENDER):
            most = self.policy.max_attachment_bytes
            mail = self.renderer.render(notification.template, event, person, most_attached=most)
        job.subject = mail.subject
        self._remark(job, *mail.remarks)
        ids = mime.MessageIds(
            job.notification_id,
            notification.event_id,
            notification.template,
            notification.event.booking_id,
            job.created_at,
        )
        with self.observer.timed(Stage.MIME):
            return mime.compose(mail, person.email or "", self.policy.sender_identity, ids, most_attached=most)

    async def _conclude(self, job: Job, verdict: Verdict) -> Settlement:
        match verdict:
            case Accepted(attempt):
                return await self._close(job, Sent(job.possible_duplicate), attempt)
            case SimulatedSend(outcome, attempt):
                return await self._close(job, outcome, attempt)
            case Refused(attempt, code, fingerprint):
                return await self._close(job, Bounced(code, attempt.reply or "", fingerprint), attempt)
            case Deferred(attempt, named, about):
                detail = ": ".join(filter(None, (about, attempt.reply or attempt.result)))
                return await self._retry(job, ParkReason.RETRIES_EXHAUSTED, detail, attempt, named)
            case PutOff(seconds, reason, tried):
                job.sending = False
                await self.state.postpone(job, seconds, reason, tried)
                return Retry(seconds, counted=False, reason=reason)
            case InDoubt(attempt):
                log.warning("mail.in_doubt", reply=attempt.reply, connection=attempt.connection)
                await self.state.note_attempt(job, attempt)
                return self._after_a_lease("it may have gone out")
            case ClaimLost() if job.relevance and job.relevance.obsolete:
                return await self._close(job, Skipped(job.relevance.obsolete))
            case ClaimLost() if job.relevance and job.relevance.wait:
                return await self._give_way(job)
            case ClaimLost():
                reason = "the claim was lost before DATA"
                await self.state.postpone(job, self.leases.seconds, reason, None)
                return self._after_a_lease(reason)

    async def _retry(
        self, job: Job, reason: ParkReason, detail: str, attempt: Attempt | None = None, named: float | None = None
    ) -> Settlement:
        """Nothing went out. Up the ladder, or, where it ends, the mail is kept and the event is parked."""
        job.sending = False
        jitter = random.random()  # noqa: S311 - it scatters a crowd
        seconds = self.policy.retry_schedule.next_wait(job.inbound.attempt, named, jitter)
        if job.inbound.unmovable:
            reason, detail, seconds = ParkReason.UNMOVABLE, f"{_UNMOVABLE}: {detail}", None
        if seconds is not None:
            wait = self._kept(max(seconds, named or 0), job.notification.event)
            await self.state.postpone(job, wait, detail, attempt)
            # What is no rung has a time of its own, and goes round until then.
            due = None if wait == seconds else math.ceil(time.time() + wait)
            return Retry(wait, counted=True, reason=detail, not_before=due)
        if job.envelope is not None:
            await self._keep(job.envelope)
        return await self._close(job, Parked(reason, detail), attempt)

    def _kept(self, wait: float, event: Event) -> float:
        """Of the seconds to wait, at most half of those that a ticket has left: several tries come before its show."""
        show_at = self._show_at(event)
        if show_at is None:
            return wait
        left = (
            (show_at if show_at.tzinfo else show_at.replace(tzinfo=_FIRST_ZONE)) - datetime.now(UTC)
        ).total_seconds()
        return min(wait, max(left / 2, _SHORTEST_WAIT))

    def _show_at(self, event: Event) -> datetime | None:
        """Of a ticket. Other mails are none, and no one waits for them at the door."""
        shown = event.showtime if isinstance(event, BookingConfirmed) else None
        return parse_showtime(shown, self.renderer.zone(event)) if shown else None

    async def _keep(self, envelope: Envelope) -> None:
        try:
            path = await self.outbox.keep(envelope)
        except OSError as problem:
            # The parked event still holds all that the mail is made of.
            log.error("outbox.failed", problem=str(problem))  # noqa: TRY400 - the text says it all
        else:
            log.warning("mail.simulated", reason="nothing was sent: gave up after the last retry", path=path)

    async def _close(self, job: Job, outcome: Outcome, attempt: Attempt | None = None) -> Settlement:
        with self.observer.timed(Stage.OUTCOME):
            fence = await self.state.close(job, outcome, attempt)
        # What is parked needs no entry: one that the database refuses must not make its event go round for ever. Of
        # what no queue takes, the entry is all that is left.
        obsolete = isinstance(outcome, Parked) and not job.inbound.unmovable
        if fence is Fence.LOST or (fence is Fence.NO_ENTRY and not obsolete):
            return self._after_a_lease(_LOST_TO[fence])
        log.info(
            "notification.closed",
            **_told(outcome),
            duration_ms=job.duration_ms,
            code=attempt.code if attempt else None,
            connection=attempt.connection if attempt else None,
            recipient=mask(job.recipient) if job.recipient else None,
        )
        self._tell(job, outcome)
        return _settled(outcome)

    def _tell(self, job: Job, outcome: Outcome) -> None:
        event = job.notification.event
        show_at = self._show_at(event)
        self.observer.closed(
            ClosedNotification(
                template=job.notification.template,
                channel=self.channel.name,
                outcome=outcome,
                event_at=event.timestamp,
                ready_at=job.ready_at,
                closed_at=datetime.now(UTC),
                show_at=show_at if show_at and show_at.tzinfo else None,
            )
        )

    async def _set_aside(self, job: Job) -> Settlement:
        detail = _lost_workers(job.inbound)
        outcome = Unknown(detail) if job.possible_duplicate else Parked(ParkReason.CRASHED_WORKERS, detail)
        settlement = await self._close(job, outcome)
        await self.poison_guard.end(body_id(job.inbound.body), forget=True)
        return settlement

    def _after_a_lease(self, reason: str) -> Retry:
        """When it comes back, whoever else works on it has finished, or has lost its claim."""
        return Retry(self.leases.seconds, counted=False, reason=reason)

    async def _finish(self, job: Job, found: Opened | AlreadyThere, outcome: Outcome, *, repair: bool) -> Settlement:
        if await self.state.finish(job, found, outcome, repair=repair) is not Fence.HELD:
            return self._after_a_lease("another worker closed it otherwise")
        told = {"outcome": summarize(outcome).outcome, "duration_ms": job.duration_ms}
        if repair:
            log.info("outcome.repaired", **told)
        elif self._on_the_express_lane(job) and _other_copy_was_first(job, found):
            log.debug("event.was_ahead", **told)
        else:
            log.info("event.duplicate", **told)
        return _settled(outcome)

    async def _record_unreadable(self, event: UnreadableMessage) -> Settlement:
        structlog.contextvars.bind_contextvars(event_id=event.event_id)
        found = await self.state.record(intents.of_unreadable(event), event.outcome)
        erased = Skipped(SkipReason.ERASED)
        if isinstance(found, AlreadyThere) and found.entry.outcome == erased:
            # Parked once more, it would say again what somebody had erased.
            log.info("event.duplicate", outcome=summarize(erased).outcome)
            return Done(erased)
        log.warning("event.rejected", event_type=event.event_type, **_told(event.outcome))
        return Park(event.outcome)

    def _intent(self, job: Job) -> Intent:
        digest = self.renderer.digest(job.notification.template)
        return intents.of_job(job, digest, mime.message_id(job.notification_id, self.policy.sender_identity.domain))


def _may_be_news(job: Job, found: Opened | AlreadyThere) -> bool:
    """Whether it is another report on a booking than those of which its entry knows."""
    known = not isinstance(found, AlreadyThere) or found.entry.knows(job.notification.event_id)
    return isinstance(job.notification.event, BookingEvent) and not job.further and not known


def _other_copy_was_first(job: Job, found: Opened | AlreadyThere) -> bool:
    """As far as can be told: a producer that publishes an event twice does the same."""
    came_back = job.inbound.attempt or job.inbound.replay or job.inbound.redelivered
    return not came_back and isinstance(found, AlreadyThere) and found.entry.knows(job.notification.event_id)


def _lost_workers(inbound: InboundMessage) -> str:
    return f"{inbound.unfinished_starts} workers were lost while they had it in hand"


def _settled(outcome: Outcome) -> Settlement:
    return Park(outcome) if waits_for_a_person(outcome) else Done(outcome)


def _told(outcome: Outcome) -> dict[str, str | None]:
    told = summarize(outcome)
    return {"outcome": told.outcome, "reason": told.reason, "detail": told.detail}
