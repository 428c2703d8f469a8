"""An outage is told of once in a while, and when it is over: not by each event that notices it."""

import time
from collections.abc import Callable

_TELL_AGAIN = 10.0


class Outage:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tell_at: float | None = None

    @property
    def lasts(self) -> bool:
        return self._tell_at is not None

    def begins(self) -> bool:
        """It was noticed; whether that is worth a line."""
        if self._tell_at is not None and self._clock() < self._tell_at:
            return False
        self._tell_at = self._clock() + _TELL_AGAIN
        return True

    def ends(self) -> bool:
        """There was an answer; whether there was none before."""
        if self._tell_at is None:
            return False
        self._tell_at = None
        return True
