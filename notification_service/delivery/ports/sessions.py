"""What the console needs from a store: its sessions, shared by all workers."""

from typing import Protocol


class Sessions(Protocol):
    """The sessions of the console. Every method raises `StoreUnavailableError`."""

    async def begin(self, key: str, seconds: int) -> None: ...

    async def exists(self, key: str) -> bool:
        """Whether the session was begun, has not ended, and has not expired."""

    async def end(self, key: str) -> None: ...
