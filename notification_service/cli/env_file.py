"""Finds lines of an `.env` file that Docker Compose and the service (python-dotenv) read differently."""

import re
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import Binding, parse_stream

_AFTER_KEY = re.compile(r"[^=]*=(?P<blank>\s*)(?P<quote>['\"]?)(?P<rest>.*)", re.DOTALL)

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


class EnvFileDoubt(NamedTuple):
    """A doubtful line. `text`: which, and what to do, without its value. `lost`: the line sets nothing at all."""

    text: str
    lost: bool = False

    def __str__(self) -> str:
        return self.text


def doubts(path: Path) -> list[EnvFileDoubt]:
    """The lines that the two read differently, or that set nothing."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(filter(None, map(_doubt, parse_stream(file))))


def _doubt(binding: Binding) -> EnvFileDoubt | None:
    text = binding.original.string
    line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
    if binding.error:
        return EnvFileDoubt(f"line {line} cannot be read, so it sets nothing", lost=True)
    if binding.key and (binding.value is None or not _NAME.fullmatch(binding.key)):
        return EnvFileDoubt(f"line {line} is not NAME=value, so it sets nothing", lost=True)
    written = _AFTER_KEY.match(text)
    why = _why(written["blank"], written["quote"], written["rest"], binding.value or "") if written else None
    return EnvFileDoubt(f"{binding.key} in line {line} {why}") if why else None


def _why(blank: str, quote: str, rest: str, value: str) -> str | None:
    faults = {
        "'": (
            ("${" in value, "has ${ in single quotes, a variable here but not for Compose: set it in the environment"),
            ("\\\\" in rest, "has \\\\ in single quotes, one backslash here and two for Compose: use double quotes"),
        ),
        '"': (
            ("$" in value, "has $ in double quotes, which begins a variable for Compose: use single quotes"),
            ("\\'" in rest, "has \\' in double quotes, one character here, two for Compose: leave the backslash out"),
        ),
        "": (
            ("$" in value, "has $ without quotes, which begins a variable for Compose: put it in single quotes"),
            (blank and rest[:1] == "#", "has a # after a blank, a comment here but not for Compose: use quotes"),
            (not blank.isascii(), "begins with a special blank, which Compose keeps: put it in single quotes"),
        ),
    }
    return next((why for at_fault, why in faults[quote] if at_fault), None)
