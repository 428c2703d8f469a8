"""Twilio, FCM and APNs on one HTTPS server in a thread: they answer at once, and say what CPU that takes."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.stack import twilio
from tests.stack.http_server import Behaviour, Fault, Reply, Request
from tests.stack.push_double import PushDouble


class Providers(PushDouble):
    """`taken`: how many messages of each kind. While `hangs`, Twilio reads requests and answers none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, drop_every=10**9, seconds=0)
        self.taken: Counter[str] = Counter()
        self.hangs = False

    @property
    def sms(self) -> Mapping[str, str]:
        return {
            **twilio.Twilio().environment,
            "TWILIO_API_URL": self.url,
            "SMS_EVENTS": "booking.cancelled",
            "SSL_CERT_FILE": str(self._folder / "ca.pem"),
        }

    @property
    def cpu_seconds(self) -> float:
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident or 0))

    def _answer(self, request: Request) -> Behaviour:
        if self._server is not None:
            self._server.requests.clear()  # ten minutes of them would be memory that nobody reads
        if request.path == "/token":
            return self.services.answer(request)
        if "/Messages.json" not in request.path:
            self.taken["push"] += 1
            return _json(200, {"name": "projects/cinema-test/messages/1"})
        if self.hangs:
            return Fault.HANG
        if request.method == "GET":
            return _json(200, {"messages": [], "next_page_uri": None})
        self.taken["sms"] += 1
        return _json(201, {"sid": "SM1", "status": "queued"})


def _json(status: int, content: Mapping[str, Any]) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"content-type": "application/json"})
