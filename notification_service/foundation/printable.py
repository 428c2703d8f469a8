"""Text that others wrote, for a terminal, a log and JSON: whatever would be obeyed or hidden there is spelled out."""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks by their class, and nothing to the eye (Unicode's Default_Ignorable_Code_Point, and a blank)."""


def shown(value: object) -> str:
    """As text on one line. Control characters, direction and zero-width marks and lone surrogates become escapes."""
    text = str(value)
    return text if _harmless(text) else _spelled(text, _escape)


def in_lines(text: str, indent: str = "") -> str:
    """The same for a text of several lines, each behind the `indent`, so that none can pass for a line of ours."""
    return "\n".join(f"{indent}{shown(line)}" for line in re.split(r"\r\n|[\r\n]", text))


def in_json(value: object, **options: Any) -> str:  # noqa: ANN401 - those of json.dumps
    """JSON whose readers get every character back, and of which a terminal sees none that it would obey."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return text if _harmless(text) else _spelled(text, _json_escape)


def _harmless(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not _UNSEEN.search(text))


def _spelled(text: str, escape: Callable[[str], str]) -> str:
    return "".join(each if _is_seen(each) else escape(each) for each in text)


def _is_seen(character: str) -> bool:
    if character.isprintable():
        return not _UNSEEN.match(character)
    return unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    # Within a text of JSON a line break is an escape already: this one stands between two values.
    return character if character == "\n" else json.dumps(character)[1:-1]
