"""A mail server that is some milliseconds away: a TCP relay in a process of its own.

Every byte goes on half a round trip after it came, whatever came before or after it, as on a long wire: bytes that are
under way together do not wait for each other.
"""

import asyncio
import multiprocessing
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast


class _End(asyncio.Protocol):
    """One end of a relayed connection. `other`: where its bytes go."""

    def __init__(self, one_way_s: float) -> None:
        self.other: _End | None = None
        self._one_way_s = one_way_s
        self._under_way: deque[bytes] = deque()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._under_way.append(data)
        asyncio.get_running_loop().call_later(self._one_way_s, self._arrive)

    def connection_lost(self, _: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._one_way_s, self._close_other)

    def _arrive(self) -> None:
        data = self._under_way.popleft()
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def _close_other(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()


class _Accepted(_End):
    """The end of the client. What it says before the server is connected waits half a round trip anyway."""

    def __init__(self, one_way_s: float, server_port: int) -> None:
        super().__init__(one_way_s)
        self._server_port = server_port
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        self.other = other = _End(self._one_way_s)
        other.other = self
        await asyncio.get_running_loop().create_connection(lambda: other, "127.0.0.1", self._server_port)


def _serve(ready: Connection, server_port: int, round_trip_s: float) -> None:
    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Accepted(round_trip_s / 2, server_port), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def at_a_distance(server_port: int, round_trip_ms: float) -> Iterator[int]:
    """Yields a port of loopback behind which the server is that far away; 0 ms: the server's own port."""
    if not round_trip_ms:
        yield server_port
        return
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, server_port, round_trip_ms / 1000), daemon=True
    )
    process.start()
    theirs.close()  # so that a relay that does not come up ends the wait
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
