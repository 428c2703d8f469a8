"""Debian's chromium, driven by Playwright, on one visit to the console."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, Playwright, expect

from tests.stack import debian

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars", "--disable-sync"]
_PATIENCE_MS = 20_000


class NoBrowserError(Exception):
    """There is no chromium, and it cannot be installed here; the text says what to do."""


def install() -> str:
    """Where chromium is; as root on Debian it is installed where it is missing. Raises `NoBrowserError`."""
    if not _found() and debian.may_install():
        problem = debian.install("chromium", _found)
        if problem:
            raise NoBrowserError(f"the console's tests need chromium, and it cannot be installed: {problem}")
    if (found := _found()) is None:
        raise NoBrowserError(
            "the console's tests need chromium: apt-get install chromium (as root), or name it in CHROMIUM"
        )
    return found


def _found() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=install(), args=_ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()


class Visit:
    """One window with its own cookies. What the page complains about is in `complaints`."""

    def __init__(
        self, browser: Browser, address: str, scheme: str = "light", size: tuple[int, int] = (1280, 900)
    ) -> None:
        width, height = size
        wanted: Any = scheme
        self._context = browser.new_context(
            base_url=address, color_scheme=wanted, viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        self._context.set_default_timeout(_PATIENCE_MS)
        self.page = self._context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda problem: self.complaints.append(str(problem)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def go(self, path: str) -> None:
        self.page.goto(path)

    def sign_in(self, token: str) -> None:
        self.go("/console/login")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("What happened to this ticket?")

    def look_at_books(self) -> None:
        self.go("/console/books")
        self.page.get_by_role("button", name="Check").click()
        for _ in range(100):
            if not self.page.get_by_text("check has been running").count():
                break
            self.page.wait_for_timeout(100)
            self.page.reload()

    def until_counted(self) -> None:
        for _ in range(100):
            if not self.page.get_by_text("still being counted").count():
                break
            self.page.wait_for_timeout(100)
            self.page.reload()

    def picture(self, path: Path) -> None:
        """The whole page, in a window as high as it: a frame that was never in sight is not painted."""
        self.page.wait_for_load_state("networkidle")
        before = self.page.viewport_size
        height = self.page.evaluate("document.documentElement.scrollHeight")
        if before is not None:
            self.page.set_viewport_size({"width": before["width"], "height": max(height, before["height"])})
            self.page.wait_for_timeout(300)
        self.page.screenshot(path=path)
        if before is not None:
            self.page.set_viewport_size(before)
