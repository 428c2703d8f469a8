"""The public listener over real HTTP: what it answers, what it stores, and what it does not have."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

import httpx
import pytest

from notification_service.callbacks.app import application
from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback import signal_messages
from notification_service.feedback.providers.mailgun import Mailgun
from notification_service.feedback.providers.postmark import Postmark
from notification_service.feedback.providers.twilio import Twilio, signature
from notification_service.feedback.providers.webhooks import Provider
from notification_service.foundation.errors import DependencyError
from notification_service.observability.callback_metrics import CallbackMetrics
from notification_service.observability.serving import HttpLimits, serving
from tests.stack.processes import free_port
from tests.unit.test_webhooks import LOGIN, MAILGUN_KEY, NOW, basic, mailgun_request, postmark_bounce, postmark_event

PROVIDERS: dict[str, Provider] = {
    "postmark": Postmark([LOGIN]),
    "mailgun": Mailgun([MAILGUN_KEY]),
    "twilio": Twilio("https://cb.cinema.example", ["token"]),
}
BOUNCE = json.dumps(postmark_bounce("HardBounce", "550 5.1.1 unknown")).encode()


@dataclass
class Queue:
    """Confirms, or not."""

    up: bool = True
    bodies: list[bytes] = field(default_factory=list)

    async def publish(self, bodies: Sequence[bytes]) -> None:
        if not self.up:
            raise DependencyError("RABBITMQ_URL: a signal cannot be stored: ConnectionError")
        self.bodies += bodies

    @property
    def signals(self) -> list[Signal]:
        return [signal_messages.read(body) for body in self.bodies]


@dataclass
class Listener:
    queue: Queue
    client: httpx.AsyncClient
    metrics: CallbackMetrics
    port: int
    before: dict[tuple[str, str], float] = field(default_factory=dict)

    async def post(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        named = {"content-type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
        return await self.client.post(path, content=content, headers=named)

    def counted(self, provider: str, status: int) -> float:
        """Since the test began."""
        place = provider, str(status)
        return self._totals().get(place, 0.0) - self.before.get(place, 0.0)

    def begin(self) -> None:
        self.queue.up = True
        self.queue.bodies.clear()
        self.before = self._totals()

    def _totals(self) -> dict[tuple[str, str], float]:
        samples = [sample for metric in self.metrics.registry.collect() for sample in metric.samples]
        name = "notification_callbacks_total"
        return {(each.labels["provider"], each.labels["status"]): each.value for each in samples if each.name == name}


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Listener]:
    queue, metrics, port = Queue(), CallbackMetrics(tuple(PROVIDERS)), free_port()
    app = application(PROVIDERS, queue.publish, metrics)
    async with (
        serving(app, "127.0.0.1", port, HttpLimits(head=5.0, body=0.5, connections=20)),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield Listener(queue, client, metrics, port)


@pytest.fixture
def listener(served: Listener) -> Listener:
    served.begin()
    return served


async def test_what_is_signed_is_stored_before_the_200(listener: Listener) -> None:
    answer = await listener.post("/cb/postmark", BOUNCE, **basic())
    assert (answer.status_code, answer.content) == (200, b"")
    (signal,) = listener.queue.signals
    assert (signal.source, signal.code) == ("postmark", "5.1.1")
    assert listener.counted("postmark", 200) == 1


async def test_nothing_has_happened_after_it_was_told(listener: Listener) -> None:
    ahead = {**postmark_bounce("HardBounce", "550 5.1.1 unknown"), "BouncedAt": "2400-01-01T00:00:00Z"}
    await listener.post("/cb/postmark", json.dumps(ahead).encode(), **basic())
    (signal,) = listener.queue.signals
    assert signal.at <= datetime.now(UTC)


async def test_twilio_is_answered_in_its_own_language_and_signs_the_query(listener: Listener) -> None:
    path, fields = "/cb/twilio/inbound?src=sms", [("Body", "STOP"), ("From", "+4915112345678"), ("MessageSid", "SM1")]
    signed = signature(b"token", f"https://cb.cinema.example{path}", fields).decode()
    answer = await listener.post(
        path,
        urlencode(fields).encode(),
        content_type="application/x-www-form-urlencoded; charset=UTF-8",
        x_twilio_signature=signed,
    )
    assert (answer.status_code, answer.content) == (200, b"<Response/>")
    assert answer.headers["content-type"].startswith("text/xml")
    assert [each.kind for each in listener.queue.signals] == [SignalKind.UNSUBSCRIBED]


async def test_while_the_queue_is_away_the_provider_is_to_come_again(listener: Listener) -> None:
    listener.queue.up = False
    answer = await listener.post("/cb/postmark", BOUNCE, **basic())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "rabbit" not in answer.text.lower()
    listener.queue.up = True
    assert (await listener.post("/cb/postmark", BOUNCE, **basic())).status_code == 200


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/cb/postmark", BOUNCE, {}, 401),
        ("/cb/postmark", BOUNCE, basic("postmark:another-password-of-ours"), 401),
        ("/cb/postmark", b"{", basic(), 400),
        ("/cb/postmark", b"x" * (600 * 1024), basic(), 413),
        ("/cb/postmark", BOUNCE, {**basic(), "content_type": "multipart/form-data; boundary=x"}, 415),
        ("/cb/postmark", BOUNCE, {**basic(), "content_type": "application/x-www-form-urlencoded"}, 415),
        ("/cb/postmark", BOUNCE, {**basic(), "content_encoding": "gzip"}, 415),
        ("/cb/nobody", BOUNCE, basic(), 404),
        ("/cb/ses", BOUNCE, basic(), 404),
        ("/cb/", BOUNCE, basic(), 404),
        ("/cb/postmark/more", BOUNCE, basic(), 404),
        ("/CB/postmark", BOUNCE, basic(), 404),
    ],
)
async def test_bad_input_is_a_4xx_with_one_plain_line_a_count_and_nothing_stored(
    listener: Listener, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await listener.post(path, content, **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.count("\n") == 1
    assert answer.text.strip().isprintable()
    assert listener.queue.bodies == []
    assert listener.counted("postmark" if path == "/cb/postmark" else "other", status) == 1


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(listener: Listener) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 64 * 1024

    headers = {"content-type": "application/json", **basic()}
    answer = await listener.client.post("/cb/postmark", content=endless(), headers=headers)
    assert answer.status_code == 413


async def test_half_a_body_is_let_go_and_nothing_is_stored(listener: Listener) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    head = "POST /cb/postmark HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n"
    writer.write(f"{head}Authorization: {basic()['authorization']}\r\n\r\n".encode() + BOUNCE)
    await writer.drain()
    async with asyncio.timeout(5):
        heard = await reader.read()
    writer.close()
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert listener.queue.bodies == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_do_nothing(listener: Listener, method: str) -> None:
    answer = await listener.client.request(method, "/cb/postmark", headers=basic())
    assert answer.status_code == 405
    assert listener.queue.bodies == []


@pytest.mark.parametrize(
    "path",
    ["/", "/console", "/console/", "/console/login", "/metrics", "/health", "/readyz", "/actuator/health", "/gallery/",
     "/docs", "/openapi.json", "/cb", "/cb/../console/", "/cb/%2e%2e/metrics"],
)  # fmt: skip
async def test_nothing_of_the_console_or_of_the_inner_port_is_there(listener: Listener, path: str) -> None:
    answer = await listener.client.get(path)
    assert answer.status_code in (404, 405)
    assert "location" not in answer.headers
    assert (await listener.client.get("/livez")).text == "UP"


async def test_known_and_unknown_messages_have_the_same_answer(listener: Listener) -> None:
    answers = []
    for metadata in ({"notification_id": "0" * 32}, {"notification_id": "f" * 32}, {"notification_id": "x"}, {}, None):
        body = postmark_event("Delivery", Recipient="a@b.example", DeliveredAt=NOW.isoformat(), Metadata=metadata)
        answer = await listener.post("/cb/postmark", json.dumps(body).encode(), **basic())
        answers.append((answer.status_code, answer.content, sorted(set(answer.headers) - {"date"})))
    assert len({str(each) for each in answers}) == 1
    assert answers[0][0] == 200


async def test_an_event_that_says_nothing_is_a_200_that_stores_nothing(listener: Listener) -> None:
    answer = await listener.post("/cb/postmark", json.dumps(postmark_event("Open")).encode(), **basic())
    assert answer.status_code == 200
    assert listener.queue.bodies == []


async def test_a_signal_comes_out_of_the_queue_as_it_went_in(listener: Listener) -> None:
    # Over HTTP, the age of a signature is judged by the true time.
    request = mailgun_request("failed", at=datetime.now(UTC), severity="permanent")
    assert (await listener.post("/cb/mailgun", json.dumps(request).encode())).status_code == 200
    (signal,) = listener.queue.signals
    assert signal_messages.read(signal_messages.written(signal)) == signal
    assert signal.address == "jane.smith@example.com"
