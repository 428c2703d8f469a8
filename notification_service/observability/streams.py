"""Standard output and error when their reader has closed them or the disk is full."""

import errno
import io
import os
import select
import sys
import time
from typing import Never, TextIO

import structlog

log = structlog.get_logger(__name__)

_MAX_WRITE_SIZE = select.PIPE_BUF
"""Bytes that a ready pipe takes without blocking (POSIX)."""
_MAX_BUFFER_SIZE = 1024 * 1024
_FINISH_TIMEOUT_S = 1.0


class UnwritableError(Exception):
    """The output of a command cannot be written. `quiet`: the reader closed the pipe, so no message is printed."""

    def __init__(self, name: str, problem: OSError) -> None:
        super().__init__(f"{name} cannot be written: {problem.strerror}; the rest of the output is lost")
        self.quiet = problem.errno == errno.EPIPE


class CheckedStream(io.TextIOWrapper):
    """Raises `UnwritableError`, which is not an `OSError`, so that no library catches it."""

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
        # The interpreter would flush the rest of the buffer when it exits, fail, and exit with code 120.
        lost = os.open(os.devnull, os.O_WRONLY)
        os.dup2(lost, self.fileno())
        os.close(lost)
        raise UnwritableError(self.title, problem) from None


def check() -> None:
    """Make standard output and error raise `UnwritableError`."""
    sys.stdout = CheckedStream.around(sys.stdout, "standard output")
    sys.stderr = CheckedStream.around(sys.stderr, "standard error")


class LogOutput(io.TextIOBase):
    """Writes log lines to a file descriptor without ever blocking or raising.

    Up to 1 MiB is buffered for a slow reader; further lines are dropped, and counted in `log.dropped`.
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
        """Bytes in the buffer."""
        return len(self._waiting)

    def write(self, line: str, /) -> int:
        encoded = line.encode("utf-8", "replace")
        if len(self._waiting) + len(encoded) > _MAX_BUFFER_SIZE:
            self._dropped += 1
        else:
            self._waiting += encoded
        self._pass_on()
        return len(line)

    def _pass_on(self) -> None:
        # poll also reports a descriptor whose reader is gone; the write then fails.
        while self._waiting and self._ready.poll(0):
            try:
                written = os.write(self._descriptor, self._waiting[:_MAX_WRITE_SIZE])
            except BlockingIOError:
                return
            except OSError:
                # End a line that was written in part, so that the next one begins on a line of its own.
                self._waiting[:] = b"\n" if self._within_line else b""
                return
            self._within_line = self._waiting[written - 1] != ord("\n")
            del self._waiting[:written]
        if self._dropped and not self._waiting:
            dropped, self._dropped = self._dropped, 0
            log.warning("log.dropped", lines=dropped, problem="the reader of standard output is too slow")

    def finish(self) -> None:
        """Wait up to 1 s for a slow reader at the end of the process."""
        deadline = time.monotonic() + _FINISH_TIMEOUT_S
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            self._ready.poll(left * 1000)
            self._pass_on()
