"""Sweeps old records: first removes their personal data, later the whole record."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog

from notification_service.delivery.ports.retention_policy import ChangeResult, RecordRetention, RetentionPolicy
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_INTERVAL_S = 3600.0
_PAUSE_S = 0.2
"""Between two batches, so that the delivery of events is not slowed down."""

_FULL_SWEEP_EVERY = 24
"""One sweep in so many reads all old records again, as those that were open at the last one may be closed now."""

_MAX_LOGGED = 20
"""How many records that could not be changed one sweep logs by their id; the rest are counted."""

_UNDATED = "its created_at is not a date, so its age is unknown"


@dataclass(slots=True)
class SweepResult:
    """The numbers of changed records. `left`: records that could not be changed."""

    stripped: int = 0
    removed: int = 0
    facts: int = 0
    left: int = 0

    def leave(self, records: Mapping[str, str]) -> None:
        """Count and log records that could not be changed, with the reason."""
        for notification_id, problem in islice(records.items(), max(_MAX_LOGGED - self.left, 0)):
            log.warning("retention.left", notification_id=notification_id, problem=problem)
        self.left += len(records)


class Sweeper:
    """Several workers may sweep at once: a record is changed only if it is still as it was read."""

    def __init__(
        self,
        records: RecordRetention,
        policy: RetentionPolicy,
        *,
        pause_s: float = _PAUSE_S,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._records = records
        self._policy = policy
        self._pause_s = pause_s
        self._interval_s = interval_s
        self._stripped_up_to: datetime | None = None
        self._sweeps = 0

    async def forever(self) -> None:
        """Sweep once per interval. A failed sweep is logged, and the next one follows."""
        while self._policy.enabled:
            try:
                result = await self.sweep(datetime.now(UTC))
            except StoreUnavailableError as problem:
                log.warning("retention.failed", problem=str(problem))
            except Exception as problem:
                log.exception("retention.failed", problem=type(problem).__name__)
            else:
                log.info(
                    "retention.swept",
                    stripped=result.stripped,
                    removed=result.removed,
                    facts=result.facts,
                    left=result.left,
                )
            await asyncio.sleep(self._interval_s)

    async def sweep(self, now: datetime, *, dry: bool = False) -> SweepResult:
        """Raises `StoreUnavailableError`. `dry`: count, and change nothing."""
        result = SweepResult()
        is_full_sweep = self._sweeps % _FULL_SWEEP_EVERY == 0
        oldest = self._policy.removed_before(now)
        if is_full_sweep and self._policy.enabled:
            result.leave(dict.fromkeys(await self._records.undated(), _UNDATED))
        if oldest:
            await self._remove(oldest, result, dry=dry)
        if before := self._policy.stripped_before(now):
            if is_full_sweep:
                self._stripped_up_to = oldest
            await self._strip(before, now, result, dry=dry)
        self._sweeps += 1
        return result

    async def _remove(self, oldest: datetime, result: SweepResult, *, dry: bool) -> None:
        async for batch in self._records.created_between(None, oldest):
            changed = ChangeResult(len(batch)) if dry else await self._records.remove(batch)
            result.removed += changed.count
            result.leave(changed.left)
            await asyncio.sleep(self._pause_s)
        result.facts = 0 if dry else await self._records.forget_facts(oldest)

    async def _strip(self, before: datetime, now: datetime, result: SweepResult, *, dry: bool) -> None:
        async for batch in self._records.created_between(self._stripped_up_to, before):
            full = [record for record in batch if "stripped_at" not in record]
            changed = ChangeResult(len(full)) if dry else await self._records.strip(full, now)
            result.stripped += changed.count
            result.leave(changed.left)
            created_at = batch[-1]["created_at"]
            if isinstance(created_at, datetime):
                self._stripped_up_to = created_at
            await asyncio.sleep(self._pause_s)
