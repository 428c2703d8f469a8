"""Workers that are forked from a process which has imported everything: to start one costs a fifth of what it did.

What a torture kills starts as fast as it dies. A worker is still a process and a group of its own; what an import
alone brings is all that it shares with the others. Run as a program, this is that process: it takes orders on its
standard input, a JSON object a line, and ends when that ends.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

from tests.stack.local import LocalStack
from tests.stack.place import Place, Service
from tests.stack.processes import POLL, Process


class Warm:
    """The process. `environment`: what it imports is found by, PYTHONPATH for one. `before`: what it is started by."""

    def __init__(self, environment: Mapping[str, str], before: Sequence[str] = ()) -> None:
        self._environment = environment
        self._before = before
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        # -P: the folder that it is started in does not come before PYTHONPATH.
        program = (*self._before, sys.executable, "-P", "-m", __name__)
        pipe, own = subprocess.PIPE, {**os.environ, **self._environment}
        self._process = subprocess.Popen(program, stdin=pipe, stdout=pipe, env=own, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: str = os.devnull
    ) -> subprocess.CompletedProcess[str]:
        """A command of the service as a fork, run to its end."""
        with tempfile.TemporaryDirectory() as kept:
            out, err = Path(kept, "out"), Path(kept, "err")
            code = self.fork(arguments, environment, folder, stdin, str(out), str(err)).wait(100)
            return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *streams: str,
        program: str = Service.program,
    ) -> "Forked":
        """`streams`: the files of standard input, output and error. They are open when this returns."""
        order = {"arguments": [*arguments], "environment": dict(environment), "folder": str(folder), "program": program}
        return Forked(self, self.ask(**order, streams=streams))

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
    """`Service` as a fork."""

    def __init__(self, warm: Warm, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, environment)
        self._warm = warm

    def spawn(self, log: BinaryIO) -> Process:
        streams = os.devnull, log.name, log.name
        return self._warm.fork(self.arguments, self.environment(), self.folder, *streams, program=self.program)


def warm_place(stack: LocalStack, folder: Path, warm: Warm) -> Place:
    """A place whose services and commands are forks."""
    return Place(stack, folder, start=partial(WarmService, warm), run=warm.run)


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
    streams = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOCTTY) for name in order["streams"]]
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        with contextlib.suppress(PermissionError):
            os.setpgid(pid, pid)  # here too, so that it can be killed as a group when this returns
        return pid
    try:
        _become(order, streams)
    finally:
        os._exit(1)


def _become(order: Mapping[str, Any], streams: Sequence[int]) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Those of the process that forked know of the files that it has, such as that they can be sought in. They are held
    # here, since whoever replaces one of them goes on with what it wraps.
    read = os.fdopen(0, encoding="utf-8", closefd=False)
    out = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    err = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stdin, sys.stdout, sys.stderr = read, out, err
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["notification-service", *order["arguments"]]
    try:
        runpy.run_module(order["program"], run_name="__main__")
        code: object = None
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve()
