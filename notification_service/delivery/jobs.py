"""Runs one job for each notification at a time; a further message for it waits for the running job."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from notification_service.contract.inbound import InboundMessage
from notification_service.contract.remarks import Remark
from notification_service.contract.variants import Assignment, Variant
from notification_service.delivery.booking_history import Relevance
from notification_service.delivery.leases import Lease
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.channel import Attempt, OutgoingMessage
from notification_service.delivery.ports.ledger import AlreadyThere, Opened
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.delivery.rate_limits import Place
from notification_service.delivery.settlements import Retry, Settlement


@dataclass(slots=True)
class Job:
    """The work on one message for one notification, under an owner token that is never used again."""

    notification_id: str
    notification: Notification
    inbound: InboundMessage
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    lease: Lease | None = None
    """None where Redis was unavailable: the ledger's entry is then the only claim."""
    resends: int = 0
    """With this one, those that may have gone out; 0 where nothing was in doubt."""
    held_by: str | None = None
    """The relay that may have the message already, where this is known and it is sent again."""
    relay: str | None = None
    """The relay that gets the content now, where there are several."""
    lost: Attempt | None = None
    """What an earlier worker did not live to record: it was sending by this relay."""
    settled: Mapping[str, str] = field(default_factory=dict)
    """The devices that need no further attempt, with what theirs came to."""
    opening: bool = False
    """Its intent is being written, or may still be."""
    sending: bool = False
    """From the sending mark to a clear reply: the message may have been sent."""
    marked: bool = False
    """The ledger's entry may have a sending mark."""
    seen_at: float = field(default_factory=time.monotonic)
    """When the ledger last confirmed that the entry is ours (monotonic clock)."""
    recipient: str | None = None
    address_digest: str = ""
    """Of the recipient, keyed; empty where suppression is off or its list could not be read."""
    device_digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The keyed digest of each device's token, by the digest that names the device in the record."""
    remarks: tuple[Remark, ...] = ()
    """What an operator should know of the event and its message, such as a link that was left out."""
    message: OutgoingMessage | None = field(default=None, repr=False)
    further: bool = False
    """A later message about a booking, beside the first of its kind."""
    places: tuple[Place, ...] = ()
    """What it took at the rate limits and gives back where nothing was sent."""
    relevance: Relevance | None = None
    looked_at: float = 0.0
    """When its relevance was last checked (monotonic clock)."""
    has_siblings: bool = False
    """Whether there may be other messages of its kind about its booking."""
    ready_at: datetime | None = None
    """When its message was first handed to the channel."""
    assignment: Assignment | None = None
    """Its variant in a test; that of its entry, once there is one."""
    shadow: ShadowResult | None = None

    @property
    def variant(self) -> Variant | None:
        """The variant that is sent; None where it has no part in a test."""
        return self.assignment.sent_variant if self.assignment else None

    @property
    def duration_ms(self) -> float:
        return round((time.monotonic() - self.started) * 1000, 1)


@dataclass(frozen=True, slots=True)
class SeparateNotification:
    """The event says something new: it gets a notification of its own, beside that of its fact."""


JobResult = Settlement | SeparateNotification
E = TypeVar("E", bound=JobResult)


class Jobs:
    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def run(self, notification_id: str, work: Callable[[], Awaitable[E]]) -> E | Retry:
        """Do the work after any running job for the notification, or return that job's `Retry`."""
        while running := self._running.get(notification_id):
            settlement = await asyncio.shield(running)
            # Whoever runs it may not have learnt yet that it has ended, and an ended one is not waited for: without
            # this, the loop would never turn again.
            self._forget(notification_id, running)
            if isinstance(settlement, Retry):
                return settlement
        task = asyncio.ensure_future(work())
        self._running[notification_id] = task
        try:
            return await task
        finally:
            self._forget(notification_id, task)

    def _forget(self, notification_id: str, task: asyncio.Task[Any]) -> None:
        if self._running.get(notification_id) is task:
            del self._running[notification_id]


def is_of_another_event(job: Job, found: Opened | AlreadyThere) -> bool:
    """Whether the entry was created for, or last taken over by, another event than the job's."""
    return isinstance(found, AlreadyThere) and found.entry.event_id != job.notification.event_id
