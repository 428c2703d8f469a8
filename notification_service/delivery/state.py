"""Both memories, as the pipeline uses them: Redis may be missed, the ledger is waited for."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from notification_service.contract.outcomes import Outcome, Rejected, Sent
from notification_service.delivery.decisions import ClaimsUnavailable
from notification_service.delivery.jobs import Job
from notification_service.delivery.leases import Lease, Leases
from notification_service.delivery.ports.channel import Attempt
from notification_service.delivery.ports.claims import ClaimAnswer, Claims, Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Ledger, Opened, Paid, RecordedEvent
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.rate_limits import Reservation
from notification_service.foundation.address_digests import named_in, stand_in
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.foundation.outages import Outage

log = structlog.get_logger(__name__)
T = TypeVar("T")

_MIN_PAUSE, _MAX_PAUSE = 0.1, 5.0
_CLOSE_TIMEOUT_S = 2.0


def is_of_another(job: Job, found: Opened | AlreadyThere) -> bool:
    """Whether the entry was made for, or last taken up by, another event than the job's."""
    return isinstance(found, AlreadyThere) and found.entry.event_id != job.notification.event_id


class DeliveryState:
    def __init__(self, claims: Claims, ledger: Ledger, leases: Leases, rates: Rates) -> None:
        self._claims = claims
        self._rates = rates
        self._ledger = ledger
        self._leases = leases
        self._redis_away, self._mongo_away = Outage(), Outage()
        self._unwritten: dict[str, float] = {}
        """Since when the ending of each job waits to be written down, by its owner token."""

    @property
    def lag(self) -> float:
        """Seconds that the oldest ending has waited to be written down; 0 where none waits."""
        return time.monotonic() - min(self._unwritten.values()) if self._unwritten else 0

    @property
    def redis_away(self) -> bool:
        return self._redis_away.lasts

    @property
    def mongodb_away(self) -> bool:
        return self._mongo_away.lasts

    async def first_report(self, fact: str, report: str) -> str:
        return await self.through_outage(lambda: self._ledger.first_report(fact, report))

    async def claim(self, job: Job, *, reopen: bool = False) -> ClaimAnswer | ClaimsUnavailable:
        asked, reopen = time.monotonic(), reopen or job.inbound.replay is not None
        try:
            answer = await self._claims.claim(job.notification_id, job.owner, reopen=reopen)
        except StoreUnavailableError as problem:
            self._missed_redis(problem)
            job.lease = None
            return ClaimsUnavailable()
        if self._redis_away.ends():
            log.info("claims.recovered")
        job.lease = Lease(job.owner, asked + self._leases.seconds)
        return answer

    async def open(self, job: Job, intent: Intent) -> Opened | AlreadyThere:
        """Write the intent, or find what stands there already; the mail then keeps that entry's date."""
        asked = time.monotonic()
        found = await self.through_outage(lambda: self._ledger.open(intent))
        if isinstance(found, AlreadyThere):
            job.created_at = found.entry.created_at
        job.seen_at = asked
        return found

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        return await self.through_outage(lambda: self._ledger.event_data_of(notification_ids))

    async def note_later(self, notification_id: str, later: str) -> None:
        await self.through_outage(lambda: self._ledger.note_later(notification_id, later))

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        await self.through_outage(lambda: self._ledger.note_paid(booking_id, at))

    async def paid(self, booking_id: str) -> Paid | None:
        return await self.through_outage(lambda: self._ledger.paid(booking_id))

    async def reserve(self, address: str, *, ticket: bool, taken: int, only_now: bool) -> Reservation:
        """When a mail to this address may go; nobody waits for a Redis that is away."""
        try:
            return await self._rates.reserve(address, ticket=ticket, taken=taken, only_now=only_now)
        except StoreUnavailableError as problem:
            self._missed_redis(problem)
            return Reservation()

    async def take_over(self, job: Job, found: Opened | AlreadyThere, intent: Intent) -> Fence:
        """`intent`: what the entry says from now on, where it was another event's."""
        if job.lease is not None and not job.lease.valid:
            return Fence.LOST
        entry = found.entry if isinstance(found, AlreadyThere) else None
        was = entry.outcome if entry else None
        asked, now = time.monotonic(), datetime.now(UTC)
        fence = await self.through_outage(
            lambda: self._ledger.take_over(
                job.notification_id,
                job.owner,
                job.notification.event_id,
                at=now,
                possible_duplicate=job.possible_duplicate,
                seen=entry.owner if entry else job.owner,
                sending=entry.sending if entry else False,
                was=was,
                # One that is open was granted already: its worker was lost, or it was put off.
                replay=job.inbound.replay if was is not None else None,
                intent=intent if is_of_another(job, found) else None,
            )
        )
        job.seen_at = asked
        return fence

    async def mark_sending(self, job: Job) -> Fence:
        """The last moment at which nothing has gone out."""
        if job.lease is not None and not job.lease.valid:
            return Fence.LOST
        fence = await self._mark_claim(job)
        if fence is Fence.HELD_HERE or (fence is Fence.HELD and self._claim_may_be_anothers(job)):
            fence = await self._mark_entry(job)
        job.sending = fence is Fence.HELD
        if job.lease is not None:
            job.lease.sending, job.lease.again = job.sending, job.possible_duplicate
        return fence

    async def _mark_claim(self, job: Job) -> Fence:
        try:
            return await self._claims.mark_sending(
                job.notification_id, job.owner, again=job.possible_duplicate, create_if_missing=job.lease is None
            )
        except StoreUnavailableError as problem:
            self._missed_redis(problem)
            return Fence.HELD if job.lease is None else Fence.LOST

    def _claim_may_be_anothers(self, job: Job) -> bool:
        """There is none, or it may stand at a primary that nobody else has asked for more than a lease.

        A resend asks the entry always: where the primary is split, two of them would be three mails.
        """
        return job.lease is None or job.possible_duplicate or time.monotonic() - job.seen_at > self._leases.seconds

    async def _mark_entry(self, job: Job) -> Fence:
        """Asked once: the mail server does not wait until MongoDB is back."""
        job.marked = True
        asked = time.monotonic()
        try:
            fence = await self._ledger.mark_sending(job.notification_id, job.owner)
        except StoreUnavailableError as problem:
            self._missed_mongodb(problem)
            return Fence.LOST
        job.seen_at = asked
        return Fence.HELD if fence is Fence.HELD else Fence.LOST

    async def nothing_sent(self, job: Job) -> None:
        """It waits for another try, and whoever takes it over meanwhile has nothing to doubt."""
        if not job.sending:
            return
        job.sending = False
        if job.lease is not None:
            job.lease.sending = False
        await self._quietly(self._claims.unmark(job.notification_id, job.owner))
        if job.marked:
            await self.through_outage(lambda: self._ledger.unmark(job.notification_id, job.owner))
            job.marked = False

    async def mark_in_doubt(self, job: Job) -> None:
        await self._quietly(self._claims.mark_sending(job.notification_id, job.owner, create_if_missing=True))

    async def note_attempt(self, job: Job, attempt: Attempt) -> None:
        await self.through_outage(lambda: self._ledger.note_attempt(job.notification_id, attempt))

    async def postpone(self, job: Job, seconds: float, reason: str, attempt: Attempt | None) -> None:
        """Nothing went out, and it comes back: first the ledger says so, then the claim is let go."""
        now = datetime.now(UTC)
        due = now + timedelta(seconds=seconds)
        await self.through_outage(
            lambda: self._ledger.postpone(
                job.notification_id, job.owner, at=now, due_at=due, reason=reason, attempt=attempt
            )
        )
        await self._quietly(self._claims.release(job.notification_id, job.owner))

    async def leave(self, job: Job) -> None:
        """Its entry stays as it stands: whoever comes next may look at it at once."""
        await self._quietly(self._claims.release(job.notification_id, job.owner))

    async def release_on_shutdown(self, job: Job) -> None:
        """The service shuts down before anything went out: whoever gets the delivery next may start at once."""
        if job.sending:
            return
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.postpone(job, 0, "the service shut down", None)
        except TimeoutError:
            log.info("claim.left", reason="it is free when its lease is over")

    async def close(self, job: Job, outcome: Outcome, attempt: Attempt | None = None) -> Fence:
        """The verdict into Redis, then the outcome into the ledger; whoever lost the claim writes neither.

        But for a mail that went out: Redis may only have forgotten the claim, and as long as the ledger's entry is
        still ours, nobody else has begun. To leave it open would cost a second mail.
        """
        self._unwritten[job.owner] = time.monotonic()
        try:
            if await self._decide(job, outcome) is Fence.LOST and not isinstance(outcome, Sent):
                return Fence.LOST
            return await self._write(job, outcome, attempt)
        finally:
            del self._unwritten[job.owner]

    async def _write(self, job: Job, outcome: Outcome, attempt: Attempt | None) -> Fence:
        return await self.through_outage(
            lambda: self._ledger.close(
                job.notification_id,
                job.owner,
                outcome,
                at=datetime.now(UTC),
                recipient=job.recipient,
                remarks=[str(remark) for remark in job.remarks],
                message=job.message,
                attempt=attempt,
            )
        )

    async def finish(self, job: Job, found: Opened | AlreadyThere, outcome: Outcome, *, repair: bool) -> Fence:
        """It ended before this job: see that both memories say so, and that the entry names this event.

        `repair`: the ledger does not have the outcome yet; it is written, whoever owns the entry.
        """
        if repair and (fence := await self.repair(job, outcome)) is not Fence.HELD:
            return fence
        await self.note_event(job, found)
        await self._decide(job, outcome)
        return Fence.HELD

    async def repair(self, job: Job, outcome: Outcome) -> Fence:
        """Write the outcome that the ledger lacks, whoever owns the entry."""
        now = datetime.now(UTC)
        return await self.through_outage(lambda: self._ledger.close(job.notification_id, None, outcome, at=now))

    async def note_event(self, job: Job, found: Opened | AlreadyThere) -> None:
        await self._note_event(found, job.notification_id, job.notification.event_id)

    async def record(self, intent: Intent, outcome: Outcome) -> Opened | AlreadyThere:
        """An entry that is closed from the start: nothing was ever to be sent. What stood there before stays."""
        found = await self.through_outage(lambda: self._ledger.open(intent))
        await self._note_event(found, intent.notification_id, intent.event_id)
        now = datetime.now(UTC)
        await self.through_outage(lambda: self._ledger.close(intent.notification_id, None, outcome, at=now))
        return found

    async def _note_event(self, found: Opened | AlreadyThere, notification_id: str, event_id: str) -> None:
        if isinstance(found, AlreadyThere) and not found.entry.knows(event_id):
            noted = stand_in(event_id) if found.entry.erased and named_in([event_id]) else event_id
            await self.through_outage(lambda: self._ledger.note_event(notification_id, noted))

    async def _decide(self, job: Job, outcome: Outcome) -> Fence:
        """A rejected notification is let go: a further event of its fact, or a replay, may know better."""
        try:
            if isinstance(outcome, Rejected):
                return await self._claims.release(job.notification_id, job.owner)
            return await self._claims.decide(job.notification_id, job.owner, outcome)
        except StoreUnavailableError as problem:
            self._missed_redis(problem)
            return Fence.HELD

    async def through_outage(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat what MongoDB could not answer. The delivery stays unacked, so consuming ends at the prefetch."""
        pause = _MIN_PAUSE
        while True:
            try:
                answer = await call()
            except StoreUnavailableError as problem:
                self._missed_mongodb(problem)
            else:
                if self._mongo_away.ends():
                    log.info("ledger.recovered")
                return answer
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - it scatters a crowd
            pause = min(pause * 2, _MAX_PAUSE)

    async def _quietly(self, call: Awaitable[object]) -> None:
        """Tell Redis; what it misses, the ledger knows."""
        try:
            await call
        except StoreUnavailableError as problem:
            self._missed_redis(problem)

    def _missed_mongodb(self, problem: StoreUnavailableError) -> None:
        if self._mongo_away.begins():
            log.warning("ledger.unavailable", problem=str(problem))

    def _missed_redis(self, problem: StoreUnavailableError) -> None:
        if self._redis_away.begins():
            log.warning("claims.unavailable", problem=str(problem))
