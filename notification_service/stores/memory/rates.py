"""In-memory rate limits: the twin of `stores/redis/rates.py`."""

import time
from collections.abc import Callable, Sequence

from notification_service.delivery.rate_limits import QUOTAS, Bucket, Place, RateLimits, Reservation


class MemoryRates:
    def __init__(self, rate_limits: RateLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_limits = rate_limits or RateLimits()
        self._clock = clock
        self._empty: dict[str, float] = {}

    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        seconds, waits_at, places, quotas = 0.0, "", list[Place](), list[Place]()
        for limit in self._rate_limits.of(address, ticket=ticket, taken=taken):
            seconds, place = self._best(limit.buckets)
            places.append(place)
            if limit.setting in QUOTAS:
                quotas.append(place)
            if seconds:
                waits_at = limit.setting
                break
        if only_now and seconds:
            return Reservation(seconds, waits_at)
        self._empty |= {place.bucket.key: place.empty_at for place in places}
        return Reservation(seconds, waits_at, tuple(quotas))

    async def give_back(self, places: Sequence[Place]) -> None:
        now = self._clock()
        for place in places:
            left = min(place.bucket.interval, place.empty_at - now)
            self._empty[place.bucket.key] = self._empty.get(place.bucket.key, now) - max(left, 0)

    def _best(self, buckets: Sequence[Bucket]) -> tuple[float, Place]:
        """Returns the shortest wait in seconds, and the place to take for it."""
        now = self._clock()
        then_empty = [max(self._empty.get(bucket.key, now), now) + bucket.interval for bucket in buckets]
        waits = [max(empty - now - bucket.window, 0) for empty, bucket in zip(then_empty, buckets, strict=True)]
        chosen = waits.index(min(waits))
        return round(waits[chosen], 3), Place(buckets[chosen], then_empty[chosen])
