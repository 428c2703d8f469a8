"""What is done with a notification once its claim was asked for: compare claim and ledger, then send or finish."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from notification_service.contract.events import Event
from notification_service.contract.outcomes import (
    Outcome,
    Rejected,
    Sent,
    Skipped,
    SkipReason,
    summarize,
)
from notification_service.contract.variants import Variant, variant_name
from notification_service.delivery import intents, recipients
from notification_service.delivery.closing import Closer, settlement_of
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
from notification_service.delivery.jobs import Job, JobResult, SeparateNotification
from notification_service.delivery.observer import Observer, Stage
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.channel import (
    ACCEPTED,
    IN_DOUBT,
    Attempt,
    CannotTell,
    Found,
    LookUp,
    LookUpFailed,
    NotFound,
)
from notification_service.delivery.ports.claims import ClaimAnswer, Claimed, Decided, Fence, InterruptedSend
from notification_service.delivery.ports.composer import Composer, CompositionError
from notification_service.delivery.ports.directory import ConsentRule, Directory, Recipient
from notification_service.delivery.ports.ledger import AlreadyThere, Entry, Intent, Opened
from notification_service.delivery.relevance import RelevanceCheck, may_be_news
from notification_service.delivery.sending import Sender
from notification_service.delivery.settlements import Retry, Settlement
from notification_service.delivery.state import DeliveryState
from notification_service.foundation.addresses import mask

log = structlog.get_logger(__name__)

_REDIS_WAIT_S = 10.0
_LOST = "the worker was lost while it was sending"
_REPORTED = "its provider has told what became of it"


@dataclass(frozen=True, slots=True)
class Steps:
    """Takes the step that `decisions` names. `look_up`: as in `Pipeline`."""

    state: DeliveryState
    directory: Directory
    composer: Composer
    policy: Policy
    observer: Observer
    relevance: RelevanceCheck
    closer: Closer
    sender: Sender
    look_up: LookUp | None

    async def has_another_address(self, job: Job) -> bool:
        """Whether the event leads to another address than the one that was refused, which only the ledger has."""
        await self._find_recipient(job)
        found = await self.state.open(job, self._intent(job))
        if not isinstance(found, AlreadyThere) or found.entry.outcome is None:
            return False
        return knows_better(found.entry, found.entry.outcome, self._request(job))

    async def compare(self, job: Job, claim: Claimed | InterruptedSend | Decided | ClaimsUnavailable) -> JobResult:
        decided = isinstance(claim, Decided)
        with self.observer.timed(Stage.FIND):
            recipient = Recipient(None) if decided else await self._find_recipient(job)
        with self.observer.timed(Stage.INTENT):
            found = await self.state.open(job, self._intent(job))
        if await self.relevance.is_news(job, found):
            await self.state.leave(job)
            return SeparateNotification()
        if isinstance(found, AlreadyThere):
            job.lost = _lost_attempt(claim, found.entry)
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
            case Proceed(take_over, resends):
                job.resends = resends
                if resends and isinstance(found, AlreadyThere):
                    job.held_by = _relay_of_mark(claim, found.entry) or found.entry.held_by
                # A replay is a person's wish to send it again, to every device.
                if isinstance(found, AlreadyThere) and not job.inbound.replay:
                    job.settled = found.entry.settled
                return await self._proceed(job, found, recipient, take_over=take_over)
            case AlreadyEnded(outcome, repair=True) if may_be_news(job, found):
                if await self.state.repair(job, outcome) is not Fence.HELD:
                    return self.closer.after_lease("another worker closed it otherwise")
                return await self.compare(job, claim)
            case AlreadyEnded(outcome, repair):
                return await self._finish(job, found, outcome, repair=repair)
            case WaitOutLease():
                log.warning("claims.forgotten", reason="pending in the ledger, unknown to Redis")
                await self.state.marks.set_in_doubt(job)
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
        match await self.look_up(message, job.created_at) if message and self.look_up else CannotTell():
            case Found(attempt):
                return await self._taken(job, found, attempt)
            case _ if isinstance(found, AlreadyThere) and found.entry.reported:
                return await self._taken(job, found, Attempt(datetime.now(UTC), ACCEPTED, 0, reply=_REPORTED))
            case NotFound():
                log.info("mail.not_found", reason="the provider does not have it: it is sent once more")
                return Proceed(take_over=True, resends=_resends(found) + 1)
            case CannotTell():
                return step.otherwise
            case LookUpFailed(reason):
                log.warning("mail.look_up_failed", reason=reason)
                await self.state.marks.set_in_doubt(job)
                return self.closer.after_lease("the provider cannot be asked whether it has the message")

    async def _taken(self, job: Job, found: Opened | AlreadyThere, attempt: Attempt) -> AlreadyEnded:
        log.info("mail.found", reason="the provider has it", reply=attempt.reply)
        await self.state.note_attempt(job, attempt)
        return AlreadyEnded(Sent(_resends(found) > 0), repair=True)

    async def _proceed(
        self, job: Job, found: Opened | AlreadyThere, recipient: Recipient | Rejected | Skipped, *, take_over: bool
    ) -> Settlement:
        if take_over and await self.relevance.is_older(job, found):
            return await self.closer.step_back(job, found)
        if take_over and await self.state.take_over(job, found, self._intent(job)) is Fence.LOST:
            return self.closer.after_lease("another worker closed it")
        return await self.sender.send(job, recipient)

    def _request(self, job: Job) -> DeliveryRequest:
        return DeliveryRequest(
            job.notification.event_id,
            self.policy.max_resends_of(job.notification.template),
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
        elif self.policy.is_on_express_lane(job.notification.event) and _other_copy_was_first(job, found):
            log.debug("event.was_ahead", **fields)
        else:
            log.info("event.duplicate", **fields)
        return settlement_of(outcome)

    async def _find_recipient(self, job: Job) -> Recipient | Rejected | Skipped:
        if job.notification.event.event_type in self.policy.not_selected:
            return Skipped(SkipReason.NOT_SELECTED)
        event, rule = job.notification.event, self.policy.consent
        found = await self.state.outages.wait_for_mongodb(
            lambda: recipients.find(event, self.directory, self.composer, ask_consent=self.policy.ask_consent)
        )
        if not isinstance(found, recipients.Addressee):
            return found
        job.recipient = found.address
        log.debug("recipient.found", recipient=mask(found.address))
        objection = await self._objection(found, event, rule) if rule else None
        return objection or found.recipient

    async def _objection(self, found: recipients.Addressee, event: Event, rule: ConsentRule) -> Skipped | None:
        return await self.state.outages.wait_for_mongodb(
            lambda: recipients.objection(found, event, self.directory, self.composer, rule)
        )


def _resends(found: Opened | AlreadyThere) -> int:
    return found.entry.resends if isinstance(found, AlreadyThere) else 0


def _relay_of_mark(claim: ClaimAnswer | ClaimsUnavailable, entry: Entry) -> str | None:
    """The relay that the last sending mark names."""
    return (claim.relay if isinstance(claim, InterruptedSend) else None) or entry.sending_by


def _lost_attempt(claim: ClaimAnswer | ClaimsUnavailable, entry: Entry) -> Attempt | None:
    """The attempt of a worker that was lost while it was sending: of several relays, its record has to name the one."""
    if isinstance(claim, Decided) or entry.outcome or entry.waiting or entry.held_by:
        return None
    relay = _relay_of_mark(claim, entry)
    return Attempt(datetime.now(UTC), IN_DOUBT, 0, reply=_LOST, relay=relay) if relay else None


def _other_copy_was_first(job: Job, found: Opened | AlreadyThere) -> bool:
    """Whether the express copy was probably handled first. A producer that publishes an event twice looks the same."""
    retried = job.inbound.attempt or job.inbound.replay or job.inbound.redelivered
    return not retried and isinstance(found, AlreadyThere) and found.entry.knows(job.notification.event_id)
