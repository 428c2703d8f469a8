"""The official AsyncAPI parser, from npm, installed once into var/."""

import fcntl
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "var" / "asyncapi"
_NPM_CI = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


@dataclass(frozen=True)
class Reading:
    read: bool
    found: list[str]
    operations: list[str]


def missing() -> str | None:
    """What keeps the parser from being run here, as a sentence."""
    absent = [name for name in ("node", "npm") if not shutil.which(name)]
    return f"the official AsyncAPI parser needs Node.js with npm: {', '.join(absent)} is missing" if absent else None


def parse(document: str) -> Reading:
    _install()
    command = ["node", str(HERE / "parse.mjs")]
    done = subprocess.run(command, input=document, capture_output=True, text=True, check=False, cwd=CACHE)
    assert not done.returncode, done.stderr
    return Reading(**json.loads(done.stdout))


def _install() -> None:
    """What package-lock.json pins, unless it is there. Of several test processes one installs, and the others wait."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package-lock.json").read_bytes()
    done = CACHE / "installed.json"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_bytes() == wanted:
            return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, CACHE)
        subprocess.run(_NPM_CI, check=True, cwd=CACHE, stdout=subprocess.DEVNULL)
        done.write_bytes(wanted)
