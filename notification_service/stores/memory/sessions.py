"""In-memory sessions of the console: the twin of those in Redis."""

import time
from collections.abc import Callable


class MemorySessions:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    async def begin(self, key: str, seconds: int) -> None:
        self._until[key] = self._clock() + seconds

    async def stands(self, key: str) -> bool:
        return self._until.get(key, 0) > self._clock()

    async def end(self, key: str) -> None:
        self._until.pop(key, None)
