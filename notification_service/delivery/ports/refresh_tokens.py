"""What the mail login needs from a store: the latest refresh token, shared by all workers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A sealed (encrypted) refresh token, and when it was last renewed."""

    sealed: bytes = field(repr=False)
    renewed_at: datetime


class RefreshTokens(Protocol):
    """The latest refresh token of each login. Every method raises `StoreUnavailableError`."""

    async def find(self, login: str) -> KeptToken | None: ...

    async def keep(self, login: str, token: KeptToken) -> None:
        """Store the token, unless a newer one is stored."""

    async def close(self) -> None: ...
