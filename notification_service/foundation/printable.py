"""Makes foreign text safe for a terminal, a log and JSON: control and invisible characters become escapes."""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible letters and marks (Unicode's Default_Ignorable_Code_Point, and the blank Braille pattern)."""


def shown(value: object) -> str:
    """The value as one line of text, with control, direction and zero-width characters and lone surrogates escaped."""
    text = str(value)
    return text if _is_safe(text) else _escaped(text, _escape)


def in_lines(text: str, indent: str = "") -> str:
    """As `shown`, for several lines. Each begins with `indent`, so that none can be mistaken for a line of ours."""
    return "\n".join(f"{indent}{shown(line)}" for line in re.split(r"\r\n|[\r\n]", text))


def in_json(value: object, **options: Any) -> str:  # noqa: ANN401 - those of json.dumps
    """JSON in which characters that a terminal would obey are escaped; parsing it gives back the same value."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return text if _is_safe(text) else _escaped(text, _json_escape)


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing of it: it is empty, or has spaces, control and invisible characters only."""
    if text.isascii() and text.isprintable():
        return not text or text.isspace()
    return not any(_is_visible(each) and not each.isspace() for each in text)


def _is_safe(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not _INVISIBLE.search(text))


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    return "".join(each if _is_visible(each) else escape(each) for each in text)


def _is_visible(character: str) -> bool:
    if character.isprintable():
        return not _INVISIBLE.match(character)
    return unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    # Inside a JSON string a line break is already escaped, so this one separates two values.
    return character if character == "\n" else json.dumps(character)[1:-1]
