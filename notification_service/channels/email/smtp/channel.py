"""Sends one mail in one SMTP conversation, and says what the server's replies mean for it."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from aiosmtplib import SMTPResponseException

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import extension_check, sending_services
from notification_service.channels.email.smtp.conversation import Conversation, UntouchedError
from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.extensions import (
    UNKNOWN_ARGUMENTS,
    Extension,
    Suspicion,
    refuses_smtputf8,
)
from notification_service.channels.email.smtp.greeting import is_qualified
from notification_service.channels.email.smtp.pool import BROKEN, Pool
from notification_service.channels.email.smtp.providers import Provider
from notification_service.channels.email.smtp.replies import (
    CLOSING,
    Blame,
    Phase,
    fingerprint,
    is_refusal,
    one_line,
    read,
)
from notification_service.channels.email.smtp.tokens import NoLoginError
from notification_service.channels.email.smtp.turns import NoTurnError, Patience
from notification_service.channels.email.smtp.wire import readable
from notification_service.delivery.ports.channel import (
    Accepted,
    BeforeHandover,
    Blocked,
    Deferred,
    HandoverRefused,
    InDoubt,
    OutgoingMessage,
    PutOff,
    Refused,
    Tried,
    Unavailable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError

_NO_SMTPUTF8 = "5.6.7"
"""RFC 6531 §3.7.1: non-ASCII addresses not permitted."""

_BROKEN_AT_RCPT = "the server breaks off or is silent when a recipient is named: ask its log what it waits for"
_ASK_ITS_OPERATOR = "the reply names no cause that we know: ask the server's operator, with this reply"
_PUT_OFF_S = 5.0


@dataclass(frozen=True, slots=True)
class _Try:
    """How a mail is tried. `fresh`: on a new session. `plain`: command by command."""

    fresh: bool = False
    plain: bool = False
    may_ride: bool = True
    first: bool = False

    def on_a_session_of_its_own(self) -> "_Try":
        return replace(self, may_ride=False, first=True)

    def plainly(self) -> "_Try":
        return replace(self.on_a_session_of_its_own(), plain=True)


@dataclass(frozen=True, slots=True)
class _Tried:
    """The result of one try. `again`: how to try the same mail once more at once, since nothing of it went out.

    `suspected`: the extension that the reply is about, if the mail passes without it.
    """

    verdict: Tried
    again: _Try | None = None
    suspected: Suspicion | None = None


class SmtpChannel:
    """The SMTP transport.

    `timeout`: seconds for each command before DATA. `data_timeout`: seconds for the content and the final reply, for
    which RFC 5321 §4.5.3.2.6 allows 10 minutes.
    """

    name = "smtp"

    def __init__(self, pool: Pool, provider: Provider, *, timeout: float, data_timeout: float) -> None:
        # Behind a backlog, a second mail for each session stands ready to ride behind the content of the first.
        self.max_concurrency = pool.limits.sessions * (2 if Extension.PIPELINING in pool.extensions.allowed else 1)
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
        envelope = Envelope.of(mail)
        patience = Patience(self._pool.server.timeout)
        how, suspected = _Try(), None
        while True:
            talk = Conversation(self._pool, envelope, how.plain, patience, self._timeout, self._data_timeout)
            tried = await self._converse(talk, mail, before_handover, how)
            if tried.suspected and not suspected:
                # Behind the mails that meanwhile wait for the same silence, it would never be its turn.
                suspected, patience = tried.suspected, Patience(2 * self._pool.server.timeout)
            if tried.again is None:
                break
            how = tried.again
        if suspected and isinstance(tried.verdict, Accepted):
            self._pool.extensions.confirmed(suspected)
        return tried.verdict

    @property
    def open(self) -> int:
        return self._pool.counts.open

    @property
    def extensions_given_up(self) -> Collection[str]:
        return self._pool.extensions.given_up

    @property
    def login_age(self) -> float | None:
        """Seconds since the refresh token was last renewed; None where there is none, or this is not known."""
        return self._pool.tokens.grant.age if self._pool.tokens else None

    async def check(self) -> str:
        server = self._pool.server
        try:
            async with self._pool.session() as session:
                speed = await extension_check.describe(self._pool.extensions, session, server.timeout)
        except BROKEN as problem:
            text, code = one_line(self._pool.hide(_said(problem))), getattr(problem, "code", None)
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
        return f"{self.where['server']} lets us in ({server.security}, {login}), {greeted}{warning}; {speed}"

    async def close(self) -> None:
        await self._pool.close()

    async def _converse(
        self, talk: Conversation, mail: OutgoingEmail, before_handover: BeforeHandover, how: _Try
    ) -> _Tried:
        try:
            async with self._pool.seat(
                talk.envelope,
                fresh=how.fresh,
                may_ride=how.may_ride,
                first=how.first,
                patience=talk.patience,
            ) as seat:
                talk.take(seat)
                return await self._send(talk, mail, before_handover, how)
        except NoTurnError:
            return _Tried(PutOff(_PUT_OFF_S, "every SMTP session is taken by a mail that the server is slow to answer"))
        except UntouchedError:
            return _Tried(HandoverRefused(), again=how.on_a_session_of_its_own())
        except SMTPResponseException as problem:
            return self._refused(talk, problem.code, readable(problem.message), how)
        except BROKEN as problem:
            return self._broken(talk, problem, how)

    async def _send(
        self, talk: Conversation, mail: OutgoingEmail, before_handover: BeforeHandover, how: _Try
    ) -> _Tried:
        session = talk.session
        if not talk.envelope.fits(session.offered):
            session.keep()
            why = "the address has non-ASCII letters before the @, and the server does not offer SMTPUTF8"
            return _Tried(Refused(talk.attempt("refused", None, why), _NO_SMTPUTF8))
        try:
            await talk.name_recipient()
            if await before_handover() is Fence.LOST:
                await talk.reset()
                return _Tried(HandoverRefused())
            reply = await talk.hand_over(mail.content)
        except SMTPResponseException as problem:
            tried = self._refused(talk, problem.code, problem.message, how)
            if not (tried.again or isinstance(tried.verdict, Unavailable | InDoubt)):
                await talk.reset()
            return tried
        session.mails += 1
        if talk.seat and not talk.seat.handed_on:
            session.keep()
        attempt = talk.attempt("accepted", reply.code, reply.text)
        named = self._service.id_in(reply.text) if self._service else None
        return _Tried(Accepted(replace(attempt, provider_message_id=named) if named else attempt))

    def _refused(self, talk: Conversation, code: int, text: str, how: _Try) -> _Tried:
        # After DATA, only a refusal that certainly answers our command proves that nothing was sent.
        if talk.phase is Phase.DATA and (talk.doubtful or not is_refusal(code)):
            talk.failed(f"{code} {text}")
            return _Tried(InDoubt(talk.attempt("in_doubt", code, text)))
        verdict = self._verdict(talk, code, text)
        fresh = self._on_a_fresh_one(talk, code, text, how)
        suspected = None if how.plain else talk.suspicion(code, text)
        if suspected and not fresh:
            return _Tried(verdict, again=how.plainly(), suspected=suspected)
        # What rode behind other content and passes at the head of a session speaks against riding.
        return _Tried(verdict, again=fresh, suspected=suspected if suspected and suspected.size else None)

    def _on_a_fresh_one(self, talk: Conversation, code: int, text: str, how: _Try) -> _Try | None:
        """How to try again where the reply is about a session that was used before, and not about the mail."""
        if not talk.reused:
            return None
        # Postfix closes a session with 421 after twenty unknown recipients, whoever the next one is. Some servers take
        # one mail in a session, and know no second MAIL. What is no refusal may answer something else.
        spent = read(talk.phase, code, text, talk.recipient).session_spent
        known_mail = talk.phase is not Phase.MAIL or code not in UNKNOWN_ARGUMENTS
        if is_refusal(code) and code != CLOSING and known_mail and not spent:
            return None
        talk.session.close_reason = "the server takes no more mails on it"
        return replace(how.on_a_session_of_its_own(), fresh=True)

    def _verdict(self, talk: Conversation, code: int, text: str) -> Tried:
        verdict = read(talk.phase, code, text, talk.recipient)
        hint = self._provider.hint(code, text, verdict.hint)
        if talk.phase is Phase.MAIL and talk.envelope.utf8 and refuses_smtputf8(code, text):
            return Refused(talk.attempt("refused", code, text), f"{code} {_NO_SMTPUTF8}")
        match verdict.blame:
            case Blame.CHANNEL:
                return Unavailable(talk.attempt("unavailable", code, text), hint or _ASK_ITS_OPERATOR)
            case Blame.ACCOUNT:
                return Blocked(talk.attempt("blocked", code, text), hint, verdict.wait)
            case Blame.MOMENT:
                return Deferred(talk.attempt("deferred", code, text), verdict.wait)
            case Blame.MESSAGE:
                return Refused(
                    talk.attempt("refused", code, text),
                    verdict.code if verdict.code == str(code) else f"{code} {verdict.code}",
                    fingerprint(code, text, talk.recipient),
                    names_address=verdict.names_address,
                )

    def _broken(self, talk: Conversation, problem: BaseException, how: _Try) -> _Tried:
        text = f"{type(problem).__name__}: {problem}"
        if talk.phase is Phase.DATA:
            return _Tried(InDoubt(talk.attempt("in_doubt", None, text)))
        again = replace(how.on_a_session_of_its_own(), fresh=True) if talk.reused else None
        if talk.phase is Phase.RCPT:
            silent = isinstance(problem, TimeoutError) and not (again or how.plain)
            suspected = talk.half_answered if silent else None
            verdict = Blocked(talk.attempt("blocked", None, text), _BROKEN_AT_RCPT)
            return _Tried(verdict, how.plainly() if suspected else again, suspected)
        hint = _own_hint(problem) or "is SMTP_SERVER right, is the server up, and is SMTP_SECURITY what it offers?"
        return _Tried(Unavailable(talk.attempt("unavailable", None, text), hint), again)


def _ehlo_name(ehlo_name: str) -> str:
    return (
        ehlo_name
        if is_qualified(ehlo_name)
        else f"{ehlo_name}, which is no full name: some servers require one, set SMTP_EHLO_NAME"
    )


def _said(problem: BaseException) -> str:
    if isinstance(problem, SMTPResponseException):
        return f"{problem.code} {readable(problem.message)}"
    return str(problem)


def _own_hint(problem: BaseException) -> str:
    return problem.hint if isinstance(problem, NoLoginError) else ""
