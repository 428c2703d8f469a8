"""In-memory rate limits: the twin of `stores/redis/rates.py`."""

import time
from collections.abc import Callable, Sequence

from notification_service.delivery.rate_limits import Bucket, RateLimits, Reservation


class MemoryRates:
    def __init__(self, rate_limits: RateLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_limits = rate_limits or RateLimits()
        self._clock = clock
        self._empty: dict[str, float] = {}

    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        reservation, places = Reservation(), dict[str, float]()
        for limit in self._rate_limits.of(address, ticket=ticket, taken=taken):
            seconds, key, empty = self._best(limit.buckets)
            places[key] = empty
            if seconds:
                reservation = Reservation(seconds, limit.setting)
                break
        if not (only_now and reservation.seconds):
            self._empty |= places
        return reservation

    def _best(self, buckets: Sequence[Bucket]) -> tuple[float, str, float]:
        """Returns the shortest wait in seconds, its bucket, and when that bucket would be empty again."""
        now = self._clock()
        then_empty = [max(self._empty.get(bucket.key, now), now) + bucket.interval for bucket in buckets]
        waits = [max(empty - now - bucket.window, 0) for empty, bucket in zip(then_empty, buckets, strict=True)]
        chosen = waits.index(min(waits))
        return round(waits[chosen], 3), buckets[chosen].key, then_empty[chosen]
