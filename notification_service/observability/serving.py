"""Serves an application over HTTP: how long a client may take, how many may be connected, what every answer says.

Whoever can reach the port may try anything, without a login: a client that is slow, silent or speaks no HTTP costs a
connection for some seconds, and nobody else anything.
"""

import asyncio
import contextlib
import functools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
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
"""Seconds that clients have to finish when the service ends; uvicorn by itself waits for ever for half a request."""

_MAX_TASKS = 1000
"""Requests that are worked on at once, also for clients that have gone meanwhile."""

_MAX_HEAD_SIZE = 16 * 1024

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What an answer says where its application does not say otherwise."""
_REFUSAL = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for each part of an exchange, and the number of clients.

    `head`: until the whole head of a request is there, from the connection or the last answer on. `body`: until its
    body is. `answer`: until it is answered, and the answer is read.
    """

    head: float = 10.0
    body: float = 10.0
    answer: float = 60.0
    connections: int = 200


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int, limits: Limits | None = None) -> AsyncIterator[None]:
    """Serve while the block runs, and end soon after it. Raises `OSError` where the port is taken."""
    listening = socket.create_server((host, port))
    made: Any = functools.partial(_Connection, room=_Room(limits or Limits()))
    server = _Server(
        uvicorn.Config(
            _answering(app),
            http=made,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            # Whoever connects could else say who they are.
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


def _answering(app: ASGIApp) -> ASGIApp:
    """Puts the headers on every answer, and writes nothing into the log about clients that went or were cut off."""
    too_large = PlainTextResponse("The head of the request is too large.", 431, {"Connection": "close"})

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

        try:
            await (app if _size(scope) <= _MAX_HEAD_SIZE else too_large)(scope, receive, sent)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if started:
                raise
            await JSONResponse({"status": "DOWN"}, status_code=503)(scope, receive, sent)

    return run


def _size(scope: Scope) -> int:
    """Of a head: uvicorn limits what it waits for, not what comes at once."""
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return headers + len(scope["raw_path"]) + len(scope["query_string"])


class _Server(uvicorn.Server):
    """Leaves the signals to the service, which drains before it goes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Room:
    """The connections that are open. A further one always finds a place, so nobody can fill them all for others."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: dict[_Connection, None] = {}

    def admit(self, connection: "_Connection") -> None:
        self._open[connection] = None
        if len(self._open) > self.limits.connections:
            self._least_missed().cut_off()

    def forget(self, connection: "_Connection") -> None:
        self._open.pop(connection, None)

    def _least_missed(self) -> "_Connection":
        """Of the address that has most: one that has asked for nothing, else the one that came first."""
        busiest, _ = Counter(each.address for each in self._open).most_common(1)[0]
        return min((each for each in self._open if each.address == busiest), key=lambda each: each.is_answered)


class _Connection(H11Protocol):
    """uvicorn's own, but nothing of a client is waited for without an end."""

    def __init__(self, *args: Any, room: _Room, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **options)
        self._room = room
        self._deadline: asyncio.TimerHandle | None = None
        self._waits_for: tuple[object, str] = (None, "")
        self._untouched = self.conn.our_state

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """The latest exchange. uvicorn's own type forgets that there is none at first."""
        return self.cycle

    @property
    def is_answered(self) -> bool:
        """Whether a whole request is there, and its answer is being made."""
        return self._waits_for[1] == "answer"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._room.admit(self)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._room.forget(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def cut_off(self) -> None:
        """Let go of the client at once, whatever has been sent or asked for."""
        self._room.forget(self)
        self._tell_gone()
        self.transport.abort()

    def _look(self) -> None:
        """Set a deadline for what is waited for now. More of the same part of an exchange does not move it."""
        cycle, limits = self._cycle, self._room.limits
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
        """Answer in place of the application, unless something was answered already; then close."""
        working = self._cycle is not None and not self._cycle.response_complete
        if not self.cycle.response_started if working else self.conn.our_state is self._untouched:
            headers = {**_HEADERS, **_REFUSAL, "Content-Length": str(len(why))}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n{why}".encode())
        if working:
            self._tell_gone()
        self.transport.close()

    def _tell_gone(self) -> None:
        """The application need not wait for this client any more."""
        if self._cycle is not None:
            self._cycle.disconnected = True
            self._cycle.message_event.set()
