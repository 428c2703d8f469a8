"""Sends the message of a claimed notification: limits, composition, handover, and what the provider's answer means."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePath

import structlog

from notification_service.contract.events import Event
from notification_service.contract.outcomes import (
    Bounced,
    Parked,
    ParkReason,
    Rejected,
    Sent,
    Skipped,
    SkipReason,
    Unknown,
)
from notification_service.contract.remarks import Remark
from notification_service.contract.variants import Variant, variant_name
from notification_service.delivery import recipients
from notification_service.delivery.booking_history import Relevance
from notification_service.delivery.closing import Closer
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.jobs import Job
from notification_service.delivery.observer import Observer, Stage
from notification_service.delivery.poison_guard import PoisonGuard, guard_key, lost_workers
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    Channel,
    Deferred,
    HandoverRefused,
    InDoubt,
    OptedOut,
    OutgoingMessage,
    PutOff,
    Refused,
    SimulatedSend,
    Unsendable,
    Verdict,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.composer import Composer, CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.relevance import RelevanceCheck
from notification_service.delivery.settlements import Retry, Settlement
from notification_service.delivery.shadow import Shadow
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import Cleared, ListCheck
from notification_service.delivery.waiting import Waiting
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_Answers = tuple[Relevance, Cleared | Skipped | None]
_LIST_WAIT_S = 30.0
_MAX_STARTS = 3
"""Unfinished starts of a message, after which it is parked."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Takes a job from its claim to the settlement of its message."""

    state: DeliveryState
    composer: Composer
    channel: Channel
    observer: Observer
    relevance: RelevanceCheck
    closer: Closer
    poison_guard: PoisonGuard
    waiting: Waiting
    suppression: ListCheck | None = None
    experiment: RunningExperiment | None = None
    shadow: Shadow | None = None

    async def send(self, job: Job, recipient: Recipient | Rejected | Skipped) -> Settlement:
        self._remark(job, *job.notification.remarks)
        if isinstance(recipient, Rejected | Skipped):
            return await self.closer.close(job, recipient)
        self._remark(job, *recipients.passed_over(job.notification.event, recipient, self.composer))
        if job.inbound.unfinished_starts >= _MAX_STARTS:
            return await self._park_after_crashes(job)
        # The look-up in the list rides with those for the relevance.
        asked = self.suppression.check(job, recipient) if self.suppression else None
        try:
            relevance, cleared = await _together(self.relevance.check(job), asked)
        except StoreUnavailableError:
            return await self._wait_for_the_list(job)
        if relevance.obsolete:
            return await self.closer.close(job, Skipped(relevance.obsolete))
        if isinstance(cleared, Skipped):
            return await self.closer.close(job, cleared)
        if relevance.wait:
            return await self.closer.give_way(job)
        if self.waiting.quiet_hours and (night := await self.waiting.for_quiet_hours(job, relevance.event)):
            return night
        if wait := await self.waiting.for_limits(job):
            return wait
        if cleared:
            self._remark(job, *cleared.remarks)
            recipient = cleared.recipient
        return await self._compose_and_deliver(job, relevance.event, recipient)

    def _remark(self, job: Job, *remarks: Remark) -> None:
        job.remarks += remarks
        for remark in remarks:
            log.warning("mail.warning", field=remark.field, remark=str(remark))
            self.observer.remarked(remark)

    async def _park_after_crashes(self, job: Job) -> Settlement:
        detail = lost_workers(job.inbound)
        outcome = Unknown(detail) if job.resends else Parked(ParkReason.CRASHED_WORKERS, detail)
        settlement = await self.closer.close(job, outcome)
        await self.poison_guard.end(guard_key(self.composer.channel, job.inbound), forget=True)
        return settlement

    async def _wait_for_the_list(self, job: Job) -> Settlement:
        """Only the list of suppressions raises: the ledger is waited for."""
        reason = "the list of suppressions cannot be read"
        await self.state.postpone(job, _LIST_WAIT_S, reason, None)
        return Retry(_LIST_WAIT_S, counted=False, reason=reason)

    async def _compose_and_deliver(self, job: Job, event: Event, recipient: Recipient) -> Settlement:
        if job.resends:
            log.warning("mail.resend", reason="it may have gone out before; the Message-ID is the same")
        try:
            job.message = await self._composed(job, event, recipient)
        except CompositionError as problem:
            log.error("template.failed", where=problem.where, problem=str(problem))  # noqa: TRY400 - where says it all
            return await self.closer.close(job, Parked(ParkReason.TEMPLATE_ERROR, str(problem)))
        job.ready_at = datetime.now(UTC)
        with self.observer.timed(Stage.SEND):
            verdict = await self.channel.deliver(
                job.message, partial(self._before_handover, job), partial(self._nothing_sent, job)
            )
        if self.suppression and isinstance(verdict, Refused | OptedOut):
            await self.suppression.note(job, verdict)
        return await self._settle(job, verdict)

    async def _composed(self, job: Job, event: Event, recipient: Recipient) -> OutgoingMessage:
        """The message by its variant; by the control where the variant cannot be composed."""
        control = job.notification.template
        if job.variant is not Variant.B:
            return self._compose(job, event, recipient, control)
        try:
            return self._compose(job, event, recipient, variant_name(control, job.variant))
        except Exception as problem:  # noqa: BLE001 - a template may raise anything, and a test never costs a message
            # Where the control fails too, the event is at fault and not the variant.
            message = self._compose(job, event, recipient, control)
            await self._fall_back(job, problem)
            return message

    async def _fall_back(self, job: Job, problem: Exception) -> None:
        # Its file and line, without the folder: `@b/` would be masked as an address.
        where = PurePath(problem.where).name if isinstance(problem, CompositionError) else type(problem).__name__
        log.error("experiment.fell_back", where=where, problem=str(problem))
        template, assignment = job.notification.template, job.assignment
        job.assignment = replace(assignment, fell_back=True) if assignment else None
        await self.state.note_fallback(job, self.composer.digest(template))
        self.observer.fell_back(template)
        if self.experiment and assignment and self.experiment.experiment.salt == assignment.salt:
            self.experiment.stop(f"variant b of {template} could not be composed: {where}")

    def _compose(self, job: Job, event: Event, recipient: Recipient, name: str) -> OutgoingMessage:
        """`name`: of the template, or of a variant of it."""
        ids = _ids(job, name)
        with self.observer.timed(Stage.COMPOSE):
            message = self.composer.compose(event, recipient, ids)
        self._remark(job, *message.remarks)
        if self.shadow and (result := self.shadow.beside(message, event, recipient, ids)):
            job.shadow = result
            self.observer.shadowed(result)
        if message.has_parts:
            return replace(message, settled=job.settled, note=partial(self._note_part, job))
        return replace(message, held_by=job.held_by) if job.held_by else message

    async def _note_part(self, job: Job, attempt: Attempt) -> None:
        await self.state.note_attempt(job, attempt)
        if self.suppression:
            await self.suppression.note_part(job, attempt)

    async def composed_again(self, job: Job, recipient: Recipient | Rejected | Skipped) -> OutgoingMessage | None:
        """The message in doubt, to look it up by; None where it cannot be composed any more."""
        if isinstance(recipient, Rejected | Skipped):
            return None
        relevance = await self.relevance.check(job)
        name = variant_name(job.notification.template, job.variant)
        try:
            # Only to compare: its remarks, a fallback and the shadow belong to the message that goes out.
            return self.composer.compose(relevance.event, recipient, _ids(job, name))
        except CompositionError:
            return None

    async def _before_handover(self, job: Job, relay: str | None = None) -> Fence:
        """Check relevance, hour and claim again, right before the first byte of content."""
        job.relay = relay
        relevance = await self.relevance.recheck(job)
        if relevance and (relevance.obsolete or relevance.wait or self.waiting.is_quiet(job, relevance.event)):
            return Fence.LOST
        return await self.state.marks.set(job)

    async def _nothing_sent(self, job: Job) -> None:
        self.relevance.forget(job)
        await self.state.marks.take_back(job)

    async def _settle(self, job: Job, verdict: Verdict) -> Settlement:
        closer = self.closer
        match verdict:
            case Accepted(attempt):
                return await closer.close(job, Sent(job.resends > 0), attempt)
            case SimulatedSend(outcome, attempt):
                return await closer.close(job, outcome, attempt)
            case Refused(attempt, code, fingerprint):
                return await closer.close(job, Bounced(code, attempt.reply or "", fingerprint), attempt)
            case Unsendable() | OptedOut():
                return await closer.close(job, _unsent(verdict), verdict.attempt)
            case Deferred(attempt, server_wait_s, about):
                detail = ": ".join(filter(None, (about, attempt.reply or attempt.result)))
                return await closer.retry(job, ParkReason.RETRIES_EXHAUSTED, detail, attempt, server_wait_s)
            case PutOff(seconds, reason, tried):
                job.sending = False
                await self.state.give_back(job)
                await self.state.postpone(job, seconds, reason, tried)
                return Retry(seconds, counted=False, reason=reason)
            case InDoubt(attempt):
                log.warning("mail.in_doubt", reply=attempt.reply, connection=attempt.connection)
                await self.state.note_attempt(job, attempt)
                return closer.after_lease("it may have gone out")
            case HandoverRefused():
                await self.state.give_back(job)
                return await self._after_refused_handover(job)

    async def _after_refused_handover(self, job: Job) -> Settlement:
        if job.relevance and job.relevance.obsolete:
            return await self.closer.close(job, Skipped(job.relevance.obsolete))
        if job.relevance and job.relevance.wait:
            return await self.closer.give_way(job)
        if job.relevance and (wait := await self.waiting.for_quiet_hours(job, job.relevance.event)):
            return wait
        reason = "the claim was lost before DATA"
        await self.state.postpone(job, self.closer.lease_s, reason, None)
        return self.closer.after_lease(reason)


async def _together(relevance: Awaitable[Relevance], asked: Awaitable[Cleared | Skipped] | None) -> _Answers:
    return await asyncio.gather(relevance, asked) if asked else (await relevance, None)


def _unsent(verdict: Unsendable | OptedOut) -> Parked | Skipped:
    if isinstance(verdict, OptedOut):
        return Skipped(SkipReason.UNSUBSCRIBED)
    detail = ": ".join(filter(None, (verdict.attempt.reply, verdict.hint)))
    return Parked(ParkReason.PROVIDER_REFUSED, detail)


def _ids(job: Job, name: str) -> MessageIds:
    """`name`: of the template, or of a variant of it."""
    notification = job.notification
    return MessageIds(
        job.notification_id,
        notification.event_id,
        name,
        notification.event.booking_id,
        job.created_at,
        job.address_digest,
    )
