"""The connections of the HTTP client, on the transports of the event loop.

The library would use anyio's, whose TLS is written in Python: a request costs half as much CPU again with them.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import cast

import httpcore2

_MAX_WAITING_BYTES = 64 * 1024
_NEXT_ADDRESS_S = 0.25
"""RFC 8305 §5."""

AddressInfo = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]
"""As `getaddrinfo` returns it: family, type, protocol, canonical name, address."""


class Network(httpcore2.AsyncNetworkBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,  # noqa: ARG002 - as above
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        async with _connecting(timeout):
            dialled = await dial(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            _, stream = await loop.create_connection(Stream, sock=dialled)
        return stream


class Stream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """One connection. What is written in one go, such as the head and the body of a request, leaves as one.

    `arrived_at`: when something came last, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.arrived_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._unsent = bytearray()
        self._received = bytearray()
        self._ended = False
        self._problem: Exception | None = None
        self._arrival: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self.arrived_at = time.monotonic()
        if len(self._received) > _MAX_WAITING_BYTES:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._problem = True, exc
        self._wake()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as above
        """What has come, or comes within `timeout` seconds; nothing at the end."""
        if not self._received and not self._ended:
            await self._more(timeout)
        if self._problem is not None and not self._received:
            raise httpcore2.ReadError(self._problem) from self._problem
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self._ended:
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - as above
        """A connection that is broken says so when it is read."""
        if buffer and not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent += buffer

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> httpcore2.AsyncNetworkStream:
        async with _connecting(timeout):
            over_tls = await self._loop.start_tls(self._transport, self, ssl_context, server_hostname=server_hostname)
        self._transport = cast("asyncio.Transport", over_tls)
        return self

    async def aclose(self) -> None:
        self._transport.abort()
        await asyncio.sleep(0)  # the loop closes the socket in its next round

    def get_extra_info(self, info: str) -> object:
        """`is_readable`: whether something came that nobody asked for, such as the end."""
        if info == "is_readable":
            return self._ended or bool(self._received)
        return self._transport.get_extra_info(info)

    async def _more(self, seconds: float | None) -> None:
        self._arrival = self._loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._arrival
        except TimeoutError as problem:
            raise httpcore2.ReadTimeout(problem) from problem

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


async def dial(addresses: Sequence[AddressInfo]) -> socket.socket:
    """A connection to the first address that answers. Raises `OSError`.

    The next one is tried too where the last has not answered at once, such as by an IPv6 that leads nowhere.
    """
    waiting, calling = deque(addresses), set[asyncio.Task[socket.socket]]()
    problem: BaseException | None = None
    try:
        while waiting or calling:
            if waiting:
                calling.add(asyncio.create_task(_call(waiting.popleft())))
            done, calling = await asyncio.wait(
                calling, timeout=_NEXT_ADDRESS_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for each in done:
                if (problem := each.exception()) is None:
                    return each.result()
    finally:
        for each in calling:
            each.cancel()
    raise problem or OSError("the name has no address")


async def _call(address: AddressInfo) -> socket.socket:
    family, kind, protocol, _, place = address
    dialled = socket.socket(family, kind, protocol)
    dialled.settimeout(0)
    try:
        await asyncio.get_running_loop().sock_connect(dialled, place)
    except BaseException:
        dialled.close()
        raise
    return dialled


@contextlib.asynccontextmanager
async def _connecting(seconds: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as problem:
        raise httpcore2.ConnectTimeout(problem) from problem
    except OSError as problem:
        raise httpcore2.ConnectError(problem) from problem
