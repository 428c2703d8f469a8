"""What each failure of a connection says about the request: over real sockets, with a server that knows its frames."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notification_service.channels.http_client import (
    Answer,
    FenceLost,
    HttpClient,
    MaybeSent,
    NotSent,
    Response,
)
from notification_service.delivery.ports.claims import Fence
from tests.stack import http_server
from tests.stack.certificates import server_context
from tests.stack.http_server import Fault, HttpServer, Reply


class Asked:
    """A fence that counts how often it is asked, and answers after `delay` seconds."""

    def __init__(self, answer: Fence = Fence.HELD, delay: float = 0.0) -> None:
        self.answer = answer
        self.delay = delay
        self.count = 0

    async def __call__(self) -> Fence:
        self.count += 1
        await asyncio.sleep(self.delay)
        return self.answer


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http") / "ca.pem"


@pytest.fixture(params=[True, False], ids=["h2", "h1"])
async def server(certificates: Path, request: pytest.FixtureRequest) -> AsyncIterator[HttpServer]:
    async with http_server.running(server_context(certificates, "good"), http2=request.param) as running:
        yield running


@pytest.fixture
async def h2(certificates: Path) -> AsyncIterator[HttpServer]:
    async with http_server.running(server_context(certificates, "good")) as running:
        yield running


@pytest.fixture
async def client(certificates: Path) -> AsyncIterator[HttpClient]:
    async with opened(certificates) as client:
        yield client


def opened(certificates: Path, *, timeout: float = 5.0, max_connections: int = 4) -> "aclosing[Closing]":
    server_context(certificates, "good")  # writes the authority's file
    tls = ssl.create_default_context(cafile=str(certificates))
    return aclosing(Closing(tls=tls, timeout=timeout, http2=True, max_connections=max_connections))


class Closing(HttpClient):
    async def aclose(self) -> None:
        await self.close()


async def send(client: HttpClient, url: str, fence: Asked | None = None) -> Answer:
    return await client.request("POST", url + "/x", headers={"X-Id": "1"}, content=b"body", before_handover=fence)


async def test_an_answer_comes_back_with_its_headers(server: HttpServer, client: HttpClient) -> None:
    server.script.append(Reply(429, b'{"a":1}', {"retry-after": "7", "location": "https://elsewhere.example/"}))
    answer = await send(client, server.url, fence := Asked())
    assert isinstance(answer, Response)
    assert (answer.status, answer.body, answer.retry_after, fence.count) == (429, b'{"a":1}', 7.0, 1)
    sent = server.requests[0]
    assert (sent.method, sent.path, sent.headers["x-id"], sent.body) == ("POST", "/x", "1", b"body")


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 30, 259_200.0),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Feb 2025 10:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 259_200.0),
    ],
)
def test_the_wait_that_is_asked_for_is_a_number_or_a_date(said: str, wait: float | None) -> None:
    assert Response(429, {"retry-after": said}, b"").retry_after == wait


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000"])
def test_a_date_is_waited_for(zone: str) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    wait = Response(503, {"retry-after": f"{at:%a, %d %b %Y %H:%M:%S} {zone}"}, b"").retry_after
    assert wait is not None
    assert 290 < wait <= 300


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"null", b'{"a":', b"<html>no</html>", b"\xff\xfe{", b"[" * 60_000, b'{"a":1}' * 9000]
)
def test_what_is_no_json_object_reads_as_an_empty_one(body: bytes) -> None:
    assert Response(200, {}, body).json_object == {}
    for charset in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):  # RFC 8259 allows the first alone, and proxies err
        assert Response(200, {}, '{"a":"ü"}'.encode(charset)).json_object == {"a": "ü"}


async def test_redirects_are_not_followed_and_no_cookie_comes_back(server: HttpServer, client: HttpClient) -> None:
    server.answer = lambda _: Reply(302, b"", {"location": "/y", "set-cookie": "a=b; Path=/"})
    for _ in range(2):
        answer = await send(client, server.url)
        assert isinstance(answer, Response)
        assert answer.status == 302
    assert [(each.path, "cookie" in each.headers) for each in server.requests] == [("/x", False)] * 2


async def test_a_lost_fence_writes_nothing_and_leaves_the_client_usable(server: HttpServer, client: HttpClient) -> None:
    assert await send(client, server.url, Asked(Fence.LOST)) == FenceLost()
    assert not server.requests
    assert isinstance(await send(client, server.url, Asked()), Response)
    assert len(server.requests) == 1


async def test_a_connection_is_used_again(server: HttpServer, client: HttpClient) -> None:
    for _ in range(3):
        await send(client, server.url, Asked())
    assert (server.connections, client.open) == (1, 1)


async def test_nothing_is_opened_before_the_first_request(client: HttpClient) -> None:
    assert client.open == 0


async def test_without_a_server_nothing_was_sent_and_the_fence_is_not_asked(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    answer = await send(client, f"https://localhost:{port}", fence := Asked())
    assert isinstance(answer, NotSent)
    assert fence.count == 0


@pytest.mark.parametrize("value", ["key-0001\n", " key-0001", "key-0001\r\nX: y", "key\0-0001", "kéy-0001"])
async def test_a_header_that_cannot_be_written_was_sent_nothing_and_is_not_quoted(
    server: HttpServer, client: HttpClient, value: str
) -> None:
    fence = Asked()
    answer = await client.request("POST", server.url, headers={"Authorization": value}, before_handover=fence)
    assert isinstance(answer, NotSent)
    assert "authorization" in answer.text
    assert "0001" not in answer.text
    assert (fence.count, server.requests) == (0, [])


async def test_a_server_that_never_answers_the_handshake_was_sent_nothing(certificates: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with opened(certificates, timeout=0.2) as client:
            answer = await send(client, f"https://localhost:{silent.getsockname()[1]}", fence := Asked())
    assert (answer, fence.count) == (NotSent("no connection within 0.2 s"), 0)


async def test_a_certificate_of_another_authority_was_sent_nothing(server: HttpServer, tmp_path: Path) -> None:
    async with opened(tmp_path / "other.pem") as client:
        answer = await send(client, server.url, fence := Asked())
    assert isinstance(answer, NotSent)
    assert "certificate" in answer.text.lower()
    assert fence.count == 0


async def test_a_server_that_dies_before_the_request_may_have_read_it(server: HttpServer, client: HttpClient) -> None:
    """It shook hands, and the request was written: only the server knows what it had read."""
    server.refuses = 1
    answer = await send(client, server.url, fence := Asked(delay=0.1))
    assert isinstance(answer, MaybeSent | NotSent)
    assert not server.requests
    assert fence.count == (1 if isinstance(answer, MaybeSent) else 0)


@pytest.mark.parametrize("fault", [Fault.DIE, Fault.HANG])
async def test_a_server_that_dies_or_is_silent_after_the_request_may_have_it(
    server: HttpServer, certificates: Path, fault: Fault
) -> None:
    server.script.append(fault)
    async with opened(certificates, timeout=0.3) as client:
        answer = await send(client, server.url, fence := Asked())
        assert isinstance(answer, MaybeSent)
        assert (len(server.requests), fence.count) == (1, 1)
        assert isinstance(await send(client, server.url, Asked()), Response)
    assert server.connections == 2


async def test_a_status_counts_though_its_body_breaks_off(server: HttpServer, client: HttpClient) -> None:
    server.script.append(Fault.DIE_IN_BODY)
    answer = await send(client, server.url, Asked())
    assert isinstance(answer, Response)
    assert (answer.status, answer.body, answer.complete) == (200, b"half", False)


async def test_a_body_without_an_end_is_cut(server: HttpServer, client: HttpClient) -> None:
    server.script += [Reply(200, b"x" * 500_000), Reply(200, b"x" * 700_000), Reply(200, b"y")]
    for length, complete in ((500_000, True), (524_288, False), (1, True)):
        answer = await send(client, server.url, Asked())
        assert isinstance(answer, Response)
        assert (len(answer.body), answer.complete) == (length, complete)


async def test_a_goaway_below_the_stream_sends_once_more_and_asks_the_fence_twice(
    h2: HttpServer, client: HttpClient
) -> None:
    await send(client, h2.url)
    h2.script.append(Fault.GOAWAY_BELOW)
    answer = await send(client, h2.url, fence := Asked())
    assert isinstance(answer, Response)
    assert (len(h2.requests), h2.connections, fence.count) == (3, 2, 2)


async def test_a_goaway_that_has_processed_nothing_says_not_sent(h2: HttpServer, client: HttpClient) -> None:
    h2.script.append(Fault.GOAWAY_BELOW)
    assert isinstance(await send(client, h2.url, Asked()), NotSent)
    assert isinstance(await send(client, h2.url, Asked()), Response)


async def test_after_a_goaway_a_server_that_is_gone_was_sent_nothing(h2: HttpServer, client: HttpClient) -> None:
    await send(client, h2.url)
    h2.script.append(Fault.GOAWAY_BELOW)
    h2.stop_listening()
    assert isinstance(await send(client, h2.url, fence := Asked()), NotSent)
    assert (len(h2.requests), fence.count) == (2, 1)


async def test_a_refused_stream_says_not_sent_and_another_reset_does_not(h2: HttpServer, client: HttpClient) -> None:
    h2.script += [Fault.REFUSE_STREAM, Fault.RESET_STREAM]
    assert isinstance(await send(client, h2.url, Asked()), NotSent)
    assert isinstance(await send(client, h2.url, Asked()), MaybeSent)


async def test_requests_at_once_do_not_take_each_others_streams(server: HttpServer, client: HttpClient) -> None:
    """Each waits for its fence while others write: the library numbers streams before that."""
    held = [send(client, server.url, Asked(delay=0.02 * (n % 3))) for n in range(30)]
    lost = [send(client, server.url, Asked(Fence.LOST, delay=0.01 * (n % 3))) for n in range(10)]
    answers = await asyncio.gather(*held, *lost)
    assert [type(each) for each in answers] == [Response] * 30 + [FenceLost] * 10
    assert (len(server.requests), client.open) == (30, 4)


async def test_where_every_connection_is_taken_the_rest_is_not_sent(server: HttpServer, certificates: Path) -> None:
    async with opened(certificates, timeout=0.5, max_connections=1) as client:
        answers = await asyncio.gather(*(send(client, server.url, Asked(delay=1.0)) for _ in range(3)))
    assert [type(each) for each in answers] == [Response, NotSent, NotSent]
    assert len(server.requests) == 1


async def test_the_time_that_the_fence_takes_does_not_count(server: HttpServer, certificates: Path) -> None:
    async with opened(certificates, timeout=0.3) as client:
        assert isinstance(await send(client, server.url, Asked(delay=0.5)), Response)


async def test_a_cancelled_request_gives_up_its_connection(server: HttpServer, client: HttpClient) -> None:
    server.script.append(Fault.HANG)
    request = asyncio.create_task(send(client, server.url, Asked()))
    await asyncio.sleep(0.3)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert client.open == 0
    assert isinstance(await send(client, server.url, Asked()), Response)


async def test_what_the_fence_raises_comes_out(server: HttpServer, client: HttpClient) -> None:
    class Broken(Asked):
        async def __call__(self) -> Fence:
            raise RuntimeError("the store")

    with pytest.raises(RuntimeError, match="the store"):
        await send(client, server.url, Broken())
    assert not server.requests
