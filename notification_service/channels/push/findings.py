"""What one device's service says of one message."""

from dataclasses import dataclass
from enum import Enum


class Finding(Enum):
    """The value is the `Attempt.result`."""

    ACCEPTED = "accepted"
    DEAD = "refused"
    """The token is gone for good."""
    FOREIGN = "unproven"
    """The token is not of our app, or our credential is not of the token's: true of the token only where another one
    was accepted under the same credential."""
    UNSENDABLE = "unsendable"
    """The request itself is refused, for a reason that an operator can mend."""
    DEFERRED = "deferred"
    UNAVAILABLE = "unavailable"
    IN_DOUBT = "in_doubt"
    FENCE_LOST = "fence_lost"


@dataclass(frozen=True, slots=True)
class Said:
    """`code`: the HTTP status. `reason`: the service's own word. `hint`: what an operator can do.

    `serves_others`: the service is unavailable for some devices alone, such as those of another platform.
    """

    finding: Finding
    reason: str
    code: int | None = None
    wait: float | None = None
    hint: str = ""
    serves_others: bool = False
