"""What a counted click costs: reading its token, and a redirect over HTTP at 200 a second (make bench-clicks).

The listener runs as a process of its own, with no broker behind it: each click waits in its buffer, as while the broker
is away. The load is open: a click is due when it is due, however slow the answers are.
"""

import argparse
import asyncio
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette

from notification_service.callbacks.links import ReaderRoutes
from notification_service.content import links
from notification_service.content.reader_links import Click, LinkRole, click_token, read_click
from notification_service.content.reader_pages import ReaderPages
from notification_service.contract.signals import Signal
from notification_service.feedback.signal_buffer import SignalBuffer
from notification_service.foundation.keyed_tokens import TokenKeys
from notification_service.observability import serving

LINK_KEYS = "1:a key of some length for the benchmark"
KEYS = TokenKeys({1: LINK_KEYS.partition(":")[2]})
HOSTS = frozenset({"cinema.example"})
TARGET = "https://cinema.example/bookings/BOOK-789012?from=mail"
TEMPLATES = Path(__file__).parents[1] / "templates"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
_CONNECTIONS = 32


def request(number: int) -> bytes:
    token = click_token(KEYS, Click(f"{number:032x}", LinkRole.RETRY), TARGET)
    path = f"/c/{token}?u={quote(TARGET, safe='')}"
    return f"GET {path} HTTP/1.1\r\nHost: links.example\r\nUser-Agent: {AGENT}\r\n\r\n".encode()


def of_reading(times: int) -> float:
    """Microseconds for one token and its target."""
    token = click_token(KEYS, Click("ab" * 16, LinkRole.RETRY), TARGET)
    begun = time.perf_counter()
    for _ in range(times):
        if read_click(KEYS, token, TARGET) is None or links.refusal(TARGET, HOSTS):
            raise AssertionError("its own token is refused")
    return (time.perf_counter() - begun) / times * 1e6


async def listen(port: int) -> None:
    """The listener, until its standard input ends; then it prints its CPU seconds."""

    async def away(_: Signal) -> None:
        raise ConnectionError("the broker is away")

    buffer = SignalBuffer(away)
    routes = ReaderRoutes(KEYS, HOSTS, buffer.put, away, ReaderPages(TEMPLATES, "Cinema", "#7a2135"))
    async with serving.serving(Starlette(routes=routes.routes()), "127.0.0.1", port):
        before = resource.getrusage(resource.RUSAGE_SELF)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        after = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}\n")


class Load:
    """Clicks on connections that stay open; each is due at its time."""

    def __init__(self, port: int, rate: int, seconds: float) -> None:
        self._port = port
        self._requests = [request(number) for number in range(int(rate * seconds))]
        self._rate = rate
        self._next = 0
        self.latencies_ms: list[float] = []

    async def run(self) -> None:
        begun = time.perf_counter() + 0.2
        await asyncio.gather(*(self._connection(begun) for _ in range(_CONNECTIONS)))

    async def _connection(self, begun: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while self._next < len(self._requests):
            number, self._next = self._next, self._next + 1
            due = begun + number / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(self._requests[number])
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 302"):
                raise AssertionError(head)
            self.latencies_ms.append((time.perf_counter() - due) * 1000)
        writer.close()


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(len(values) * share) - 1)]


def of_redirects(port: int, rate: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds from due to answered of each redirect, and the CPU of the listener for one, in microseconds."""
    command = [sys.executable, "-m", "benchmarks.clicks", "--listen", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listener:
        if listener.stdin is None or listener.stdout is None or "ready\n" not in iter(listener.stdout.readline, ""):
            raise RuntimeError("the listener did not start")
        load = Load(port, rate, seconds)
        asyncio.run(load.run())
        listener.stdin.close()
        *_, cpu_seconds = listener.stdout
    return load.latencies_ms, float(cpu_seconds) / len(load.latencies_ms) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=18086)
    parser.add_argument("--listen", type=int)
    asked = parser.parse_args()
    if asked.listen:
        asyncio.run(listen(asked.listen))
        return 0
    reading = statistics.median(of_reading(20_000) for _ in range(5))
    print(f"a token and its target: {reading:.1f} µs")
    for number in range(asked.rounds):
        latencies, cpu = of_redirects(asked.port, asked.rate, asked.seconds)
        p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
        load = os.getloadavg()[0]
        print(
            f"round {number + 1}: {len(latencies)} redirects at {asked.rate}/s: p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
            f"max {max(latencies):.1f} ms, {cpu:.0f} µs of CPU each (load {load:.1f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
