"""What the delivery needs from the claims in Redis: who works on a notification now."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from notification_service.contract.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Claimed:
    """The notification is ours. `fresh`: there was no claim, or the store has lost it.

    `before`: the owner whose claim lapsed. `certain`: the store has lost no write since that claim was made, so that
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
    """An owner was lost after it had begun to send. The notification is ours now; the unknown policy decides.

    `again`: that owner was already resending, so no further resend is allowed. `certain`: the store has lost no write
    since that claim was made, so without `again` nobody has resent. `relay`: the one that may have the message, where
    there are several.
    """

    again: bool = False
    certain: bool = True
    relay: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The notification has an outcome."""

    outcome: Outcome


ClaimAnswer = Claimed | Held | InterruptedSend | Decided


class Fence(Enum):
    """Whether a claim still stood when its owner acted on it."""

    HELD = auto()
    LOST = auto()
    NO_ENTRY = auto()
    """The ledger has no entry of this notification: the database refused it, or a person removed it."""
    HELD_HERE = auto()
    """It stands here, but was made at another Redis server, which others may still ask."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """What a renewal writes: the owner, whether it is sending and by which relay, and if that is a resend (`again`)."""

    owner: str
    sending: bool = False
    again: bool = False
    relay: str | None = None


class Claims(Protocol):
    """Every method raises `StoreUnavailableError`. `owner` is a token of one job, never reused."""

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        """Claim a notification. `reopen`: also where its outcome may be reopened."""

    async def mark_sending(
        self,
        notification_id: str,
        owner: str,
        *,
        again: bool = False,
        create_if_missing: bool = False,
        relay: str | None = None,
    ) -> Fence:
        """Mark that sending begins: whoever finds the claim without its owner has to assume a doubt.

        `again`: this is a resend, also where the store has lost the mark of the first. `create_if_missing`: create the
        claim if it is absent. Otherwise an absent claim is LOST, since another worker may have taken and released it.
        `relay`: by which one it is sent, where there are several.
        """

    async def unmark(self, notification_id: str, owner: str) -> None:
        """Undo `mark_sending`: the provider said that nothing was sent, and the same owner tries again."""

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence:
        """Replace the claim by the outcome, if it is still the owner's."""

    async def release(self, notification_id: str, owner: str) -> Fence:
        """Remove the claim: nothing was sent, and the next worker may start again."""

    async def renew(self, held: Mapping[str, "Tenure"]) -> Collection[str]:
        """Renew the leases, and return the ids of the notifications whose claims still stood.

        A sending mark that the store has lost is set again. A renewal does not make a claim `certain`.
        """

    async def begin(self, key: str) -> int:
        """Count a start of a redelivered message, and return how many earlier ones have not ended."""

    async def end(self, key: str, *, forget: bool = False) -> None:
        """Note that a start has ended. `forget`: set the count to 0."""


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """For the audit: `alive`: a worker holds the claim now. `decided`: the outcome of the verdict, if there is one."""

    alive: bool = False
    decided: str | None = None
