"""The pictures under docs/console (make console-pictures)."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.console import scene
from tests.console.browser import Visit, chromium
from tests.stack.local import LocalStack
from tests.stack.place import Place

OUT = Path(__file__).parents[2] / "docs" / "console"
SIZES = {"1280": (1280, 900), "375": (375, 812)}


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="console-pictures-"))
    OUT.mkdir(exist_ok=True)
    try:
        with LocalStack(folder) as stack:
            place = Place(stack, folder)
            with place.service(**scene.SETTINGS) as service:
                scene.fill(place)
                scene.age(place)
                with sync_playwright() as playwright, chromium(playwright) as browser:
                    for scheme in ("light", "dark"):
                        for name, size in SIZES.items():
                            with Visit(browser, f"http://127.0.0.1:{service.port}", scheme, size) as visit:
                                _shoot(place, visit, f"{name}.{scheme}.png")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _shoot(place: Place, visit: Visit, suffix: str) -> None:
    visit.go("/console/login")
    visit.picture(OUT / f"login.{suffix}")
    visit.sign_in(scene.TOKEN)
    visit.picture(OUT / f"search.{suffix}")
    for name, event_id in (("sent", "receipt"), ("parked", "full"), ("unknown", "in-doubt")):
        record = place.record(event_id)
        assert record is not None
        visit.go(f"/console/notifications/{record['_id']}")
        visit.picture(OUT / f"notification-{name}.{suffix}")
    visit.go("/console/waiting")
    visit.picture(OUT / f"waiting.{suffix}")
    visit.page.get_by_role("button", name="Replay …").click()
    visit.picture(OUT / f"confirm.{suffix}")
    visit.look_at_books()
    visit.picture(OUT / f"books.{suffix}")
    visit.go("/console/traffic?span=week")
    visit.until_counted()
    visit.picture(OUT / f"traffic.{suffix}")
    visit.go("/console/gallery/")
    visit.picture(OUT / f"gallery.{suffix}")


if __name__ == "__main__":
    sys.exit(main())
