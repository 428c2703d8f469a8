"""Where the refresh tokens of a mail login are kept, for all workers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A refresh token under seal, and when it was last renewed."""

    sealed: bytes = field(repr=False)
    renewed_at: datetime


class RefreshTokens(Protocol):
    """The latest refresh token of each login, for all workers. Every method raises `StoreUnavailableError`."""

    async def find(self, login: str) -> KeptToken | None: ...

    async def keep(self, login: str, token: KeptToken) -> None:
        """Unless a newer one is kept already."""

    async def close(self) -> None: ...
