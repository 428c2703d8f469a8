"""Exponential backoff with jitter, so that workers do not all retry at the same moment."""

import random
from collections.abc import Iterator


def jittered(seconds: float, spread: float = 0.5) -> float:
    """A random duration in seconds between `(1 - spread)` and `(1 + spread)` times the given one."""
    return seconds * random.uniform(1 - spread, 1 + spread)  # noqa: S311 - no secret


def pauses(first_s: float, max_s: float) -> Iterator[float]:
    """Endless pauses in seconds, each jittered: `first_s`, twice as long each time, at most `max_s`."""
    pause = first_s
    while True:
        yield jittered(pause)
        pause = min(pause * 2, max_s)
