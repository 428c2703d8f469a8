"""Bring up the local stack: for the time of a command, or until Ctrl-C.

python -m tests.stack                          prints the environment for the service and waits
python -m tests.stack -- notification-service run
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.stack.local import LocalStack
from tests.stack.processes import PartFailedError

FAILED = 69  # EX_UNAVAILABLE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the parts keep their data and logs (a temporary one)")
    parser.add_argument("command", nargs="*", help="a program to run inside the stack")
    options = parser.parse_args()
    try:
        with _folder(options.folder) as folder, LocalStack(folder) as stack:
            return _run(options.command, stack.environment()) if options.command else _wait(stack)
    except PartFailedError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except KeyboardInterrupt:
        return 0


@contextlib.contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="notification-stack-") as folder:
        yield Path(folder)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run a program to its end, however it is told to end: it may have to drain."""
    with subprocess.Popen(command, env={**os.environ, **environment}) as program:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C reaches the program too
        try:
            return program.wait()
        except SystemExit:
            program.terminate()
            program.wait()
            raise
        finally:
            signal.signal(signal.SIGINT, before)


def _wait(stack: LocalStack) -> int:
    lines = (f"{name}={value}" for name, value in stack.environment().items())
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    while all(part.running for part in stack.parts):
        time.sleep(0.5)
    raise PartFailedError("a part of the stack ended; its log tells why: " + str(stack.folder))


if __name__ == "__main__":
    sys.exit(main())
