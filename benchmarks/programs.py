"""The programs that are compared: how each is installed and started."""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.material import MIX
from tests.stack.place import RECORDS, Place
from tests.stack.processes import Part

HERE = Path(__file__).parent
ROOT = HERE.parent
AUDIT = "audit"
CONNECTIONS, PREFETCH = 8, 64
QUEUES = ("notification.booking_events", "notification.payment_events")
_NODE = 20
_FASTSTREAM = ROOT / "var" / "faststream"


class Missing(Exception):  # noqa: N818 - it is no error: the row says what is missing
    """The program cannot be had here."""


class Rival(Part):
    """One of the other programs as a child, beside the stack of a place."""

    def __init__(self, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._command = command
        self._environment = environment

    def command(self) -> Sequence[str]:
        return self._command

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, **self._environment}


@dataclass(frozen=True)
class Program:
    """`prepare`: returns the command that starts it, or raises `Missing`. `audit`: where it writes what it sent."""

    name: str
    what: str
    prepare: Callable[[], Sequence[str]]
    audit: str | None = None

    def part(self, place: Place, material: Path, command: Sequence[str], smtp_port: int | None = None) -> Part:
        """`smtp_port`: where the mail server is, if not at its own port."""
        port = str(smtp_port or place.smtp.port)
        if self.name == OURS:
            return place.service(
                LOG_LEVEL="INFO", RABBITMQ_PREFETCH=str(PREFETCH), SMTP_POOL_SIZE=str(CONNECTIONS), SMTP_PORT=port
            )
        environment = {
            **place.environment(),
            "SMTP_PORT": port,
            "BENCH_MATERIAL": str(material),
            "BENCH_KINDS": ",".join(MIX),
            "BENCH_QUEUES": ",".join(QUEUES),
            "BENCH_PREFETCH": str(PREFETCH),
            "BENCH_CONNECTIONS": str(CONNECTIONS),
            "BENCH_AUDIT": AUDIT,
        }
        return Rival(place.folder / self.name, command, environment)


def _python(module: str) -> Callable[[], Sequence[str]]:
    return lambda: (sys.executable, str(HERE / f"{module}.py"))


def _node() -> Sequence[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("Node.js with npm is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if not (found := re.match(r"v(\d+)", version)) or int(found[1]) < _NODE:
        raise Missing(f"it needs Node.js {_NODE} or newer; this is {version.strip()}")
    folder = HERE / "node"
    done = folder / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
        _say("installing what benchmarks/node/package-lock.json pins ...")
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        _install([npm, "ci", *options], folder)
        done.touch()
    return (node, str(folder / "worker.js"))


def _faststream() -> Sequence[str]:
    requirements = HERE / "faststream" / "requirements.txt"
    python, done = _FASTSTREAM / "bin" / "python", _FASTSTREAM / "installed.txt"
    if not done.exists() or done.read_bytes() != requirements.read_bytes():
        _say("installing what benchmarks/faststream/requirements.txt pins into var/faststream ...")
        venv.create(_FASTSTREAM, with_pip=True, clear=True)
        options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes")
        _install([str(python), "-m", "pip", "install", *options, "-r", str(requirements)], ROOT)
        shutil.copy(requirements, done)
    return (str(python), str(HERE / "faststream" / "worker.py"))


def _install(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Missing(f"it could not be installed: {''.join(last)[:200]}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


FLOOR, OURS = "floor", "ours"
PROGRAMS = (
    Program(FLOOR, "consume, ready bytes over 8 kept connections, ack", _python("floor")),
    Program(OURS, "this service, whole", tuple[str, ...], RECORDS),
    Program("node", "amqplib, ioredis, Handlebars, nodemailer's pool, insertOne", _node, AUDIT),
    Program("usual", "aio-pika, SET NX, cached Jinja2, aiosmtplib.send, insert_one", _python("usual"), AUDIT),
    Program("faststream", "FastStream and fastapi-mail as their docs show, no stores", _faststream),
)
