"""An SMTP server in the loop of the test, without TLS and login, whose every answer a test may replace.

It knows PIPELINING and CHUNKING, keeps what it accepted, and notes content that came before a recipient was accepted.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

BOTH = ("PIPELINING", "CHUNKING", "8BITMIME")


@dataclass(frozen=True)
class Step:
    """What the server is about to answer. `mail`: the local part of the envelope's sender; `at`: EHLO, MAIL, RCPT,

    DATA, CONTENT (the final dot, or BDAT's chunk), RSET, NOOP or QUIT. `behind`: whether more came in the same read.
    """

    at: str
    mail: str
    connection: int
    line: bytes
    behind: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Say:
    """Answer so. `unread`: do not read a chunk; what follows is read as commands. `then`: `cut` or `hang`.

    `forget`: throw away what came in the same read behind the command.
    """

    raw: bytes
    then: str = ""
    unread: bool = False
    forget: bool = False
    pause: float = 0.0
    piece: int = 0


Answers = Callable[[Step], Say | None]


@dataclass
class Dialogue:
    """`accepted`: contents by the sender's local part. `groups`: the commands that came in one read."""

    port: int = 0
    offered: tuple[str, ...] = BOTH
    answers: Answers = lambda _: None
    accepted: dict[str, list[bytes]] = field(default_factory=dict)
    seen: list[Step] = field(default_factory=list)
    connections: int = 0
    too_early: int = 0
    reads: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    slow_read: float = 0.0

    def verbs(self, connection: int) -> list[str]:
        return [step.at for step in self.seen if step.connection == connection]


class _Gone(Exception):  # noqa: N818 - not an error: the way in which a session ends
    """The connection is to be closed now."""


class _Session:
    def __init__(self, site: Dialogue, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.site, self.reader, self.writer = site, reader, writer
        self.buffer = bytearray()
        self.number = site.connections
        self.mail = ""
        self.recipients = 0

    async def run(self) -> None:
        await self._write(b"220 scripted\r\n")
        while True:
            await self._obey(await self._line())

    async def _obey(self, line: bytes) -> None:
        verb = line.split(b" ")[0].decode("utf-8", "replace").upper()
        self.site.counts[verb] += 1
        match verb:
            case "EHLO":
                offered = ["scripted", *self.site.offered]
                lines = [f"250-{each}" for each in offered[:-1]] + [f"250 {offered[-1]}"]
                await self._answer("EHLO", line, "\r\n".join(lines).encode())
            case "MAIL":
                self.mail, self.recipients = line.partition(b"<")[2].partition(b"@")[0].decode(), 0
                await self._answer("MAIL", line, b"250 2.1.0 Ok")
            case "RCPT":
                self.recipients += await self._answer("RCPT", line, b"250 2.1.5 Ok")
            case "DATA":
                await self._data(line)
            case "BDAT":
                await self._chunk(line)
            case "RSET":
                self.mail, self.recipients = "", 0
                await self._answer("RSET", line, b"250 2.0.0 Ok")
            case "NOOP":
                await self._answer("NOOP", line, b"250 2.0.0 Ok")
            case "QUIT":
                await self._answer("QUIT", line, b"221 2.0.0 Bye")
                raise _Gone
            case _:
                await self._write(b"500 5.5.2 unknown\r\n")

    async def _data(self, line: bytes) -> None:
        if not self.recipients:
            self.site.too_early += 1
        if await self._answer("DATA", line, b"354 go on" if self.recipients else b"503 5.5.1 say RCPT first"):
            self.buffer[:0] = b"\r\n"  # the dot may be the first line: its line break was DATA's
            stuffed = await self._until(b"\r\n.\r\n")
            content = (stuffed.replace(b"\r\n.", b"\r\n") + b"\r\n")[2:]
            await self._content(line, content)

    async def _chunk(self, line: bytes) -> None:
        if not self.recipients:
            self.site.too_early += 1
        said = self.site.answers(Step("CONTENT", self.mail, self.number, line))
        if said and said.unread:
            self.site.seen.append(Step("CONTENT", self.mail, self.number, line))
            await self._say(said)
            return
        size = int(line.split(b" ")[1])
        while len(self.buffer) < size:
            await self._read()
        content = bytes(self.buffer[:size])
        del self.buffer[:size]
        await self._content(line, content)

    async def _content(self, line: bytes, content: bytes) -> None:
        mail = self.mail
        if not self.recipients:
            await self._answer("CONTENT", line, b"503 5.5.1 say RCPT first")
        elif await self._answer("CONTENT", line, b"250 2.0.0 Ok: queued", before=lambda: self._keep(mail, content)):
            self.mail, self.recipients = "", 0

    def _keep(self, mail: str, content: bytes) -> None:
        self.site.accepted.setdefault(mail, []).append(content)

    async def _answer(self, at: str, line: bytes, usual: bytes, before: Callable[[], None] = lambda: None) -> bool:
        step = Step(at, self.mail, self.number, line, bool(self.buffer))
        self.site.seen.append(step)
        said = self.site.answers(step)
        raw = usual + b"\r\n" if said is None else said.raw
        good = raw.startswith((b"2", b"354"))
        if good:
            before()
        await self._say(said or Say(raw))
        return good

    async def _say(self, said: Say) -> None:
        await asyncio.sleep(said.pause)
        if said.forget:
            self.buffer.clear()
        if said.piece:
            for start in range(0, len(said.raw), said.piece):
                await self._write(said.raw[start : start + said.piece])
                await asyncio.sleep(0.001)
        else:
            await self._write(said.raw)
        if said.then == "hang":
            while True:
                await self._read()
        if said.then == "cut":
            raise _Gone

    async def _write(self, raw: bytes) -> None:
        if raw:
            self.writer.write(raw)
            await self.writer.drain()

    async def _line(self) -> bytes:
        return await self._until(b"\r\n")

    async def _until(self, end: bytes) -> bytes:
        start = 0
        while (found := self.buffer.find(end, start)) < 0:
            start = max(0, len(self.buffer) - len(end))
            await self._read()
        text = bytes(self.buffer[:found])
        del self.buffer[: found + len(end)]
        return text

    async def _read(self) -> None:
        if self.site.slow_read:
            await asyncio.sleep(self.site.slow_read)
        data = await self.reader.read(65536)
        if not data:
            raise _Gone
        self.site.reads += 1
        self.buffer += data


@asynccontextmanager
async def dialogue(answers: Answers = lambda _: None, offered: tuple[str, ...] = BOTH) -> AsyncIterator[Dialogue]:
    site = Dialogue(offered=offered, answers=answers)
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        site.connections += 1
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with contextlib.suppress(_Gone, OSError, asyncio.CancelledError):
            await _Session(site, reader, writer).run()
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
