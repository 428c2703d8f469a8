"""The HTTP client: of the channels that send by a provider's API, and of what asks for tokens and certificates.

Each answer says whether the request went out. It asks the core of httpx2 directly, since what httpx2 puts around it
(redirects, cookies, logins, decoding) is not wanted here and costs more CPU than the rest. Imported only where needed.
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from notification_service.channels import http_requests
from notification_service.channels.http_proxies import proxy_of
from notification_service.channels.http_streams import Network, Stream
from notification_service.delivery.ports.channel import BeforeHandover
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.printable import shown

_KEEP_ALIVE_S = 15.0
"""Providers close idle connections after a minute or more, and a request that meets the closing is in doubt."""
_MAX_BODY_BYTES = 512 * 1024
"""A page of Twilio's list with twenty long texts, whose characters are escaped, has some 400 kB."""
_MAX_TEXT = 200
_MAX_WAIT_S = 3 * 86400.0
"""As for a mail server's wait: well below the defaults of PARKING_DAYS and VERDICT_DAYS."""
_REFUSED_STREAM = 7
"""RFC 9113 §7."""
_FAILURES = (
    httpcore2.ConnectionNotAvailable,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
    httpx2.InvalidURL,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Response:
    """The provider's answer. The names of `headers` are in lower case; `body` holds the first 512 KiB.

    `complete`: False where the body broke off or was longer.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    complete: bool = True

    @property
    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one where it is none, such as the page of a proxy."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def retry_after(self) -> float | None:
        """Seconds that the provider asks to wait, as a number or a date (RFC 9110 §10.2.3); three days at most."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value), _MAX_WAIT_S)
        left = http_requests.seconds_until(value)
        return None if left is None else min(max(left, 0.0), _MAX_WAIT_S)

    @property
    def clock_ahead(self) -> float:
        """Seconds that our clock is ahead of the server's, by the date of its answer; 0 where it is not, or unknown."""
        return max(-(http_requests.seconds_until(self.headers.get("date", "")) or 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly nothing was processed: there was no connection, or the server said so (RFC 9113 §8.7)."""

    text: str


@dataclass(frozen=True, slots=True)
class FenceLost:
    """`before_handover` forbade the request, and no byte of it was written."""


@dataclass(frozen=True, slots=True)
class MaybeSent:
    """The request went out, and no answer came."""

    text: str


Answer = Response | NotSent | FenceLost | MaybeSent


class HttpClient:
    """Sends requests to one provider. It opens nothing before the first.

    A connection serves one request at a time, also over HTTP/2: a stream gets its number before the fence is asked,
    and the library gives the same number to two requests that both wait for theirs. Redirects are not followed, cookies
    are not kept, and a proxy is used where HTTPS_PROXY names one. `timeout`: seconds for each step: until a connection
    is free, TCP, TLS, and from the request to the end of the answer. `tls`: of this client alone, since the protocols
    that it offers are set in it.
    """

    def __init__(self, *, tls: ssl.SSLContext, timeout: float, http2: bool = False, max_connections: int) -> None:
        self.max_connections = max_connections
        self._tls = tls
        self._timeout = timeout
        self._http2 = http2
        self._places = asyncio.Semaphore(max_connections)
        self._idle: list[httpcore2.AsyncConnectionInterface] = []
        self._in_use = 0

    @property
    def open(self) -> int:
        """How many connections are kept."""
        return self._in_use + len(self._idle)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
        before_handover: BeforeHandover | None = None,
    ) -> Answer:
        """Send one request, once. `before_handover` is asked with the connection ready and no byte written.

        It is asked again where the server closes the connection and says that it has not processed the request, which
        then goes out on another.
        """
        exchange = _Exchange(self._timeout, before_handover)
        try:
            request = http_requests.request(method, url, headers, content)
            async with exchange.deadline, self._places:
                return await self._ask(exchange, request)
        except _FenceLostError:
            return FenceLost()
        except _FAILURES as problem:
            return exchange.broken(problem)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    async def _ask(self, exchange: "_Exchange", request: httpcore2.Request) -> Response:
        origin = request.url.origin
        try:
            return await self._use(await self._kept(origin) or self._new(request.url), exchange, request)
        except httpcore2.ConnectionNotAvailable:
            exchange.handed_over = False
            return await self._use(self._new(request.url), exchange, request)

    async def _kept(self, origin: httpcore2.Origin) -> httpcore2.AsyncConnectionInterface | None:
        """The connection that was used last, since the others may then expire; None where there is none to use."""
        if not self._idle:
            return None
        connection = self._idle.pop()
        if connection.is_available() and not connection.has_expired() and connection.can_handle_request(origin):
            return connection
        await _close(connection)
        return None

    def _new(self, url: httpcore2.URL) -> httpcore2.AsyncConnectionInterface:
        """A pool of the library makes it, which knows the ways through proxies; it is not kept in it."""
        pool = httpcore2.AsyncConnectionPool(
            self._tls,
            proxy_of(url),
            http2=self._http2,
            keepalive_expiry=_KEEP_ALIVE_S,
            network_backend=Network(),
        )
        return pool.create_connection(url.origin)

    async def _use(
        self, connection: httpcore2.AsyncConnectionInterface, exchange: "_Exchange", request: httpcore2.Request
    ) -> Response:
        """Ask on this connection, which is closed after a failure."""
        self._in_use += 1
        try:
            response = await exchange.run(connection, request)
        except _FenceLostError:
            self._idle.append(connection)
            raise
        except BaseException:
            await _close(connection)
            raise
        else:
            self._idle.append(connection)
            return response
        finally:
            self._in_use -= 1


async def _close(connection: httpcore2.AsyncConnectionInterface) -> None:
    with contextlib.suppress(*_FAILURES):
        await connection.aclose()


class _FenceLostError(Exception):
    pass


class _Exchange:
    """One request, from the wait for a connection to the answer."""

    def __init__(self, timeout: float, before_handover: BeforeHandover | None) -> None:
        self.deadline = asyncio.timeout(timeout)
        self.handed_over = False
        self._timeout = timeout
        self._before_handover = before_handover
        self._handed_over_at = 0.0
        self._stream_id: int | None = None
        self._response: httpcore2.Response | None = None
        self._body = b""

    async def run(self, connection: httpcore2.AsyncConnectionInterface, request: httpcore2.Request) -> Response:
        # TCP and TLS have deadlines of their own, and this is for what a proxy may add.
        self._allow(3 * self._timeout)
        steps = dict.fromkeys(("connect", "read", "write"), self._timeout)
        request.extensions = {"timeout": steps, "trace": self._trace}
        self._response = self._ours(await connection.handle_async_request(request))
        try:
            async for chunk in self._response.aiter_stream():
                self._body += chunk
                if len(self._body) > _MAX_BODY_BYTES:
                    # The rest would still be on its way when the connection is used again.
                    raise httpcore2.ReadError("the answer is too long")
        finally:
            await self._response.aclose()
        return self._answered(self._response)

    def _ours(self, response: httpcore2.Response) -> httpcore2.Response:
        """The library takes what came behind the last answer for the answer to this request."""
        stream = response.extensions["network_stream"]
        if isinstance(stream, Stream) and stream.arrived_at < self._handed_over_at:
            raise httpcore2.RemoteProtocolError("the answer was there before the request")
        return response

    async def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """The library calls this at each step, and waits for it (httpcore's extension `trace`)."""
        if name.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            del info["request"].extensions["trace"]  # the steps after this one need no call
            await self._hand_over(info.get("stream_id"))

    async def _hand_over(self, stream_id: int | None) -> None:
        if self._before_handover is not None:
            self.deadline.reschedule(None)
            if await self._before_handover() is Fence.LOST:
                raise _FenceLostError
        self.handed_over, self._stream_id, self._handed_over_at = True, stream_id, time.monotonic()
        self._allow(self._timeout)

    def _allow(self, seconds: float) -> None:
        self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    def broken(self, problem: Exception) -> Answer:
        if self._response is not None:
            # What matters is in the status; the rest of the body is not needed to know that an answer came.
            return self._answered(self._response, complete=False)
        text = self._text(problem)
        if self.handed_over and not _unprocessed(problem, self._stream_id):
            return MaybeSent(text)
        return NotSent(text)

    def _answered(self, response: httpcore2.Response, *, complete: bool = True) -> Response:
        headers = http_requests.by_name(response.headers)
        return Response(response.status, headers, self._body[:_MAX_BODY_BYTES], complete)

    def _text(self, problem: Exception) -> str:
        if isinstance(problem, TimeoutError | httpcore2.TimeoutException):
            what = "no answer" if self.handed_over else "no connection"
            return f"{what} within {self._timeout:g} s"
        return shown(f"{type(problem).__name__}: {problem}")[:_MAX_TEXT]


def _unprocessed(problem: Exception, stream_id: int | None) -> bool:
    """Whether the server says that it has not processed the stream: RFC 9113 §6.8 (GOAWAY) and §8.7 (RST_STREAM)."""
    event = next(iter(problem.args), None)
    last = getattr(event, "last_stream_id", None)
    if last is not None:
        return stream_id is not None and stream_id > last
    return getattr(event, "error_code", None) == _REFUSED_STREAM
