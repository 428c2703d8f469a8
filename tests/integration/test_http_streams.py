"""The connections of the HTTP client: which address they lead to, through which proxy, and which is not used again."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from notification_service.channels.http_client import Answer, FenceLost, HttpClient, MaybeSent, NotSent, Response
from notification_service.channels.http_streams import dial
from notification_service.delivery.ports.claims import Fence
from tests.stack import http_server
from tests.stack.certificates import server_context
from tests.stack.http_server import HttpServer

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http") / "ca.pem"


@pytest.fixture(params=[True, False], ids=["h2", "h1"])
async def server(authority: Path, request: pytest.FixtureRequest) -> AsyncIterator[HttpServer]:
    async with http_server.running(server_context(authority, "good"), http2=request.param) as running:
        yield running


@pytest.fixture
async def client(authority: Path) -> AsyncIterator[HttpClient]:
    server_context(authority, "good")  # writes the authority's file
    tls = ssl.create_default_context(cafile=str(authority))
    client = HttpClient(tls=tls, timeout=0.5, http2=True, max_connections=2)
    yield client
    await client.close()


class Asked:
    def __init__(self, answer: Fence = Fence.HELD) -> None:
        self.answer = answer
        self.count = 0

    async def __call__(self) -> Fence:
        self.count += 1
        return self.answer


async def send(client: HttpClient, url: str, fence: Asked | None = None) -> Answer:
    return await client.request("POST", f"{url}/x", headers={}, content=b"body", before_handover=fence)


class Raw:
    """A server without TLS that answers each piece that it reads as `answers` say, and keeps the pieces.

    `later`: what it says a moment after each answer; None: it closes the connection then.
    """

    def __init__(self, *answers: bytes, later: bytes | None = b"") -> None:
        self.answers = list(answers)
        self.later = later
        self.read: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while piece := await reader.read(65536):
            self.read.append(piece)
            writer.write(self.answers.pop(0))
            await asyncio.sleep(0.01)
            if self.later is None:
                break
            writer.write(self.later)
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Raw"]:
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as listening:
            self.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            yield self


async def test_head_and_body_leave_as_one(client: HttpClient) -> None:
    async with Raw(_OK, _OK).running() as raw:
        for _ in range(2):
            assert isinstance(await send(client, raw.url), Response)
        assert [piece.endswith(b"\r\n\r\nbody") for piece in raw.read] == [True, True]
        await client.close()


@pytest.mark.parametrize("later", [b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n", None], ids=["408", "its end"])
async def test_a_connection_on_which_more_than_the_answer_came_is_not_used_again(
    client: HttpClient, later: bytes | None
) -> None:
    """What follows an answer, such as 408 before the server closes, is no answer to the next request."""
    async with Raw(_OK, _OK, later=later).running() as raw:
        for _ in range(2):
            answer = await send(client, raw.url)
            assert isinstance(answer, Response)
            assert answer.status == 200
            await asyncio.sleep(0.05)
        assert raw.connections == 2
        await client.close()


async def test_a_second_answer_in_the_piece_of_the_first_is_not_that_to_the_next_request(client: HttpClient) -> None:
    async with Raw(_OK + b"HTTP/1.1 201 Other\r\nContent-Length: 0\r\n\r\n", _OK, _OK).running() as raw:
        answers = [await send(client, raw.url, Asked()) for _ in range(3)]
        assert [getattr(each, "status", type(each)) for each in answers] == [200, MaybeSent, 200]
        await client.close()


async def test_a_request_for_another_host_does_not_go_out_on_a_connection_that_is_kept(client: HttpClient) -> None:
    async with Raw(_OK).running() as one, Raw(_OK).running() as other:
        assert isinstance(await send(client, one.url), Response)
        assert isinstance(await send(client, other.url), Response)
        assert (one.connections, other.connections, client.open) == (1, 1, 1)
        await client.close()


async def test_headers_that_come_twice_are_joined(client: HttpClient) -> None:
    async with Raw(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\nx-a: 2\r\n\r\n").running() as raw:
        answer = await send(client, raw.url)
        assert isinstance(answer, Response)
        assert answer.headers["x-a"] == "1, 2"
        await client.close()


@pytest.mark.parametrize("url", ["ftp://localhost", "localhost", "https://", "https://a b", "https://localhost:x"])
async def test_what_is_no_url_was_sent_nothing(client: HttpClient, url: str) -> None:
    assert isinstance(await send(client, url, fence := Asked()), NotSent)
    assert fence.count == 0


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers no SYN: as one behind a firewall, or of IPv6 that leads nowhere."""
    with contextlib.ExitStack() as kept:
        listening = kept.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            filling = kept.enter_context(socket.socket())
            filling.settimeout(0)
            filling.connect_ex(listening.getsockname())
        yield listening.getsockname()


async def test_the_next_address_is_tried_where_one_is_silent_or_refuses(silent: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as good, socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = closed.getsockname()
        closed.close()
        places = [silent, refusing, good.getsockname()]
        async with asyncio.timeout(2):
            dialled = await dial([(socket.AF_INET, socket.SOCK_STREAM, 0, "", each) for each in places])
        with dialled:
            assert dialled.getpeername() == good.getsockname()


async def test_where_no_address_answers_the_error_is_that_of_the_last(silent: tuple[str, int]) -> None:
    with pytest.raises(OSError, match="no address"):
        await dial([])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.4):
            await dial([(socket.AF_INET, socket.SOCK_STREAM, 0, "", silent)])


async def test_a_handshake_that_is_cancelled_leaves_no_socket_open(client: HttpClient) -> None:
    """A server that reads the first message of TLS and answers none."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while await reader.read(65536):
                pass
            ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        request = asyncio.create_task(send(client, f"https://localhost:{listening.sockets[0].getsockname()[1]}"))
        await asyncio.sleep(0.1)
        request.cancel()
        async with asyncio.timeout(1):
            await ended.wait()
        with pytest.raises(asyncio.CancelledError):
            await request


class Proxy:
    """Takes CONNECT, and answers it with `status`; None: never."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.asked: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head)
            if self.status is None:
                await reader.read()
                return
            writer.write(b"HTTP/1.1 %d Said\r\n\r\n" % self.status)
            if self.status == 200:
                host, port = head.split()[1].decode().rsplit(":", 1)
                there, back = await asyncio.open_connection(host, int(port))
                with contextlib.closing(back):
                    await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as listening:
            self.url = f"http://user:word@127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            yield self


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_through_a_proxy_the_fence_is_asked_once_and_before_the_request(
    server: HttpServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy().running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert await send(client, server.url, lost := Asked(Fence.LOST)) == FenceLost()
        assert (lost.count, len(server.requests)) == (1, 0)
        for _ in range(2):
            assert isinstance(await send(client, server.url, held := Asked()), Response)
            assert held.count == 1
        assert b"CONNECT localhost:%d " % server.port in proxy.asked[0]
        assert b"Basic dXNlcjp3b3Jk" in proxy.asked[0]
        assert [each.headers.get("proxy-authorization") for each in server.requests] == [None, None]
        await client.close()


@pytest.mark.parametrize("status", [403, None])
async def test_a_proxy_that_lets_nothing_through_was_sent_nothing(
    server: HttpServer, client: HttpClient, monkeypatch: pytest.MonkeyPatch, status: int | None
) -> None:
    async with Proxy(status).running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert isinstance(await send(client, server.url, fence := Asked()), NotSent)
        assert fence.count == 0
