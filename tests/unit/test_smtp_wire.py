"""The bytes of an SMTP session, without a server: which of them is a reply, and to what."""

import asyncio
from typing import Any, cast

import pytest
from aiosmtplib import SMTP, SMTPServerDisconnected

from notification_service.channels.email.smtp.wire import NO_REPLY, Reply, Wire, readable, take_over


class ScriptedTransport(asyncio.Transport):
    """Remembers what is written, and whether it was given up."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """It is called by the test."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True


def wire_over(transport: ScriptedTransport) -> Wire:
    return Wire(transport)


class EndedTransport(ScriptedTransport):
    """As uvloop's, between the end of the connection and the word of it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        raise RuntimeError(f"unable to write {len(data)} bytes: the handler is closed")


async def test_a_connection_that_has_just_ended_is_no_error_of_ours() -> None:
    wire = wire_over(EndedTransport())
    with pytest.raises(SMTPServerDisconnected):
        wire.ask(b"MAIL FROM:<a@b.example>\r\n")


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_replies_answer_the_commands_in_their_order_in_whatever_pieces_they_come(pieces: int) -> None:
    wire = wire_over(ScriptedTransport())
    replies = wire.ask(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", 2)
    said = b"250-2.1.0 Sender\r\n250 ok\n451 4.2.1 later\r\n"
    for start in range(0, len(said), pieces):
        wire.data_received(said[start : start + pieces])
    assert [await each for each in replies] == [Reply(250, "2.1.0 Sender\nok"), Reply(451, "4.2.1 later")]
    assert wire.in_step


@pytest.mark.parametrize(
    "line",
    [
        b"hello\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"ab0 ok\r\n",
        b"\r\n",
        b"250 " + b"x" * 9000 + b"\r\n",
        b"250-ok\r\n550 no\r\n",
        b"550-no\r\n550-not at all\r\n250 ok\r\n",
    ],
)
async def test_a_line_that_is_no_reply_ends_the_session(line: bytes) -> None:
    transport = ScriptedTransport()
    wire = wire_over(transport)
    first, second = wire.expect(2)
    wire.data_received(line)
    assert (await first).code == NO_REPLY
    with pytest.raises(SMTPServerDisconnected):
        await second
    assert (transport.closed, wire.in_step) == (True, False)


@pytest.mark.parametrize("said", ["bo\xeete pleine", "Stra\xdfe \x00 zu"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_reply_is_read_in_the_encoding_that_the_server_writes(said: str, encoding: str) -> None:
    wire = wire_over(ScriptedTransport())
    (answer,) = wire.expect()
    wire.data_received(f"550 {said}\r\n".encode(encoding))
    assert await answer == Reply(550, said)
    assert readable(said.encode(encoding).decode("utf-8", "surrogateescape")) == said


async def test_a_reply_without_an_end_ends_the_session_before_it_fills_the_memory() -> None:
    transport = ScriptedTransport()
    wire = wire_over(transport)
    (reply,) = wire.expect()
    for _ in range(100):
        wire.data_received(b"x" * 1000)
    assert (await reply) == Reply(NO_REPLY, "Response too long")
    assert transport.closed
    assert len(wire._buffer) < 50_000


async def test_a_server_that_talks_and_talks_is_given_up() -> None:
    transport = ScriptedTransport()
    wire = wire_over(transport)
    wire.data_received(b"250 ok\r\n" * 1000)
    assert transport.closed
    assert len(wire.surplus) < 200


async def test_what_was_said_beyond_the_login_answers_none_of_our_commands() -> None:
    class Protocol:
        _buffer = bytearray(b"250 injected\r\n")

    class Client:
        protocol = Protocol()
        transport = ScriptedTransport()

    with pytest.raises(SMTPServerDisconnected, match="more than it was asked for"):
        take_over(cast("SMTP", cast("Any", Client())))
    Protocol._buffer = bytearray()
    assert take_over(cast("SMTP", cast("Any", Client()))).in_step
