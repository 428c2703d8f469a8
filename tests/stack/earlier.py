"""The version before the packages were divided by meaning: what it wrote has to be read, and it has to run beside ours.

What it imports of others is what we have.
"""

import os
import shutil
import subprocess
from pathlib import Path

COMMIT = "38cd006"

ROOT = Path(__file__).parents[2]
_CHECKOUT = os.environ.get("OLD_CHECKOUT", "")


def missing() -> str | None:
    """Why it cannot be had here, or None."""
    if _CHECKOUT:
        return None if (Path(_CHECKOUT) / "notification_service").is_dir() else f"OLD_CHECKOUT: no {_CHECKOUT}"
    known = ("git", "cat-file", "-e", f"{COMMIT}^{{commit}}")
    if shutil.which("git") and not subprocess.run(known, cwd=ROOT, capture_output=True, check=False).returncode:
        return None
    return f"the commit {COMMIT} is not in this checkout; OLD_CHECKOUT=path names one of it"


def unpacked(folder: Path) -> Path:
    """Return where its code and its templates are: in OLD_CHECKOUT, else unpacked from the repository into `folder`."""
    if _CHECKOUT:
        return Path(_CHECKOUT).resolve()
    folder.mkdir(parents=True)
    packed = folder / "earlier.tar"
    what = ("--output", str(packed), COMMIT, "notification_service", "templates")
    subprocess.run(("git", "archive", *what), cwd=ROOT, check=True)
    shutil.unpack_archive(packed, folder)
    return folder
