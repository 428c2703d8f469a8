"""One program at work on one backlog: what it did in a second, and what it took."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.material import publication
from benchmarks.programs import PREFETCH
from tests.stack.local import LocalStack
from tests.stack.place import Place, until
from tests.stack.processes import Part, PartFailedError

_TICK = os.sysconf("SC_CLK_TCK")
_LOOK_AGAIN = 0.01
_MAX_LENGTH = 600.0
_SETTLES = 30.0


@dataclass(frozen=True)
class Figures:
    """`events`: those that the clock saw, which is neither the first ones nor the last.

    `stores_cpu_ms_per_event`: what Redis and the MongoDB-wire server spent meanwhile, which are no part of the program.
    """

    events: int
    seconds: float
    events_per_second: float
    cpu_ms_per_event: float
    stores_cpu_ms_per_event: float
    connections: int
    peak_memory_mb: float


@contextmanager
def fresh_place(stack: LocalStack, folder: Path) -> Iterator[Place]:
    """A vhost with our queues, and a database server without a history: it grows slower with its own."""
    stack.mongo.stop()
    shutil.rmtree(stack.mongo.folder / "data", ignore_errors=True)
    stack.mongo.restart()
    place = Place(stack, folder)
    try:
        with place.service(LOG_LEVEL="INFO"):
            """Once, so that queues, collection and indexes stand before anything is published, for every program."""
        yield place
    finally:
        place.close()


def measure(place: Place, part: Part, events: int, audit: str | None) -> Figures:
    """Raises `PartFailedError` where the program ends, stands still, or sends more or less than it should."""
    place.publish(*(publication(number) for number in range(events)))
    smtp, before = place.smtp, place.smtp.stats()
    part.start()
    try:
        # Start-up is another figure, so the clock starts when the sink has counted a mail; it stops when as many are
        # under way as were then, or work that was done before would be a gift to whoever has the most under way.
        # The sink is asked, since counting records would load the database that is measured with.
        first = _mails(part, place, before.mails, 1)
        cpu, stores, started = cpu_seconds(part), _stores_seconds(place), time.monotonic()
        last = _mails(part, place, before.mails, events - PREFETCH)
        seconds, spent = time.monotonic() - started, cpu_seconds(part) - cpu
        spent_by_stores = _stores_seconds(place) - stores
        _mails(part, place, before.mails, events)
        if audit is not None:
            until(lambda: place.database[audit].count_documents({"outcome": "sent"}) >= events, timeout=_SETTLES)
        memory, after = memory_mb(part, "VmHWM"), smtp.stats()
    finally:
        part.stop()
    if (sent := after.mails - before.mails) != events:
        raise PartFailedError(f"{part.log}: {sent} mails for {events} events")
    counted = last - first
    return Figures(
        counted,
        seconds,
        counted / seconds,
        spent * 1000 / counted,
        spent_by_stores * 1000 / counted,
        after.connections - before.connections,
        memory,
    )


def _mails(part: Part, place: Place, before: int, wanted: int) -> int:
    """How many mails the sink has counted, as soon as they are `wanted`."""
    deadline = time.monotonic() + _MAX_LENGTH
    while (mails := place.smtp.stats().mails - before) < wanted:
        if not part.running or time.monotonic() > deadline:
            last = part.log.read_text("utf-8", "replace")[-2000:]
            what = "took too long" if part.running else "ended"
            raise PartFailedError(f"it {what} after {mails} of {wanted} mails; the end of {part.log}:\n{last}")
        time.sleep(_LOOK_AGAIN)
    return mails


def _stores_seconds(place: Place) -> float:
    return cpu_seconds(place.stack.mongo) + cpu_seconds(place.stack.redis)


def cpu_seconds(part: Part) -> float:
    """User and system time of all its threads."""
    fields = Path(f"/proc/{part.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mb(part: Part, field: str) -> float:
    """`field`: VmHWM for the most there was, VmRSS for what there is."""
    status = Path(f"/proc/{part.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024
