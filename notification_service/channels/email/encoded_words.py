"""Header values that are not ASCII, as encoded words (RFC 2047).

`email.header.Header` does the same in a thousand calls for one subject.
"""

import binascii
from collections.abc import Iterator, Sequence
from functools import lru_cache
from string import ascii_letters, digits
from typing import TypeVar

T = TypeVar("T", str, bytes)

_MAX_LINE_LENGTH = 78
"""RFC 5322 §2.1.1."""
_MAX_WORD_LENGTH = 75
"""RFC 2047 §2, the frame included."""
_MAX_REMEMBERED = 1024
"""Letters, of a few bytes each."""
_FRAME_LENGTH = len("=?utf-8?q??=")
_PLAIN = frozenset(ascii_letters + digits + "!*+-/")
"""What the Q encoding leaves as it is in every header (RFC 2047 §5)."""


def encoded(text: str, column: int) -> str:
    """Returns the text in the shorter of the two encodings, folded. `column`: where in its line it begins.

    No character is split between two words, as some readers decode each by itself.
    """
    quoted = [_quoted(letter) for letter in text]
    packed = [letter.encode() for letter in text]
    first = min(_MAX_WORD_LENGTH, _MAX_LINE_LENGTH - column) - _FRAME_LENGTH
    rest = _MAX_WORD_LENGTH - _FRAME_LENGTH
    if 3 * sum(map(len, quoted)) <= 4 * sum(map(len, packed)):
        words = [f"=?utf-8?q?{''.join(piece)}?=" for piece in _pieces(quoted, first, rest)]
    else:
        # Four letters for three bytes.
        pieces = _pieces(packed, first // 4 * 3, rest // 4 * 3)
        words = [f"=?utf-8?b?{binascii.b2a_base64(b''.join(piece), newline=False).decode()}?=" for piece in pieces]
    return "\r\n ".join(words)


@lru_cache(_MAX_REMEMBERED)
def _quoted(letter: str) -> str:
    if letter in _PLAIN:
        return letter
    return "_" if letter == " " else "".join([f"={byte:02X}" for byte in letter.encode()])


def _pieces(letters: Sequence[T], first: int, rest: int) -> Iterator[Sequence[T]]:
    """Divide the letters into runs that are at most so long: the first run, and all others."""
    start, length, most = 0, 0, first
    for place, letter in enumerate(letters):
        length += len(letter)
        if length > most and place > start:
            yield letters[start:place]
            start, length, most = place, len(letter), rest
    if start < len(letters):
        yield letters[start:]
