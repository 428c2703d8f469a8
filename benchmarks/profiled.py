"""`notification-service run` that keeps account of its CPU: SIGUSR1 opens the account, SIGUSR2 writes it down.

A timer on the CPU of the process interrupts the main thread. What that thread has spent since the last time, by its
own clock, goes to the stage that it is in; what other threads have spent is read from the kernel. So the account adds
up to the whole whatever the timer does.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

from notification_service.cli.main import main

_EVERY = 0.001
_STAGES = (
    ("/planning.py", "plan", "parse"),
    ("/pydantic/", "", "parse"),
    ("/messages.py", "read", "parse"),
    ("structlog/", "", "log"),
    ("/logging/__init__.py", "", "log"),
    ("/observability/metrics.py", "", "metrics"),
    ("/observability/", "", "log"),
    ("/mime.py", "", "MIME"),
    ("/state.py", "claim", "claim"),
    ("/leases.py", "", "claim"),
    ("/state.py", "reserve", "claim"),
    ("/state.py", "open", "intent"),
    ("/intents.py", "", "intent"),
    ("/steps.py", "_intent", "intent"),
    ("/state.py", "close", "outcome"),
    ("/state.py", "mark_sending", "claim"),
    ("/state.py", "event_data_of", "look-ups"),
    ("/state.py", "first_report", "look-ups"),
    ("/recipients.py", "", "look-ups"),
    ("/mongo/directory.py", "", "look-ups"),
    ("/channels/email/smtp/", "", "SMTP"),
    ("/channels/breaker.py", "", "SMTP"),
    ("/channels/admission.py", "", "SMTP"),
    ("/aiosmtplib/", "", "SMTP"),
    ("/sslproto.py", "", "SMTP"),
    ("/pipeline.py", "_compose", "render"),
    ("/rendering.py", "", "render"),
    ("/consumer.py", "_settle", "settle"),
)
"""File, function and stage, wherever in the stack it stands: what a stage calls belongs to it. From within."""

_BESIDE = (
    ("/redis/", "", "Redis, for many at once"),
    ("/stores/redis", "", "Redis, for many at once"),
    ("/motor/", "", "MongoDB, for many at once"),
    ("/pymongo/", "", "MongoDB, for many at once"),
    ("/stores/mongo", "", "MongoDB, for many at once"),
    ("/notification_service/delivery/pipeline.py", "", "story"),
    ("/notification_service/delivery/steps.py", "", "story"),
    ("/aio_pika/", "", "AMQP"),
    ("/aiormq/", "", "AMQP"),
    ("/pamqp/", "", "AMQP"),
    ("/broker/", "", "AMQP"),
    ("/asyncio/", "", "loop"),
)
"""For a stack without a stage: groups of calls, and what reads from the wires, run in tasks of their own."""


class Account:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._spent: dict[str, float] = defaultdict(float)
        self._main = 0.0
        self._start: dict[str, float] = {}
        self._whole = 0.0

    def open(self, *_: object) -> None:
        self._spent.clear()
        self._start, self._whole, self._main = _threads(), time.process_time(), time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)

    def note(self, _: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        self._spent[_stage(frame)] += now - self._main
        self._main = now

    def write(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        whole = time.process_time() - self._whole
        for name, seconds in _threads().items():
            self._spent[name] += seconds - self._start.get(name, 0.0)
        passing = self._file.with_suffix(".part")
        passing.write_text(json.dumps({"whole": whole, "stages": dict(self._spent)}), "utf-8")
        passing.replace(self._file)


def _stage(frame: FrameType | None) -> str:
    codes = []
    while frame is not None:
        codes.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    for table in (_STAGES, _BESIDE):
        for file, function in codes:
            for path, name, stage in table:
                if path in file and name in ("", function):
                    return stage
    return "rest"


def _threads() -> dict[str, float]:
    """CPU seconds of every thread but this one, by what it is for."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    spent: dict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        number = int(task.name)
        if number != threading.main_thread().native_id:
            of = "pool" if "ThreadPool" in names.get(number, "") else "others"
            spent[f"threads: {of}"] += int((task / "schedstat").read_text().split()[0]) / 1e9
    return dict(spent)


if __name__ == "__main__":
    account = Account(Path(os.environ["BENCH_ACCOUNT"]))
    signal.signal(signal.SIGPROF, account.note)
    signal.signal(signal.SIGUSR1, account.open)
    signal.signal(signal.SIGUSR2, account.write)
    sys.argv = ["notification-service", "run"]
    main()
