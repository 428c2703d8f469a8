"""Serves an application over HTTP, with timeouts, a limit on connections, and security headers.

The port is open to clients without a login: one that is slow, silent or does not speak HTTP costs a connection for some
seconds, and does not affect the others.
"""

import asyncio
import contextlib
import functools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

log = structlog.get_logger(__name__)

_CLOSE_TIMEOUT_S = 2
"""How long open requests may take when the service stops; uvicorn would wait for ever for half a request."""

_MAX_TASKS = 1000
"""Requests in progress at once, including those whose client is gone."""

_MAX_HEAD_SIZE = 16 * 1024

_TWO_LENGTHS = {b"content-length", b"transfer-encoding"}
"""A program in front of us may take the rest of the body for the next request (RFC 9112 §6.1)."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer, unless the application sets them."""
Refused = Callable[[int], None]
_REFUSAL = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Timeouts in seconds for each part of an exchange, and the number of connections.

    `head`: from the connection or the last answer until the head of a request is complete. `body`: until its body is
    complete. `answer`: until the answer is sent and read.
    """

    head: float = 10.0
    body: float = 10.0
    answer: float = 60.0
    connections: int = 200


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str,
    port: int,
    limits: HttpLimits | None = None,
    *,
    refused: Refused = lambda _: None,
) -> AsyncIterator[None]:
    """Serve while the block runs. Raises `OSError` if the port is taken.

    `refused`: told the status of each answer that the application had no part in.
    """
    listening = socket.create_server((host, port))
    made: Any = functools.partial(_Connection, pool=_ConnectionPool(limits or HttpLimits(), refused))
    server = _Server(
        uvicorn.Config(
            _answering(app, refused),
            http=made,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            # A client could forge its address otherwise.
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MAX_TASKS,
            timeout_graceful_shutdown=_CLOSE_TIMEOUT_S,
        )
    )
    task = asyncio.create_task(server.serve([listening]))
    log.info("http.serving", host=host, port=port)
    try:
        yield
    finally:
        server.should_exit = True
        await task
        listening.close()


def _answering(app: ASGIApp, refused: Refused) -> ASGIApp:
    """Set the headers of every answer, and log nothing about clients that disconnected or were cut off."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = _refusal(scope)
        if refusal:
            refused(refusal.status_code)
        try:
            await (refusal or app)(scope, receive, sent)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if started:
                raise
            await JSONResponse({"status": "DOWN"}, status_code=503)(scope, receive, sent)

    return run


def _refusal(scope: Scope) -> PlainTextResponse | None:
    """The answer to a head that no application gets to see."""
    if _size(scope) > _MAX_HEAD_SIZE:
        return PlainTextResponse("The head of the request is too large.", 431, {"Connection": "close"})
    if {name for name, _ in scope["headers"]} >= _TWO_LENGTHS:
        return PlainTextResponse("The request says its length in two ways.", 400, {"Connection": "close"})
    return None


def _size(scope: Scope) -> int:
    """Of a head: uvicorn limits what it waits for, not what comes at once."""
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return headers + len(scope["raw_path"]) + len(scope["query_string"])


class _Server(uvicorn.Server):
    """Leaves the signals to the service, which drains before it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _ConnectionPool:
    """The open connections. When they are too many, one is closed, so that no client can lock the others out."""

    def __init__(self, limits: HttpLimits, refused: Refused) -> None:
        self.limits = limits
        self.refused = refused
        self._open: dict[_Connection, None] = {}

    def admit(self, connection: "_Connection") -> None:
        self._open[connection] = None
        if len(self._open) > self.limits.connections:
            self._to_close().cut_off()

    def forget(self, connection: "_Connection") -> None:
        self._open.pop(connection, None)

    def _to_close(self) -> "_Connection":
        """Returns the oldest connection of the busiest address, preferably one without a complete request."""
        busiest, _ = Counter(each.address for each in self._open).most_common(1)[0]
        return min((each for each in self._open if each.address == busiest), key=lambda each: each.is_answered)


class _Connection(H11Protocol):
    """uvicorn's protocol, with a deadline for everything that a client sends or reads."""

    def __init__(self, *args: Any, pool: _ConnectionPool, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **options)
        self._pool = pool
        self._deadline: asyncio.TimerHandle | None = None
        self._waits_for: tuple[object, str] = (None, "")
        self._untouched = self.conn.our_state

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The latest exchange; None at first, which uvicorn's type does not say."""
        return self.cycle

    @property
    def is_answered(self) -> bool:
        """Whether a complete request is being answered."""
        return self._waits_for[1] == "answer"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._pool.admit(self)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._pool.forget(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._set_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._set_deadline()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def cut_off(self) -> None:
        """Close the connection at once."""
        self._pool.forget(self)
        self._mark_disconnected()
        self.transport.abort()

    def _set_deadline(self) -> None:
        """Set the deadline for the current part of the exchange. More bytes of the same part do not move it."""
        cycle, limits = self._cycle, self._pool.limits
        if cycle is None or cycle.response_complete:
            part, seconds = "head", limits.answer if self.transport.get_write_buffer_size() else limits.head
        elif cycle.more_body:
            part, seconds = "body", limits.body
        else:
            part, seconds = "answer", limits.answer
        if self._waits_for == (cycle, part) or self.transport.is_closing():
            return
        self._waits_for = (cycle, part)
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._expired, part)

    def _expired(self, part: str) -> None:
        begun = part == "body" or (part == "head" and bool(self.conn.trailing_data[0]))
        if begun and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request was not complete in time.")
        self.cut_off()

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer instead of the application, unless an answer has begun; then close the connection."""
        working = self._cycle is not None and not self._cycle.response_complete
        if not self.cycle.response_started if working else self.conn.our_state is self._untouched:
            if not working:
                self._pool.refused(status.value)
            headers = {**_HEADERS, **_REFUSAL, "Content-Length": str(len(why))}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n{why}".encode())
        if working:
            self._mark_disconnected()
        self.transport.close()

    def _mark_disconnected(self) -> None:
        """Tell the application that the client is gone."""
        if self._cycle is not None:
            self._cycle.disconnected = True
            self._cycle.message_event.set()
