"""Opens SMTP sessions: connects, greets, starts TLS and logs in, by aiosmtplib; a revoked token is replaced once."""

import asyncio
import itertools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPResponseException

from notification_service.channels.email.smtp.greeting import own_name
from notification_service.channels.email.smtp.login_spacing import LoginSpacing
from notification_service.channels.email.smtp.session import Session
from notification_service.channels.email.smtp.tokens import NoLoginError, Token, Tokens
from notification_service.channels.email.smtp.wire import take_over

log = structlog.get_logger(__name__)

_NO_LOGIN = (
    "is this the provider's submission server, with the SMTP_PORT and SMTP_SECURITY that it names? Where it needs no "
    "login, unset SMTP_USERNAME"
)
_NO_KNOWN_LOGIN = "use the provider's submission server, or one that takes PLAIN, LOGIN, CRAM-MD5 or XOAUTH2"
_NO_XOAUTH2 = "is this the provider's submission server? For one without token logins, set SMTP_AUTH=password"
_REFUSES_TO_LOG_IN = {
    "AUTH extension is not supported": ("the server offers no login", _NO_LOGIN),
    "No suitable authentication method": ("the server offers no way to log in that we know", _NO_KNOWN_LOGIN),
    "does not support XOAUTH2": ("the server offers no XOAUTH2", _NO_XOAUTH2),
}
"""By words of aiosmtplib, which has no exception classes for these cases: what happened, and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect, and how. Without `start_tls` and `implicit_tls`, the connection is plain text."""

    host: str
    port: int
    start_tls: bool
    implicit_tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    ehlo_name: str = field(default_factory=own_name)
    """Our name in EHLO (RFC 5321 §4.1.1.1)."""

    @property
    def security(self) -> str:
        return "implicit" if self.implicit_tls else "starttls" if self.start_tls else "plain"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Returns a context for all connections: building one takes tens of milliseconds (pitfalls.md, 16)."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Logins:
    """`tokens`: for logins by XOAUTH2. `hide`: removes our password from the server's text."""

    def __init__(
        self,
        server: Server,
        tls: ssl.SSLContext,
        *,
        clock: Callable[[], float],
        tokens: Tokens | None,
        spacing: LoginSpacing,
        hide: Callable[[str], str],
    ) -> None:
        self._server, self._tls, self._clock, self._tokens = server, tls, clock, tokens
        self._spacing, self._hide = spacing, hide
        self._numbers = itertools.count(1)

    async def open(self) -> Session:
        """Connect and log in, with a token where there are tokens. Raises what aiosmtplib, the socket and tokens raise.

        A token may be revoked before it expires: one from the cache is dropped, and a new one is tried once.
        """
        if self._tokens is None:
            return await self._connect()
        cached = self._tokens.cached
        token = await self._tokens.get()
        try:
            return await self._connect(token)
        except SMTPAuthenticationError as problem:
            if not self._drop_refused(token, problem) or token is not cached:
                raise
        token = await self._tokens.get()
        try:
            return await self._connect(token)
        except SMTPAuthenticationError as problem:
            self._drop_refused(token, problem)
            raise

    def _drop_refused(self, token: Token, problem: SMTPAuthenticationError) -> bool:
        """Drop a token that the server refuses with a 5xx, so that no other login tries it. Returns whether it did."""
        refused = problem.code >= 500  # noqa: PLR2004 - RFC 5321 §4.2.1
        if refused and self._tokens:
            self._tokens.refused(token)
        return refused

    async def _connect(self, token: Token | None = None) -> Session:
        server = self._server
        if wait := self._spacing.next_login(self._clock()):
            log.info("smtp.login_spaced", host=server.host, port=server.port, wait_s=round(wait, 1))
            await asyncio.sleep(wait)
        started = self._clock()
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            oauth_token_generator=token.give if token else None,
            use_tls=server.implicit_tls,
            start_tls=server.start_tls,
            tls_context=self._tls if server.start_tls or server.implicit_tls else None,
            local_hostname=server.ehlo_name,
            timeout=server.timeout,
        )
        name = str(next(self._numbers))
        try:
            async with asyncio.timeout(server.timeout):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    # In plain text and without a login, nothing has greeted the server yet.
                    await client._ehlo_or_helo_if_needed()  # noqa: SLF001 - its public methods do not fall back to HELO
            wire = take_over(client)
        except BaseException as problem:
            client.close()
            text = self._hide(str(problem))
            log.warning("smtp.connect_failed", connection=name, host=server.host, port=server.port, problem=text)
            known = next((told for words, told in _REFUSES_TO_LOG_IN.items() if words in str(problem)), None)
            if known and not isinstance(problem, SMTPResponseException):
                raise NoLoginError(*known) from problem
            raise
        now = self._clock()
        log.info("smtp.connected", connection=name, host=server.host, port=server.port, duration_ms=_ms(now - started))
        return Session(name, wire, frozenset(client.esmtp_extensions), opened=now, used=now)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
