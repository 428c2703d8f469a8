"""A Docker engine of its own: started in the namespaces that `__main__` has made, and gone with them."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.stack.processes import Part

# Where slirp4netns answers DNS. The machine's own resolver may be one that containers do not reach (127.0.0.53).
_RESOLVER = "10.0.2.3"

# What is kept of layers for the next run.
_LAYERS = "2GB"

CGROUP = "notification-image-check"


class CommandFailedError(RuntimeError):
    """A command of Docker's or of Compose's ended otherwise than it should; the text has what it said."""


class Engine(Part):
    """dockerd, and the command line that speaks to it and to nothing else of this machine's."""

    name = "dockerd"

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__(folder)
        self.data = data
        self.socket = folder / "docker.sock"

    def command(self) -> Sequence[str]:
        places = {
            "--data-root": self.data,
            "--exec-root": self.folder / "exec",
            "--pidfile": self.folder / "dockerd.pid",
            "--host": f"unix://{self.socket}",
            "--dns": _RESOLVER,
            "--cgroup-parent": f"/{CGROUP}",
            "--exec-opt": "native.cgroupdriver=cgroupfs",  # systemd knows the processes by other numbers
            "--log-level": "warn",
        }
        return ("dockerd", *(str(word) for pair in places.items() for word in pair))

    def answers(self) -> bool:
        return self.socket.exists() and self.run("version", check=False).returncode == 0

    def run(self, *arguments: str, check: bool = True, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        """Run `docker` with these arguments. Raises `CommandFailedError`."""
        return run((docker(), *arguments), self.environment(), check=check, timeout=timeout)

    def ask(self, *arguments: str) -> str:
        """What `docker` prints."""
        return self.run(*arguments).stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.ask("inspect", name))
        return dict(found)

    def environment(self) -> Mapping[str, str]:
        """Nothing of the caller's settings: Compose puts those into the file."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_BUILDKIT": "1",
        }

    def clear(self) -> None:
        """Remove what a run that was killed left behind, and what is old; images with a name stay."""
        if containers := self.ask("ps", "--all", "--quiet").split():
            self.run("rm", "--force", "--volumes", *containers)
        if volumes := self.ask("volume", "ls", "--quiet").split():
            self.run("volume", "rm", "--force", *volumes)
        self.run("network", "prune", "--force")
        self.run("image", "prune", "--force")
        self.run("builder", "prune", "--force", "--keep-storage", _LAYERS)


def docker() -> str:
    """The command line of the engine's own package, where another one stands before it in PATH."""
    own = Path("/usr/bin/docker")
    return str(own) if own.exists() else shutil.which("docker") or "docker"


def run(
    command: Sequence[str], environment: Mapping[str, str], *, check: bool = True, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Raises `CommandFailedError`: where `check`, also for an exit code."""
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise CommandFailedError(f"{' '.join(command)} did not end within {timeout:g} s") from problem
    if check and done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-30:]
        raise CommandFailedError("\n    ".join((f"{' '.join(command)} ended with {done.returncode}:", *said)))
    return done
