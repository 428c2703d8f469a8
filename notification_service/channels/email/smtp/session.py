"""One connection that is logged in, and the ride on it that a mail may get before its turn."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from notification_service.channels.email.smtp.wire import Reply, Wire

ACCEPTED = 250


@dataclass(slots=True, eq=False)
class Session:
    """It returns to the pool only if its user called `keep`. `offered`: the server's extensions, in lower case."""

    name: str
    wire: Wire
    offered: Collection[str]
    opened: float
    used: float
    mails: int = 0
    reused: bool = False
    kept: bool = False
    spoiled: bool = False
    """It ends because replies and commands no longer belong together; a login that replaces it may have to wait."""
    close_reason: str = "the conversation was broken off"
    """Logged where the session is not kept."""

    def keep(self) -> None:
        """Mark the session as reusable: the last reply was clean, and the server waits for the next MAIL."""
        self.kept = True

    def spoil(self, reason: str) -> None:
        """Mark the session as not to be used again."""
        self.kept, self.spoiled, self.close_reason = False, True, reason


@dataclass(frozen=True, slots=True, eq=False)
class Ride:
    """A session on which MAIL and RCPT were written behind the content of another mail, of `size` bytes.

    `previous`: the reply to that content, which comes first. `replies`: those to MAIL and RCPT. `by_chunk`: the content
    went out by BDAT; where that is refused, the server may read it as commands, and no reply behind it can be trusted.
    """

    session: Session
    previous: asyncio.Future[Reply]
    replies: tuple[asyncio.Future[Reply], ...]
    by_chunk: bool
    size: int = 0

    @property
    def previous_answered(self) -> bool:
        previous = self.previous
        return previous.done() and not previous.cancelled() and previous.exception() is None

    @property
    def previous_accepted(self) -> bool:
        return self.previous_answered and self.previous.result().code == ACCEPTED


@dataclass(slots=True)
class Seat:
    """A mail's place on a session: the session is its own, or `ride` says whose content goes before it.

    `handed_on`: another mail rides on, so the session is no longer this mail's to keep or to end.
    """

    session: Session
    ride: Ride | None = None
    handed_on: bool = False
