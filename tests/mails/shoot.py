"""Pictures of mails, by chromium: `python -m tests.mails.shoot --eml DIR --out DIR [--sheet FILE]`."""

import argparse
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path

from tests.mails.mail import read
from tests.mails.tools import node

Job = dict[str, str | int]


def shoot(jobs: Sequence[Job]) -> None:
    node("shoot.mjs", jobs)
    if shutil.which("pngquant"):
        files = [str(job["out"]) for job in jobs]
        # It answers 99 where a file would not get smaller, which is as well.
        subprocess.run(["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "128", *files], check=False)


def sheet(pictures: dict[str, list[Path]], out: Path) -> None:
    """All pictures in one, the views of a mail side by side."""
    figures = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>"
        + "".join(f'<img src="{file.resolve().as_uri()}">' for file in files)
        + "</figure>"
        for name, files in pictures.items()
    )
    page = (
        "<!doctype html><meta charset=utf-8><style>body{font:14px sans-serif;margin:8px;background:#888}"
        "main{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0}img{zoom:.4;vertical-align:top;margin-right:10px}"
        f"</style><main>{figures}</main>"
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "sheet.html")
        source.write_text(page, encoding="utf-8")
        shoot([{"page": str(source), "out": str(out), "width": 1980, "scheme": "light"}])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mails.shoot", description=__doc__)
    parser.add_argument("--eml", type=Path, required=True, help="a folder of *.eml files")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the pictures")
    parser.add_argument("--names", default="*", help="only these: booking.confirmed.ar,payment.*.en")
    parser.add_argument("--widths", default="375,800")
    parser.add_argument("--schemes", default="light,dark")
    parser.add_argument("--images-off", action="store_true", help="as a client shows it that loads no images")
    parser.add_argument("--sheet", type=Path, help="one picture of all of them, into this file")
    asked = parser.parse_args()

    asked.out.mkdir(parents=True, exist_ok=True)
    views = [
        (int(width), scheme) for width, scheme in itertools.product(asked.widths.split(","), asked.schemes.split(","))
    ]
    pictures: dict[str, list[Path]] = {}
    jobs: list[Job] = []
    with tempfile.TemporaryDirectory() as folder:
        for mail in read(asked.eml):
            if not any(fnmatchcase(mail.name, name) for name in asked.names.split(",")):
                continue
            page = Path(folder, f"{mail.name}.html")
            page.write_text(mail.html if asked.images_off else mail.page(), encoding="utf-8")
            for width, scheme in views:
                out = asked.out.resolve() / f"{mail.name}.{width}.{scheme}.png"
                pictures.setdefault(mail.name, []).append(out)
                jobs.append({"page": str(page), "out": str(out), "width": width, "scheme": scheme})
        if not jobs:
            raise SystemExit(f"no such mail in {asked.eml}")
        shoot(jobs)
    if asked.sheet:
        sheet(pictures, asked.sheet.resolve())
    print(f"{len(jobs)} pictures in {asked.out}")  # noqa: T201


if __name__ == "__main__":
    main()
