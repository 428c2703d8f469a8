"""An HTTP server on loopback in a thread for each connection, for services that are processes of their own."""

import socketserver
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.stack.processes import free_port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's own
        """A client that was killed closes its connection at any time."""


class ThreadedServer(ABC):
    def __init__(self) -> None:
        self.port = free_port()
        self._server: _Server | None = None

    @abstractmethod
    def handler(self) -> type[BaseHTTPRequestHandler]:
        """What answers the requests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), self.handler())
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
