"""Supervised child processes: started, awaited, signalled, and never left behind."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, Self

GRACE = 15.0
POLL = 0.03

# Reads until its writer goes away. A line means "all is well"; an end without one means that the supervisor
# died. Unlike PR_SET_PDEATHSIG it takes the whole process group along, and does not mistake the end of the
# *thread* that started the part for the end of the supervisor.
LEASH = 'read -r released || kill -s KILL -- "-$1"'


def _ports() -> range:
    """The ports of this process: the other processes of pytest-xdist have others.

    They are below the range from which the kernel serves outgoing connections. Neither one of those nor another test
    may take the port of a part that needs seconds to come up.
    """
    share, shares = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    return range(10240 + int(share.removeprefix("gw")), 32768, int(shares))


PORTS = _ports()
_given: set[int] = set()


class PartFailedError(RuntimeError):
    """A part of the stack did not come up, or did not go away."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that no earlier call returned."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def exchange(port: int, request: bytes, *, timeout: float = 1.0) -> bytes:
    """Send `request` to a local port and return the first bytes of the reply; nothing where nobody answers."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request)
        return connection.recv(4096)
    return b""


class Process(Protocol):
    """What is asked of a process, as `subprocess.Popen` answers it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Part:
    """One supervised process of the stack, with its own folder, log and process group."""

    name = "part"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / f"{self.name}.log"
        self._process: Process | None = None
        self._leash: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Return the program and its arguments."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the part serves requests now; it may also raise OSError for "not yet"."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return the whole environment of the process."""
        return os.environ

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return at once; `wait_ready` waits until it serves."""
        if self.running:
            return
        self._bury()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = self.spawn(log)
        self._leash = subprocess.Popen(
            ["/bin/sh", "-c", LEASH, "leash", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def spawn(self, log: BinaryIO) -> Process:
        """Start the process, in a group of its own, in its folder."""
        return subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env=dict(self.environment()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when the part answers; raise with the end of its log when it ended or took too long."""
        deadline = time.monotonic() + timeout
        while True:
            if not self.running:
                code = self._process.returncode if self._process else "it was never started"
                raise self._failure(f"ended before it served (exit code {code})")
            with contextlib.suppress(OSError):
                if self.answers():
                    return
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {timeout:g} s")
            time.sleep(POLL)

    def terminate(self) -> None:
        """Ask the process to end, and return at once."""
        if self.running:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a paused process hears SIGTERM only when it goes on

    def stop(self, grace: float = GRACE) -> None:
        """End the process with SIGTERM, and with SIGKILL what is left of its group after `grace` seconds."""
        if self.running:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running().wait(grace)
        self.kill()

    def kill(self) -> None:
        """End the process and its children with SIGKILL, as a crash would."""
        self._bury()

    def pause(self) -> None:
        """Stop the process as it stands (SIGSTOP): its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def restart(self, timeout: float = 60.0) -> None:
        """Stop the part if it runs, start it again on the same port and folder, and wait until it serves."""
        self.stop()
        self.start()
        self.wait_ready(timeout)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _running(self) -> Process:
        if self._process is None:
            raise PartFailedError(f"{self.name} is not running")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._running().pid, number)

    def _bury(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        self._release()

    def _release(self) -> None:
        if self._leash is not None:
            with contextlib.suppress(BrokenPipeError):
                self._leash.communicate(b"released\n")
            self._leash = None

    def _failure(self, what: str) -> PartFailedError:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        last = "\n".join(f"    {line}" for line in lines[-15:]) or "    (empty)"
        return PartFailedError(f"{self.name} {what}; the end of {self.log}:\n{last}")
