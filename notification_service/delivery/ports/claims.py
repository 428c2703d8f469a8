"""What the delivery needs from the claims in Redis: who works on a notification now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from notification_service.contract.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Granted:
    """The notification is ours. `fresh`: the store knew nothing of it, which is either true or a lost memory.

    `before`: whose lapsed claim it was. `certain`: the store has lost no write since that claim was made, so its
    owner had not begun to send.
    """

    fresh: bool
    before: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """Another owner works on it; its lease ends in `seconds` unless it is renewed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class InterruptedSend:
    """An owner was lost after it had begun to send. The notification is ours now, under the unknown policy.

    `again`: that owner was itself resending, so the policy's one more mail is used up. `certain`: the store has lost
    no write since that claim was made, so without `again` nobody has resent.
    """

    again: bool = False
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Decided:
    outcome: Outcome


ClaimAnswer = Granted | Held | InterruptedSend | Decided


class Fence(Enum):
    """Whether a claim still stood when its owner acted on it."""

    HELD = auto()
    LOST = auto()
    NO_ENTRY = auto()
    """The ledger has none of this notification: the database refused it, or a person removed it."""
    HELD_HERE = auto()
    """It stands, but another server made it, and may still serve it to others, who would see nothing of this."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """What a job that holds a claim knows of it. `again`: what it sends is the policy's one more mail."""

    owner: str
    sending: bool = False
    again: bool = False


class Claims(Protocol):
    """Every method raises `StoreUnavailableError`. `owner` is a token of one job, never reused."""

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        """`reopen`: it is wanted again, so a verdict that may be reopened is none any more."""

    async def mark_sending(
        self, notification_id: str, owner: str, *, again: bool = False, create_if_missing: bool = False
    ) -> Fence:
        """From here on, whoever finds the claim without its owner has to doubt whether the mail went out.

        `again`: this is the policy's one more mail, also where the store forgot the first.
        `create_if_missing`: where nobody holds the notification, claim it; without that, a claim that is gone is lost,
        since another worker may have taken it and let it go in the meantime. HELD_HERE where the claim was made at a
        server that this one is not.
        """

    async def unmark(self, notification_id: str, owner: str) -> None:
        """The server has said that nothing went out, and the same owner will try again: take `mark_sending` back."""

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence: ...
    async def release(self, notification_id: str, owner: str) -> Fence:
        """Nothing went out: whoever comes next may start again."""

    async def renew(self, held: Mapping[str, "Tenure"]) -> Collection[str]:
        """Push the leases of these notifications out; the ids of those that still stood.

        A sending marker that the store has lost meanwhile is set again; a claim never becomes more certain by this.
        """

    async def begin(self, inbound: str) -> int:
        """A delivery that may kill its worker starts once more; how many of its starts before have not ended."""

    async def end(self, inbound: str, *, forget: bool = False) -> None:
        """A start of it has ended; `forget`: and so have all others."""


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What the claims know, for an auditor. `alive`: a worker holds it now. `decided`: the outcome of its verdict."""

    alive: bool = False
    decided: str | None = None
