"""The bytes of one SMTP connection."""

import asyncio
import contextlib
import ssl

CHUNK = 65536
LINE_LIMIT = 8192


class HangUp(Exception):  # noqa: N818  # not an error: the way in which a session ends
    """The connection is to be closed now."""


class Wire:
    """The connection's bytes, with a buffer of our own: STARTTLS has to throw away what came too early."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    @property
    def tls(self) -> bool:
        return self._writer.get_extra_info("sslcontext") is not None

    async def line(self) -> str:
        """Return the next line without its end."""
        return (await self._until(b"\r\n", LINE_LIMIT)).decode(errors="surrogateescape")

    async def content(self, limit: int) -> bytes:
        """Return the mail up to the final dot, with the dots unstuffed."""
        self._buffer[:0] = b"\r\n"  # the dot may be the first line: its line break was DATA's
        stuffed = await self._until(b"\r\n.\r\n", limit)
        return (stuffed.replace(b"\r\n.", b"\r\n") + b"\r\n")[2:]

    async def chunk(self, size: int) -> bytes:
        """Return so many bytes, as they are."""
        while len(self._buffer) < size:
            if not (read := await self._reader.read(CHUNK)):
                raise HangUp
            self._buffer += read
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    async def send(self, reply: bytes) -> None:
        self._writer.write(reply)
        await self._writer.drain()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        self._buffer.clear()
        await self._writer.start_tls(context, ssl_handshake_timeout=10)

    async def idle(self, seconds: float | None) -> None:
        """Wait, for ever where no time is given; hang up when the client does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while chunk := await self._reader.read(CHUNK):
                    self._buffer += chunk
                raise HangUp

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1)

    async def _until(self, separator: bytes, limit: int) -> bytes:
        start = 0
        while (end := self._buffer.find(separator, start)) < 0:
            start = max(0, len(self._buffer) - len(separator) + 1)
            if start > limit:
                raise HangUp
            chunk = await self._reader.read(CHUNK)
            if not chunk:
                raise HangUp
            self._buffer += chunk
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(separator)]
        return found
