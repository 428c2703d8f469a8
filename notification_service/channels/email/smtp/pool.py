"""A pool of SMTP sessions, which are reused, checked when idle, and discarded after anything but a clean reply."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiosmtplib import SMTPException

from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.extensions import Extensions
from notification_service.channels.email.smtp.login_spacing import LoginSpacing
from notification_service.channels.email.smtp.logins import Logins, Server, tls_context
from notification_service.channels.email.smtp.session import ACCEPTED, Ride, Seat, Session
from notification_service.channels.email.smtp.tokens import NoLoginError, Tokens
from notification_service.channels.email.smtp.turns import Passenger, Patience, Turns
from notification_service.channels.email.smtp.wire import within
from notification_service.foundation.credentials import sent_by_auth
from notification_service.foundation.secret_redaction import Secrecy

__all__ = ["BROKEN", "NOBODY", "Counts", "Pool", "Server", "SessionLimits", "tls_context"]

log = structlog.get_logger(__name__)

# Raised by aiosmtplib, the socket or a deadline when a conversation cannot begin or go on.
BROKEN = (SMTPException, OSError, TimeoutError, EOFError, NoLoginError)

NOBODY = Envelope(b"", b"", utf8=False)
"""For a session that carries no mail."""

_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The number of sessions, and for each: idle seconds before it is checked, its age in seconds, its mails."""

    sessions: int
    max_idle: float
    max_age: float
    max_mails: int


@dataclass(slots=True)
class Counts:
    """For the metrics: sessions opened so far, and those open now."""

    opened: int = 0
    open: int = 0


class Pool:
    """`tokens`: for logins by XOAUTH2, where the server has no password.

    `extensions`: what the server may be spoken to with; by default all that it offers.
    """

    def __init__(
        self,
        server: Server,
        limits: SessionLimits,
        tls: ssl.SSLContext,
        clock: Callable[[], float] = time.monotonic,
        tokens: Tokens | None = None,
        *,
        extensions: Extensions | None = None,
    ) -> None:
        self.counts = Counts()
        self.server = server
        self.limits = limits
        self._tls = tls
        self._clock = clock
        self.tokens = tokens
        self._idle: list[Session] = []
        password = server.password
        sent = (password, *sent_by_auth(server.username or "", password)) if password else ()
        self._secrecy = Secrecy(sent, mark="***")
        self.extensions = extensions or Extensions(server=f"{server.host}:{server.port}", clock=clock)
        self._turns = Turns(limits.sessions)
        self._spacing = LoginSpacing(limits.sessions, clock())
        self._logins = Logins(server, tls, clock=clock, tokens=tokens, spacing=self._spacing, hide=self.hide)

    @asynccontextmanager
    async def seat(
        self,
        envelope: Envelope,
        *,
        fresh: bool = False,
        may_ride: bool = False,
        first: bool = False,
        patience: Patience | None = None,
    ) -> AsyncIterator[Seat]:
        """Yields a seat on a session that is ready for MAIL, or on which MAIL is written already.

        `fresh`: on a new session. `may_ride`: also behind another mail's content. `first`: before all that wait.
        Raises one of `BROKEN`, and `NoTurnError` when the patience is over (by default the server's timeout).
        """
        patience = patience or Patience(self.server.timeout)
        ride = await self._turns.take(envelope, patience, may_ride=may_ride, first=first, unused=self._leave)
        seat = Seat(await self._session(fresh=fresh)) if ride is None else Seat(ride.session, ride)
        try:
            yield seat
        finally:
            if not seat.handed_on:
                if seat.ride:
                    self._leave(seat.ride)
                else:
                    self._release(seat.session)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Yields a session for something else than a mail. Raises one of `BROKEN`, and `NoTurnError`."""
        async with self.seat(NOBODY) as seat:
            yield seat.session

    def next_passenger(self, session: Session) -> Passenger | None:
        """Returns a mail that is to ride on this session behind the content that is being written now."""
        if not self.extensions.way(session.offered).pipelining or self._is_spent(session, also=1):
            return None
        return self._turns.next_passenger(session)

    def hide(self, text: str) -> str:
        """Returns a server's text without our password, which it may repeat, also as AUTH sends it (RFC 4954)."""
        text = self._secrecy(text)
        return self.tokens.hide(text) if self.tokens else text

    async def close(self) -> None:
        """Send QUIT on every idle session, and close it."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self._quit(session) for session in idle))
        if self.tokens:
            await self.tokens.close()

    async def _session(self, *, fresh: bool) -> Session:
        """An idle session or a new one, for a turn that is given back where there is none."""
        try:
            if fresh and self._idle:
                self._discard(self._idle.pop(0), "makes room for a fresh one")
            return (None if fresh else await self._reuse()) or await self._open()
        except BaseException as problem:
            if isinstance(problem, BROKEN):
                # Each of those that wait would try the same login in turn.
                self._turns.fail_waiting(problem)
            self._turns.give_back()
            raise

    async def _reuse(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            alive = False
            try:
                alive = not self._is_spent(session) and await self._is_alive(session)
            finally:
                if not alive:
                    self._discard(session, "worn out or dead")
            if not alive:
                continue
            session.reused, session.kept = True, False
            return session
        return None

    def _is_spent(self, session: Session, *, also: int = 0) -> bool:
        """`also`: mails that are under way on it."""
        too_old = self._clock() - session.opened > self.limits.max_age
        return too_old or session.mails + also >= self.limits.max_mails or not session.wire.in_step_so_far

    async def _is_alive(self, session: Session) -> bool:
        if self._clock() - session.used < self.limits.max_idle:
            return True
        try:
            (reply,) = session.wire.ask(b"NOOP\r\n")
            answer = await within(self.server.timeout, reply)
        except BROKEN:
            return False
        return answer.code == ACCEPTED and session.wire.in_step

    async def _open(self) -> Session:
        session = await self._logins.open()
        self.counts.opened += 1
        self.counts.open += 1
        return session

    def _leave(self, ride: Ride) -> None:
        """Release a session, once the content that goes before is answered."""
        ride.previous.add_done_callback(lambda _: self._release(ride.session))

    def _release(self, session: Session) -> None:
        session.used = self._clock()
        if session.kept and session.wire.in_step:
            self._idle.append(session)
        else:
            self._discard(session, session.close_reason)
        self._turns.give_back()

    def _discard(self, session: Session, reason: str) -> None:
        """Close at once, without QUIT: a client that is out of step would read a wrong reply (pitfalls.md, 11)."""
        if session.spoiled:
            self._spacing.given_up()
        session.wire.close()
        self._closed(session, reason)

    async def _quit(self, session: Session) -> None:
        try:
            await within(_CLOSE_TIMEOUT_S, *session.wire.ask(b"QUIT\r\n"))
        except BROKEN as problem:
            log.debug("smtp.goodbye_failed", connection=session.name, problem=str(problem))
        session.wire.close()
        self._closed(session, "the service shuts down")

    def _closed(self, session: Session, reason: str) -> None:
        self.counts.open -= 1
        age = _ms(self._clock() - session.opened)
        log.info("smtp.closed", connection=session.name, mails=session.mails, duration_ms=age, reason=reason)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
