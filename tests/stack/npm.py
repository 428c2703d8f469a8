"""Programs from npm that a test compares with, installed once into var/ as their lock file pins them."""

import fcntl
import shutil
import subprocess
from pathlib import Path

_VAR = Path(__file__).parents[2] / "var"
_NPM_CI = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


def missing(what: str) -> str | None:
    """What keeps it from being run here, as a sentence."""
    absent = [name for name in ("node", "npm") if not shutil.which(name)]
    return f"{what} needs Node.js with npm: {', '.join(absent)} is missing" if absent else None


def installed(folder: Path) -> Path:
    """Where what `folder`'s lock file pins lies. Of several test processes one installs, and the others wait."""
    cache = _VAR / folder.name
    cache.mkdir(parents=True, exist_ok=True)
    wanted = (folder / "package-lock.json").read_bytes()
    done = cache / "installed.json"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_bytes() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(folder / name, cache)
            subprocess.run(_NPM_CI, check=True, cwd=cache, stdout=subprocess.DEVNULL)
            done.write_bytes(wanted)
    return cache
