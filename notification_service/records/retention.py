"""How long a record is kept in full, then without what it says of a person, then not at all."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog

from notification_service.delivery.ports.retention import ChangeResult, RecordRetention, RetentionPolicy
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_EVERY = 3600.0
_PAUSE = 0.2
"""Seconds between two batches: the events that come meanwhile go first."""

_ALL_AGAIN = 24
"""One sweep in so many looks at all that is old: what was under way when it was passed over is closed by then."""

_MAX_SAID = 20
"""Records of one sweep that the log names; the rest are counted."""

_UNDATED = "its created_at is no date, so nobody knows how old it is"


@dataclass(slots=True)
class SweepResult:
    """`left`: records that should have been changed and could not be."""

    stripped: int = 0
    removed: int = 0
    facts: int = 0
    left: int = 0

    def leave(self, records: Mapping[str, str]) -> None:
        """Say which, and why."""
        for notification_id, problem in islice(records.items(), max(_MAX_SAID - self.left, 0)):
            log.warning("retention.left", notification_id=notification_id, problem=problem)
        self.left += len(records)


class Sweeper:
    """Any number of workers may sweep at once: each change is made to a record as it was read, or not at all."""

    def __init__(
        self, keeping: RecordRetention, ages: RetentionPolicy, *, pause: float = _PAUSE, every: float = _EVERY
    ) -> None:
        self._keeping = keeping
        self._ages = ages
        self._pause = pause
        self._every = every
        self._stripped_up_to: datetime | None = None
        self._sweeps = 0

    async def forever(self) -> None:
        """Whatever a sweep meets, the service goes on, and the next sweep comes."""
        while self._ages.given:
            try:
                swept = await self.sweep(datetime.now(UTC))
            except StoreUnavailableError as problem:
                log.warning("retention.failed", problem=str(problem))
            except Exception as problem:
                log.exception("retention.failed", problem=type(problem).__name__)
            else:
                log.info(
                    "retention.swept",
                    stripped=swept.stripped,
                    removed=swept.removed,
                    facts=swept.facts,
                    left=swept.left,
                )
            await asyncio.sleep(self._every)

    async def sweep(self, now: datetime, *, dry: bool = False) -> SweepResult:
        """Raises `StoreUnavailableError`. `dry`: count, and change nothing."""
        swept = SweepResult()
        again = self._sweeps % _ALL_AGAIN == 0
        oldest = self._ages.removed_before(now)
        if again and self._ages.given:
            swept.leave(dict.fromkeys(await self._keeping.undated(), _UNDATED))
        if oldest:
            await self._remove(oldest, swept, dry=dry)
        if before := self._ages.stripped_before(now):
            if again:
                self._stripped_up_to = oldest
            await self._strip(before, now, swept, dry=dry)
        self._sweeps += 1
        return swept

    async def _remove(self, oldest: datetime, swept: SweepResult, *, dry: bool) -> None:
        async for batch in self._keeping.made_between(None, oldest):
            changed = ChangeResult(len(batch)) if dry else await self._keeping.remove(batch)
            swept.removed += changed.count
            swept.leave(changed.left)
            await asyncio.sleep(self._pause)
        swept.facts = 0 if dry else await self._keeping.forget_facts(oldest)

    async def _strip(self, before: datetime, now: datetime, swept: SweepResult, *, dry: bool) -> None:
        async for batch in self._keeping.made_between(self._stripped_up_to, before):
            full = [record for record in batch if "stripped_at" not in record]
            changed = ChangeResult(len(full)) if dry else await self._keeping.strip(full, now)
            swept.stripped += changed.count
            swept.leave(changed.left)
            made = batch[-1]["created_at"]
            if isinstance(made, datetime):
                self._stripped_up_to = made
            await asyncio.sleep(self._pause)
