"""`make image-check`: builds the image, runs the compose file, and looks whether both are what they are said to be.

python -m tests.image                  ends with 0, or names what is wrong
python -m tests.image --if-possible    the same, and 0 where this machine cannot run it, in one line
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.image.engine import CGROUP
from tests.image.inside import CANNOT
from tests.image.standins import PACKAGES
from tests.stack import debian, trixie
from tests.stack.processes import Part

ROOT = Path(__file__).parents[2]
# The engine's package has a suffix where another program had the name first; both ways of Debian's are tried.
_PROGRAMS = {"dockerd": "docker.io", "docker": "docker-cli", "slirp4netns": "slirp4netns", "iptables": "iptables"}


class CannotError(RuntimeError):
    """This machine cannot run the check; the text says why and what to do."""


class Egress(Part):
    """slirp4netns: the only way from the engine's network to the world, and none back."""

    name = "slirp4netns"

    def __init__(self, folder: Path, inside: int) -> None:
        super().__init__(folder)
        self._inside = inside

    def command(self) -> Sequence[str]:
        return ("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", str(self._inside), "tap0")

    def answers(self) -> bool:
        return "tap0" in Path(f"/proc/{self._inside}/net/dev").read_text("utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make image-check", description=__doc__.splitlines()[0])
    parser.add_argument("--if-possible", action="store_true", help="end with 0 where this machine cannot run it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    begun = time.monotonic()
    try:
        _prepare()
        code = _run()
    except CannotError as problem:
        sys.stderr.write(f"image-check was not run: {problem}\n")
        return 0 if options.if_possible else CANNOT
    except KeyboardInterrupt:
        sys.stderr.write("image-check was stopped, and what it had started with it\n")
        return 130
    sys.stdout.write(f"image-check: {'all as shipped' if code == 0 else 'FAILED'}, {time.monotonic() - begun:.0f} s\n")
    return code


def _prepare() -> None:
    if problem := trixie.missing():
        raise CannotError(problem)
    for program, package in _PROGRAMS.items():
        problem = debian.install(package, partial(shutil.which, program), RUNLEVEL="1")
        if problem or not shutil.which(program):
            raise CannotError(f"{program} is missing: apt-get install {package} (as root); {problem}")


def _run() -> int:
    try:
        tree = trixie.tree("image", PACKAGES)
    except trixie.TreeError as problem:
        raise CannotError(str(problem)) from problem
    with _engine_data() as data, tempfile.TemporaryDirectory(prefix="image-check-") as folder:
        code = _inside(Path(folder), data, tree)
        if code == CANNOT:
            raise CannotError(" ".join(Path(folder, "reason").read_text("utf-8").split()))
        return code


@contextmanager
def _engine_data() -> Iterator[Path]:
    """Where the engine keeps its layers for the next run. One run at a time: an engine wants it for itself."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    data = Path(home, "notification-service", "docker")
    data.mkdir(parents=True, exist_ok=True)
    with data.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield data


def _inside(folder: Path, data: Path, tree: Path) -> int:
    """Run the rest in namespaces of its own, for which slirp4netns fetches and carries packets."""
    alone = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
    command = (*alone, sys.executable, "-m", "tests.image.inside", str(folder), str(data), str(tree))
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True) as inside:
        try:
            while inside.poll() is None and Path(f"/proc/{inside.pid}/ns/net").samefile("/proc/self/ns/net"):
                time.sleep(0.01)
            with Egress(folder / "slirp4netns", inside.pid):
                return inside.wait()
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                inside.communicate(timeout=60)
            inside.kill()
            _remove_groups()


def _remove_groups() -> None:
    """The control groups of containers that ended with their namespace: the one thing that is not in one."""
    for group in sorted(Path("/sys/fs/cgroup").glob(f"**/{CGROUP}/**/"), reverse=True):
        with contextlib.suppress(OSError):
            group.rmdir()


if __name__ == "__main__":
    sys.exit(main())
