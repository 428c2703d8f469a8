"""The grants by which the service is given access tokens: client credentials, refresh token, service account."""

import asyncio
import base64
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import jwt
import structlog
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from notification_service.channels.email.smtp import token_errors
from notification_service.channels.email.smtp.token_endpoint import Client, Endpoint, TokenRefusedError
from notification_service.channels.email.smtp.tokens import Granted
from notification_service.channels.service_keys import ServiceKey
from notification_service.delivery.ports.refresh_tokens import KeptToken, RefreshTokens
from notification_service.foundation.errors import StoreUnavailableError

log = structlog.get_logger(__name__)

_NOT_RENEWED_FOR_S = 7 * 86400.0
"""From here on `doctor` says so. Microsoft's refresh tokens expire after 90 days."""
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class ClientCredentials:
    """The application logs in as itself (RFC 6749 §4.4)."""

    name = "client credentials"
    age = None
    remark = ""

    def __init__(self, endpoint: Endpoint, client: Client) -> None:
        self._endpoint = endpoint
        self._client = client

    async def ask(self) -> Granted:
        form = {"grant_type": "client_credentials", **self._client.form}
        return (await self._endpoint.ask(form, token_errors.CLIENT_CREDENTIALS)).granted

    async def close(self) -> None:
        pass


class RefreshToken:
    """A person has agreed once (RFC 6749 §6). The endpoint may replace the refresh token with each request.

    The latest is stored in `kept`, under a name and encrypted with a key that are both derived from the `first` one,
    which the settings hold (HKDF, RFC 5869). So a new setting starts afresh, and the store alone reveals nothing.
    """

    name = "refresh token"

    def __init__(
        self,
        endpoint: Endpoint,
        client: Client,
        first: str,
        kept: RefreshTokens,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.remark = ""
        self._endpoint = endpoint
        self._client = client
        self._first = first
        self._kept = kept
        self._clock = clock
        self._latest: str | None = None
        self._renewed_at: float | None = None
        derived = HKDF(SHA256(), 64, salt=None, info=b"notification-service refresh token").derive(first.encode())
        self._cipher = Fernet(base64.urlsafe_b64encode(derived[:32]))
        self._login = derived[32:48].hex()

    @property
    def age(self) -> float | None:
        return None if self._renewed_at is None else max(0.0, self._clock() - self._renewed_at)

    async def ask(self) -> Granted:
        """Request a token with the latest refresh token. Where another worker has replaced it, use the newer one."""
        tried: set[str] = set()
        refresh_token = await self._next(tried) or self._first
        while True:
            self._endpoint.hide.add(refresh_token)
            form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **self._client.form}
            try:
                answer = await self._endpoint.ask(form, token_errors.REFRESH_TOKEN)
            except TokenRefusedError as problem:
                tried.add(refresh_token)
                other = await self._next(tried) if problem.error == "invalid_grant" else None
                if other is None:
                    raise
                refresh_token = other
            else:
                await self._store(answer.refresh_token or refresh_token)
                return answer.granted

    async def close(self) -> None:
        await self._kept.close()

    async def _next(self, tried: set[str]) -> str | None:
        await self._load()
        return next((each for each in (self._latest, self._first) if each and each not in tried), None)

    async def _load(self) -> None:
        """Load a newer refresh token, which another worker has stored, or this one before it restarted."""
        try:
            found = await self._kept.find(self._login)
        except StoreUnavailableError as problem:
            log.warning("smtp.token_not_kept", problem=str(problem))
            return
        if found is None or found.renewed_at.timestamp() <= (self._renewed_at or 0.0):
            return
        # An entry that cannot be decrypted was not written with our setting, and is ignored.
        with contextlib.suppress(InvalidToken):
            self._latest = self._cipher.decrypt(found.sealed).decode()
            self._renewed_at = found.renewed_at.timestamp()

    async def _store(self, refresh_token: str) -> None:
        """Store the refresh token; where the store is unavailable, in memory, and again with the next one."""
        age = self.age
        self.remark = f", not renewed for {age / 86400:.0f} days until now" if age and age > _NOT_RENEWED_FOR_S else ""
        self._endpoint.hide.add(refresh_token)
        self._latest, self._renewed_at = refresh_token, self._clock()
        sealed = KeptToken(self._cipher.encrypt(refresh_token.encode()), datetime.fromtimestamp(self._renewed_at, UTC))
        try:
            await self._kept.keep(self._login, sealed)
        except StoreUnavailableError as problem:
            log.warning("smtp.token_not_kept", problem=str(problem))


class ServiceAccount:
    """We sign an assertion ourselves (RFC 7523). `mailbox`: the account to act for, by domain-wide delegation."""

    name = "service account"
    age = None
    remark = ""

    def __init__(self, endpoint: Endpoint, key: ServiceKey, mailbox: str, scope: str) -> None:
        self._endpoint = endpoint
        self._key = key
        self._mailbox = mailbox
        self._scope = scope

    async def ask(self) -> Granted:
        assertion = await asyncio.to_thread(self._assertion, int(time.time()))
        self._endpoint.hide.add(assertion)
        form = {"grant_type": _JWT_BEARER, "assertion": assertion}
        return (await self._endpoint.ask(form, token_errors.SERVICE_ACCOUNT)).granted

    async def close(self) -> None:
        pass

    def _assertion(self, now: int) -> str:
        # A minute early: a server whose clock is behind ours refuses a time in its future.
        times = {"iat": now - 60, "exp": now + 3540}
        claims = {"iss": self._key.email, "sub": self._mailbox, "scope": self._scope, "aud": self._endpoint.url}
        return jwt.encode({**claims, **times}, self._key.key, algorithm="RS256", headers={"kid": self._key.id})
