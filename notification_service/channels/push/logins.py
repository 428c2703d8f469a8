"""The logins: Google's access token for FCM (RFC 7523), and the provider token of APNs (RFC 7519, ES256)."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notification_service.channels.http_client import HttpClient, Response
from notification_service.channels.service_keys import UNREADABLE, ServiceKey, read_service_key
from notification_service.foundation.errors import ConfigurationError

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_RENEWED_AFTER_S = 50 * 60.0
"""Google's tokens last an hour."""
_APNS_STEPS = "Apple Developer → Certificates, Identifiers & Profiles → Keys (docs/providers.md, APNs)"
_FLOOR_S = 40 * 60
"""APNs takes a token for an hour, and no new one within 20 minutes."""


class NoLoginError(Exception):
    """There is no token. The text says why, without secrets."""


def read_service_account(path: Path) -> ServiceKey:
    """Raises `ConfigurationError`, which quotes nothing of the file."""
    steps = "Firebase console → Project settings → Service accounts → Generate new private key (docs/providers.md, FCM)"
    return read_service_key(path, "FCM_SERVICE_ACCOUNT_FILE", with_project=True, steps=steps)


def read_apns_key(path: Path) -> EllipticCurvePrivateKey:
    """Raises `ConfigurationError`, which quotes nothing of the file."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
            return key
    except OSError as problem:
        raise ConfigurationError(f"APNS_KEY_FILE={path} cannot be read: {problem.strerror}: {_APNS_STEPS}") from None
    except UNREADABLE:
        pass
    raise ConfigurationError(f"APNS_KEY_FILE={path} is no key for APNs (AuthKey_….p8): {_APNS_STEPS}")


class GoogleLogin:
    """One access token for all requests, asked for once at a time and renewed after 50 minutes."""

    def __init__(self, http: HttpClient, account: ServiceKey, clock: Callable[[], float] = time.time) -> None:
        self.account = account
        self._http = http
        self._clock = clock
        self._token = ""
        self._renewed_at = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Raises `NoLoginError`."""
        async with self._asking:
            if not self._token or self._clock() - self._renewed_at > _RENEWED_AFTER_S:
                self._token = await self._ask()
                self._renewed_at = self._clock()
            return self._token

    def forget(self, token: str) -> None:
        """The token was refused: the next request asks for another one."""
        if token == self._token:
            self._token = ""

    async def close(self) -> None:
        await self._http.close()

    async def _ask(self) -> str:
        assertion = await asyncio.to_thread(self._assertion, int(self._clock()))
        answer = await self._http.request(
            "POST",
            self.account.token_url,
            headers={"content-type": "application/x-www-form-urlencoded"},
            content=f"grant_type={_JWT_BEARER.replace(':', '%3A')}&assertion={assertion}".encode(),
        )
        if not isinstance(answer, Response):
            raise NoLoginError(f"Google's token endpoint cannot be reached: {getattr(answer, 'text', 'no answer')}")
        said = answer.json_object
        token = said.get("access_token")
        if isinstance(token, str) and token.isascii() and token.isprintable() and token:
            return token
        raise NoLoginError(f"Google's token endpoint answers {answer.status} {said.get('error') or 'without a token'}")

    def _assertion(self, now: int) -> str:
        account = self.account
        # A minute early: a server whose clock is behind ours refuses a time in its future.
        claims = {"iss": account.email, "scope": _SCOPE, "aud": account.token_url, "iat": now - 60, "exp": now + 3540}
        return jwt.encode(claims, account.key, algorithm="RS256", headers={"kid": account.id})


class AppleLogin:
    """The provider token. All workers make the same one without asking each other.

    `iat` is the time floored to 40 minutes, and the signature is deterministic (RFC 6979): two tokens within 20 minutes
    would be refused.
    """

    def __init__(
        self, key: EllipticCurvePrivateKey, key_id: str, team_id: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._made: tuple[int, str] = (0, "")
        self._not_before = 0

    def token(self) -> str:
        issued = max(int(self._clock()) // _FLOOR_S * _FLOOR_S, self._not_before)
        if self._made[0] != issued:
            self._made = (issued, self._signed(issued))
        return self._made[1]

    def renew(self) -> str:
        """APNs refused the token: make one of this minute, which stays until the next 40 begin."""
        now = int(self._clock())
        minute = now // 60 * 60
        if self._not_before < minute:
            # In the first minute of the 40, the refused one is of this minute itself.
            self._not_before = max(now, minute + 1) if self._made[0] == minute else minute
        return self.token()

    def _signed(self, issued: int) -> str:
        head = {"alg": "ES256", "kid": self._key_id, "typ": "JWT"}
        content = f"{_part(head)}.{_part({'iss': self._team_id, 'iat': issued})}"
        # PyJWT signs with a random number, so that each worker's token would be another one.
        signature = self._key.sign(content.encode(), ECDSA(SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        return f"{content}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
