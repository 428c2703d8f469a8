"""The bytes of one SMTP connection that is logged in: commands go out in groups, and replies come in, in their order.

RFC 5321 §4.2 (replies), RFC 2920 (PIPELINING). aiosmtplib opens the connection; its own protocol drops each reply
that nobody waits for yet, so it cannot read the replies to a group.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from aiosmtplib import SMTP, SMTPServerDisconnected

_MAX_LINE_LENGTH = 8192
_MAX_REPLY_LENGTH = 4 * _MAX_LINE_LENGTH
"""Bytes. RFC 5321 §4.5.3.1.5 allows 512 a line; a server that sends more without an end must not fill the memory."""
_MAX_SURPLUS = 100
_PIECE = 65536
_CODE = re.compile(rb"\d{3}(?!\d)")
_STATUS = re.compile(r"2\.\d{1,3}\.\d{1,3}(?!\S)")

NO_REPLY = -1
"""The code of a line that is no SMTP reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`code`: three digits, or `NO_REPLY`. `text`: of all lines, separated by line feeds."""

    code: int
    text: str

    @property
    def status(self) -> str:
        """The status code (RFC 3463) where it is a positive one, or nothing."""
        found = _STATUS.match(self.text)
        return found.group() if found else ""


class Wire(asyncio.Protocol):
    """Takes a connection over from aiosmtplib.

    `surplus`: replies that answer none of our commands. With one, nobody knows which reply answers what, so the
    session is not used again.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.surplus: list[Reply] = []
        self._transport = transport
        self._expected: deque[asyncio.Future[Reply]] = deque()
        self._buffer = bytearray()
        self._problem: SMTPServerDisconnected | None = None
        self._writable: asyncio.Future[None] | None = None
        self._moved_on = asyncio.Event()
        """Set by the first surplus reply, and by the end."""
        transport.set_protocol(self)

    @property
    def in_step(self) -> bool:
        """Whether every command is answered, and nothing was said beyond that: the server waits for the next one."""
        return not self._expected and self.in_step_so_far

    @property
    def in_step_so_far(self) -> bool:
        """Whether nothing was said but replies to our commands; some may still come."""
        return self._problem is None and not (self.surplus or self._buffer or self._transport.is_closing())

    def ask(self, commands: bytes, replies: int = 1) -> list[asyncio.Future[Reply]]:
        """Write commands, and return the replies to come. Raises `SMTPServerDisconnected`."""
        expected = self.expect(replies)
        self.write(commands)
        return expected

    def expect(self, replies: int = 1) -> list[asyncio.Future[Reply]]:
        """Return the next replies, for commands that are about to be written. Raises `SMTPServerDisconnected`."""
        if self._problem or self._transport.is_closing():
            raise SMTPServerDisconnected("Connection lost")
        futures = [asyncio.get_running_loop().create_future() for _ in range(replies)]
        self._expected += futures
        return futures

    def write(self, data: bytes) -> None:
        """Raises `SMTPServerDisconnected`."""
        try:
            self._transport.write(data)
        except RuntimeError as problem:
            # uvloop says so of a connection that has just ended; asyncio says nothing yet.
            raise SMTPServerDisconnected("Connection lost") from problem

    async def write_most(self, data: bytes, reply: asyncio.Future[Reply]) -> bytes | None:
        """Write all but the last 64 KiB as fast as the server reads, and return those.

        None where it replies before: it does not wait for the rest.
        """
        start = 0
        while len(data) - start > _PIECE and not reply.done():
            self.write(data[start : start + _PIECE])
            start += _PIECE
            if self._writable is not None:
                # A server that refuses large content may stop to read it.
                await asyncio.wait((self._writable, reply), return_when=asyncio.FIRST_COMPLETED)
        return None if reply.done() else data[start:]

    async def wait_for_close(self, seconds: float) -> None:
        """Return when the connection has ended, when more is said than was asked for, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved_on.wait()

    def abort(self) -> None:
        """Close at once. What is not written yet is dropped, and nobody waits for a reply any longer."""
        self._end(SMTPServerDisconnected("the connection was given up"))
        self._transport.abort()

    def close(self) -> None:
        """Close; where replies are still to come, at once."""
        if self._expected:
            self.abort()
        else:
            self._transport.close()

    def get_extra_info(self, name: str) -> object:
        return self._transport.get_extra_info(name)

    def data_received(self, data: bytes) -> None:
        if self._problem:
            return
        self._buffer += data
        if b"\n" in data:
            while self._problem is None and (reply := self._next_reply()):
                self._deliver(reply)
        if len(self._buffer) > _MAX_REPLY_LENGTH:
            self._deliver(Reply(NO_REPLY, "Response too long"))

    def eof_received(self) -> None:
        self._end(SMTPServerDisconnected("Unexpected EOF received"))

    def connection_lost(self, exc: Exception | None) -> None:
        lost = SMTPServerDisconnected("Connection lost")
        lost.__cause__ = exc
        self._end(lost)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _next_reply(self) -> Reply | None:
        """Take the next reply from the buffer: None where it is not complete."""
        buffer, start, lines = self._buffer, 0, list[bytes]()
        while (end := buffer.find(b"\n", start)) >= 0:
            line = bytes(buffer[start:end])
            start = end + 1
            if not (_CODE.match(line) and len(line) <= _MAX_LINE_LENGTH):
                shown = line[:_MAX_LINE_LENGTH].decode("utf-8", "replace")
                return self._taken(start, NO_REPLY, f"Malformed SMTP response line: {shown}")
            if line[:1] != buffer[:1]:
                # RFC 5321 §4.2.1: the code is the same on each line. It was accepted, or refused: nobody knows.
                return self._taken(start, NO_REPLY, f"Contradictory SMTP response: {_text(lines)} {_text([line])}")
            lines.append(line[4:].strip(b" \t\r"))
            if line[3:4] != b"-":
                return self._taken(start, int(line[:3]), _text(lines))
        return None

    def _taken(self, length: int, code: int, text: str) -> Reply:
        del self._buffer[:length]
        return Reply(code, text)

    def _deliver(self, reply: Reply) -> None:
        if self._expected:
            expected = self._expected.popleft()
            if not expected.done():
                expected.set_result(reply)
        else:
            self.surplus.append(reply)
            self._moved_on.set()
        if reply.code == NO_REPLY or len(self.surplus) > _MAX_SURPLUS:
            self.abort()

    def _end(self, problem: SMTPServerDisconnected) -> None:
        self._problem = self._problem or problem
        self._buffer.clear()
        self._moved_on.set()
        self.resume_writing()
        while self._expected:
            expected = self._expected.popleft()
            if not expected.done():
                expected.set_exception(self._problem)
                expected.exception()  # seen: whoever waited may have gone


def _text(lines: Iterable[bytes]) -> str:
    """Many servers write their language in an encoding of one byte; none says which."""
    raw = b"\n".join(lines)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def readable(text: str) -> str:
    """Returns a text that aiosmtplib has read, as we would have read it."""
    return _text([text.encode("utf-8", "surrogateescape")])


async def within(seconds: float, reply: asyncio.Future[Reply]) -> Reply:
    """Await a reply. Raises `TimeoutError` and `SMTPServerDisconnected`."""
    if not reply.done():
        async with asyncio.timeout(seconds):
            await reply
    return reply.result()


def take_over(client: SMTP) -> Wire:
    """Returns the connection as ours. Raises `SMTPServerDisconnected` where it has ended or is out of step."""
    protocol, transport = client.protocol, client.transport
    if protocol is None or transport is None or transport.is_closing():
        raise SMTPServerDisconnected("Connection lost")
    # What came beyond the reply to the login would answer our first command.
    if protocol._buffer:  # noqa: SLF001 - aiosmtplib has no public name for it
        raise SMTPServerDisconnected("the server said more than it was asked for at the login")
    return Wire(cast("asyncio.Transport", transport))
