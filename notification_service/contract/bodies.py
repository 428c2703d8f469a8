"""What stands in the body of a message: unpacked, decoded and read as JSON, with nothing of it lost. Pure."""

import codecs
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

_AT_ONCE = 4096
"""Bytes. What stands behind the end of one gzip member is copied, so many small members must not copy all of it."""
_GZIP, _ZLIB, _BARE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_BEGINS = b"\x1f\x8b"
"""No JSON begins so, in any encoding."""
_PACKED: Mapping[str, tuple[int, ...]] = {
    "gzip": (_GZIP,),
    "x-gzip": (_GZIP,),
    # RFC 9110 §8.4.1.2: `deflate` is the zlib format, and some senders leave its frame out.
    "deflate": (_ZLIB, _BARE),
    "zlib": (_ZLIB,),
}
_MAX_LAYERS = 4
_OBJECT = re.compile(rb"(\xef\xbb\xbf)?\s*\{")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE | re.ASCII)
_CHARSETS = re.compile(
    r"iso8859-\d+|cp125\d|koi8-[ru]|utf-(8|16|32)(-[bl]e|-sig)?|ascii|big5|gb18030|gbk|gb2312|shift_jis|euc_(jp|kr)"
)
"""As Python names them. No stateful or escaping ones: what they read is not what another reader reads."""
_MAX_INTEGER_LENGTH = 4000
"""Characters. Python reads and writes none of more than 4,300 digits (CVE-2020-10735)."""
_SURE = 15
"""Digits that every double holds exactly (DBL_DIG)."""
_MAX_NAME_LENGTH = 40


class NotReadError(ValueError):
    """The body is no JSON; the text says why, without what the body holds."""


class TooLargeError(NotReadError):
    """The body has more bytes than are read."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes as they came, with what their sender said of them in the properties of the message."""

    content: bytes = field(repr=False)
    encoding: str | None = None
    content_type: str | None = None


class Said(dict[str, Any]):
    """A JSON object as it was said.

    `text`: the JSON itself; None of what is no JSON. `exact`: whether the values say all that the text says; they do
    not where it has numbers that a double does not hold, or one name twice.
    """

    def __init__(self, values: Mapping[str, Any], text: str | None = None, *, exact: bool = True) -> None:
        super().__init__(values)
        self.text = text
        self.exact = exact


def text_of(body: Body, *, max_bytes: int) -> str:
    """The body, unpacked, as text. `max_bytes`: bytes, packed and unpacked. Raises `NotReadError`."""
    names = _names(body.encoding)
    return _decoded(_unpacked(body.content, names, max_bytes), [*names, *_CHARSET.findall(body.content_type or "")])


def read(body: Body, *, max_bytes: int) -> object:
    """The JSON in the body (RFC 8259): an object as `Said`. `max_bytes`: bytes. Raises `NotReadError`.

    What packs it is told by its bytes where nothing says it. It is UTF-8; UTF-16 and UTF-32 are known by their
    zeros, and another charset is believed where the bytes are no UTF-8 and their sender names it.
    """
    text = text_of(body, max_bytes=max_bytes)
    try:
        return _parsed(text)
    except RecursionError:
        raise NotReadError("the body is nested too deeply to be read") from None
    except ValueError as problem:
        raise NotReadError(f"the body is not JSON: {problem}{_perhaps(body.encoding)}") from None


def beginning(body: Body, *, characters: int) -> str:
    """How a body begins that cannot be read, as far as it can be shown; other bytes by their numbers."""
    try:
        content = _unpacked(body.content, _names(body.encoding), len(body.content) + 64 * characters)
    except NotReadError:
        content = body.content
    return content[: 4 * characters].decode("utf-8", "backslashreplace")[:characters]


# ── packed ───────────────────────────────────────────────────────────────────────────────────────────


def _names(encoding: str | None) -> list[str]:
    """The content codings in the order in which they were applied (RFC 9110 §8.4)."""
    return [name for each in (encoding or "").lower().split(",") if (name := each.strip())]


