"""Caches the access token: one request for all who wait, renewed before it expires, dropped when it is refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from notification_service.foundation.secret_redaction import Secrecy

log = structlog.get_logger(__name__)

_RENEWED_AT = 0.8
"""The share of a token's life after which it is renewed."""
_MARGIN_S = 30.0
"""A token is not used this shortly before it expires: a login takes a while, and clocks differ."""
_RETRY_AFTER_S = 30.0
"""Time between two attempts to renew a token that is still valid."""


class NoLoginError(Exception):
    """No login can be attempted, for want of a token or of a way to log in. `hint`: what an operator can do."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token and its lifetime in seconds, counted from the request."""

    token: str = field(repr=False)
    seconds: float


class TokenSource(Protocol):
    """An OAuth 2 grant. `name`: for log lines and `doctor`."""

    name: str

    async def ask(self) -> Granted:
        """Request an access token. Raises `NoLoginError`."""

    @property
    def age(self) -> float | None:
        """Seconds since the refresh token was last renewed; None where there is none, or this is not known yet."""

    @property
    def remark(self) -> str:
        """What `doctor` adds to the name; may be empty."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Token:
    """When it is to be renewed, and when it is no longer used, in seconds of the clock that `Tokens` was given."""

    text: str = field(repr=False)
    renew_at: float
    unusable_at: float

    async def give(self) -> str:
        """Returns the text, in the form that aiosmtplib asks for."""
        return self.text


class Tokens:
    """`deadline`: seconds that one request for a token may take. `hide`: removes tokens from texts."""

    def __init__(
        self, grant: TokenSource, hide: Secrecy, *, deadline: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.grant = grant
        self.hide = hide
        self._deadline = deadline
        self._clock = clock
        self._token: Token | None = None
        self._running: asyncio.Task[Token] | None = None
        self._not_before = 0.0

    @property
    def cached(self) -> Token | None:
        """The latest token, unless the mail server refused it."""
        return self._token

    async def get(self) -> Token:
        """Returns a valid token. Raises `NoLoginError`."""
        now, token = self._clock(), self._token
        if token is None or now >= token.unusable_at:
            return await asyncio.shield(self._request())
        if now >= max(token.renew_at, self._not_before):
            # Renewed in the background: the cached token is still valid if the endpoint is down.
            self._not_before = now + _RETRY_AFTER_S
            self._request()
        return token

    def refused(self, token: Token) -> None:
        """Drop a token that the mail server refuses."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.grant.close()

    def _request(self) -> asyncio.Task[Token]:
        """The request under way, or a new one. It goes on when a caller stops waiting for it."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._ask())
            self._running.add_done_callback(_retrieve_exception)
        return self._running

    async def _ask(self) -> Token:
        asked, began = self._clock(), time.monotonic()
        try:
            granted = await self._within(self.grant.ask())
        except NoLoginError as problem:
            log.warning("smtp.token_failed", grant=self.grant.name, problem=str(problem), hint=problem.hint)
            raise
        self.hide.add(granted.token)
        log.info(
            "smtp.token_renewed",
            grant=self.grant.name,
            lives_s=round(granted.seconds),
            duration_ms=round((time.monotonic() - began) * 1000, 1),
        )
        # Of a very short lifetime, at least half is used.
        usable = max(granted.seconds - _MARGIN_S, granted.seconds / 2)
        self._token = Token(granted.token, asked + min(granted.seconds * _RENEWED_AT, usable), asked + usable)
        return self._token

    async def _within(self, asking: Awaitable[Granted]) -> Granted:
        try:
            async with asyncio.timeout(self._deadline):
                return await asking
        except TimeoutError:
            problem = f"no answer from the token endpoint within {self._deadline:g} s"
            raise NoLoginError(
                problem, "the token endpoint is slow or away; sending pauses and is tried again"
            ) from None


def _retrieve_exception(task: asyncio.Task[Token]) -> None:
    """Keep asyncio from reporting an exception that nobody awaits: it was logged."""
    if not task.cancelled():
        task.exception()
