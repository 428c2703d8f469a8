"""The html of mails in the browsers of terminals, 80 columns wide, and which facts get lost there (make mail-text).

`python -m tests.mails.terminal --eml DIR --out DIR`

Readers such as mutt and aerc show html by these programs. None is fetched: Debian has w3m and lynx.
"""

import argparse
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.mails.mail import Mail, MailFinding, read

COMMANDS: Mapping[str, Sequence[str]] = {
    "w3m": ("-dump", "-cols", "80", "-T", "text/html", "-I", "UTF-8", "-O", "UTF-8"),
    "lynx": ("-dump", "-width=80", "-display_charset=utf-8", "-assume_charset=utf-8", "-stdin", "-force_html"),
}
_WORD = re.compile(r"[\u3000-\u9fff]|[^\s\u3000-\u9fff]+")
"""A word; of Chinese and Japanese, which break anywhere, a character."""

INSTALL = "apt-get install --no-install-recommends w3m lynx"


def programs() -> list[str]:
    return [name for name in COMMANDS if shutil.which(name)]


def shown(mail: Mail, program: str) -> str:
    done = subprocess.run(
        [program, *COMMANDS[program]], input=mail.html, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return done.stdout


def lost(mail: Mail, program: str, text: str) -> Iterator[MailFinding]:
    """The facts of the html of which the program leaves out a word. The columns of a table wrap side by side."""
    seen = _bare(text)
    for tag, content in mail.markup.facts:
        if missing := [word for word in _WORD.findall(content) if _bare(word) not in seen]:
            yield MailFinding(mail.name, program, tag, f"is not shown: {' '.join(missing)}")


def _bare(text: str) -> str:
    """Without white space, and without direction marks, which w3m leaves out; composed as w3m composes it."""
    return unicodedata.normalize("NFC", re.sub(r"[\s\u200b-\u200f\u2060\u2066-\u2069]", "", text))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mails.terminal", description=__doc__)
    parser.add_argument("--eml", type=Path, required=True, help="a folder of *.eml files")
    parser.add_argument("--out", type=Path, required=True, help="a folder for what is shown")
    asked = parser.parse_args()
    if not programs():
        sys.exit(f"skipped: {INSTALL}")
    asked.out.mkdir(parents=True, exist_ok=True)
    mails = read(asked.eml)
    found: list[MailFinding] = []
    for mail in mails:
        for program in programs():
            text = shown(mail, program)
            (asked.out / f"{mail.name}.{program}.txt").write_text(text, encoding="utf-8")
            found += lost(mail, program, text)
    lines = list(map(str, found)) or [f"{len(mails)} mails in {', '.join(programs())}: every fact is shown"]
    print(*lines, sep="\n")  # noqa: T201
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
