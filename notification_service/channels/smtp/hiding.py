"""Takes secrets out of what a stranger said, should it have repeated one: whole, in part, or in another writing."""

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote

_PIECE = 12
"""So many characters of a long secret in a row are taken out: a reply is cut, folded and put together anew."""
_LONG = 2 * _PIECE
_SHORTEST = 6
"""What is shorter would be found in words that are no secret."""
_REMEMBERED = 6
"""Secrets that change: the latest of them, as an answer may come late."""
_URL_SAFE = str.maketrans("-_", "+/")


class Hider:
    """`fixed`: secrets that stand for the life of the process; others are added as they come."""

    def __init__(self, *fixed: str) -> None:
        self._fixed = [_Forms(secret) for secret in fixed]
        self._passing: dict[str, _Forms] = {}

    def add(self, secret: str) -> None:
        # At the end, also where it was known before.
        known = self._passing.pop(secret) if secret in self._passing else _Forms(secret)
        self._passing[secret] = known
        if len(self._passing) > _REMEMBERED:
            del self._passing[next(iter(self._passing))]

    def __call__(self, text: str) -> str:
        for forms in (*self._fixed, *self._passing.values()):
            text = forms.take_out_of(text)
        return text


class _Forms:
    """One secret as it may be written down: a short one is known as a whole, a long one by each piece."""

    def __init__(self, secret: str) -> None:
        parts = _pieces if len(secret) >= _LONG else _whole
        self._parts = {part for form in _written(secret) for part in parts(form.translate(_URL_SAFE))}
        self._lengths = sorted({len(part) for part in self._parts}, reverse=True)

    def take_out_of(self, text: str) -> str:
        read, hidden = text.translate(_URL_SAFE), bytearray(len(text))
        for length in self._lengths:
            for at in range(len(read) - length + 1):
                if read[at : at + length] in self._parts:
                    hidden[at : at + length] = b"\1" * length
        return _covered(text, hidden) if any(hidden) else text


def _pieces(form: str) -> Iterator[str]:
    return (form[at : at + _PIECE] for at in range(len(form) - _PIECE + 1))


def _whole(form: str) -> Iterator[str]:
    return iter((form,) if len(form) >= _SHORTEST else ())


def _covered(text: str, hidden: bytearray) -> str:
    """Each run that is hidden as three asterisks."""
    shown = zip(text, hidden, b"\0" + hidden, strict=False)
    return "".join("" if hides and before else "***" if hides else character for character, hides, before in shown)


def _written(secret: str) -> Iterator[str]:
    """As it is, as a form, a page or JSON has it, in hexadecimal, and in Base64 whatever stands around it."""
    raw = secret.encode()
    yield from (secret, quote(secret, safe=""), html.escape(secret), json.dumps(secret)[1:-1])
    yield from (raw.hex(), raw.hex().upper())
    for before in range(3):
        # What the bytes before and after would change is left out: the rest is the same wherever it stands.
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        yield whole[(0, 2, 3)[before] : len(whole) - (1 if (before + len(raw)) % 3 else 0)]
