"""Pauses between tries that grow, and differ from worker to worker, so that they do not all try at once."""

import random
from collections.abc import Iterator


def jittered(seconds: float, spread: float = 0.5) -> float:
    """The seconds, randomly shorter or longer by up to `spread` of them."""
    return seconds * random.uniform(1 - spread, 1 + spread)  # noqa: S311 - no secret


def pauses(first_s: float, max_s: float) -> Iterator[float]:
    """Endless pauses in seconds, each jittered: `first_s`, twice as long each time, at most `max_s`."""
    pause = first_s
    while True:
        yield jittered(pause)
        pause = min(pause * 2, max_s)
