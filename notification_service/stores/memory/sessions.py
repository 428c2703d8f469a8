"""In-memory sessions of the console: the twin of `stores/redis/sessions.py`."""

import time
from collections.abc import Callable


class MemorySessions:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expires_at: dict[str, float] = {}

    async def begin(self, key: str, seconds: int) -> None:
        self._expires_at[key] = self._clock() + seconds

    async def exists(self, key: str) -> bool:
        return self._expires_at.get(key, 0) > self._clock()

    async def end(self, key: str) -> None:
        self._expires_at.pop(key, None)
