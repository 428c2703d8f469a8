"""`notification-service run` that watches itself: how late its event loop is, and how long MongoDB takes to answer.

It writes a `loop.late` line for each lateness above LATE, and a `mongodb.slow` line for each operation above SLOW.
What the machine's other work took from the process is no lateness of the loop: the kernel says for each thread how
long it was ready to run and did not get a core, and that is taken off.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import uvloop

from notification_service.cli import configuration
from notification_service.observability import health, serving
from notification_service.service import Service, opened
from notification_service.settings import Settings
from notification_service.stores.mongo.client import Write, Written
from tests.stack import place

ROOT = Path(__file__).parents[2]

log = structlog.get_logger(__name__)

T = TypeVar("T")

LATE = 0.1
SLOW = 1.0
_TICK = 0.02


class Lagging(place.Service):
    """The program below as a child."""

    name = "lagging"
    program = "tests.faults.lag"
    arguments = ()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT)}


async def watch(tell: Callable[[float, float], None]) -> None:
    """Tell how late each tick is, by itself and with what other processes had of it, in seconds."""
    while True:
        due, starved = time.monotonic() + _TICK, _starved()
        await asyncio.sleep(_TICK)
        late = time.monotonic() - due
        tell(max(0.0, late - (_starved() - starved)), late)


def _starved() -> float:
    """Seconds in which a thread of this process was ready to run and did not; /proc/<pid>/schedstat, second field."""
    return sum(_run_delay(thread) for thread in Path("/proc/self/task").iterdir()) / 1e9


def _run_delay(thread: Path) -> int:
    try:
        return int((thread / "schedstat").read_text("ascii").split()[1])
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0


def _say(own: float, late: float) -> None:
    if late > LATE:
        log.warning("loop.late", own_ms=round(own * 1000), late_ms=round(late * 1000))


def _time_operations(service: Service) -> None:
    ledger = service.parts.ledger
    for writes in (ledger._intents, ledger._updates):
        groups = writes._groups
        groups._answer = partial(_timed_answer, groups._answer)


async def _timed_answer(
    answer: Callable[[Sequence[Write]], Awaitable[Sequence[Written | Exception]]], operations: Sequence[Write]
) -> Sequence[Written | Exception]:
    return await _timed(answer(operations))


async def _timed(call: Awaitable[T]) -> T:
    began = time.monotonic()
    try:
        return await call
    finally:
        if (seconds := time.monotonic() - began) > SLOW:
            log.warning("mongodb.slow", seconds=round(seconds, 3))


async def run(settings: Settings) -> None:
    """As `service.run`, with the two watches."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(settings) as service:
        _time_operations(service)
        watching = asyncio.create_task(watch(_say))
        app = health.application(service.examine, service.parts.metrics.page)
        async with serving.serving(app, settings.service.http_host, settings.service.port):
            await service.run(stop)
        watching.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(configuration.service_settings()))
