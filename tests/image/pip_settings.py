"""How pip finds packages on this machine, as two secrets of a build: no host and no password gets into a layer."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import certifi

_CACHE_SIZE = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "default-timeout")
_PLACES = ("index-url", "extra-index-url", "find-links")
_CA = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM = "/etc/ssl/certs/ca-certificates.crt"

_NAMES = ("pip.conf", "ca.pem")

# Where the recipes mount the second secret.
_MOUNTED = "/run/secrets/ca.pem"


def secrets(folder: Path) -> dict[str, Path]:
    """Write the two files, and name them as the recipes do."""
    listed = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=True
    ).stdout
    told = dict(re.findall(r"^[^.\n]+\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
    files = {name: folder / name for name in _NAMES}
    for file, text in zip(files.values(), (configuration(told, os.environ), _authorities(told)), strict=True):
        file.touch(0o600)
        file.write_text(text, "utf-8")
    return files


def forget(folder: Path) -> None:
    for name in _NAMES:
        (folder / name).unlink(missing_ok=True)


def configuration(told: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """The file for pip within a build: what is a folder of this machine is not reached from there, and is left out."""
    kept = {name: told[name] for name in _CACHE_SIZE if name in told}
    for name in _PLACES:
        kept[name] = " ".join(place for place in kept.get(name, "").split() if re.match(r"https?://", place))
    kept.setdefault("proxy", environment.get("https_proxy") or environment.get("HTTPS_PROXY") or "")
    lines = (f"{name} = {value}" for name, value in {**kept, "cert": _MOUNTED}.items() if value)
    return "\n".join(("[global]", *lines, ""))


def _authorities(told: Mapping[str, str]) -> str:
    named = (told.get("cert"), *(os.environ.get(name) for name in _CA), _SYSTEM, certifi.where())
    return next(Path(each).read_text("utf-8") for each in named if each and Path(each).is_file())
