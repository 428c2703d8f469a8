"""How long a record is kept in full, then without what it says of a person, then not at all."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog

from notification_service.outcomes import StoreUnavailableError

log = structlog.get_logger(__name__)

_EVERY = 3600.0
_PAUSE = 0.2
"""Seconds between two batches: the events that come meanwhile go first."""

_ALL_AGAIN = 24
"""One sweep in so many looks at all that is old: what was under way when it was passed over is closed by then."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ages:
    """Days since the record was made; 0: never."""

    full: float
    whole: float

    @property
    def given(self) -> bool:
        return bool(self.full or self.whole)

    def stripped_before(self, now: datetime) -> datetime | None:
        return now - timedelta(days=self.full) if self.full else None

    def removed_before(self, now: datetime) -> datetime | None:
        return now - timedelta(days=self.whole) if self.whole else None


class Keeping(Protocol):
    """The records as something that grows old. Every method raises `StoreUnavailableError`.

    A record that was changed since it was read is left as it is.
    """

    def made_between(self, after: datetime | None, before: datetime) -> AsyncIterator[Sequence[Record]]:
        """Our records whose notification is closed, the oldest first, a batch at a time."""

    async def strip(self, records: Sequence[Record], at: datetime) -> int: ...
    async def remove(self, records: Sequence[Record]) -> int: ...
    async def forget_facts(self, before: datetime) -> int: ...


@dataclass(slots=True)
class Swept:
    stripped: int = 0
    removed: int = 0
    facts: int = 0


class Sweeper:
    """Any number of workers may sweep at once: each change is made to a record as it was read, or not at all."""

    def __init__(self, keeping: Keeping, ages: Ages, *, pause: float = _PAUSE) -> None:
        self._keeping = keeping
        self._ages = ages
        self._pause = pause
        self._stripped_up_to: datetime | None = None
        self._sweeps = 0

    async def forever(self) -> None:
        while self._ages.given:
            try:
                swept = await self.sweep(datetime.now(UTC))
            except StoreUnavailableError as problem:
                log.warning("retention.failed", problem=str(problem))
            else:
                log.info("retention.swept", stripped=swept.stripped, removed=swept.removed, facts=swept.facts)
            await asyncio.sleep(_EVERY)

    async def sweep(self, now: datetime, *, dry: bool = False) -> Swept:
        """Raises `StoreUnavailableError`. `dry`: count, and change nothing."""
        swept = Swept()
        if oldest := self._ages.removed_before(now):
            async for batch in self._keeping.made_between(None, oldest):
                swept.removed += len(batch) if dry else await self._keeping.remove(batch)
                await asyncio.sleep(self._pause)
            swept.facts = 0 if dry else await self._keeping.forget_facts(oldest)
        if before := self._ages.stripped_before(now):
            if self._sweeps % _ALL_AGAIN == 0:
                self._stripped_up_to = oldest
            async for batch in self._keeping.made_between(self._stripped_up_to, before):
                full = [record for record in batch if "stripped_at" not in record]
                swept.stripped += len(full) if dry else await self._keeping.strip(full, now)
                self._stripped_up_to = batch[-1]["created_at"]
                await asyncio.sleep(self._pause)
        self._sweeps += 1
        return swept
