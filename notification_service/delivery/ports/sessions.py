"""Where the console keeps who is signed in, for all workers."""

from typing import Protocol


class Sessions(Protocol):
    """Who is signed in to the console, for all workers. Every method raises `StoreUnavailableError`."""

    async def begin(self, key: str, seconds: int) -> None: ...

    async def stands(self, key: str) -> bool:
        """Whether it was begun, has not ended, and its seconds are not over."""

    async def end(self, key: str) -> None: ...
