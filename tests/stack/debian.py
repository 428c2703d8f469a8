"""Packages of Debian and Ubuntu that the tests need and that this machine does not have."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def need(program: str) -> None:
    """Install the package of this name unless the program is there. Raises `RuntimeError` where that cannot be."""
    if shutil.which(program):
        return
    as_root = f"apt-get install {program} (as root)"
    problem = install(program, lambda: shutil.which(program)) if may_install() else as_root
    if problem:
        raise RuntimeError(f"{program} is missing: {problem}")


def install(package: str, is_there: Callable[[], object], **environment: str) -> str | None:
    """Install it unless it is there; what went wrong, as a sentence, or None."""
    with _alone():
        return None if is_there() else _install(package, environment)


@contextmanager
def _alone() -> Iterator[None]:
    """Tests that run side by side do not install side by side."""
    with Path(tempfile.gettempdir(), "notification-stack-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(package: str, environment: dict[str, str]) -> str | None:
    sys.stderr.write(f"{package} is missing; installing it with apt-get, once.\n")
    quiet = {**os.environ, **environment, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update",), ("install", "-y", "--no-install-recommends", package)):
        command = ("apt-get", *arguments)
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}"
    return None
