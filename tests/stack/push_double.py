"""FCM and APNs on loopback in a thread, for services that are processes of their own."""

import asyncio
import itertools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.stack import http_server
from tests.stack.certificates import server_context
from tests.stack.http_server import Behaviour, Fault, HttpServer, Reply, Request
from tests.stack.push_services import KEY_ID, TEAM, TOPIC, PushServices


class PushDouble:
    """`drop_every`: of so many messages that it takes, one gets no answer. `seconds`: before each other answer."""

    def __init__(self, folder: Path, *, drop_every: int, seconds: float) -> None:
        self.services = PushServices()
        self.dropped = 0
        self._folder = folder
        self._drop_every = drop_every
        self._seconds = seconds
        self._count = itertools.count(1)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._server: HttpServer | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._over:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.url

    @property
    def environment(self) -> Mapping[str, str]:
        (self._folder / "google.json").write_text(self.services.service_account(self.url))
        (self._folder / "apns.p8").write_text(self.services.apns_key())
        return {
            "PUSH_PROVIDERS": "fcm,apns",
            "PUSH_EVENTS": "booking.cancelled",
            "FCM_SERVICE_ACCOUNT_FILE": str(self._folder / "google.json"),
            "FCM_API_URL": self.url,
            "APNS_KEY_FILE": str(self._folder / "apns.p8"),
            "APNS_KEY_ID": KEY_ID,
            "APNS_TEAM_ID": TEAM,
            "APNS_TOPIC": TOPIC,
            "APNS_API_URL": self.url,
            "SSL_CERT_FILE": str(self._folder / "ca.pem"),
        }

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with http_server.running(server_context(self._folder / "ca.pem", "good")) as self._server:
            self._server.answer = self._answer
            self._ready.set()
            await self._over.wait()

    def _answer(self, request: Request) -> Behaviour:
        behaviour = self.services.answer(request)
        if request.path == "/token" or not isinstance(behaviour, Reply):
            return behaviour
        if next(self._count) % self._drop_every == 0:
            self.dropped += 1
            return Fault.DIE
        return Reply(behaviour.status, behaviour.body, behaviour.headers, self._seconds)
