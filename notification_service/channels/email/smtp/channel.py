"""One mail through one SMTP conversation, command by command, so that it is always known how far it got."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from aiosmtplib import SMTPResponseException

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp.greeting import is_qualified
from notification_service.channels.email.smtp.pool import BROKEN, Pool, Session
from notification_service.channels.email.smtp.providers import Provider
from notification_service.channels.email.smtp.replies import (
    CLOSING,
    Blame,
    Phase,
    ReplyVerdict,
    fingerprint,
    one_line,
    read,
)
from notification_service.channels.email.smtp.tokens import NoLoginError
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Blocked,
    Deferred,
    HandoverRefused,
    InDoubt,
    OutgoingMessage,
    Refused,
    Tried,
    Unavailable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError

T = TypeVar("T")

_NOT_ONE_ADDRESS = re.compile(r"[\s<>,\x00-\x1f\x7f]")
"""aiosmtplib would take the first of what it finds in such a text, and say nothing of the rest (pitfalls.md, 14)."""

_NO_SMTPUTF8 = "5.6.7"
"""RFC 6531 §3.7.1: non-ASCII addresses not permitted."""

_BROKEN_AT_RCPT = "the server breaks off or is silent when a recipient is named: ask its log what it waits for"


@dataclass(slots=True)
class _Talk:
    """What is known of one conversation while it goes on. `hide`: takes our password out of what the server said."""

    hide: Callable[[str], str]
    recipient: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    phase: Phase = Phase.CONNECT
    session: Session | None = None
    session_is_over: bool = False
    """It ended the session that was used before, and says nothing of a fresh one."""

    def attempt(self, result: str, code: int | None, reply: str) -> Attempt:
        duration = round((time.monotonic() - self.started) * 1000, 1)
        name = self.session.name if self.session else None
        return Attempt(self.at, result, duration, code, one_line(self.hide(reply)), name)


class SmtpChannel:
    """`timeout` bounds each step before DATA; `data_timeout` the final reply, for which RFC 5321 allows 10 minutes."""

    name = "smtp"

    def __init__(self, pool: Pool, provider: Provider, *, timeout: float, data_timeout: float) -> None:
        self.max_concurrency = pool.limits.sessions
        self.provider = provider.name
        self.where = {"server": f"{pool.server.host}:{pool.server.port}", "security": pool.server.security}
        self._pool = pool
        self._provider = provider
        self._timeout = timeout
        self._data_timeout = data_timeout

    async def send_once(self, mail: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        if not isinstance(mail, OutgoingEmail):
            raise TypeError(f"SMTP sends e-mail, and this is a {type(mail).__name__}")
        if _NOT_ONE_ADDRESS.search(mail.sender + mail.recipient):
            raise ValueError("the envelope's sender or recipient is not one plain address")
        verdict, over = await self._converse(mail, before_handover, fresh=False)
        if over:
            # It had died unnoticed, or carried all that it may; nothing went out, and a new one may do.
            verdict, _ = await self._converse(mail, before_handover, fresh=True)
        return verdict

    @property
    def open(self) -> int:
        return self._pool.counts.open

    @property
    def login_age(self) -> float | None:
        """Seconds since the refresh token that logs us in was last renewed; None where there is none, or not known."""
        return self._pool.tokens.grant.age if self._pool.tokens else None

    async def check(self) -> str:
        server = self._pool.server
        try:
            async with self._pool.session() as session:
                session.keep()
        except BROKEN as problem:
            said, code = self._pool.hide(str(problem)), getattr(problem, "code", None)
            about = read(Phase.CONNECT, code, said).hint if code else ""
            hint = self._provider.hint(code, said, about) or _own_hint(problem)
            hint = hint or "check SMTP_SERVER, SMTP_PORT, SMTP_SECURITY and SMTP_CA_FILE"
            name = type(problem).__name__
            raise ChannelUnavailableError(f"{self.where['server']}: {name}: {said}: {hint}") from None
        tokens = self._pool.tokens
        login = f"login by {tokens.grant.name}{tokens.grant.remark}" if tokens else "login"
        login = login if server.username else "no login"
        doomed = f"; {self._provider.doomed}" if self._provider.doomed and server.username else ""
        greeted = f"greeted as {_told(server.ehlo_name)}"
        return f"{self.where['server']} lets us in ({server.security}, {login}), {greeted}{doomed}"

    async def close(self) -> None:
        await self._pool.close()

    async def _converse(
        self, mail: OutgoingEmail, before_handover: BeforeHandover, *, fresh: bool
    ) -> tuple[Tried, bool]:
        """The verdict, and whether it only means that a session which was kept is over."""
        talk = _Talk(self._pool.hide, mail.recipient)
        try:
            async with self._pool.session(fresh=fresh) as talk.session:
                verdict = await self._send(talk, talk.session, mail, before_handover)
        except SMTPResponseException as problem:
            verdict = self._refused(talk, problem.code, problem.message)
        except BROKEN as problem:
            verdict = self._broken(talk, problem)
        return verdict, talk.session_is_over

    async def _send(self, talk: _Talk, session: Session, mail: OutgoingEmail, before_handover: BeforeHandover) -> Tried:
        client = session.client
        options, encoding = ["BODY=8BITMIME"] if client.supports_extension("8bitmime") else [], "ascii"
        if mail.needs_smtputf8:
            if not client.supports_extension("smtputf8"):
                session.keep()
                why = "the address has non-ASCII letters before the @, and the server does not offer SMTPUTF8"
                return Refused(talk.attempt("refused", None, why), _NO_SMTPUTF8)
            options, encoding = [*options, "SMTPUTF8"], "utf-8"
        try:
            talk.phase = Phase.MAIL
            await self._within(
                client.mail(mail.sender, options=options, encoding=encoding, timeout=None), self._timeout
            )
            talk.phase = Phase.RCPT
            await self._within(client.rcpt(mail.recipient, encoding=encoding, timeout=None), self._timeout)
            if await before_handover() is Fence.LOST:
                await self._reset(session)
                return HandoverRefused()
            talk.phase = Phase.DATA
            reply = await self._within(client.data(mail.content, timeout=None), self._data_timeout)
        except SMTPResponseException as problem:
            verdict = self._refused(talk, problem.code, problem.message)
            if not (isinstance(verdict, Unavailable | InDoubt) or talk.session_is_over):
                await self._reset(session)
            return verdict
        session.mails += 1
        session.keep()
        return Accepted(talk.attempt("accepted", reply.code, reply.message))

    async def _within(self, step: Awaitable[T], seconds: float) -> T:
        """A deadline for the whole step, and no other.

        The client's own timeouts begin anew with every byte, and would cost each step a second timer.
        """
        async with asyncio.timeout(seconds):
            return await step

    async def _reset(self, session: Session) -> None:
        """Make the session ready for the next mail, or leave it to be thrown away; the verdict stands either way."""
        try:
            await self._within(session.client.rset(), self._timeout)
        except BROKEN:
            return
        session.keep()

    def _refused(self, talk: _Talk, code: int, text: str) -> Tried:
        # After DATA, only a reply that is a refusal and surely ours says that nothing went out.
        doubtful = not 400 <= code < 600 or (talk.session is not None and talk.session.out_of_step)  # noqa: PLR2004 - RFC 5321 §4.2.1
        if talk.phase is Phase.DATA and doubtful:
            return InDoubt(talk.attempt("in_doubt", code, text))
        reading = read(talk.phase, code, text, talk.recipient)
        # Postfix closes so after twenty addresses in one session that it does not know, whoever's the next mail is.
        if (reading.session or code == CLOSING) and talk.session is not None and talk.session.reused:
            talk.session_is_over = True
            talk.session.ending = "the server takes no more mails on it"
        hint = self._provider.hint(code, text, reading.hint)
        match reading.blame:
            case Blame.CHANNEL:
                return Unavailable(talk.attempt("unavailable", code, text), hint)
            case Blame.ACCOUNT:
                return Blocked(talk.attempt("blocked", code, text), hint, reading.wait)
            case Blame.MOMENT:
                return Deferred(talk.attempt("deferred", code, text), reading.wait)
            case Blame.MESSAGE:
                words = fingerprint(code, text, talk.recipient)
                attempt, said = talk.attempt("refused", code, text), _code(reading, code)
                return Refused(attempt, said, words, names_address=reading.names_address)

    def _broken(self, talk: _Talk, problem: BaseException) -> Tried:
        text = f"{type(problem).__name__}: {problem}"
        if talk.phase is Phase.DATA:
            return InDoubt(talk.attempt("in_doubt", None, text))
        talk.session_is_over = talk.session is not None and talk.session.reused
        if talk.phase is Phase.RCPT:
            return Blocked(talk.attempt("blocked", None, text), _BROKEN_AT_RCPT)
        hint = _own_hint(problem) or "is SMTP_SERVER right, is the server up, and is SMTP_SECURITY what it offers?"
        return Unavailable(talk.attempt("unavailable", None, text), hint)


def _told(ehlo_name: str) -> str:
    return ehlo_name if is_qualified(ehlo_name) else f"{ehlo_name}, which is no full name: some ask for SMTP_EHLO_NAME"


def _own_hint(problem: BaseException) -> str:
    return problem.hint if isinstance(problem, NoLoginError) else ""


def _code(reading: ReplyVerdict, code: int) -> str:
    return reading.code if reading.code == str(code) else f"{code} {reading.code}"
