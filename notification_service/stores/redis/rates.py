"""Rate limits in Redis (or Valkey), shared by all workers."""

from collections.abc import Iterable, Sequence

from notification_service.delivery.rate_limits import QUOTAS, Bucket, Place, RateLimits, Reservation
from notification_service.stores.redis.client import RedisClient, translate_errors

_PREFIX = "notification-rate:"
_IN_A_CLUSTER = "notification-rate{limits}:"
"""One message takes places at several limits in one step, so that in a cluster they are all of one slot."""

# Each key holds the time (ms of the server's own clock) at which its bucket is empty again. ARGV: 1 to reserve only a
# place that is free now; then for each limit the number of its buckets, and for each bucket its window and interval in
# ms. The script stops at the first limit that has no place now. It returns the wait, how many limits it has asked, and
# for each of these the index of the chosen bucket, and when that is empty again.
_RESERVE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local only_now, key, at, limit, wait, places, taken = ARGV[1] == '1', 0, 2, 0, 0, {}, {}
while wait == 0 and at <= #ARGV do
  local buckets, best, chosen, empty = tonumber(ARGV[at]), nil, nil, nil
  limit = limit + 1
  at = at + 1
  for _ = 1, buckets do
    key = key + 1
    local ahead, interval = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    at = at + 2
    local then_empty = math.max(tonumber(redis.call('GET', KEYS[key]) or 0), now) + interval
    local delay = math.max(then_empty - now - ahead, 0)
    if not best or delay < best then best, chosen, empty = delay, key, then_empty end
  end
  places[chosen] = empty
  table.insert(taken, chosen)
  table.insert(taken, math.ceil(empty))
  wait = best
end
if only_now and wait > 0 then places = {} end
for chosen, empty in pairs(places) do redis.call('SET', KEYS[chosen], empty, 'PX', math.ceil(empty - now)) end
return {math.ceil(wait), limit, unpack(taken)}
"""

# ARGV: for each bucket, when the place that is given back had it empty, and its interval, in ms.
_GIVE_BACK = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for key, name in ipairs(KEYS) do
  local left = math.min(tonumber(ARGV[2 * key]), tonumber(ARGV[2 * key - 1]) - now)
  local empty = tonumber(redis.call('GET', name) or 0) - math.max(left, 0)
  if empty > now then redis.call('SET', name, empty, 'PX', math.ceil(empty - now)) else redis.call('DEL', name) end
end
"""


class RedisRates:
    """Messages beyond a limit get consecutive times."""

    def __init__(self, redis: RedisClient, rate_limits: RateLimits) -> None:
        self._rate_limits = rate_limits
        self._prefix = _IN_A_CLUSTER if redis.is_cluster else _PREFIX
        self._reserve = redis.script(_RESERVE)
        self._give_back = redis.script(_GIVE_BACK)

    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        limits = self._rate_limits.of(address, ticket=ticket, taken=taken)
        if not limits:
            return Reservation()
        buckets = [bucket for limit in limits for bucket in limit.buckets]
        args: list[float] = [int(only_now)]
        for limit in limits:
            args.append(len(limit.buckets))
            for bucket in limit.buckets:
                args += (bucket.window * 1000, bucket.interval * 1000)
        wait, asked, *reserved = await translate_errors(self._reserve(keys=self._keys(buckets), args=args))
        if wait and only_now:
            return Reservation(wait / 1000, limits[asked - 1].setting)
        pairs = zip(reserved[::2], reserved[1::2], strict=True)
        places = (Place(buckets[chosen - 1], empty / 1000) for chosen, empty in pairs)
        quotas = tuple(place for limit, place in zip(limits, places, strict=False) if limit.setting in QUOTAS)
        return Reservation(wait / 1000, limits[asked - 1].setting if wait else "", quotas)

    async def give_back(self, places: Sequence[Place]) -> None:
        args = [ms for place in places for ms in (place.empty_at * 1000, place.bucket.interval * 1000)]
        await translate_errors(self._give_back(keys=self._keys(place.bucket for place in places), args=args))

    def _keys(self, buckets: Iterable[Bucket]) -> list[str]:
        return [f"{self._prefix}{bucket.key}" for bucket in buckets]
