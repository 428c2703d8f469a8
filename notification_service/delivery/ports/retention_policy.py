"""How long records are kept, and what retention needs from their store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from notification_service.delivery.ports.ledger import Record


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """How many records were changed. `left`: the ids of records that could not be changed, each with the reason."""

    count: int = 0
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Ages in days. `full`: when personal data is removed. `whole`: when the record is removed. 0: never."""

    full: float
    whole: float

    @property
    def enabled(self) -> bool:
        return bool(self.full or self.whole)

    def stripped_before(self, now: datetime) -> datetime | None:
        return now - timedelta(days=self.full) if self.full else None

    def removed_before(self, now: datetime) -> datetime | None:
        return now - timedelta(days=self.whole) if self.whole else None


class RecordRetention(Protocol):
    """Removes old records, in two steps. Every method raises `StoreUnavailableError`.

    A record that has changed since it was read is left unchanged.
    """

    def created_between(self, after: datetime | None, before: datetime) -> AsyncIterator[Sequence[Record]]:
        """The service's records of closed notifications, the oldest first, in batches."""

    async def undated(self) -> Sequence[str]:
        """The ids of some of the service's records without a creation time."""

    async def strip(self, records: Sequence[Record], at: datetime) -> ChangeResult: ...
    async def remove(self, records: Sequence[Record]) -> ChangeResult: ...
    async def forget_facts(self, before: datetime) -> int: ...
