"""Workers that are forked from a process which has imported everything: to start one costs a fifth of what it did.

What a torture kills starts as fast as it dies. A worker is still a process and a group of its own; what an import
alone brings is all that it shares with the others. Run as a program, this is that process: it takes orders on its
standard input, a JSON object a line, and ends when that ends.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

from tests.stack.place import Service
from tests.stack.processes import POLL, Process


class Warm:
    """The process. `environment`: what it imports is found by, PYTHONPATH for one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        # -P: the folder that it is started in does not come before PYTHONPATH.
        program = (sys.executable, "-P", "-m", __name__)
        pipe, own = subprocess.PIPE, {**os.environ, **self._environment}
        self._process = subprocess.Popen(program, stdin=pipe, stdout=pipe, env=own, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def ask(self, **order: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        process = self._process
        assert process
        assert process.stdin
        assert process.stdout
        with self._one_at_a_time:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())


class Forked:
    """What `Part` asks of a process."""

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm = warm
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._warm.ask(look_at=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked worker", timeout or 0)
            time.sleep(POLL)
        return code


class WarmService(Service):
    """`notification-service run` as a fork."""

    def __init__(self, warm: Warm, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, environment)
        self._warm = warm

    def spawn(self, log: BinaryIO) -> Process:
        where = {"folder": str(self.folder), "log": log.name, "environment": dict(self.environment())}
        return Forked(self._warm, self._warm.ask(**where))


def _serve() -> None:
    for name in ("cli.main", "service", "observability.health", "observability.serving", "ops.health", "ops.serving"):
        with contextlib.suppress(ModuleNotFoundError):  # of whichever version PYTHONPATH leads to
            importlib.import_module(f"notification_service.{name}")
    for line in sys.stdin.buffer:
        order = json.loads(line)
        answer = _ended(order["look_at"]) if "look_at" in order else _forked(order)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _ended(pid: int) -> int | None:
    """The exit code, as `subprocess` would say it."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _forked(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        with contextlib.suppress(PermissionError):
            os.setpgid(pid, pid)  # here too, so that it can be killed as a group when this returns
        return pid
    try:
        _become(order)
    finally:
        os._exit(1)


def _become(order: Mapping[str, Any]) -> None:
    from notification_service.__main__ import main  # noqa: PLC0415

    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(order["log"], "ab") as log, open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for their numbers alone
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["notification-service", "run"]
    try:
        main()
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


if __name__ == "__main__":
    _serve()
