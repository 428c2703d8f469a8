"""A listener over real sockets: clients that are slow, silent, rude or many, and what each of them is answered."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from notification_service.observability.serving import HttpLimits, serving
from tests.stack.processes import free_port

LIMITS = HttpLimits(head=0.4, body=0.4, answer=1.0, connections=8)
SOON = 0.35
"""Seconds beyond a deadline that a busy machine may take, times ten."""
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body() or b"nothing")


async def large(_: Request) -> Response:
    return Response(b"x" * 20_000_000)


async def slow(_: Request) -> Response:
    await asyncio.sleep(0.6)
    return PlainTextResponse("slept")


async def broken(_: Request) -> Response:
    raise LookupError("a secret detail")


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self, seconds: float = 5.0) -> bytes:
        """Everything up to the end of the connection; it fails where that does not come."""
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""

    async def hears_a_line(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readline()


class Door:
    def __init__(self, port: int) -> None:
        self._port = port
        self._clients: list[Client] = []

    async def client(self) -> Client:
        self._clients.append(Client(*await asyncio.open_connection("127.0.0.1", self._port, limit=2**16)))
        return self._clients[-1]

    async def asked(self, data: bytes) -> bytes:
        client = await self.client()
        await client.says(data)
        return await client.hears()

    def close(self) -> None:
        for each in self._clients:
            each.writer.transport.abort()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    routes = [
        Route("/echo", echo, methods=["GET", "POST"]),
        Route("/large", large),
        Route("/slow", slow),
        Route("/broken", broken),
    ]
    port = free_port()
    async with serving(Starlette(routes=routes), "127.0.0.1", port, LIMITS):
        opened = Door(port)
        yield opened
        opened.close()


# ── slow ones ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("sent", "more", "answer"),
    [
        (b"", b"", b""),
        (b"GET /ec", b"", b"HTTP/1.1 408 "),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n", b"HTTP/1.1 408 "),
        (POST + b"Content-Length: 900\r\n\r\nhalf", b"a", b"HTTP/1.1 408 "),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"HTTP/1.1 408 "),
        (POST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", b"", b"HTTP/1.1 100 "),
    ],
    ids=["silence", "half a line", "headers without end", "half a body", "chunks without end", "waits to go on"],
)
async def test_who_is_not_done_in_time_is_let_go(door: Door, sent: bytes, more: bytes, answer: bytes) -> None:
    client = await door.client()
    started = time.monotonic()
    await client.says(sent)
    hearing = asyncio.create_task(client.hears())
    while not hearing.done():
        with contextlib.suppress(ConnectionError):
            await client.says(more)
        await asyncio.sleep(0.05)
    heard = await hearing
    # What a client sends after the end may cost it the answer: its own machine then throws that away.
    assert heard.startswith(answer) or (more and not heard)
    assert time.monotonic() - started < max(LIMITS.head, LIMITS.body) + 10 * SOON


async def test_one_that_asked_already_has_no_more_time_for_the_next(door: Door) -> None:
    client = await door.client()
    await client.says(GET + b"GET /ec")
    heard = await client.hears()
    assert heard.count(b"HTTP/1.1 200") == 1
    assert b"HTTP/1.1 408 " in heard


async def test_who_does_not_read_the_answer_is_let_go(door: Door) -> None:
    client = await door.client()
    await client.says(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(LIMITS.answer + 5 * SOON)
    assert len(await client.hears()) < 20_000_000


async def test_what_takes_the_service_longer_is_no_fault_of_the_client(door: Door) -> None:
    client = await door.client()
    await client.says(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await client.hears()).endswith(b"slept")


# ── many ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_further_client_always_finds_a_place(door: Door) -> None:
    idle = [await door.client() for _ in range(LIMITS.connections * 3)]
    client = await door.client()
    await client.says(GET)
    assert await client.hears_a_line() == b"HTTP/1.1 200 OK\r\n"
    assert await idle[0].hears() == b""


async def test_those_that_asked_are_not_let_go_for_those_that_did_not(door: Door) -> None:
    client = await door.client()
    await client.says(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.05)
    for _ in range(LIMITS.connections * 2):
        await door.client()
    assert await client.hears_a_line() == b"HTTP/1.1 200 OK\r\n"


# ── rude ones ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /echo\r\n\r\n", 400),
        (b"GET /echo HTTP/x\r\nHost: x\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 60_000 + b"\r\n\r\n", 431),
        (b"GET /echo?" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000, 400),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n", 400),
        (b"GET http://evil.example/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET //echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /x/../echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /%2e/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /echo/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 307),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"TRACE /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"BREW /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n", 200),
        (b"GET /echo HTTP/1.0\r\n\r\n", 200),
        (b"GET /broken HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 500),
    ],
    ids=lambda value: (
        value[:40].decode("latin-1").encode("unicode_escape").decode() if isinstance(value, bytes) else ""
    ),
)
async def test_what_is_no_request_of_ours_is_answered_in_kind(door: Door, sent: bytes, code: int) -> None:
    heard = await door.asked(sent)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % code), heard[:200]
    lines = [line.lower() for line in head.split(b"\r\n")]
    assert b"x-content-type-options: nosniff" in lines
    assert b"cache-control: no-store" in lines
    assert not [line for line in lines if line.startswith(b"server:")]
    assert b"secret" not in body
    assert b"Traceback" not in body


async def test_requests_in_one_packet_are_answered_in_their_order(door: Door) -> None:
    bodies = [POST + b"Content-Length: 1\r\n\r\n%d" % each for each in range(9)]
    heard = await door.asked(b"".join(bodies) + b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert [each.rpartition(b"\r\n\r\n")[2][:1] for each in heard.split(b"HTTP/1.1 200")[1:]] == [
        b"%d" % each for each in range(9)
    ] + [b"n"]


@pytest.mark.parametrize("then", [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n"])
async def test_who_breaks_off_leaves_no_traceback(door: Door, caplog: pytest.LogCaptureFixture, then: bytes) -> None:
    client = await door.client()
    await client.says(POST + then)
    await asyncio.sleep(0.1)
    client.writer.transport.abort()
    await asyncio.sleep(0.1)
    assert [each for each in caplog.records if each.exc_info] == []
    assert (await door.asked(b"GET /echo HTTP/1.0\r\n\r\n")).endswith(b"nothing")


async def test_half_a_request_does_not_hold_up_the_end() -> None:
    port = free_port()
    limits = HttpLimits(head=60, body=60, answer=60)
    with structlog.testing.capture_logs():
        async with serving(Starlette(routes=[Route("/echo", echo, methods=["POST"])]), "127.0.0.1", port, limits):
            door = Door(port)
            for sent in (b"", b"POST /ec", POST, POST + b"Content-Length: 9\r\n\r\nhalf"):
                await (await door.client()).says(sent)
            await asyncio.sleep(0.1)
            started = time.monotonic()
    assert time.monotonic() - started < 2 + 10 * SOON
    door.close()
