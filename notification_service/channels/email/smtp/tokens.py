"""The token that logs in: asked for once by all who need it, renewed before it ends, dropped when it is refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from notification_service.foundation.redaction import Secrecy

log = structlog.get_logger(__name__)

_RENEWED_AT = 0.8
"""Of its life."""
_MARGIN = 30.0
"""Seconds before its end at which a token is no longer offered: a login takes a while, and clocks differ."""
_AGAIN = 30.0
"""Seconds between two tries to renew a token that still holds."""


_SLOW = "the token endpoint is slow or away: sending pauses and is tried again; SMTP_OAUTH_TOKEN_URL says where it is"


class NoLoginError(Exception):
    """We cannot even try to log in. `hint`: what an operator can do about it."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint gave. `seconds`: how long the token holds, counted from when it was asked for."""

    token: str = field(repr=False)
    seconds: float


class TokenSource(Protocol):
    """A way to be given tokens. `name`: how it is called in log lines and by `doctor`."""

    name: str

    async def ask(self) -> Granted:
        """Raises `NoLoginError`."""

    @property
    def age(self) -> float | None:
        """Seconds since the refresh token was last renewed; None where there is none, or it is not known yet."""

    @property
    def remark(self) -> str:
        """What `doctor` adds to it; empty where there is nothing to say."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Token:
    """`asked`, `stale`, `ends`: when it was asked for, is to be renewed, is offered no more; seconds of our clock."""

    text: str = field(repr=False)
    asked: float
    stale: float
    ends: float

    async def give(self) -> str:
        """As aiosmtplib asks for it."""
        return self.text


class Tokens:
    """`deadline`: seconds that whoever waits for a token waits at most. `hide`: learns each token."""

    def __init__(
        self, grant: TokenSource, hide: Secrecy, *, deadline: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.grant = grant
        self.hide = hide
        self._deadline = deadline
        self._clock = clock
        self._token: Token | None = None
        self._flight: asyncio.Task[Token] | None = None
        self._not_before = 0.0

    @property
    def held(self) -> Token | None:
        """The one that was given last, unless it was refused since."""
        return self._token

    async def get(self) -> Token:
        """A token that holds. Raises `NoLoginError`."""
        now, token = self._clock(), self._token
        if token is None or now >= token.ends:
            return await asyncio.shield(self._fly())
        if now >= max(token.stale, self._not_before):
            # Nobody waits for it: the old one holds meanwhile, and the endpoint may be away for a while.
            self._not_before = now + _AGAIN
            self._fly()
        return token

    def refused(self, token: Token) -> None:
        """The mail server does not take it: nobody else is to try it."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])
        await self.grant.close()

    def _fly(self) -> asyncio.Task[Token]:
        """One request at a time, whoever waits for it and whoever gives up waiting."""
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._ask())
            self._flight.add_done_callback(_seen)
        return self._flight

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
        # At least half of a very short life is used.
        usable = max(granted.seconds - _MARGIN, granted.seconds / 2)
        self._token = Token(granted.token, asked, asked + min(granted.seconds * _RENEWED_AT, usable), asked + usable)
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


def _seen(flight: asyncio.Task[Token]) -> None:
    """Nobody may be left to wait for what it raised; it was logged."""
    if not flight.cancelled():
        flight.exception()
