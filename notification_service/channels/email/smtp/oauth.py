"""Tokens from a provider's token endpoint (RFC 6749), by three grants. The only module that speaks HTTP.

It is imported only where SMTP_AUTH=oauth2: what it needs costs the start a tenth of a second.
"""

import asyncio
import base64
import contextlib
import json
import math
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notification_service.channels.email.smtp import token_errors
from notification_service.channels.email.smtp.replies import one_line
from notification_service.channels.email.smtp.tokens import Granted, NoLoginError
from notification_service.delivery.ports.refresh_tokens import KeptToken, RefreshTokens
from notification_service.foundation.errors import ConfigurationError, StoreUnavailableError
from notification_service.foundation.redaction import Secrecy

log = structlog.get_logger(__name__)

_USUAL_SECONDS = 300.0
"""How long a token is taken to hold where the endpoint does not say (RFC 6749 §5.1 only recommends that it does)."""
_MAX_SECONDS = 24 * 3600.0
_MAX_ANSWER_SIZE = 64 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What may stand in XOAUTH2's line: neither its separators nor a line's end."""
_REFRESH_TOKEN = re.compile(r"[\x20-\x7e]+")
"""RFC 6749 appendix A.17."""
_OLD = 7 * 86400.0
"""Seconds without renewal from which `doctor` says so; Microsoft's refresh tokens die after 90 days."""
_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Answer:
    granted: Granted
    refresh_token: str | None = field(repr=False)


class TokenRefusedError(NoLoginError):
    """The endpoint gives no token. `error`: its word for why (RFC 6749 §5.2)."""

    def __init__(self, problem: str, hint: str, error: str) -> None:
        super().__init__(problem, hint)
        self.error = error


