"""A TCP proxy that misbehaves on request: cuts, holds, delays, slices, loses replies."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Self

CHUNK = 65536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class _Loss:
    """The replies to be lost: how many, after requests that contain what, and whether they end the connection."""

    count: int = 0
    after: bytes = b""
    cut: bool = True


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: "Proxy", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._writers = [writer]
        self._asked = False

    async def run(self) -> None:
        """Forward both ways until one side closes; a cancellation or a lost reply resets both."""
        pumps: set[asyncio.Task[None]] = set()
        try:
            await self._proxy.flowing.wait()
            reader, writer = await asyncio.open_connection("127.0.0.1", self._proxy.target_port)
            self._writers.append(writer)
            pumps = {
                asyncio.create_task(self._forward_requests(self._reader, writer)),
                asyncio.create_task(self._forward_replies(reader, self._writer)),
            }
            ended, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in ended:
                pump.result()
        except OSError:
            self.reset()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for open_writer in self._writers:
                open_writer.close()

    def reset(self) -> None:
        """Close both connections as a broken line does, with RST."""
        for writer in self._writers:
            connection: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()

    async def _forward_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            self._asked = self._asked or self._proxy.loss.after in chunk
            if self._proxy.requested is not None:
                self._proxy.requested.setdefault(id(self), bytearray()).extend(chunk)
            await self._deliver(chunk, writer)

    async def _forward_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if not self._is_lost():
                await self._deliver(chunk, writer)

    def _is_lost(self) -> bool:
        loss = self._proxy.loss
        lost = loss.count > 0 and (self._asked or not loss.after)
        self._asked = False
        if lost:
            loss.count -= 1
            if loss.cut:
                raise ConnectionResetError
        return lost

    async def _deliver(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        size = self._proxy.slice_size
        for start in range(0, len(chunk), size):
            await asyncio.sleep(self._proxy.latency)
            await self._proxy.flowing.wait()
            writer.write(chunk[start : start + size])
            await writer.drain()


class Proxy:
    """A proxy on a thread of its own, so that it goes on where the loop under test is blocked.

    `latency` (seconds for each piece) and `slice_size` (bytes in a piece) may be set at any moment. Where `requested`
    is set to a dict, what clients send from then on is kept in it, by connection.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.latency = 0.0
        self.slice_size = CHUNK
        self.accepted = 0
        self.requested: dict[int, bytearray] | None = None
        self.flowing = asyncio.Event()
        self.loss = _Loss()
        self._refusing = False
        self._links: dict[asyncio.Task[object], _Link] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def flow(self) -> None:
        """Let everything through, also what was held back; the end of `black_hole` and `refuse`."""
        self._run(self._set(flowing=True, refusing=False))

    def black_hole(self) -> None:
        """Accept connections and forward nothing; what is under way waits until `flow`."""
        self._run(self._set(flowing=False, refusing=False))

    def refuse(self) -> None:
        """Cut every connection, and each new one at once, until `flow`."""
        self._run(self._set(flowing=True, refusing=True))
        self.cut()

    def cut(self) -> None:
        """Reset every connection there is; new ones are served."""
        self._run(self._cut())

    def lose_replies(self, count: int = 1, *, after: bytes = b"", cut: bool = True) -> None:
        """Swallow the server's next `count` replies, only those to requests that contain `after`.

        With `cut`, the connection that waited for the reply is reset; without, it hangs.
        """
        self.loss = _Loss(count, after, cut)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.flowing.set()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()

    async def _set(self, *, flowing: bool, refusing: bool) -> None:
        self._refusing = refusing
        if flowing:
            self.flowing.set()
        else:
            self.flowing.clear()

    async def _cut(self) -> None:
        links = dict(self._links)
        for task, link in links.items():
            link.reset()
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(self, reader, writer)
        if self._refusing:
            link.reset()
            return
        task = asyncio.current_task()
        assert task
        self._links[task] = link
        # Only `cut` cancels, and asyncio's streams would report a cancelled callback as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await link.run()
        del self._links[task]

    def _run(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
