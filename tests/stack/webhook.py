"""A webhook on loopback that accepts messages, counts them, and misbehaves as a test asks."""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.stack.threaded_server import ThreadedServer


@dataclass(frozen=True)
class Answer:
    """What a request is answered with. `lost`: it is accepted, and the connection is closed without an answer."""

    status: int = 204
    seconds: float = 0
    retry_after: int | None = None
    lost: bool = False


class Webhook(ThreadedServer):
    """`accepted`: the reference and the message of each request that was accepted, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.asked = 0
        self._answers: deque[Answer] = deque()
        self._always = Answer()
        self._lock = threading.Lock()

    @property
    def references(self) -> list[str]:
        with self._lock:
            return [reference for reference, _ in self.accepted]

    def script(self, *answers: Answer, always: Answer | None = None) -> None:
        """The next answers, one a request, and that of every further request."""
        with self._lock:
            self._answers, self._always = deque(answers), always or Answer()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler(self)

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
