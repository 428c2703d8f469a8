"""What the pipeline needs from the outside, named for the need. Adapters and in-memory twins implement it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from notification_service.contract.outcomes import Outcome
from notification_service.delivery.ports.channel import Attempt, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.address_digests import stand_in

Record = Mapping[str, Any]
"""A record of the ledger as MongoDB holds it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down before anything is handed to a provider."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger holds of a notification. `outcome` is None while it is pending or waiting."""

    notification_id: str
    outcome: Outcome | None
    waiting: bool
    possible_duplicate: bool
    event_ids: tuple[str, ...]
    created_at: datetime
    owner: str = ""
    replays: tuple[str, ...] = ()
    """The wishes to have it again that were granted already."""
    recipient: str = ""
    """As the record shows it, in full or masked; empty where it names nobody."""
    sending: bool = False
    """Its owner has begun to send, and could not rely on its claim to say so."""
    event_id: str = field(default="", compare=False)
    """The event whose mail it is: of several, the one that was taken up last."""
    later: tuple[str, ...] = field(default=(), compare=False)
    """The further mails about its booking, which have entries of their own."""
    erased: bool = field(default=False, compare=False)
    """Its person was erased: nothing that is noted of it may name an address."""

    def knows(self, event_id: str) -> bool:
        return event_id in self.event_ids or (self.erased and stand_in(event_id) in self.event_ids)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """What an entry keeps of its event, and what became of its mail: `outcome` is None while that is open."""

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
    """A booking was paid; `at`: when its payment's event says so last, where one does."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The intent is written, and it is ours."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """An entry stood there before."""

    entry: Entry


class Ledger(Protocol):
    """Every method raises `StoreUnavailableError`, and may be repeated after it: each write is idempotent."""

    async def open(self, intent: Intent) -> Opened | AlreadyThere: ...

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        """What the entries say that stand there, in the order of their ids."""

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        possible_duplicate: bool,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
    ) -> Fence:
        """Pending again, for this event, and `owner` is the one whose close is accepted; `was` goes into its history.

        `seen`, `sending`: whose it was and whether it was marked when it was looked at; it is lost if somebody else
        took it over, or its owner began to send, since. `replay`: the wish that this grants. `intent`: of this event,
        where the entry was another's: from now on it is of this one.

        An entry that is closed is left alone, unless it may be reopened.
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
    ) -> Fence:
        """Write the outcome, once. `owner` None: whoever owns it, to repair from a verdict."""

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
        """The notification waits on the retry ladder; nothing went out."""

    async def mark_sending(self, notification_id: str, owner: str) -> Fence:
        """The fence where the claim alone is none: the pending entry is still the owner's, and says that it sends.

        Whoever takes over an entry that is marked has to doubt whether the mail went out.
        """

    async def unmark(self, notification_id: str, owner: str) -> None:
        """The server has said that nothing went out, and the same owner will try again."""

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        """A conversation that broke after DATA began: the entry stays pending."""

    async def note_event(self, notification_id: str, event_id: str) -> None:
        """A further event reported the same fact."""

    async def note_later(self, notification_id: str, later: str) -> None:
        """A further mail about the booking of this entry will have an entry of its own, `later`."""

    async def first_report(self, fact: str, report: str) -> str:
        """The report that first stood for this fact: `report` itself, or one that came before it."""

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        """The booking was paid; of several moments the last stays."""

    async def paid(self, booking_id: str) -> Paid | None: ...