def _unpacked(content: bytes, names: list[str], max_bytes: int) -> bytes:
    """Unpacked as its sender says, and as often as its bytes say; what is packed only by its name stays as it is."""
    _within(len(content), max_bytes, "")
    layers = [formats for name in reversed(names) if (formats := _PACKED.get(name))]
    for formats in layers[:_MAX_LAYERS]:
        try:
            content = _inflated(content, formats, max_bytes)
        except TooLargeError:
            raise
        except NotReadError:
            if not _OBJECT.match(content):
                raise
    for _ in range(_MAX_LAYERS):
        if not content.startswith(_GZIP_BEGINS):
            break
        content = _inflated(content, (_GZIP,), max_bytes)
    return content


def _inflated(content: bytes, formats: tuple[int, ...], max_bytes: int) -> bytes:
    """Unpacked by the first of the formats that it has."""
    *others, last = formats
    for wbits in others:
        try:
            return _inflate(content, wbits, max_bytes)
        except TooLargeError:
            raise
        except NotReadError:
            continue
    return _inflate(content, last, max_bytes)


def _inflate(content: bytes, wbits: int, max_bytes: int) -> bytes:
    """All members of it, one behind the other (RFC 1952 §2.2), zeros behind the last one passed over."""
    unpacked, member = bytearray(), zlib.decompressobj(wbits)
    try:
        for piece in _pieces(content):
            rest = piece
            while rest:
                if member.eof:
                    if not rest.strip(b"\0"):
                        break
                    member = zlib.decompressobj(wbits)
                # One byte beyond the limit shows that there is more, and no more of it is ever made.
                unpacked += member.decompress(rest, max_bytes + 1 - len(unpacked))
                _within(len(unpacked), max_bytes, " or more, unpacked")
                rest = member.unused_data
    except zlib.error as problem:
        raise NotReadError(f"the body cannot be unpacked: {problem}") from None
    if not member.eof:
        raise NotReadError("the body cannot be unpacked: it ends before its end")
    return bytes(unpacked)


def _pieces(content: bytes) -> Iterator[bytes]:
    return (content[start : start + _AT_ONCE] for start in range(0, len(content), _AT_ONCE))


def _within(length: int, max_bytes: int, how: str) -> None:
    if length > max_bytes:
        raise TooLargeError(f"the body has {length} bytes{how}, and MAX_EVENT_BYTES allows {max_bytes}")


def _perhaps(encoding: str | None) -> str:
    """What may be the reason: a coding that is none of those that are read."""
    unknown = [name for name in _names(encoding) if name not in _PACKED and _codec(name) is None and name != "identity"]
    return f"; its content_encoding is {unknown[0][:_MAX_NAME_LENGTH]!a}, which is not read" if unknown else ""


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────


def _decoded(content: bytes, charsets: list[str]) -> str:
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as problem:
        for codec in filter(None, map(_codec, charsets)):
            try:
                return content.decode(codec)
            except UnicodeDecodeError:
                continue
        unpacked = _perhaps(",".join(charsets)) if charsets else ""
        raise NotReadError(
            f"the body is not {problem.encoding.upper()}: {problem.reason} at byte {problem.start}{unpacked}"
        ) from None


def _codec(charset: str) -> str | None:
    """The codec of a charset that may be read, by any of its names."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if _CHARSETS.fullmatch(name) else None


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(text: str) -> object:
    """A number beyond all that can be reckoned with stays the text that it is: any other would be made up."""
    exact = True

    def integer(literal: str) -> int | str:
        nonlocal exact
        if len(literal) <= _MAX_INTEGER_LENGTH:
            return int(literal)
        exact = False
        return literal

    def fraction(literal: str) -> float | str:
        nonlocal exact
        number = float(literal)
        exact = exact and _says(number, literal)
        return number if math.isfinite(number) else literal

    def named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal exact
        values = dict(pairs)
        exact = exact and len(values) == len(pairs)
        return values

    found = json.loads(
        text, parse_int=integer, parse_float=fraction, parse_constant=_no_constant, object_pairs_hook=named
    )
    return Said(found, text, exact=exact) if isinstance(found, dict) else found


def _says(number: float, literal: str) -> bool:
    """Whether the double, written out again, is the number that the literal says."""
    if len(literal) <= _SURE and "e" not in literal and "E" not in literal:
        return True
    try:
        return Decimal(literal) == Decimal(repr(number))
    except InvalidOperation:
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
