"""Reads claims and verdicts for `reconcile`; changes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from notification_service.delivery.ports.claims import ClaimStatus
from notification_service.stores.redis.client import RedisClient, translate_errors

_PREFIX = "notification:"
_BATCH_SIZE = 500

# A key with our prefix that is not a hash is skipped.
_READ = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local found = {}
for i, key in ipairs(KEYS) do
  local held = redis.pcall('HMGET', key, 'state', 'until', 'verdict')
  if held.err then held = {} end
  local decided = held[1] == 'decided'
  local alive = held[1] and not decided and (tonumber(held[2]) or 0) > now
  found[i] = {alive and 1 or 0, decided and (held[3] or 'nothing') or ''}
end
return found
"""


class RedisClaimStates:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._read = redis.script(_READ)

    async def of(self, notification_ids: Sequence[str]) -> dict[str, ClaimStatus]:
        keys = [_PREFIX + each for each in notification_ids]
        # In a cluster, the keys are on several servers.
        groups = [[key] for key in keys] if self._redis.is_cluster else [keys]
        answers = await asyncio.gather(*(translate_errors(self._read(keys=group, args=[])) for group in groups))
        found = [answer for group in answers for answer in group]
        return {each: _status(*answer) for each, answer in zip(notification_ids, found, strict=True)}

    async def batches(self) -> AsyncIterator[list[str]]:
        """Yield the ids of all notifications that have a claim or a verdict."""
        found: list[str] = []
        keys = self._redis.scan_iter(match=f"{_PREFIX}*", count=_BATCH_SIZE)
        while (key := await translate_errors(anext(keys, None))) is not None:
            found.append(str(key).removeprefix(_PREFIX))
            if len(found) == _BATCH_SIZE:
                yield found
                found = []
        yield found


def _status(alive: int, verdict: str) -> ClaimStatus:
    return ClaimStatus(bool(alive), _outcome(verdict) if verdict else None)


def _outcome(verdict: str) -> str:
    """Returns the outcome, or the raw text of a verdict that cannot be parsed, which equals no outcome."""
    try:
        return str(json.loads(verdict)["outcome"])
    except (ValueError, KeyError, TypeError):
        return verdict[:40]
