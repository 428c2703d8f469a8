"""Sends one mail in one SMTP conversation, command by command, and records how far the conversation got."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from aiosmtplib import SMTPResponseException

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import sending_services
from notification_service.channels.email.smtp.greeting import is_qualified
from notification_service.channels.email.smtp.pool import BROKEN, Pool, Session
from notification_service.channels.email.smtp.providers import Provider
from notification_service.channels.email.smtp.replies import CLOSING, Blame, Phase, fingerprint, one_line, read
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
"""aiosmtplib would use the first address that it finds in such a text, and drop the rest (pitfalls.md, 14)."""

_NO_SMTPUTF8 = "5.6.7"
"""RFC 6531 §3.7.1: non-ASCII addresses not permitted."""

_BROKEN_AT_RCPT = "the server breaks off or is silent when a recipient is named: ask its log what it waits for"


@dataclass(slots=True)
class _Conversation:
    """The progress of one conversation. `hide`: removes our password from the server's text."""

    hide: Callable[[str], str]
    recipient: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    phase: Phase = Phase.CONNECT
    session: Session | None = None
    session_is_over: bool = False
    """Only a session that was used before has ended; a fresh one may work."""

    def attempt(self, result: str, code: int | None, reply: str) -> Attempt:
        duration = round((time.monotonic() - self.started) * 1000, 1)
        name = self.session.name if self.session else None
        return Attempt(self.at, result, duration, code, one_line(self.hide(reply)), name)


