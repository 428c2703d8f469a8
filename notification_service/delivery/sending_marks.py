"""The sending mark: it says that content is handed over from now on, and by which relay.

It is the fence before the first byte: what it forbids is not sent, and whoever finds it without its owner has a doubt.
"""

import time

from notification_service.delivery.jobs import Job
from notification_service.delivery.ports.claims import Claims, Fence
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.store_outages import StoreOutages
from notification_service.foundation.errors import StoreUnavailableError


class SendingMarks:
    """Sets the mark in Redis, and in the ledger too where the claim in Redis alone proves nothing.

    `lease_s`: seconds that a claim holds without renewal.
    """

    def __init__(self, claims: Claims, ledger: Ledger, outages: StoreOutages, *, lease_s: float) -> None:
        self._claims = claims
        self._ledger = ledger
        self._outages = outages
        self._lease_s = lease_s

    async def set(self, job: Job) -> Fence:
        """Mark that content is handed over from now on. Anything but `Fence.HELD` forbids the handover."""
        if job.lease is not None and not job.lease.valid:
            return Fence.LOST
        fence = await self._mark_claim(job)
        if fence is Fence.HELD_HERE or (fence is Fence.HELD and self._has_to_ask_ledger(job)):
            fence = await self._mark_entry(job)
        job.sending = fence is Fence.HELD
        if job.lease is not None:
            job.lease.sending, job.lease.again, job.lease.relay = job.sending, job.resends > 0, job.relay
        return fence

    async def _mark_claim(self, job: Job) -> Fence:
        try:
            return await self._claims.mark_sending(
                job.notification_id,
                job.owner,
                again=job.resends > 0,
                create_if_missing=job.lease is None,
                relay=job.relay,
            )
        except StoreUnavailableError as problem:
            self._outages.note_redis_failure(problem)
            return Fence.HELD if job.lease is None else Fence.LOST

    def _has_to_ask_ledger(self, job: Job) -> bool:
        """Whether the claim in Redis alone does not prove that the notification is ours.

        So without a claim, and where the ledger was last asked more than a lease ago: a Redis primary that was cut off
        may have confirmed a claim that others do not see. A resend always asks: two resends would be three messages.
        """
        return job.lease is None or job.resends > 0 or time.monotonic() - job.seen_at > self._lease_s

    async def _mark_entry(self, job: Job) -> Fence:
        """Ask once, without waiting for MongoDB: the provider's session is open meanwhile."""
        job.marked = True
        asked = time.monotonic()
        try:
            fence = await self._ledger.mark_sending(job.notification_id, job.owner, job.relay)
        except StoreUnavailableError as problem:
            self._outages.note_mongodb_failure(problem)
            return Fence.LOST
        job.seen_at = asked
        return Fence.HELD if fence is Fence.HELD else Fence.LOST

    async def take_back(self, job: Job) -> None:
        """Take the sending mark back, so that whoever takes the notification over knows that nothing was sent."""
        if not job.sending:
            return
        job.sending = False
        if job.lease is not None:
            job.lease.sending = False
        await self._outages.ignore_redis_outage(self._claims.unmark(job.notification_id, job.owner))
        if job.marked:
            await self._outages.wait_for_mongodb(lambda: self._ledger.unmark(job.notification_id, job.owner))
            job.marked = False

    async def set_in_doubt(self, job: Job) -> None:
        await self._outages.ignore_redis_outage(
            self._claims.mark_sending(job.notification_id, job.owner, create_if_missing=True)
        )
