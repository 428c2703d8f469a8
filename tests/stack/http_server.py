"""A server that speaks HTTP/2 frame by frame (h2), or HTTP/1.1, and misbehaves on request at each step."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

import h2.config
import h2.connection
import h2.events
from h2.errors import ErrorCodes

_FRAME_BYTES = 16384


@dataclass(frozen=True)
class Request:
    """`connection`: its number, from 1."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class Reply:
    """`after`: seconds before it is given."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0


class Fault(Enum):
    HANG = auto()
    DIE = auto()
    """Read the whole request, then close the connection."""
    GOAWAY_BELOW = auto()
    """GOAWAY that names the last stream before this one, then close (HTTP/2)."""
    REFUSE_STREAM = auto()
    RESET_STREAM = auto()
    DIE_IN_BODY = auto()
    """The status and a piece of the body, then close."""


Behaviour = Reply | Fault


@dataclass
class HttpServer:
    """`script`: behaviours that come first; then `answer` decides. `refuses`: connections that are closed at once."""

    script: deque[Behaviour] = field(default_factory=deque)
    answer: Callable[[Request], Behaviour] = lambda _: Reply()
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    refuses: int = 0
    port: int = 0
    stop_listening: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def behaviour(self, request: Request) -> Behaviour:
        self.requests.append(request)
        return self.script.popleft() if self.script else self.answer(request)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            if self.refuses:
                self.refuses -= 1
            elif writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
                await _Http2(self, self.connections, reader, writer).serve()
            else:
                while await self._http1(self.connections, reader, writer):
                    pass
        # Without the farewell of TLS: like a process that was killed.
        writer.transport.abort()

    async def _http1(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        match self.behaviour(Request(method, path, headers, body, number)):
            case Reply(status, body, extra, after):
                await asyncio.sleep(after)
                lines = (
                    f"HTTP/1.1 {status} Said",
                    f"Content-Length: {len(body)}",
                    *(f"{k}: {v}" for k, v in extra.items()),
                )
                writer.write("\r\n".join((*lines, "", "")).encode() + body)
                await writer.drain()
                return True
            case Fault.DIE_IN_BODY:
                writer.write(b"HTTP/1.1 200 Said\r\nContent-Length: 100\r\n\r\nhalf")
                await writer.drain()
                await asyncio.sleep(0.05)
            case Fault.HANG:
                await reader.read()
            case _:
                pass
        return False


class _Http2:
    def __init__(
        self, server: HttpServer, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._number = number
        self._reader = reader
        self._writer = writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._answers: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        self._h2.initiate_connection()
        await self._flush()
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    if not await self._take(event):
                        return
                await self._flush()
        finally:
            for task in self._answers:
                task.cancel()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()

    async def _take(self, event: h2.events.Event) -> bool:
        """Returns whether the connection goes on."""
        match event:
            case h2.events.RequestReceived():
                assert event.stream_id is not None
                assert event.headers is not None
                self._heads[event.stream_id] = {_text(name): _text(value) for name, value in event.headers}
                self._bodies[event.stream_id] = b""
            case h2.events.DataReceived():
                assert event.stream_id is not None
                self._bodies[event.stream_id] += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            case h2.events.StreamEnded():
                assert event.stream_id is not None
                return await self._answer(event.stream_id)
            case h2.events.ConnectionTerminated():
                return False
            case _:
                pass
        return True

    async def _answer(self, stream: int) -> bool:
        head = self._heads.pop(stream)
        headers = {name: value for name, value in head.items() if not name.startswith(":")}
        request = Request(head[":method"], head[":path"], headers, self._bodies.pop(stream), self._number)
        match self._server.behaviour(request):
            case Reply() as reply:
                task = asyncio.create_task(self._reply(stream, reply))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            case Fault.REFUSE_STREAM:
                self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            case Fault.RESET_STREAM:
                self._h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            case Fault.GOAWAY_BELOW:
                self._h2.close_connection(last_stream_id=max(0, stream - 2))
                await self._flush()
                await asyncio.sleep(0.05)
                return False
            case Fault.DIE_IN_BODY:
                self._h2.send_headers(stream, [(":status", "200")])
                self._h2.send_data(stream, b"half")
                await self._flush()
                await asyncio.sleep(0.05)
                return False
            case Fault.DIE:
                return False
            case Fault.HANG:
                pass
        return True

    async def _reply(self, stream: int, reply: Reply) -> None:
        await asyncio.sleep(reply.after)
        self._h2.send_headers(stream, [(":status", str(reply.status)), *reply.headers.items()])
        for start in range(0, len(reply.body), _FRAME_BYTES):
            self._h2.send_data(stream, reply.body[start : start + _FRAME_BYTES])
        self._h2.end_stream(stream)
        await self._flush()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


@asynccontextmanager
async def running(context: ssl.SSLContext, *, http2: bool = True) -> AsyncIterator[HttpServer]:
    """Serve on loopback. `context`: a server's, whose protocols are set here."""
    context.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
    fake = HttpServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=context)
    fake.port = server.sockets[0].getsockname()[1]
    fake.stop_listening = server.close
    async with server:
        yield fake
        server.close()
