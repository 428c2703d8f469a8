"""Asks, right before a message is composed, whether its address is still written to; and keeps what a server says."""

from collections.abc import Awaitable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.notification_rules import NEEDED_BY_ALL
from notification_service.contract.outcomes import Skipped
from notification_service.contract.remarks import Remark
from notification_service.contract.suppressions import (
    OURSELVES,
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
from notification_service.delivery.ports.channel import Attempt, OptedOut, Refused
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.suppressions import Suppressions
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_OPTED_OUT = "STOP"
"""The code of a provider's refusal because the reader wants nothing from us."""

T = TypeVar("T")

_WHAT: dict[Cause, str] = {
    Cause.GONE: "the address does not exist",
    Cause.FAILING: "the address was refused twice",
    Cause.COMPLAINED: "its reader called a message spam",
    Cause.UNSUBSCRIBED: "its reader unsubscribed",
    Cause.BY_HAND: "a person put the address on the list",
}


@dataclass(frozen=True, slots=True)
class Cleared:
    """The recipient as far as the list lets a message reach them. `remarks`: about what it leaves out."""

    recipient: Recipient
    remarks: tuple[Remark, ...] = ()


class ListCheck(Protocol):
    """Asks the list before a message, and tells it what its provider said."""

    async def check(self, job: Job, recipient: Recipient) -> Cleared | Skipped:
        """Raises `StoreUnavailableError`."""

    async def note(self, job: Job, said: Refused | OptedOut) -> None:
        """What was said of the whole message."""

    async def note_part(self, job: Job, attempt: Attempt) -> None:
        """What was said of one device."""


@dataclass(frozen=True, slots=True)
class SuppressionCheck:
    """`time`: how long a refusal counts. `optional`: the templates that readers may unsubscribe from."""

    suppressions: Suppressions
    channel: ChannelKind
    time: timedelta = timedelta(days=30)
    optional: Collection[str] = ()

    async def check(self, job: Job, recipient: Recipient) -> Cleared | Skipped:
        """Whether the message may go to its address, or why it may not. Raises as `read_list` does."""
        kind = kind_of(job, self.channel, self.optional)
        known = await read_list(job, self.channel, self.suppressions.known(self.channel, job.recipient or ""))
        if known is None:
            return Cleared(recipient)
        job.address_digest = known.digest
        found = stopping(known.entries, kind, datetime.now(UTC), self.time)
        reason = stops(found.cause, kind) if found else None
        return Skipped(reason, _detail(found)) if found and reason else Cleared(recipient)

    async def note(self, job: Job, said: Refused | OptedOut) -> None:
        """Keep what the provider's refusal says about the address. Best effort: the record has the refusal anyway."""
        cause = _cause(self.channel, said)
        if isinstance(cause, Effect) or not job.address_digest:
            return
        evidence = Evidence(
            source=OURSELVES,
            source_id=f"{job.notification_id}:{job.owner}",
            at=said.attempt.at,
            code=said.code if isinstance(said, Refused) else _OPTED_OUT,
            notification_id=job.notification_id,
        )
        await keep(self.suppressions, self.channel, job.address_digest, cause, evidence)

    async def note_part(self, job: Job, attempt: Attempt) -> None:
        """Nothing: its messages go to one address, so the verdict says all."""


async def read_list(job: Job, channel: ChannelKind, question: Awaitable[T]) -> T | None:
    """What the list says; None where it cannot be read and the message goes anyway.

    A ticket or a refund goes: one more bounce costs less than a missing ticket. What no queue takes cannot wait either.
    Raises `StoreUnavailableError` for other messages.
    """
    try:
        return await question
    except StoreUnavailableError as problem:
        goes = kind_of(job, channel, ()).needed or job.inbound.unmovable
        log.warning("suppressions.unavailable", problem=str(problem), sent=goes)
        if goes:
            return None
        raise


async def keep(suppressions: Suppressions, channel: ChannelKind, digest: str, cause: Cause, evidence: Evidence) -> None:
    """Put what was heard on the list. Best effort."""
    try:
        await suppressions.note(channel, digest, cause, evidence)
    except StoreUnavailableError as problem:
        log.warning("suppressions.unavailable", problem=str(problem))
    else:
        log.info("address.suppressed", cause=cause, source=evidence.source, code=evidence.code)


def kind_of(job: Job, channel: ChannelKind, optional: Collection[str]) -> Kind:
    """`optional`: the templates that readers of e-mail may unsubscribe from. Other channels they end as a whole."""
    template = job.notification.template
    return Kind(needed=template in NEEDED_BY_ALL, optional=template in optional or channel is not ChannelKind.EMAIL)


def _cause(channel: ChannelKind, said: Refused | OptedOut) -> Cause | Effect:
    if isinstance(said, OptedOut):
        return Cause.UNSUBSCRIBED
    return effect_of_refusal(channel, said.code, names_address=said.names_address)


def _detail(found: Standing) -> str:
    latest = found.latest
    said = f"{latest.source} said {latest.code}" if latest.code else f"told by {latest.source}"
    if found.cause is Cause.UNSUBSCRIBED and found.until is None:
        return f"{_WHAT[found.cause]}: {said} on {latest.at:%Y-%m-%d}; only the reader comes back"
    until = f"until {found.until:%Y-%m-%d %H:%M} UTC" if found.until else "without an end"
    return (
        f"{_WHAT[found.cause]}: {said} on {latest.at:%Y-%m-%d}, {until}; if wrong, `suppressions lift` ends it, "
        "and `bounced replay --notification` sends this one"
    )
