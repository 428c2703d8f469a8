"""promtool, from PATH or out of Debian's package `prometheus`, which is unpacked and not installed."""

import shutil
import subprocess
from pathlib import Path

KEPT = Path(__file__).parents[2] / "var" / "tools" / "prometheus"


def found() -> Path:
    """Raises `RuntimeError` with what to do where it cannot be had."""
    if known := shutil.which("promtool"):
        return Path(known)
    promtool = KEPT / "usr" / "bin" / "promtool"
    if not promtool.exists():
        _unpack()
    return promtool


def _unpack() -> None:
    missing = "promtool is missing: install it (Debian: apt-get install prometheus), then try again"
    if not shutil.which("apt-get"):
        raise RuntimeError(missing)
    KEPT.mkdir(parents=True, exist_ok=True)
    for command in (("apt-get", "download", "--quiet=2", "prometheus"), ("apt-get", "update", "--quiet=2")):
        done = subprocess.run(command, cwd=KEPT, capture_output=True, text=True, check=False)
        if list(KEPT.glob("prometheus_*.deb")):
            break
    else:
        done = subprocess.run(
            ("apt-get", "download", "--quiet=2", "prometheus"), cwd=KEPT, capture_output=True, text=True, check=False
        )
    packages = list(KEPT.glob("prometheus_*.deb"))
    if not packages:
        raise RuntimeError(f"{missing}; apt-get said: {done.stderr.strip()}")
    subprocess.run(("dpkg-deb", "--extract", packages[0], KEPT), check=True)
