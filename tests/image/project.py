"""The compose file as a running project: a copy of what is shipped, without the `.env` of whoever works here."""

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.image.engine import Engine, run
from tests.image.standins import ROOT

OURS = "notification-service"
MAILS = ("127.0.0.1", 8025)
HEALTH = ("127.0.0.1", 8084)


class CheckFailedError(AssertionError):
    """Something is not as it is shipped to be; the text says what, and where to look."""


class Project:
    """Compose over the copy; `compose` takes what a person would type."""

    def __init__(self, engine: Engine, program: Path, folder: Path, secrets: dict[str, Path]) -> None:
        self.engine = engine
        self.folder = folder / "checkout"
        self._program = program
        self._files = ["docker-compose.yml"]
        self._copy()
        self.add(
            "secrets.yml",
            {
                "services": {OURS: {"build": {"secrets": list(secrets)}}},
                "secrets": {name: {"file": str(path)} for name, path in secrets.items()},
            },
        )

    def _copy(self) -> None:
        """What git would have, and no `.env`."""
        ignored = shutil.ignore_patterns("__pycache__")
        allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        self.folder.mkdir()
        for name in (*allowed, "Dockerfile", "docker-compose.yml", ".dockerignore"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, self.folder / name)

    def add(self, name: str, content: dict[str, Any]) -> None:
        """One more compose file over those before it, as `-f` has it."""
        (self.folder / name).write_text(yaml.safe_dump(content), "utf-8")
        self._files.append(name)

    def drop(self, name: str) -> None:
        self._files.remove(name)

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        files = [word for name in self._files for word in ("--file", str(self.folder / name))]
        command = (str(self._program), "--ansi", "never", *files, *arguments)
        return run(command, self.engine.environment(), check=check)

    def services(self) -> dict[str, Any]:
        listed = json.loads(self.compose("config", "--format", "json").stdout)
        return dict(listed["services"])

    def container(self, service: str = OURS) -> dict[str, Any]:
        """All that the engine knows of the container of a service, running or not."""
        return self.engine.inspect(self.compose("ps", "--all", "--quiet", service).stdout.strip())

    def execute(self, *command: str, service: str = OURS, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.compose("exec", "--no-TTY", service, *command, check=check)

    def logs(self) -> str:
        name = self.compose("ps", "--all", "--quiet", OURS, check=False).stdout.strip()
        return self.engine.run("logs", "--tail", "15", name, check=False).stdout if name else "(there is none)"


def get(where: tuple[str, int], path: str) -> tuple[int, bytes]:
    """Status and body; 0 while nobody answers. No proxy of this machine's is asked."""
    connection = http.client.HTTPConnection(*where, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def mails() -> int:
    status, body = get(MAILS, "/api/v1/messages")
    return int(json.loads(body)["total"]) if status == http.HTTPStatus.OK else -1


def ready() -> bool:
    return get(HEALTH, "/readyz")[0] == http.HTTPStatus.OK


def until(condition: Callable[[], bool], what: str, within: float) -> float:
    """Seconds until it held. Raises `CheckFailedError`."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within:
            raise CheckFailedError(f"{what}: not within {within:g} s")
        time.sleep(0.2)
    return time.monotonic() - begun
