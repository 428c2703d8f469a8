"""Folders with a Debian 13 (trixie) system in them, made once by debootstrap and kept in the user's cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.stack import debian

SUITE = "trixie"
FOLDER = Path("/mnt")
"""Where what runs in a tree sees the folder that it was given."""
_HOUR = 3600.0
_ENTER = """
set -e; tree=$1; folder=$2; shift 2
mount --rbind /dev "$tree/dev"; mount -t proc proc "$tree/proc"; mount --bind "$folder" "$tree/mnt"
exec chroot "$tree" sh -c 'cd /mnt; exec "$@"' sh "$@"
"""


class TreeError(RuntimeError):
    """The system cannot be made here; the text says why and what to do."""


def missing() -> str | None:
    """What keeps a system from being made here, as a sentence."""
    if os.geteuid() != 0:
        return "a Debian system in a folder can only be made by root: run this as root"
    try:
        debian.need("debootstrap")
    except RuntimeError as problem:
        return str(problem)
    return None


def tree(name: str, packages: Sequence[str]) -> Path:
    """The folder of a minimal trixie with `packages`, which is made where it is not there. Raises `TreeError`.

    It is shared by all checkouts and runs: whoever writes into it copies it first. `name` is for people, who find it in
    the cache; other packages are another folder.
    """
    digest = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    cache = _cache()
    made = cache / f"{name}-{digest}"
    with _alone(cache / f"{made.name}.lock"):
        if not made.is_dir():
            _make(made, sorted(packages))
    return made


def running_in(made: Path, folder: Path, *command: str) -> Sequence[str]:
    """The command that runs `command` in a tree and replaces itself by it, with `folder` as `FOLDER` in there.

    What it mounts is in a mount namespace of its own, so nothing of it is left when it has ended.
    """
    apart = ("unshare", "--mount", "--propagation", "private")
    return (*apart, "sh", "-c", _ENTER, "sh", str(made), str(folder), *command)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "notification-service", SUITE)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Of several processes one makes it, and the others wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(made: Path, packages: Sequence[str]) -> None:
    if problem := missing():
        raise TreeError(problem)
    unfinished = made.with_name(f"{made.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    sys.stderr.write(f"making Debian {SUITE} with {', '.join(packages)} in {made}, once: a minute or two.\n")
    try:
        _debootstrap(unfinished, packages)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(made)


def _debootstrap(into: Path, packages: Sequence[str]) -> None:
    arguments = ("--variant=minbase", "--force-check-gpg", f"--include={','.join(packages)}", SUITE, str(into))
    # In a mount namespace of its own: what debootstrap mounts in the folder is gone with it, however it ends.
    command = ("unshare", "--mount", "--propagation", "private", "debootstrap", *arguments, *_mirror())
    # RUNLEVEL=1: a server's package does not start the server.
    environment = {**os.environ, **_proxies(), "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", timeout=_HOUR, check=False
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:"))]
        why = " ".join(said) or done.stderr.strip()[-400:]
        raise TreeError(
            f"debootstrap of {SUITE} failed: {why} Look whether apt-get update works on this machine, then try again."
        )


def _mirror() -> Sequence[str]:
    """Where this machine has its own Debian packages from; nothing, which is debootstrap's own choice, on another."""
    listing = ("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages")
    lines = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.splitlines()
    archives = [line.removeprefix("Debian|Debian|") for line in lines if line.startswith("Debian|Debian|")]
    return archives[:1]


def _proxies() -> dict[str, str]:
    """apt's proxies, in the words of the program that debootstrap fetches with."""
    names = {"http_proxy": "Acquire::http::Proxy", "https_proxy": "Acquire::https::Proxy"}
    asked = (argument for pair in names.items() for argument in pair)
    shell = subprocess.run(("apt-config", "shell", *asked), capture_output=True, text=True, check=False).stdout
    told = (line.split("=", 1) for line in shell.splitlines() if "=" in line)
    return {name: value.strip("'") for name, value in told}
