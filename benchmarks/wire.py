"""The SMTP channel alone against a sink: mails/s and CPU a mail, without delay and with 40 ms there and back.

Each row is one set of extensions that the sink offers. The sink and the delay run in a process of their own; STARTTLS
and AUTH as everywhere. `--mails`, `--rounds`, `--sessions`, `--delay` (ms).
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import structlog

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.smtp import providers
from notification_service.channels.email.smtp.channel import SmtpChannel
from notification_service.channels.email.smtp.pool import Pool, Server, SessionLimits, tls_context
from notification_service.delivery.ports.channel import Accepted
from notification_service.delivery.ports.claims import Fence
from tests.stack.certificates import server_context

OFFERS = {
    "none": (),
    "CHUNKING": ("CHUNKING",),
    "PIPELINING": ("PIPELINING",),
    "both": ("PIPELINING", "CHUNKING"),
}
SIZE = 15_000


class Sink(asyncio.Protocol):
    """Accepts everything. It answers all that it was asked in one read with one write, `delay` seconds later."""

    def __init__(self, offered: tuple[str, ...], context: object, delay: float) -> None:
        self.offered, self.context, self.delay = offered, context, delay
        self.buffer = bytearray()
        self.wanted = 0
        self.dot = self.upgrading = False
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("sslcontext") is None:
            self.say(b"220 sink\r\n")

    def say(self, reply: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delay, self.write, reply)

    def write(self, reply: bytes) -> None:
        self.transport.write(reply)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        replies = b""
        while (reply := self.next_reply()) is not None:
            replies += reply
        if replies and not self.upgrading:
            self.say(replies)
        self.held += replies if self.upgrading else b""

    def next_reply(self) -> bytes | None:
        if self.wanted:
            if len(self.buffer) < self.wanted:
                return None
            del self.buffer[: self.wanted]
            self.wanted = 0
            return b"250 2.0.0 Ok: queued\r\n"
        end = b"\r\n.\r\n" if self.dot else b"\r\n"
        if (at := self.buffer.find(end)) < 0:
            return None
        line = bytes(self.buffer[:at])
        del self.buffer[: at + len(end)]
        if self.dot:
            self.dot = False
            return b"250 2.0.0 Ok: queued\r\n"
        return self.answer(line)

    def answer(self, line: bytes) -> bytes | None:
        match line[:4].upper():
            case b"EHLO":
                lines = ["sink", *self.offered, "8BITMIME", "STARTTLS", "AUTH PLAIN"]
                return "".join(f"250-{each}\r\n" for each in lines).encode() + b"250 HELP\r\n"
            case b"STAR":
                asyncio.get_running_loop().call_later(self.delay, self.start_tls)
                return None
            case b"AUTH":
                return b"235 2.7.0 ok\r\n"
            case b"BDAT":
                self.wanted = int(line.split()[1])
                return b""
            case b"DATA":
                self.dot = True
                return b"354 go on\r\n"
            case b"RCPT":
                return b"250 2.1.5 ok\r\n"
            case _:
                return b"250 2.1.0 ok\r\n"

    def start_tls(self) -> None:
        self.upgrading = True
        self.transport.write(b"220 go\r\n")
        asyncio.create_task(self.upgrade())  # noqa: RUF006 - it ends with the connection

    async def upgrade(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            upgraded = await loop.start_tls(self.transport, self, self.context, server_side=True)  # type: ignore[arg-type]
            self.transport, self.upgrading = cast("asyncio.Transport", upgraded), False
            self.say(self.held)


def serve(ready: Connection, folder: str, offered: tuple[str, ...], delay: float) -> None:
    async def forever() -> None:
        context = server_context(Path(folder) / "ca.pem", "good")
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Sink(offered, context, delay), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextlib.contextmanager
def sink(offered: tuple[str, ...], delay: float) -> Iterator[tuple[int, Path]]:
    folder = tempfile.mkdtemp(prefix="wire-")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(theirs, folder, offered, delay), daemon=True)
    process.start()
    try:
        yield ours.recv(), Path(folder) / "ca.pem"
    finally:
        process.kill()
        process.join()


async def held() -> Fence:
    return Fence.HELD


def mail(number: int) -> OutgoingEmail:
    line = b'<td style=3D"padding:0">Seat 12, row F</td> <!-- what a mail is made of -->\r\n'
    return OutgoingEmail(
        notification_id=f"n{number}",
        template="booking_confirmation",
        sender="tickets@cinema.example",
        recipient=f"r{number}@guests.example",
        content=b"Subject: Your tickets\r\n\r\n" + line * (SIZE // len(line)),
    )


async def measure(port: int, ca_file: Path, *, mails: int, sessions: int) -> tuple[float, float]:
    """Returns mails/s and ms of CPU a mail, of a pool whose sessions are open."""
    server = Server("localhost", port, start_tls=True, implicit_tls=False, username="mailer", password="secret")
    channel = SmtpChannel(
        Pool(server, SessionLimits(sessions, 30, 300, 1_000_000), tls_context(ca_file)),
        providers.find(""),
        timeout=30,
        data_timeout=30,
    )
    waiting = [mail(number) for number in range(mails)]

    async def work(upto: int) -> None:
        while len(waiting) > upto:
            verdict = await channel.send_once(waiting.pop(), held)
            if not isinstance(verdict, Accepted):
                raise TypeError(f"the sink accepts everything, and this is {verdict}")

    async def all_of(upto: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(channel.max_concurrency):
                group.create_task(work(upto))

    await all_of(mails - 4 * sessions)
    left, began, cpu = len(waiting), time.perf_counter(), spent()
    await all_of(0)
    seconds, used = time.perf_counter() - began, spent() - cpu
    await channel.close()
    return left / seconds, used / left * 1000


def spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--delay", type=float, default=40, help="ms there and back")
    asked = parser.parse_args()
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    print(f"{'offered':12} {'delay':>6} {'mails/s':>20} {'CPU ms a mail':>20}")
    for delay in (0.0, asked.delay):
        for name, offered in OFFERS.items():
            found = []
            for _ in range(asked.rounds):
                with sink(offered, delay / 1000) as (port, ca_file):
                    mails = asked.mails if not delay else asked.mails // 4
                    found.append(asyncio.run(measure(port, ca_file, mails=mails, sessions=asked.sessions)))
            rates, costs = zip(*found, strict=True)
            rate = f"{statistics.median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
            cost = f"{statistics.median(costs):.3f} ({min(costs):.3f}-{max(costs):.3f})"
            print(f"{name:12} {delay:4.0f}ms {rate:>20} {cost:>20}", flush=True)


if __name__ == "__main__":
    main()