class SmtpChannel:
    """The SMTP transport.

    `timeout`: seconds for each command before DATA. `data_timeout`: seconds for the content and the final reply, for
    which RFC 5321 §4.5.3.2.6 allows 10 minutes.
    """

    name = "smtp"

    def __init__(self, pool: Pool, provider: Provider, *, timeout: float, data_timeout: float) -> None:
        self.max_concurrency = pool.limits.sessions
        self.provider = provider.name
        self.where = {"server": f"{pool.server.host}:{pool.server.port}", "security": pool.server.security}
        self._pool = pool
        self._provider = provider
        self._service = sending_services.find(pool.server.host)
        self._timeout = timeout
        self._data_timeout = data_timeout

    async def send_once(self, mail: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        if not isinstance(mail, OutgoingEmail):
            raise TypeError(f"SMTP sends e-mail, and this is a {type(mail).__name__}")
        if _NOT_ONE_ADDRESS.search(mail.sender + mail.recipient):
            raise ValueError("the envelope's sender or recipient is not one plain address")
        verdict, over = await self._converse(mail, before_handover, fresh=False)
        if over:
            # The session had died unnoticed, or reached its limit. Nothing was sent, and a fresh one may work.
            verdict, _ = await self._converse(mail, before_handover, fresh=True)
        return verdict

    @property
    def open(self) -> int:
        return self._pool.counts.open

    @property
    def login_age(self) -> float | None:
        """Seconds since the refresh token was last renewed; None where there is none, or this is not known."""
        return self._pool.tokens.grant.age if self._pool.tokens else None

    async def check(self) -> str:
        server = self._pool.server
        try:
            async with self._pool.session() as session:
                session.keep()
        except BROKEN as problem:
            text, code = self._pool.hide(str(problem)), getattr(problem, "code", None)
            by_text = read(Phase.CONNECT, code, text).hint if code else ""
            hint = self._provider.hint(code, text, by_text) or _own_hint(problem)
            hint = hint or "check SMTP_SERVER, SMTP_PORT, SMTP_SECURITY and SMTP_CA_FILE"
            name = type(problem).__name__
            raise ChannelUnavailableError(f"{self.where['server']}: {name}: {text}: {hint}") from None
        tokens = self._pool.tokens
        login = f"login by {tokens.grant.name}{tokens.grant.remark}" if tokens else "login"
        login = login if server.username else "no login"
        warning = self._provider.login_warning
        warning = f"; {warning}" if warning and server.username else ""
        greeted = f"greeted as {_ehlo_name(server.ehlo_name)}"
        return f"{self.where['server']} lets us in ({server.security}, {login}), {greeted}{warning}"

    async def close(self) -> None:
        await self._pool.close()

    async def _converse(
        self, mail: OutgoingEmail, before_handover: BeforeHandover, *, fresh: bool
    ) -> tuple[Tried, bool]:
        """Returns the result, and whether it only says that a reused session has ended."""
        conversation = _Conversation(self._pool.hide, mail.recipient)
        try:
            async with self._pool.session(fresh=fresh) as conversation.session:
                verdict = await self._send(conversation, conversation.session, mail, before_handover)
        except SMTPResponseException as problem:
            verdict = self._refused(conversation, problem.code, problem.message)
        except BROKEN as problem:
            verdict = self._broken(conversation, problem)
        return verdict, conversation.session_is_over

    async def _send(
        self, conversation: _Conversation, session: Session, mail: OutgoingEmail, before_handover: BeforeHandover
    ) -> Tried:
        client = session.client
        options, encoding = ["BODY=8BITMIME"] if client.supports_extension("8bitmime") else [], "ascii"
        if mail.needs_smtputf8:
            if not client.supports_extension("smtputf8"):
                session.keep()
                why = "the address has non-ASCII letters before the @, and the server does not offer SMTPUTF8"
                return Refused(conversation.attempt("refused", None, why), _NO_SMTPUTF8)
            options, encoding = [*options, "SMTPUTF8"], "utf-8"
        try:
            conversation.phase = Phase.MAIL
            await self._within(
                client.mail(mail.sender, options=options, encoding=encoding, timeout=None), self._timeout
            )
            conversation.phase = Phase.RCPT
            await self._within(client.rcpt(mail.recipient, encoding=encoding, timeout=None), self._timeout)
            if await before_handover() is Fence.LOST:
                await self._reset(session)
                return HandoverRefused()
            conversation.phase = Phase.DATA
            reply = await self._within(client.data(mail.content, timeout=None), self._data_timeout)
        except SMTPResponseException as problem:
            verdict = self._refused(conversation, problem.code, problem.message)
            if not (isinstance(verdict, Unavailable | InDoubt) or conversation.session_is_over):
                await self._reset(session)
            return verdict
        session.mails += 1
        session.keep()
        attempt = conversation.attempt("accepted", reply.code, reply.message)
        named = self._service.id_in(reply.message) if self._service else None
        return Accepted(replace(attempt, provider_message_id=named) if named else attempt)

    async def _within(self, step: Awaitable[T], seconds: float) -> T:
        """Await one command under a deadline for the whole of it.

        aiosmtplib's own timeouts restart with every byte, and would add a second timer to each command.
        """
        async with asyncio.timeout(seconds):
            return await step

    async def _reset(self, session: Session) -> None:
        """Make the session ready for the next mail. Where that fails, the session is discarded; the result stands."""
        try:
            await self._within(session.client.rset(), self._timeout)
        except BROKEN:
            return
        session.keep()

    def _refused(self, conversation: _Conversation, code: int, text: str) -> Tried:
        # After DATA, only a refusal that certainly answers our command proves that nothing was sent.
        doubtful = not 400 <= code < 600 or (conversation.session is not None and conversation.session.out_of_step)  # noqa: PLR2004 - RFC 5321 §4.2.1
        if conversation.phase is Phase.DATA and doubtful:
            return InDoubt(conversation.attempt("in_doubt", code, text))
        verdict = read(conversation.phase, code, text, conversation.recipient)
        # Postfix closes a session with 421 after twenty unknown recipients, whoever the next one is.
        if (
            (verdict.session_spent or code == CLOSING)
            and conversation.session is not None
            and conversation.session.reused
        ):
            conversation.session_is_over = True
            conversation.session.close_reason = "the server takes no more mails on it"
        hint = self._provider.hint(code, text, verdict.hint)
        match verdict.blame:
            case Blame.CHANNEL:
                return Unavailable(conversation.attempt("unavailable", code, text), hint)
            case Blame.ACCOUNT:
                return Blocked(conversation.attempt("blocked", code, text), hint, verdict.wait)
            case Blame.MOMENT:
                return Deferred(conversation.attempt("deferred", code, text), verdict.wait)
            case Blame.MESSAGE:
                return Refused(
                    conversation.attempt("refused", code, text),
                    verdict.code if verdict.code == str(code) else f"{code} {verdict.code}",
                    fingerprint(code, text, conversation.recipient),
                    names_address=verdict.names_address,
                )

    def _broken(self, conversation: _Conversation, problem: BaseException) -> Tried:
        text = f"{type(problem).__name__}: {problem}"
        if conversation.phase is Phase.DATA:
            return InDoubt(conversation.attempt("in_doubt", None, text))
        conversation.session_is_over = conversation.session is not None and conversation.session.reused
        if conversation.phase is Phase.RCPT:
            return Blocked(conversation.attempt("blocked", None, text), _BROKEN_AT_RCPT)
        hint = _own_hint(problem) or "is SMTP_SERVER right, is the server up, and is SMTP_SECURITY what it offers?"
        return Unavailable(conversation.attempt("unavailable", None, text), hint)


def _ehlo_name(ehlo_name: str) -> str:
    return (
        ehlo_name
        if is_qualified(ehlo_name)
        else f"{ehlo_name}, which is no full name: some servers require one, set SMTP_EHLO_NAME"
    )


def _own_hint(problem: BaseException) -> str:
    return problem.hint if isinstance(problem, NoLoginError) else ""
