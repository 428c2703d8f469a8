"""Where the console keeps who is signed in, for all workers."""

from typing import Protocol


class Sessions(Protocol):
    """Who is signed in to the console, for all workers. Every method raises `StoreUnavailableError`."""

    async def begin(self, key: str, seconds: int) -> None: ...

    async def exists(self, key: str) -> bool:
        """Whether the session was begun, has not ended, and has not expired."""

    async def end(self, key: str) -> None: ...