class Endpoint:
    """`hide`: knows every secret that is sent there, as an answer may repeat one."""

    def __init__(self, url: str, tls: ssl.SSLContext, hide: Secrecy) -> None:
        self.url = url
        self.hide = hide
        self._tls = tls

    async def ask(self, form: Mapping[str, str], hints: Mapping[str, str]) -> Answer:
        """Raises `NoLoginError`. The deadline is the caller's."""
        status, answer = await self.post(form)
        token = answer.get("access_token")
        if status == httpx.codes.OK and isinstance(token, str) and _TOKEN.fullmatch(token):
            renewed = answer.get("refresh_token")
            granted = Granted(token, _seconds(answer.get("expires_in")))
            return Answer(granted, renewed if isinstance(renewed, str) and _REFRESH_TOKEN.fullmatch(renewed) else None)
        raise self.refusal(status, answer, hints)

    async def post(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """The status, and what was answered; nothing where that is no JSON object. Raises `NoLoginError`."""
        try:
            status, body = await self._post({name: value for name, value in form.items() if value})
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as problem:
            said = one_line(self.hide(f"{type(problem).__name__}: {problem}"))
            raise NoLoginError(f"the token endpoint cannot be reached: {said}", token_errors.AWAY) from None
        return status, _read(body)

    async def _post(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Without a redirect: secrets go where the settings say and nowhere else."""
        body = b""
        async with (
            httpx.AsyncClient(verify=self._tls, timeout=None, headers={"Accept": "application/json"}) as client,  # noqa: S113 - the deadline is for the whole
            client.stream("POST", self.url, data=form) as response,
        ):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_ANSWER_SIZE:
                    break
            return response.status_code, body

    def refusal(self, status: int, answer: Mapping[str, Any], hints: Mapping[str, str]) -> TokenRefusedError:
        error, description = (str(answer.get(name) or "") for name in ("error", "error_description"))
        said = one_line(self.hide(": ".join(filter(None, (error, description)))))
        problem = f"the token endpoint answers {status}" + (f", {said}" if said else " and gives no token")
        return TokenRefusedError(problem, token_errors.hint(status, error, description, hints), error)


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(said: object) -> float:
    """A number, or the text of one, of whole seconds above 0; anything else is as if it had not been said."""
    try:
        seconds = float(said) if isinstance(said, int | float | str) and not isinstance(said, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, _MAX_SECONDS) if seconds > 0 else _USUAL_SECONDS


@dataclass(frozen=True, slots=True)
class Client:
    """The application as the provider knows it. Without a secret it is a public one (RFC 6749 §2.1)."""

    id: str
    secret: str | None = field(repr=False)
    scope: str

    @property
    def form(self) -> dict[str, str]:
        return {"client_id": self.id, "client_secret": self.secret or "", "scope": self.scope}


class ClientCredentials:
    """RFC 6749 §4.4: the application logs in as itself."""

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
    """RFC 6749 §6: a person has agreed once. Endpoints may give another refresh token each time, which replaces it.

    The latest is kept in `kept`, sealed with a key made of the one in the settings (HKDF, RFC 5869), and under a name
    made of it: whoever sets another begins anew, and who reads the store alone can open nothing.
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
        self._renewed: float | None = None
        derived = HKDF(SHA256(), 64, salt=None, info=b"notification-service refresh token").derive(first.encode())
        self._seal = Fernet(base64.urlsafe_b64encode(derived[:32]))
        self._login = derived[32:48].hex()

    @property
    def age(self) -> float | None:
        return None if self._renewed is None else max(0.0, self._clock() - self._renewed)

    async def ask(self) -> Granted:
        """With the latest; one that another worker has replaced meanwhile is refused, and then there is a later one."""
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
                await self._keep(answer.refresh_token or refresh_token)
                return answer.granted

    async def close(self) -> None:
        await self._kept.close()

    async def _next(self, tried: set[str]) -> str | None:
        await self._learn()
        return next((each for each in (self._latest, self._first) if each and each not in tried), None)

    async def _learn(self) -> None:
        """What another worker, or this one before it was started anew, has kept since."""
        try:
            found = await self._kept.find(self._login)
        except StoreUnavailableError as problem:
            log.warning("smtp.token_not_kept", problem=str(problem))
            return
        if found is None or found.renewed_at.timestamp() <= (self._renewed or 0.0):
            return
        # What cannot be opened was written by nobody who has our setting: it is as if it were not there.
        with contextlib.suppress(InvalidToken):
            self._latest = self._seal.decrypt(found.sealed).decode()
            self._renewed = found.renewed_at.timestamp()

    async def _keep(self, refresh_token: str) -> None:
        """In memory at least: what the store cannot take now, it is offered again with the next."""
        age = self.age
        self.remark = f", not renewed for {age / 86400:.0f} days until now" if age and age > _OLD else ""
        self._endpoint.hide.add(refresh_token)
        self._latest, self._renewed = refresh_token, self._clock()
        sealed = KeptToken(self._seal.encrypt(refresh_token.encode()), datetime.fromtimestamp(self._renewed, UTC))
        try:
            await self._kept.keep(self._login, sealed)
        except StoreUnavailableError as problem:
            log.warning("smtp.token_not_kept", problem=str(problem))


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a person is asked to do: open `url`, enter `code`. `device_code`: by which we ask whether they did."""

    url: str
    code: str
    device_code: str = field(repr=False)
    interval: float
    seconds: float


async def invite(endpoint: Endpoint, client: Client) -> Invitation:
    """RFC 8628 §3.1: a login in a browser anywhere. `endpoint`: the one for device codes. Raises `NoLoginError`."""
    status, answer = await endpoint.post({"client_id": client.id, "scope": client.scope})
    said = [answer.get(name) for name in ("verification_uri", "user_code", "device_code")]
    if not all(isinstance(each, str) and each for each in said):
        raise endpoint.refusal(status, answer, token_errors.DEVICE)
    url, code, device_code = map(str, said)
    endpoint.hide.add(device_code)
    # RFC 8628 §3.2: 5 s where the endpoint does not say.
    interval = _seconds(answer.get("interval", 5))
    return Invitation(one_line(url), one_line(code), device_code, interval, _seconds(answer.get("expires_in")))


async def accepted(endpoint: Endpoint, client: Client, invitation: Invitation) -> str:
    """The refresh token, when the person has agreed (RFC 8628 §3.4). Raises `NoLoginError`."""
    form = {"grant_type": _DEVICE_CODE, "device_code": invitation.device_code, **client.form}
    interval = invitation.interval
    while True:
        await asyncio.sleep(interval)
        try:
            refresh_token = (await endpoint.ask(form, token_errors.DEVICE)).refresh_token
        except TokenRefusedError as problem:
            if problem.error not in ("authorization_pending", "slow_down"):
                raise
            interval += 5 * (problem.error == "slow_down")
            continue
        if refresh_token is None:
            raise NoLoginError("no refresh token was given", "SMTP_OAUTH_SCOPE has to name offline_access")
        return refresh_token


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """What the JSON file of a Google service account says."""

    email: str
    id: str
    key: RSAPrivateKey = field(repr=False)


def read_service_key(path: Path) -> ServiceKey:
    """Raises `ConfigurationError`, which says nothing of what is in the file."""
    try:
        said = json.loads(path.read_bytes())
        key = load_pem_private_key(said["private_key"].encode(), None)
        if isinstance(key, RSAPrivateKey):
            return ServiceKey(str(said["client_email"]), str(said.get("private_key_id", "")), key)
    except OSError as problem:
        raise ConfigurationError(f"SMTP_OAUTH_SERVICE_ACCOUNT_FILE={path} cannot be read: {problem}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnsupportedAlgorithm):
        pass
    raise ConfigurationError(f"SMTP_OAUTH_SERVICE_ACCOUNT_FILE={path} is no key file (JSON) of a service account")


class ServiceAccount:
    """RFC 7523: an assertion that we sign ourselves. `mailbox`: for whom, by domain-wide delegation."""

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
        # A minute back: a server whose clock is behind ours refuses what is issued in its future.
        times = {"iat": now - 60, "exp": now + 3540}
        claims = {"iss": self._key.email, "sub": self._mailbox, "scope": self._scope, "aud": self._endpoint.url}
        return jwt.encode({**claims, **times}, self._key.key, algorithm="RS256", headers={"kid": self._key.id})
