"""Asks, right before a message is composed, whether its address is still written to; and keeps what a server says."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.notification_rules import NEEDED_BY_ALL
from notification_service.contract.outcomes import Skipped
from notification_service.contract.suppressions import (
    Cause,
    Effect,
    Evidence,
    Kind,
    Standing,
    effect_of_refusal,
    stopping,
    stops,
)
from notification_service.delivery.jobs import Job
from notification_service.delivery.ports.channel import Refused
from notification_service.delivery.ports.suppressions import Suppressions
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_OURSELVES = "sending"
"""The source of a refusal that was heard while the message was handed over."""

_WHAT: dict[Cause, str] = {
    Cause.GONE: "the address does not exist",
    Cause.FAILING: "the address was refused twice",
    Cause.COMPLAINED: "its reader called a message spam",
    Cause.UNSUBSCRIBED: "its reader unsubscribed",
    Cause.BY_HAND: "a person put the address on the list",
}


@dataclass(frozen=True, slots=True)
class SuppressionCheck:
    """`time`: how long a refusal counts. `optional`: the templates that readers may unsubscribe from."""

    suppressions: Suppressions
    channel: ChannelKind
    time: timedelta = timedelta(days=30)
    optional: Collection[str] = ()

    async def check(self, job: Job) -> Skipped | None:
        """Why the message is not sent; None where it is. Raises `StoreUnavailableError`, though not for what is needed.

        A ticket or a refund goes out while the list cannot be read: one more bounce costs less than a missing ticket.
        """
        kind = self._kind(job)
        try:
            known = await self.suppressions.known(self.channel, job.recipient or "")
        except StoreUnavailableError as problem:
            # What no queue takes cannot wait either.
            goes = kind.needed or job.inbound.unmovable
            log.warning("suppressions.unavailable", problem=str(problem), sent=goes)
            if goes:
                return None
            raise
        job.address_digest = known.digest
        found = stopping(known.entries, kind, datetime.now(UTC), self.time)
        reason = stops(found.cause, kind) if found else None
        return Skipped(reason, _detail(found)) if found and reason else None

    async def note(self, job: Job, refused: Refused) -> None:
        """Keep what the provider's refusal says about the address. Best effort: the record has the refusal anyway."""
        cause = effect_of_refusal(self.channel, refused.code, names_address=refused.names_address)
        if isinstance(cause, Effect) or not job.address_digest:
            return
        evidence = Evidence(
            source=_OURSELVES,
            source_id=f"{job.notification_id}:{job.owner}",
            at=refused.attempt.at,
            code=refused.code,
            notification_id=job.notification_id,
        )
        try:
            await self.suppressions.note(self.channel, job.address_digest, cause, evidence)
        except StoreUnavailableError as problem:
            log.warning("suppressions.unavailable", problem=str(problem))
        else:
            log.info("address.suppressed", cause=cause, source=evidence.source, code=refused.code)

    def _kind(self, job: Job) -> Kind:
        template = job.notification.template
        return Kind(needed=template in NEEDED_BY_ALL, optional=template in self.optional)


def _detail(found: Standing) -> str:
    latest = found.latest
    said = f"{latest.source} said {latest.code}" if latest.code else f"told by {latest.source}"
    if found.cause is Cause.UNSUBSCRIBED:
        return f"{_WHAT[found.cause]}: {said} on {latest.at:%Y-%m-%d}; only the reader comes back"
    until = f"until {found.until:%Y-%m-%d %H:%M} UTC" if found.until else "without an end"
    return (
        f"{_WHAT[found.cause]}: {said} on {latest.at:%Y-%m-%d}, {until}; if wrong, `suppressions lift` ends it, "
        "and `bounced replay --notification` sends this one"
    )
