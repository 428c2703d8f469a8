"""In-memory rate limits: the twin of those in Redis."""

import time
from collections.abc import Callable, Sequence

from notification_service.delivery.rate_limits import Bucket, RateLimits, Reservation


class MemoryRates:
    def __init__(self, rate_limits: RateLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._quotas = rate_limits or RateLimits()
        self._clock = clock
        self._empty: dict[str, float] = {}

    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        turn, places = Reservation(), dict[str, float]()
        for limit in self._quotas.of(address, ticket=ticket, taken=taken):
            seconds, key, empty = self._best(limit.lanes)
            places[key] = empty
            if seconds:
                turn = Reservation(seconds, limit.setting)
                break
        if not (only_now and turn.seconds):
            self._empty |= places
        return turn

    def _best(self, lanes: Sequence[Bucket]) -> tuple[float, str, float]:
        """The shortest wait, the lane that has it, and when that lane would be empty then."""
        now = self._clock()
        then_empty = [max(self._empty.get(lane.key, now), now) + lane.interval for lane in lanes]
        waits = [max(empty - now - lane.window, 0) for empty, lane in zip(then_empty, lanes, strict=True)]
        chosen = waits.index(min(waits))
        return round(waits[chosen], 3), lanes[chosen].key, then_empty[chosen]
