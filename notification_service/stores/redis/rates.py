"""Rate limits in Redis (or Valkey), shared by all workers."""

from notification_service.delivery.rate_limits import RateLimits, Reservation
from notification_service.stores.redis.client import RedisClient, translate_errors

_PREFIX = "notification-rate:"

# Each key holds the time (ms of the server's own clock) at which its bucket is empty again. ARGV: 1 to reserve only a
# place that is free now; then for each limit the number of its buckets, and for each bucket its window and interval in
# ms. The script stops at the first limit that has no place now.
_RESERVE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local only_now, key, at, limit, wait, places = ARGV[1] == '1', 0, 2, 0, 0, {}
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
  wait = best
end
if only_now and wait > 0 then places = {} end
for chosen, empty in pairs(places) do redis.call('SET', KEYS[chosen], empty, 'PX', math.ceil(empty - now)) end
return {math.ceil(wait), wait > 0 and limit or 0}
"""


class RedisRates:
    """Messages beyond a limit get consecutive times."""

    def __init__(self, redis: RedisClient, rate_limits: RateLimits) -> None:
        self._rate_limits = rate_limits
        self._reserve = redis.script(_RESERVE)

    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        limits = self._rate_limits.of(address, ticket=ticket, taken=taken)
        if not limits:
            return Reservation()
        keys = [f"{_PREFIX}{bucket.key}" for limit in limits for bucket in limit.buckets]
        args: list[float] = [int(only_now)]
        for limit in limits:
            args.append(len(limit.buckets))
            for bucket in limit.buckets:
                args += (bucket.window * 1000, bucket.interval * 1000)
        wait, which = await translate_errors(self._reserve(keys=keys, args=args))
        return Reservation(float(wait) / 1000, limits[which - 1].setting) if which else Reservation()
