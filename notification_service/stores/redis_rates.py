"""How many mails one address gets, over all workers: a bucket that empties evenly (the generic cell rate algorithm)."""

import hashlib

from notification_service.stores.redis import Client, answered

_PREFIX = "notification-rate:"

# The key holds the moment (ms of the server's own clock) at which the bucket is empty again.
_RESERVE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local window, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval
redis.call('SET', KEYS[1], empty, 'PX', math.ceil(empty - now))
return math.floor(math.max(empty - now - window, 0))
"""


class RedisRates:
    """`most` mails to one address in `seconds`; what is beyond gets a time of its own, one after the other."""

    def __init__(self, redis: Client, *, most: int, seconds: float) -> None:
        self._window_ms = seconds * 1000
        self._interval_ms = self._window_ms / most
        self._reserve = redis.script(_RESERVE)

    async def reserve(self, address: str) -> float:
        # No key shows an address, and a mailbox is the same in capitals.
        key = _PREFIX + hashlib.sha256(address.lower().encode()).hexdigest()[:32]
        return float(await answered(self._reserve(keys=[key], args=[self._window_ms, self._interval_ms]))) / 1000
