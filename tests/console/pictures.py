"""The pictures under docs/console (make console-pictures)."""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.console import scene
from tests.console.browser import Visit, chromium
from tests.stack.local import LocalStack
from tests.stack.place import Place

OUT = Path(__file__).parents[2] / "docs" / "console"
LOOKS = {"1280.light": ("light", (1280, 900)), "375.dark": ("dark", (375, 812))}
SHEET = ("notification-sent.1280.light.png", "waiting.375.dark.png", "traffic.1280.light.png")
_SHEET_HEIGHT, _GAP, _SHOWN = 900, 24, 1.05
_COLOURS = 128
FEEDBACK = {
    "RETURN_PATH_DOMAIN": "bounces.cinema.example",
    "LINK_KEYS": "1:8f3b6e0c59d24a7f91e60c59",
    "CALLBACK_URL": "https://links.cinema.example",
    "TRACKING": "clicks",
    "TRACKING_CONSENT_FIELD": "consent.clicks",
}


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="console-pictures-"))
    OUT.mkdir(exist_ok=True)
    try:
        with LocalStack(folder) as stack:
            place = Place(stack, folder)
            with place.service(**scene.SETTINGS, **FEEDBACK) as service:
                scene.fill(place)
                scene.age(place)
                scene.readers(place)
                scene.add_experiment(place, "winter")
                scene.feedback(place)
                ids = {record["event_id"]: record["_id"] for record in place.records()}
                with sync_playwright() as playwright, chromium(playwright) as browser:
                    for name, (scheme, size) in LOOKS.items():
                        with Visit(browser, f"http://127.0.0.1:{service.console_port}", scheme, size) as visit:
                            _shoot(ids, visit, f"{name}.png")
            place.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _sheet()
    for path in OUT.glob("*.png"):
        Image.open(path).convert("RGB").quantize(_COLOURS).save(path, optimize=True)
    return 0


def _shoot(ids: dict[str, str], visit: Visit, suffix: str) -> None:
    visit.go("/console/login")
    visit.picture(OUT / f"login.{suffix}")
    visit.sign_in(scene.TOKEN)
    visit.picture(OUT / f"search.{suffix}")
    for name, event_id in (("sent", "receipt"), ("parked", "full"), ("unknown", "in-doubt")):
        visit.go(f"/console/notifications/{ids[event_id]}")
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
    for name in ("feedback", "suppressions", "clicks", "experiment"):
        visit.go(f"/console/{name}")
        visit.picture(OUT / f"{name}.{suffix}")
    visit.go("/console/gallery/")
    visit.picture(OUT / f"gallery.{suffix}")


def _sheet() -> None:
    """The beginnings of three pages beside each other, as high as the README shows them."""
    shown = [Image.open(OUT / name).convert("RGB") for name in SHEET]
    cut = [each.crop((0, 0, each.width, min(each.height, _height(each)))) for each in shown]
    scaled = [
        each.resize((each.width * _SHEET_HEIGHT // _height(each), each.height * _SHEET_HEIGHT // _height(each)))
        for each in cut
    ]
    sheet = Image.new("RGB", (sum(each.width for each in scaled) + _GAP * 4, _SHEET_HEIGHT + 2 * _GAP), "#c9c7c3")
    left = _GAP
    for each in scaled:
        sheet.paste(each, (left, _GAP))
        left += each.width + _GAP
    sheet.save(OUT / "sheet.png")


def _height(image: Image.Image) -> int:
    return int(image.width * (_SHOWN if image.width > 600 else 2.16))


if __name__ == "__main__":
    sys.exit(main())
