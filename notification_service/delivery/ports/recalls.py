"""What a recall of bounced notifications needs from the records."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.delivery.ports.ledger import Record


@dataclass(frozen=True, slots=True)
class Order:
    """An order to publish again the events that bounced with this fingerprint since then. `opening`: its unique id."""

    fingerprint: str
    since: datetime
    opening: str


class Recalls(Protocol):
    """Every method raises `StoreUnavailableError`, and may be repeated after it."""

    async def order(self, order: Order) -> None:
        """Store an order. A second order for its fingerprint is merged into it, with the earlier `since`."""

    async def orders(self) -> Sequence[Order]:
        """The orders that are not yet carried out."""

    async def carried_out(self, order: Order) -> None: ...

    def bounced_by(self, fingerprint: str, since: datetime) -> AsyncIterator[Sequence[Record]]:
        """The records that bounced with this fingerprint, with their events, in batches."""
