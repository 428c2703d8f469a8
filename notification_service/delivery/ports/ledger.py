"""What the delivery needs from the ledger, which holds one entry for each notification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from notification_service.contract.outcomes import Outcome
from notification_service.contract.variants import Assignment
from notification_service.delivery.ports.channel import Attempt, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.foundation.address_digests import stand_in

Record = Mapping[str, Any]
"""A record of the ledger as MongoDB holds it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """The entry as it is first written, before anything is handed to a provider."""

    notification_id: str
    owner: str
    event_id: str
    event_type: str
    channel: str
    template: str | None
    template_digest: str | None
    recipient: str
    created_at: datetime
    booking_id: str | None
    message_id: str | None
    fact: str
    event_data: Mapping[str, Any]
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What decisions read of a record. `outcome` is None while it is pending or waiting."""

    notification_id: str
    outcome: Outcome | None
    waiting: bool
    resends: int
    """Those that were begun because a message may have gone out before."""
    event_ids: tuple[str, ...]
    created_at: datetime
    owner: str = ""
    replays: tuple[str, ...] = ()
    """The tokens of the replays that were granted."""
    recipient: str = ""
    """In full or masked, as records are configured; empty where there is none."""
    sending: bool = False
    """Its owner has begun to send, and the claim in Redis was no sufficient fence."""
    event_id: str = field(default="", compare=False)
    """The event that the message is about: of several, the last that took the entry over."""
    later: tuple[str, ...] = field(default=(), compare=False)
    """The ids of later notifications about its booking, which have entries of their own."""
    erased: bool = field(default=False, compare=False)
    """Its person was erased: nothing that is added to it may contain an address."""
    sending_by: str | None = field(default=None, compare=False)
    """By which relay, where there are several."""
    held_by: str | None = field(default=None, compare=False)
    """The relay of the last attempt that ended in doubt; None where no attempt says."""
    settled: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What the attempts for single devices came to, by the digest of the token: `accepted` or `refused`."""
    assignment: Assignment | None = field(default=None, compare=False)
    """The variant of its message; None where it has no part in a test."""
    reported: bool = field(default=False, compare=False)
    """The provider has told what became of its message, so it took it. Not where the record had ended since."""

    @property
    def possible_duplicate(self) -> bool:
        return self.resends > 0

    def knows(self, event_id: str) -> bool:
        return event_id in self.event_ids or (self.erased and stand_in(event_id) in self.event_ids)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The event of an entry, and its outcome, which is None while it is open."""

    notification_id: str
    event_type: str
    data: Mapping[str, Any] = field(repr=False)
    outcome: Outcome | None
    waiting: bool
    updated_at: datetime
    created_at: datetime
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paid:
    """A booking was paid. `at`: the latest timestamp of its payments' events, where they have one."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The intent was written; the entry is ours."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """There was an entry before."""

    entry: Entry


class Ledger(Protocol):
    """Every method raises `StoreUnavailableError`, and may be repeated after it: all writes are idempotent."""

    async def open(self, intent: Intent) -> Opened | AlreadyThere:
        """Write the intent, unless there is an entry."""

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        """The events and outcomes of those entries that exist, in the order of `notification_ids`."""

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        resends: int,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
        lost: Attempt | None = None,
    ) -> Fence:
        """Reopen the entry for this event under a new `owner`, the only one whose `close` is then accepted.

        `resends`: with the one that begins; 0 leaves those that were. `seen`, `sending`: the owner and the sending
        mark that were read; the result is `Fence.LOST` where either has changed since. `was`: the outcome that is
        appended to the history. `replay`: the token that this grants. `intent`: replaces the entry's own where that is
        of another event. `lost`: an attempt that its owner did not live to record. A closed entry is left alone unless
        its outcome may be reopened.
        """

    async def close(
        self,
        notification_id: str,
        owner: str | None,
        outcome: Outcome,
        *,
        at: datetime,
        recipient: str | None = None,
        remarks: Sequence[str] = (),
        message: OutgoingMessage | None = None,
        attempt: Attempt | None = None,
        shadow: ShadowResult | None = None,
    ) -> Fence:
        """Write the outcome, once. Without `owner`, whoever owns the entry: a repair from the verdict in Redis."""

    async def postpone(
        self,
        notification_id: str,
        owner: str,
        *,
        at: datetime,
        due_at: datetime,
        reason: str,
        attempt: Attempt | None,
    ) -> None:
        """Note that nothing was sent, and that the notification waits until `due_at`."""

    async def mark_sending(self, notification_id: str, owner: str, relay: str | None = None) -> Fence:
        """Mark a pending entry that is still the owner's as being sent: the fence where Redis alone is not enough.

        Whoever takes over a marked entry has to assume that the message may have been sent. `relay`: by which one,
        where there are several.
        """

    async def unmark(self, notification_id: str, owner: str) -> None:
        """Undo `mark_sending`: the provider said that nothing was sent, and the same owner tries again."""

    async def note_fallback(self, notification_id: str, owner: str, template_digest: str) -> None:
        """Note in a pending entry that is the owner's that its control is sent instead of its variant."""

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        """Add an attempt that broke after DATA began; the entry stays pending."""

    async def note_event(self, notification_id: str, event_id: str) -> None:
        """Add an event that reported the same fact."""

    async def note_later(self, notification_id: str, later: str) -> None:
        """Note that a later notification about the same booking gets the entry `later`."""

    async def first_report(self, fact: str, report: str) -> str:
        """The first report of this fact: `report`, or one that was noted before it."""

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        """Note that the booking was paid; the latest time is kept."""

    async def paid(self, booking_id: str) -> Paid | None: ...
