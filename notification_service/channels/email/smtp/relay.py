"""One of several SMTP transports: under a name of its own in attempts, and in hints under the names of its settings."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from aiosmtplib import SMTPResponseException

from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.pool import BROKEN, Pool
from notification_service.channels.email.smtp.providers import Provider
from notification_service.channels.email.smtp.replies import Phase, one_line, read
from notification_service.channels.email.smtp.session import ACCEPTED
from notification_service.channels.email.smtp.wire import within
from notification_service.delivery.ports.channel import (
    BeforeHandover,
    Blocked,
    HandoverRefused,
    OutgoingMessage,
    PutOff,
    Tried,
    Unavailable,
)
from notification_service.foundation.errors import ChannelUnavailableError

_ONLY_BY_SENDING = "that it also passes mail from FROM_EMAIL on shows only when one is sent (send-test)"


class SmtpRelay:
    """`named`: puts the names of this relay's settings into a text that has those of the first."""

    def __init__(
        self, name: str, channel: SmtpChannel, pool: Pool, provider: Provider, named: Callable[[str], str]
    ) -> None:
        self.name = name
        self.provider = channel.provider
        self.max_concurrency = channel.max_concurrency
        self.where: Mapping[str, str] = channel.where
        self._channel = channel
        self._pool = pool
        self._provider = provider
        self._named = named

    @property
    def open(self) -> int:
        return self._channel.open

    @property
    def extensions_given_up(self) -> Collection[str]:
        return self._channel.extensions_given_up

    @property
    def login_age(self) -> float | None:
        return self._channel.login_age

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        tried = await self._channel.send_once(message, before_handover)
        if isinstance(tried, HandoverRefused | PutOff):
            return tried
        tried = replace(tried, attempt=replace(tried.attempt, relay=self.name))
        return replace(tried, hint=self._named(tried.hint)) if isinstance(tried, Unavailable | Blocked) else tried

    async def check(self) -> str:
        try:
            return self._named(await self._channel.check())
        except ChannelUnavailableError as problem:
            raise ChannelUnavailableError(self._named(str(problem))) from None

    async def check_sender(self, sender: str) -> str:
        """Ask by MAIL and RSET, which send nothing, whether the sender may be used, and say what this leaves open.

        Raises `ChannelUnavailableError` where the server refuses it.
        """
        try:
            await self._ask_for(sender)
        except SMTPResponseException as problem:
            text = one_line(self._pool.hide(problem.message))
            hint = self._named(self._provider.hint(problem.code, text, read(Phase.MAIL, problem.code, text).hint))
            raise ChannelUnavailableError(f"it refuses FROM_EMAIL at MAIL: {problem.code} {text}: {hint}") from None
        except BROKEN as problem:
            raise ChannelUnavailableError(f"it broke off when asked for FROM_EMAIL: {type(problem).__name__}") from None
        rule = self._provider.sender_rule
        own = not rule or sender.casefold() == (self._pool.server.username or "").casefold()
        return f"it takes FROM_EMAIL at MAIL; {_ONLY_BY_SENDING if own else self._named(rule)}"

    async def close(self) -> None:
        await self._channel.close()

    async def _ask_for(self, sender: str) -> None:
        async with self._pool.session() as session:
            mail = Envelope(sender.encode(), b"", utf8=False).mail(session.offered)
            reply = await within(self._pool.server.timeout, *session.wire.ask(mail))
            if reply.code != ACCEPTED:
                raise SMTPResponseException(reply.code, reply.text)
            with suppress(*BROKEN):
                reply = await within(self._pool.server.timeout, *session.wire.ask(b"RSET\r\n"))
                if reply.code == ACCEPTED:
                    session.keep()
