"""The images that the shipped files name, built of one Debian: no registry is asked, and none is pretended."""

import re
import shutil
import subprocess
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from tests.image.engine import Engine

ROOT = Path(__file__).parents[2]
PARTS = Path(__file__).parent / "parts"
PACKAGES = ("ca-certificates", "docker-compose", "python3", "python3-venv", "rabbitmq-server", "redis-server")
COMPOSE = Path("usr/libexec/docker/cli-plugins/docker-compose")
_WHEELS = ("aiosmtpd", "secantusdb")

STAND_INS = {
    "python": "Debian 13's Python with pip below /usr/local",
    "rabbitmq": "Debian 13's RabbitMQ with the management plugin",
    "redis": "Debian 13's Redis",
    "mongodb": "SecantusDB, which speaks MongoDB's protocol",
    "mailcatcher": "aiosmtpd behind a small /mailpit",
}


def shipped_images() -> dict[str, str]:
    """The name of each image that is fetched where there is a registry."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    named = {part: compose["services"][part]["image"] for part in STAND_INS if part != "python"}
    (based,) = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return {"python": based, **named}


def import_debian(engine: Engine, tree: Path, folder: Path) -> str:
    """The folder as an image, once; Compose, which came with it, and apt's lists are left out."""
    name = f"notification-debian:{tree.name.rpartition('-')[2]}"
    if engine.ask("images", "--quiet", name):
        return name
    left_out = (f"--exclude=./{COMPOSE}", "--exclude=./var/cache/apt", "--exclude=./var/lib/apt/lists")
    archive = folder / "debian.tar"
    subprocess.run(("tar", "--directory", tree, *left_out, "--create", "--file", archive, "."), check=True)
    engine.run("import", str(archive), name)
    archive.unlink()
    return name


def build(engine: Engine, debian: str, folder: Path, secrets: dict[str, Path]) -> None:
    """Build each stand-in and give it the name of what it stands in for. Raises `CommandFailedError`."""
    context = folder / "parts"
    shutil.copytree(PARTS, context)
    (context / "requirements.txt").write_text(_pinned(), "utf-8")
    mounted = [word for name, path in secrets.items() for word in ("--secret", f"id={name},src={path}")]
    for target, name in shipped_images().items():
        chosen = ("--target", target, "--tag", name, "--build-arg", f"DEBIAN={debian}")
        engine.run("build", "--quiet", *mounted, *chosen, str(context))


def _pinned() -> str:
    """The lines of the lock file for the wheels of the stand-ins and all that these need."""
    lock = (ROOT / "tests" / "requirements.lock").read_text("utf-8")
    blocks = re.findall(r"^([a-z0-9._-]+)(==.*?)(?=^[a-z0-9]|\Z)", lock, re.MULTILINE | re.DOTALL)
    needed = _closure(set(_WHEELS))
    return "".join(name + pin for name, pin in blocks if name in needed)


def _closure(names: set[str]) -> set[str]:
    further = {
        re.sub(r"[-_.]+", "-", each.name).lower()
        for name in names
        for each in map(Requirement, requires(name) or [])
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    return names if further <= names else _closure(names | further)
