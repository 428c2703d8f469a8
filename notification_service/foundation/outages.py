"""Decides when an outage is worth a log line: one every 10 s while it lasts, and one on recovery."""

import time
from collections.abc import Callable

_REPEAT_S = 10.0


class Outage:
    """The state of one dependency. `clock`: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_line_at: float | None = None

    @property
    def lasts(self) -> bool:
        return self._next_line_at is not None

    def begins(self) -> bool:
        """Note a failed call. Returns whether to log it."""
        if self._next_line_at is not None and self._clock() < self._next_line_at:
            return False
        self._next_line_at = self._clock() + _REPEAT_S
        return True

    def ends(self) -> bool:
        """Note a successful call. Returns whether it ends an outage."""
        if self._next_line_at is None:
            return False
        self._next_line_at = None
        return True
