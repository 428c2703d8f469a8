"""Fetches what the checks of mails need and is missing: from Debian, and from npm (make mail-check)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = (
    "chromium",
    "spamassassin",
    "pngquant",
    "fonts-noto-core",
    "fonts-noto-cjk",
    "fonts-noto-color-emoji",
)
NODE = 20


def debian() -> None:
    if not shutil.which("dpkg-query"):
        sys.exit(f"mail-check needs Debian or Ubuntu, for: {' '.join(PACKAGES)}")
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *PACKAGES]
    known = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    missing = [name for name in PACKAGES if f"{name} installed" not in known]
    if not missing:
        return
    if os.geteuid() != 0:
        sys.exit(f"mail-check needs {' '.join(missing)}: apt-get install {' '.join(missing)} (as root), then try again")
    print(f"installing {' '.join(missing)} ...", flush=True)  # noqa: T201
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "--quiet=2"], check=True)
    install = ["apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", *missing]
    subprocess.run(install, check=True, env=quiet, stdout=subprocess.DEVNULL)


def npm() -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        sys.exit(f"mail-check needs Node.js {NODE} or newer, with npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if not (found := re.match(r"v(\d+)", version)) or int(found[1]) < NODE:
        sys.exit(f"mail-check needs Node.js {NODE} or newer; this is {version.strip()}")
    done = HERE / "node_modules" / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= (HERE / "package-lock.json").stat().st_mtime:
        return
    print("installing what tests/mails/package-lock.json pins ...", flush=True)  # noqa: T201
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    subprocess.run(command, check=True, cwd=HERE, stdout=subprocess.DEVNULL)
    done.touch()


if __name__ == "__main__":
    debian()
    npm()
