"""Pictures of mails as WebKit draws them, the engine of Apple Mail and Evolution (make mail-webkit).

`python -m tests.mails.webkit --eml DIR --out DIR --names "NAME NAME"`

It is not fetched: Debian has webkit2gtk-driver, with its MiniBrowser, and xvfb. WebDriver (W3C) drives the browser.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.mails.mail import Mail, read
from tests.mails.screen import screen

BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"), None)
INSTALL = "apt-get install --no-install-recommends webkit2gtk-driver xvfb"
SCHEMES = {"light": "Adwaita", "dark": "Adwaita:dark"}
"""What asks for `prefers-color-scheme`: GTK's theme."""

_SCREEN = "1000x4000x24"
_WIDTH, _BEGIN = 375, 300
"""Pixels. The browser makes it 447, as narrow as its bar allows."""
_READY_WITHIN = 20
_HEIGHT = "return document.documentElement.scrollHeight"
_DRAWN = """
const done = arguments[0];
const frames = (left) => left ? requestAnimationFrame(() => frames(left - 1)) : setTimeout(done, 300);
Promise.all([...document.images].map((each) => each.decode())).then(() => frames(3), () => frames(3));
"""
_SCROLLS = "return document.documentElement.scrollWidth > window.innerWidth"


def missing() -> bool:
    return BROWSER is None or not shutil.which("WebKitWebDriver") or not shutil.which("Xvfb")


class Driver:
    """One browser window, by WebDriver."""

    def __init__(self, port: int) -> None:
        self._port = port
        options = {"webkitgtk:browserOptions": {"binary": str(BROWSER), "args": ["--automation"]}}
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def shoot(self, page: Path, picture: Path) -> bool:
        """Take a picture of the whole page, and return whether it scrolls sideways."""
        self._set(_WIDTH, _BEGIN)
        self._do("/url", {"url": page.as_uri()})
        # The window has a bar of its own, and its page is narrower by a frame.
        inner = self._run("return [window.innerWidth, window.innerHeight]")
        frame = _WIDTH - inner[0], _BEGIN - inner[1]
        self._set(_WIDTH + frame[0], self._run(_HEIGHT) + frame[1])
        self._do("/execute/async", {"script": _DRAWN, "args": []})
        picture.write_bytes(base64.b64decode(self._ask("GET", f"/session/{self._session}/screenshot")))
        return bool(self._run(_SCROLLS))

    def close(self) -> None:
        self._ask("DELETE", f"/session/{self._session}")

    def _set(self, width: int, height: int) -> None:
        self._do("/window/rect", {"width": width, "height": height})

    def _run(self, script: str) -> Any:  # noqa: ANN401 - JSON
        return self._do("/execute/sync", {"script": script, "args": []})

    def _do(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        return self._ask("POST", f"/session/{self._session}{path}", body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None)
            value = json.loads(connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise SystemExit(f"WebKitWebDriver: {method} {path}: {value['error']}: {value['message']}")
        return value


@contextlib.contextmanager
def driver(theme: str, home: Path) -> Iterator[Driver]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with screen(_SCREEN) as display:
        environment = os.environ | {"DISPLAY": display, "GTK_THEME": theme, "HOME": str(home), "NO_AT_BRIDGE": "1"}
        command = ["WebKitWebDriver", f"--port={port}"]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as process:
            try:
                _wait_for(port)
                window = Driver(port)
                yield window
                window.close()
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(_READY_WITHIN * 10):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise SystemExit("WebKitWebDriver does not listen")


def shoot(mails: Sequence[Mail], out: Path) -> list[str]:
    """Take a picture of each mail in each scheme. Returns the names of those that scroll sideways."""
    wide = []
    with tempfile.TemporaryDirectory() as folder:
        for scheme, theme in SCHEMES.items():
            with driver(theme, Path(folder)) as window:
                for mail in mails:
                    page = Path(folder, f"{mail.name}.html")
                    page.write_text(mail.page(), encoding="utf-8")
                    name = f"{mail.name}.{scheme}"
                    wide += [name] if window.shoot(page, out / f"{name}.png") else []
    return wide


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mails.webkit", description=__doc__)
    parser.add_argument("--eml", type=Path, required=True, help="a folder of *.eml files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", required=True, help="names without .eml, with blanks between")
    asked = parser.parse_args()
    if missing():
        sys.exit(f"skipped: {INSTALL}")
    asked.out.mkdir(parents=True, exist_ok=True)
    mails = [mail for mail in read(asked.eml) if mail.name in asked.names.split()]
    if wide := shoot(mails, asked.out.resolve()):
        sys.exit(f"these scroll sideways: {', '.join(wide)}")
    print(f"{len(mails) * len(SCHEMES)} pictures in {asked.out}")  # noqa: T201


if __name__ == "__main__":
    main()
