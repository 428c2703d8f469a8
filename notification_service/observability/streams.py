"""Standard output and standard error where nobody reads them, or where they have no room."""

import errno
import io
import os
import select
import sys
import time
from typing import Never, TextIO

import structlog

log = structlog.get_logger(__name__)

_AT_ONCE = select.PIPE_BUF
"""Bytes that a pipe which is ready takes without blocking."""
_MAX_WAITING = 1024 * 1024
_LAST_SECONDS = 1.0


class UnwritableError(Exception):
    """What a command has to say cannot be written. `quiet`: whoever read it has gone, and misses nothing."""

    def __init__(self, name: str, problem: OSError) -> None:
        super().__init__(f"{name} cannot be written: {problem.strerror}; the rest of the output is lost")
        self.quiet = problem.errno == errno.EPIPE


class CheckedStream(io.TextIOWrapper):
    """Raises `UnwritableError`, which is no `OSError`: no library takes it for one of its own and hides it."""

    title = ""

    @classmethod
    def around(cls, stream: TextIO, title: str) -> "CheckedStream":
        checked = cls(stream.buffer, stream.encoding, stream.errors, line_buffering=True)
        checked.title = title
        return checked

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as problem:
            self._fail(problem)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as problem:
            self._fail(problem)

    def _fail(self, problem: OSError) -> Never:
        # What is left in the buffer would be tried again when the interpreter ends, and make its exit code 120.
        lost = os.open(os.devnull, os.O_WRONLY)
        os.dup2(lost, self.fileno())
        os.close(lost)
        raise UnwritableError(self.title, problem) from None


def check() -> None:
    """From here on, what cannot be written raises `UnwritableError`."""
    sys.stdout = CheckedStream.around(sys.stdout, "standard output")
    sys.stderr = CheckedStream.around(sys.stderr, "standard error")


class LogOutput(io.TextIOBase):
    """Log lines on a file descriptor. Writing them never blocks and never raises: the service goes on unheard.

    Up to 1 MiB waits for a reader that is slow; further lines are dropped, and counted in `log.dropped`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._waiting = bytearray()
        self._dropped = 0
        self._within_line = False

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    @property
    def waiting(self) -> int:
        """Bytes that a reader has not taken yet."""
        return len(self._waiting)

    def write(self, line: str, /) -> int:
        encoded = line.encode("utf-8", "replace")
        if len(self._waiting) + len(encoded) > _MAX_WAITING:
            self._dropped += 1
        else:
            self._waiting += encoded
        self._pass_on()
        return len(line)

    def _pass_on(self) -> None:
        # A descriptor that never becomes ready again, as its reader has gone, is ready too: writing says so.
        while self._waiting and self._ready.poll(0):
            try:
                written = os.write(self._descriptor, self._waiting[:_AT_ONCE])
            except BlockingIOError:
                return
            except OSError:
                # The rest of a line must not stand before the next one as if it were its beginning.
                self._waiting[:] = b"\n" if self._within_line else b""
                return
            self._within_line = self._waiting[written - 1] != ord("\n")
            del self._waiting[:written]
        if self._dropped and not self._waiting:
            dropped, self._dropped = self._dropped, 0
            log.warning("log.dropped", lines=dropped, problem="whoever reads standard output is too slow")

    def finish(self) -> None:
        """Give a slow reader the time that it is worth at the end of the process."""
        deadline = time.monotonic() + _LAST_SECONDS
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            self._ready.poll(left * 1000)
            self._pass_on()
