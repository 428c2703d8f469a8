"""A display that no other program has, for programs with windows."""

import contextlib
import os
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def screen(size: str) -> Iterator[str]:
    """Yields the display's name. `size`: such as `900x1600x24`. Xvfb chooses the number, and writes it to the pipe."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        try:
            with os.fdopen(reading) as pipe:
                yield f":{pipe.readline().strip()}"
        finally:
            process.terminate()
