"""In-memory refresh tokens: the twin of `stores/mongo/refresh_tokens.py`."""

from notification_service.delivery.ports.refresh_tokens import KeptToken


class MemoryRefreshTokens:
    def __init__(self) -> None:
        self._kept: dict[str, KeptToken] = {}

    async def find(self, login: str) -> KeptToken | None:
        return self._kept.get(login)

    async def keep(self, login: str, token: KeptToken) -> None:
        kept = self._kept.get(login)
        if kept is None or kept.renewed_at < token.renewed_at:
            self._kept[login] = token

    async def close(self) -> None:
        pass
