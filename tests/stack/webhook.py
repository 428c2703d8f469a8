"""A webhook on loopback that accepts messages, counts them, and misbehaves as a test asks."""

import json
import socketserver
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.stack.processes import free_port


@dataclass(frozen=True)
class Answer:
    """What a request is answered with. `lost`: it is accepted, and the connection is closed without an answer."""

    status: int = 204
    seconds: float = 0
    retry_after: int | None = None
    lost: bool = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's own
        """A client that was killed closes its connection at any time."""


class Webhook:
    """`accepted`: the reference and the message of each request that was accepted, in their order."""

    def __init__(self) -> None:
        self.port = free_port()
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.asked = 0
        self._answers: deque[Answer] = deque()
        self._always = Answer()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    @property
    def references(self) -> list[str]:
        with self._lock:
            return [reference for reference, _ in self.accepted]

    def script(self, *answers: Answer, always: Answer | None = None) -> None:
        """The next answers, one a request, and that of every further request."""
        with self._lock:
            self._answers, self._always = deque(answers), always or Answer()

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Nobody answers at the port from now on; what is under way ends by itself."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            # The base class would wait for requests that hang.
            socketserver.TCPServer.server_close(server)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, reference: str, message: dict[str, Any]) -> Answer:
        with self._lock:
            self.asked += 1
            found = self._answers.popleft() if self._answers else self._always
            if found.lost or found.status < 300:
                self.accepted.append((reference, message))
        time.sleep(found.seconds)
        return found


def _handler(webhook: Webhook) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = webhook.answer(self.headers["Idempotency-Key"], json.loads(body))
            if answer.lost:
                return
            self.send_response(answer.status)
            if answer.retry_after is not None:
                self.send_header("Retry-After", str(answer.retry_after))
            self.end_headers()

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the library's own
            """Nothing is printed."""

    return Handler
