"""What a recall of bounced mail needs from the records."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.delivery.ports.ledger import Record


@dataclass(frozen=True, slots=True)
class Order:
    """To publish again what bounced by this fingerprint since then. `opening`: which time that its words were ours."""

    fingerprint: str
    since: datetime
    opening: str


class Recalls(Protocol):
    """Orders, and what they are about. Every method raises `StoreUnavailableError`, and may be repeated after it."""

    async def order(self, order: Order) -> None:
        """One at a time for each fingerprint: a further one reaches as far back as either."""

    async def orders(self) -> Sequence[Order]:
        """Those that are not carried out."""

    async def carried_out(self, order: Order) -> None: ...

    def bounced_by(self, fingerprint: str, since: datetime) -> AsyncIterator[Sequence[Record]]:
        """The records, with their events, a batch at a time."""
