"""The state of a notification in both stores: the claim in Redis and the entry in the ledger, kept consistent.

The ledger decides. Without Redis, its unique entry is the only claim; without the ledger, nothing goes on.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from notification_service.contract.outcomes import Outcome, Rejected, Sent
from notification_service.delivery.decisions import ClaimsUnavailable
from notification_service.delivery.jobs import Job, is_of_another_event
from notification_service.delivery.leases import Lease, Leases
from notification_service.delivery.ports.channel import Attempt
from notification_service.delivery.ports.claims import ClaimAnswer, Claims, Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Ledger, Opened, Paid, RecordedEvent
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.rate_limits import Reservation
from notification_service.delivery.sending_marks import SendingMarks
from notification_service.delivery.store_outages import StoreOutages
from notification_service.foundation.address_digests import named_in, stand_in
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_CLOSE_TIMEOUT_S = 2.0


class DeliveryState:
    def __init__(self, claims: Claims, ledger: Ledger, leases: Leases, rates: Rates) -> None:
        self._claims = claims
        self._rates = rates
        self._ledger = ledger
        self._leases = leases
        self.outages = StoreOutages()
        self.marks = SendingMarks(claims, ledger, self.outages, lease_s=leases.seconds)
        self._unwritten: dict[str, float] = {}
        """When each job that is being closed began to be, by its owner token (monotonic clock)."""

    @property
    def lag(self) -> float:
        """Seconds since the oldest outcome that is not yet written was reached; 0 where there is none."""
        return time.monotonic() - min(self._unwritten.values()) if self._unwritten else 0

    @property
    def redis_away(self) -> bool:
        return self.outages.redis_away

    @property
    def mongodb_away(self) -> bool:
        return self.outages.mongodb_away

    async def first_report(self, fact: str, report: str) -> str:
        return await self.outages.wait_for_mongodb(lambda: self._ledger.first_report(fact, report))

    async def claim(self, job: Job, *, reopen: bool = False) -> ClaimAnswer | ClaimsUnavailable:
        asked, reopen = time.monotonic(), reopen or job.inbound.replay is not None
        try:
            answer = await self._claims.claim(job.notification_id, job.owner, reopen=reopen)
        except StoreUnavailableError as problem:
            self.outages.note_redis_failure(problem)
            job.lease = None
            return ClaimsUnavailable()
        self.outages.note_redis_answer()
        job.lease = Lease(job.owner, asked + self._leases.seconds)
        return answer

    async def open(self, job: Job, intent: Intent) -> Opened | AlreadyThere:
        """Write the intent, or find the existing entry, whose date and variant the message then keeps."""
        asked = time.monotonic()
        job.opening = True
        found = await self.outages.wait_for_mongodb(lambda: self._ledger.open(intent))
        job.opening = False
        if isinstance(found, AlreadyThere):
            job.created_at, job.assignment = found.entry.created_at, found.entry.assignment
        job.seen_at = asked
        return found

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        return await self.outages.wait_for_mongodb(lambda: self._ledger.event_data_of(notification_ids))

    async def note_later(self, notification_id: str, later: str) -> None:
        await self.outages.wait_for_mongodb(lambda: self._ledger.note_later(notification_id, later))

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        await self.outages.wait_for_mongodb(lambda: self._ledger.note_paid(booking_id, at))

    async def paid(self, booking_id: str) -> Paid | None:
        return await self.outages.wait_for_mongodb(lambda: self._ledger.paid(booking_id))

    async def reserve(self, address: str, *, ticket: bool, taken: int, only_now: bool) -> Reservation:
        """When a message to this address may go. Without Redis there are no limits."""
        try:
            return await self._rates.reserve(address, ticket=ticket, taken=taken, only_now=only_now)
        except StoreUnavailableError as problem:
            self.outages.note_redis_failure(problem)
            return Reservation()

    async def give_back(self, job: Job) -> None:
        """Free the places that the job took at limits over a long time, since its message did not go."""
        if job.places:
            await self.outages.ignore_redis_outage(self._rates.give_back(job.places))
            job.places = ()

    async def take_over(self, job: Job, found: Opened | AlreadyThere, intent: Intent) -> Fence:
        """Become the owner of an entry. `intent`: replaces the entry's own where that is of another event."""
        if job.lease is not None and not job.lease.valid:
            return Fence.LOST
        entry = found.entry if isinstance(found, AlreadyThere) else None
        was = entry.outcome if entry else None
        asked, now = time.monotonic(), datetime.now(UTC)
        fence = await self.outages.wait_for_mongodb(
            lambda: self._ledger.take_over(
                job.notification_id,
                job.owner,
                job.notification.event_id,
                at=now,
                resends=job.resends,
                seen=entry.owner if entry else job.owner,
                sending=entry.sending if entry else False,
                was=was,
                # Where the entry is open, the replay was granted before: its worker was lost, or it was put off.
                replay=job.inbound.replay if was is not None else None,
                intent=intent if is_of_another_event(job, found) else None,
                lost=job.lost,
            )
        )
        job.seen_at = asked
        return fence

    async def note_fallback(self, job: Job, template_digest: str) -> None:
        """Note that the control is sent, before it is: a resend sends the same bytes."""
        await self.outages.wait_for_mongodb(
            lambda: self._ledger.note_fallback(job.notification_id, job.owner, template_digest)
        )

    async def note_attempt(self, job: Job, attempt: Attempt) -> None:
        await self.outages.wait_for_mongodb(lambda: self._ledger.note_attempt(job.notification_id, attempt))

    async def postpone(self, job: Job, seconds: float, reason: str, attempt: Attempt | None) -> None:
        """Note in the ledger that nothing was sent and when it is tried again, then release the claim.

        `seconds` may be 0: the message comes back at once, or its other copy sends it.
        """
        now = datetime.now(UTC)
        due = now + timedelta(seconds=seconds)
        await self.outages.wait_for_mongodb(
            lambda: self._ledger.postpone(
                job.notification_id, job.owner, at=now, due_at=due, reason=reason, attempt=attempt
            )
        )
        await self.outages.ignore_redis_outage(self._claims.release(job.notification_id, job.owner))

    async def leave(self, job: Job) -> None:
        """Release the claim without changing the entry."""
        await self.outages.ignore_redis_outage(self._claims.release(job.notification_id, job.owner))

    async def release_on_shutdown(self, job: Job) -> None:
        """Release the claim of a job that a shutdown ended before it sent anything: the next worker need not wait.

        Not while its intent is being written: an entry that appears after that, without a claim, is a doubt.
        """
        if job.sending or job.opening:
            return
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.postpone(job, 0, "the service shut down", None)
                await self.give_back(job)
        except TimeoutError:
            log.info("claim.left", reason="it is free when its lease is over")

    async def close(self, job: Job, outcome: Outcome, attempt: Attempt | None = None) -> Fence:
        """Write the verdict to Redis, then the outcome to the ledger. A job that lost its claim writes neither.

        `Sent` is written even then, if the entry is still ours: Redis may have forgotten the claim, and nobody else
        has begun. Leaving the entry open would cost a second message.
        """
        self._unwritten[job.owner] = time.monotonic()
        try:
            if await self._decide(job, outcome) is Fence.LOST and not isinstance(outcome, Sent):
                return Fence.LOST
            return await self._write(job, outcome, attempt)
        finally:
            del self._unwritten[job.owner]

    async def _write(self, job: Job, outcome: Outcome, attempt: Attempt | None) -> Fence:
        return await self.outages.wait_for_mongodb(
            lambda: self._ledger.close(
                job.notification_id,
                job.owner,
                outcome,
                at=datetime.now(UTC),
                recipient=job.recipient,
                remarks=[str(remark) for remark in job.remarks],
                message=job.message,
                attempt=attempt,
                shadow=job.shadow,
            )
        )

    async def finish(self, job: Job, found: Opened | AlreadyThere, outcome: Outcome, *, repair: bool) -> Fence:
        """Make both stores agree on an outcome that was reached before this job, and add its event to the entry.

        `repair`: the ledger lacks the outcome; it is written whoever owns the entry.
        """
        if repair and (fence := await self.repair(job, outcome)) is not Fence.HELD:
            return fence
        await self.note_event(job, found)
        await self._decide(job, outcome)
        return Fence.HELD

    async def repair(self, job: Job, outcome: Outcome) -> Fence:
        """Write an outcome that the ledger lacks, whoever owns the entry."""
        now = datetime.now(UTC)
        return await self.outages.wait_for_mongodb(
            lambda: self._ledger.close(job.notification_id, None, outcome, at=now, attempt=job.lost)
        )

    async def note_event(self, job: Job, found: Opened | AlreadyThere) -> None:
        await self._note_event(found, job.notification_id, job.notification.event_id)

    async def record(self, intent: Intent, outcome: Outcome) -> Opened | AlreadyThere:
        """Write an entry that is closed from the start, since nothing is to be sent. An existing entry is kept."""
        found = await self.outages.wait_for_mongodb(lambda: self._ledger.open(intent))
        await self._note_event(found, intent.notification_id, intent.event_id)
        now = datetime.now(UTC)
        await self.outages.wait_for_mongodb(lambda: self._ledger.close(intent.notification_id, None, outcome, at=now))
        return found

    async def _note_event(self, found: Opened | AlreadyThere, notification_id: str, event_id: str) -> None:
        if isinstance(found, AlreadyThere) and not found.entry.knows(event_id):
            noted = stand_in(event_id) if found.entry.erased and named_in([event_id]) else event_id
            await self.outages.wait_for_mongodb(lambda: self._ledger.note_event(notification_id, noted))

    async def _decide(self, job: Job, outcome: Outcome) -> Fence:
        """Write the verdict to Redis, or release the claim of a rejected notification.

        Another event of its fact may have what this one lacked, and a person may replay it.
        """
        try:
            if isinstance(outcome, Rejected):
                return await self._claims.release(job.notification_id, job.owner)
            return await self._claims.decide(job.notification_id, job.owner, outcome)
        except StoreUnavailableError as problem:
            self.outages.note_redis_failure(problem)
            return Fence.HELD
