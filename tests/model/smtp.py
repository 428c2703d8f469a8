"""A mail server that writes each mail down before it answers 250, and answers what the model wants next."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

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
from tests.model.process import Process

_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)", re.MULTILINE)


class Reply(Enum):
    """What the server says. The number alone stands for a reply at RCPT."""

    OK = "250"
    LATER = "450"
    LATER_AFTER_DATA = "450 after DATA"
    CLOSING = "421"
    CLOSING_AFTER_DATA = "421 after DATA"
    NO_SUCH_USER = "550"
    REFUSES_US = "553, our sender"
    REFUSES_US_AFTER_DATA = "550 after DATA, our quota"
    ODD_WORDS_AFTER_DATA = "554 after DATA, in words that nobody knows"
    LOST_AFTER_THE_DOT = "the mail is taken, and its 250 is lost"
    LOST_IN_THE_BODY = "the connection is lost before the mail is whole"


DOUBTFUL = frozenset({Reply.LOST_AFTER_THE_DOT, Reply.LOST_IN_THE_BODY})
"""The client cannot know whether the mail was taken."""


@dataclass(frozen=True, slots=True)
class Mail:
    notification_id: str
    message_id: str
    sender: Process


class Server:
    """`script`: the replies to the conversations to come, in turn; then all is accepted."""

    def __init__(self, script: Iterable[Reply] = ()) -> None:
        self.script = list(script)
        self.mails: list[Mail] = []

    def keep(self, envelope: OutgoingMessage, process: Process) -> None:
        found = _MESSAGE_ID.search(envelope.content)
        self.mails.append(Mail(envelope.notification_id, found[1].decode() if found else "none", process))


class LiveTransport:
    """One process's conversations with the server: the real breaker stands before it."""

    name = "model"

    def __init__(self, server: Server, process: Process) -> None:
        self._server = server
        self._process = process

    async def send_once(self, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        await self._process.gate("smtp.rcpt")
        reply = self._server.script.pop(0) if self._server.script else Reply.OK
        match reply:
            case Reply.LATER:
                return Deferred(_attempt("deferred", 450))
            case Reply.CLOSING:
                return Unavailable(_attempt("unavailable", 421), "wait")
            case Reply.NO_SUCH_USER:
                return Refused(_attempt("refused", 550), "5.1.1")
            case Reply.REFUSES_US:
                return Blocked(_attempt("blocked", 553), "see to FROM_EMAIL")
            case _:
                return await self._data(reply, envelope, before_handover)

    async def _data(self, reply: Reply, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        if await before_handover() is Fence.LOST:
            return HandoverRefused()
        await self._process.gate("smtp.data")
        if reply in (Reply.OK, Reply.LOST_AFTER_THE_DOT):
            self._server.keep(envelope, self._process)
        await self._process.gate("smtp.data done")
        match reply:
            case Reply.LATER_AFTER_DATA:
                return Deferred(_attempt("deferred", 450))
            case Reply.CLOSING_AFTER_DATA:
                return Unavailable(_attempt("unavailable", 421), "wait")
            case Reply.REFUSES_US_AFTER_DATA:
                return Blocked(_attempt("blocked", 550), "wait for tomorrow")
            case Reply.ODD_WORDS_AFTER_DATA:
                return Refused(_attempt("refused", 554), "554", "odd words")
            case _ if reply in DOUBTFUL:
                return InDoubt(_attempt("in_doubt", None))
            case _:
                return Accepted(_attempt("accepted", 250))

    async def close(self) -> None:
        """Nothing is open."""


def _attempt(result: str, code: int | None) -> Attempt:
    return Attempt(datetime.now(UTC), result, 0, code, f"{code or 'connection lost'}")
