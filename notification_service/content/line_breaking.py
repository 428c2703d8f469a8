"""Breaks the lines of a text part: by columns, at most 78, and by the rules of East Asian typography (JIS X 4051)."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

COLUMNS = 78
"""RFC 5322 §2.1.1 counts characters; terminals and plain-text readers count columns."""

_SPACES = " \t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Spaces, and all that `str.splitlines` takes for a line end. No-break spaces are not among them, so they survive."""

_SPACE = re.compile(f"[{_SPACES}]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_LINK = "://"
_NOT_FIRST = (
    "、。，．・：；？！）〕］｝〉》」』】〙〗゛゜ヽヾゝゞ々ー〜～…‥％℃ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ｡､｣ｰ"  # noqa: RUF001 - East Asian
    ",.:;?!)]}%’”»"  # noqa: RUF001 - a quotation mark
)
_NOT_LAST = "（〔［｛〈《「『【〘〖￥＄｢([{‘“«"  # noqa: RUF001 - East Asian
_ON_ANOTHER = "\u0300-\u036f\u200d\u3099\u309a\ufe00-\ufe0f"
"""Accents, joiners and variation selectors: they stay with the character before them."""

_IDEOGRAPHIC = "\u2e80-\u312f\u3190-\ua4cf\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff9f\uffe0-\uffe6\U0001f300-\U0003fffd"
"""Chinese and Japanese, and emoji: a line may break beside each. Korean has spaces between its words."""

_BREAKS = re.compile(
    rf"(?<=[{_SPACES}])(?![{_SPACES}])"
    # A number stays with what it counts: 15日.
    rf"|(?:(?<=[{_IDEOGRAPHIC}])|(?=[{_IDEOGRAPHIC}]))(?<![\s\d{re.escape(_NOT_LAST)}])(?![\s{re.escape(_NOT_FIRST)}{_ON_ANOTHER}])"
)
_MAYBE_WIDE = re.compile("[\u1100-\u1fff\u2100-\U0010ffff]")
_WIDE = ("W", "F")

_MAX_CACHED_LINES = 1024
_MAX_CACHED_LENGTH = 1000
"""Longer lines are not cached, so that the text of one event cannot fill the memory."""


def one_line(value: object) -> str:
    """Returns the value's text on one line. No-break spaces stay."""
    text = str(value)
    # What can be printed has no spaces but plain ones.
    if text.isprintable() and "  " not in text and text[:1] != " " != text[-1:]:
        return text
    return " ".join([part for part in _SPACE.split(text) if part])


def tidy(text: str) -> str:
    """Wrap the lines at 78 columns, but no links, and reduce blank lines to one in a row."""
    # Most lines are short and plain, and end with what is no space.
    wrapped = "\n".join(
        [
            line if line.isascii() and len(line) <= COLUMNS and line[-1:] > " " else _wrapped(line.rstrip(_SPACES))
            for line in text.strip(_SPACES).splitlines()
        ]
    )
    return _BLANK_LINES.sub("\n\n", wrapped) + "\n"


def columns(text: str) -> int:
    """How many columns the text takes at most: two for a wide character (UAX 11), one for any other."""
    return len(text) + sum(map(_is_wide, _MAYBE_WIDE.findall(text)))


def line_faults(line: str) -> Iterator[str]:
    """Yields what is wrong with a line of a finished text part, each as the end of a sentence."""
    if _LINK not in line and (found := columns(line)) > COLUMNS:
        yield f"has {found} columns, and {COLUMNS} are allowed"
    words = line.strip(_SPACES)
    if words and words[0] in _NOT_FIRST and _is_wide(words[0]):
        yield f"begins with {words[0]}"
    if words and words[-1] in _NOT_LAST:
        yield f"ends with {words[-1]}"


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in _WIDE


def _wrapped(line: str) -> str:
    if 2 * len(line) <= COLUMNS:
        return line
    return _cached_by_columns(line) if len(line) <= _MAX_CACHED_LENGTH else _by_columns(line)


def _by_columns(line: str) -> str:
    width = columns(line)
    if width <= COLUMNS:
        return line
    if width == len(line):
        return textwrap.fill(line, COLUMNS, break_long_words=_LINK not in line, break_on_hyphens=False)
    return _wrapped_wide(line)


_cached_by_columns = lru_cache(_MAX_CACHED_LINES)(_by_columns)
"""Most long lines are sentences, which are equal in all mails of a language."""


def _wrapped_wide(line: str) -> str:
    lines, room = [""], COLUMNS
    for piece in (part for whole in _BREAKS.split(line) for part in _fitting(whole)):
        width = columns(piece)
        # Spaces at the end of a line do not count.
        if width > room and columns(piece.rstrip(_SPACES)) > room:
            lines.append("")
            room = COLUMNS
        lines[-1] += piece
        room -= width
    return "\n".join(part.rstrip(_SPACES) for part in lines if part)


def _fitting(piece: str) -> Iterator[str]:
    """The piece; cut where it is longer than a line and no link."""
    if _LINK in piece or columns(piece) <= COLUMNS:
        yield piece
        return
    part, room = "", COLUMNS
    for character in piece:
        if part and columns(character) > room:
            yield part
            part, room = "", COLUMNS
        part += character
        room -= columns(character)
    yield part
