"""Reads the body of a message: decompresses it, decodes its text, and parses the JSON without any loss. Pure."""

import codecs
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from notification_service.contract.remarks import Remark

_PIECE_BYTES = 4096
"""Bytes. zlib copies what follows the end of a gzip member, so many small members must not copy the whole body."""
_GZIP, _ZLIB, _RAW_DEFLATE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
"""No JSON text starts with these bytes, in any encoding."""
_COMPRESSIONS: Mapping[str, tuple[int, ...]] = {
    "gzip": (_GZIP,),
    "x-gzip": (_GZIP,),
    # RFC 9110 §8.4.1.2: `deflate` is the zlib format, and some senders leave out its header.
    "deflate": (_ZLIB, _RAW_DEFLATE),
    "zlib": (_ZLIB,),
}
_MAX_LAYERS = 4
_OBJECT = re.compile(rb"(\xef\xbb\xbf)?\s*\{")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE | re.ASCII)
_CHARSETS = re.compile(
    r"iso8859-\d+|cp125\d|koi8-[ru]|utf-(8|16|32)(-[bl]e|-sig)?|ascii|big5|gb18030|gbk|gb2312|shift_jis|euc_(jp|kr)"
)
"""As Python names them. Stateful and escaping charsets are left out: other readers read them differently."""
_MAX_INTEGER_LENGTH = 4000
"""Characters. Python converts no integer of more than 4,300 digits (CVE-2020-10735)."""
_EXACT_DIGITS = 15
"""Any number of up to 15 digits fits a double exactly (DBL_DIG)."""
_MAX_NAME_LENGTH = 40
_READABLE_TYPES = re.compile(r"json|^text/plain$|octet-stream")


class NotReadError(ValueError):
    """The body is not JSON; the message says why, without quoting the body."""


class TooLargeError(NotReadError):
    """The body is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes as received, with `content_encoding` and `content_type` from the message's properties."""

    content: bytes = field(repr=False)
    encoding: str | None = None
    content_type: str | None = None


class JsonObject(dict[str, Any]):
    """A JSON object together with its original text.

    `text`: the JSON; None where the body was not JSON. `exact`: whether the values hold all of the text; they do not
    where it has a number that a double cannot hold, or the same name twice. `remarks`: how the event was found in it.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        text: str | None = None,
        *,
        exact: bool = True,
        remarks: tuple[Remark, ...] = (),
    ) -> None:
        super().__init__(values)
        self.text = text
        self.exact = exact
        self.remarks = remarks


def text_of(body: Body, *, max_bytes: int) -> str:
    """The decompressed body as text. `max_bytes`: limit before and after decompression. Raises `NotReadError`."""
    names = _codings(body.encoding)
    charsets = [*names, *_CHARSET.findall(body.content_type or "")]
    text = _decoded(_decompressed(body.content, names, max_bytes), charsets)
    # Programs in C send the zero byte behind a text, too.
    return text.rstrip("\0") if text[-1:] == "\0" else text


def read(body: Body, *, max_bytes: int) -> object:
    """The JSON in the body (RFC 8259); an object as `JsonObject`. `max_bytes`: as in `text_of`. Raises `NotReadError`.

    Without a content encoding, gzip is recognised by its first bytes. The text is UTF-8; UTF-16 and UTF-32 are
    recognised by their zero bytes. The charset that the sender names is used where the bytes are not UTF-8.
    """
    text = text_of(body, max_bytes=max_bytes)
    try:
        return _parsed(text)
    except RecursionError:
        raise NotReadError("the body is nested too deeply to be read") from None
    except ValueError as problem:
        raise NotReadError(
            f"the body is not JSON: {problem}{_possible_reason(body.encoding, body.content_type)}"
        ) from None


def _alone(found: object, text: str) -> object:
    """The object in a list of one, or in a text: some producers write batches, and some serialise twice."""
    if isinstance(found, str) and found.lstrip().startswith("{"):
        return _parsed(found)
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict):
        return JsonObject(found[0], text, exact=False)
    return found


def beginning(body: Body, *, characters: int) -> str:
    """The beginning of a body that cannot be read; bytes that are not UTF-8 become escapes."""
    try:
        content = _decompressed(body.content, _codings(body.encoding), len(body.content) + 64 * characters)
    except NotReadError:
        content = body.content
    return content[: 4 * characters].decode("utf-8", "backslashreplace")[:characters]


# ── compressed ───────────────────────────────────────────────────────────────────────────────────────────


def _codings(encoding: str | None) -> list[str]:
    """The content codings in the order in which they were applied (RFC 9110 §8.4)."""
    return [name for each in (encoding or "").lower().split(",") if (name := each.strip())]


def _decompressed(content: bytes, names: list[str], max_bytes: int) -> bytes:
    """Decompressed as the sender says, then as the bytes show. Plain JSON that is named compressed stays as it is."""
    _check_size(len(content), max_bytes, "")
    layers = [formats for name in reversed(names) if (formats := _COMPRESSIONS.get(name))]
    for formats in layers[:_MAX_LAYERS]:
        try:
            content = _inflated(content, formats, max_bytes)
        except TooLargeError:
            raise
        except NotReadError:
            if not _OBJECT.match(content):
                raise
    for _ in range(_MAX_LAYERS):
        if not content.startswith(_GZIP_MAGIC):
            break
        content = _inflated(content, (_GZIP,), max_bytes)
    return content


def _inflated(content: bytes, formats: tuple[int, ...], max_bytes: int) -> bytes:
    """Decompressed by the first format that fits."""
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
    """All gzip members, one after the other (RFC 1952 §2.2). Zeros after the last one are ignored."""
    unpacked, member = bytearray(), zlib.decompressobj(wbits)
    try:
        for piece in _pieces(content):
            rest = piece
            while rest:
                if member.eof:
                    if not rest.strip(b"\0"):
                        break
                    member = zlib.decompressobj(wbits)
                # One byte over the limit shows that there is more, so no more is decompressed.
                unpacked += member.decompress(rest, max_bytes + 1 - len(unpacked))
                _check_size(len(unpacked), max_bytes, " or more, unpacked")
                rest = member.unused_data
    except zlib.error as problem:
        raise NotReadError(f"the body cannot be unpacked: {problem}") from None
    if not member.eof:
        raise NotReadError("the body cannot be unpacked: it is cut short")
    return bytes(unpacked)


def _pieces(content: bytes) -> Iterator[bytes]:
    return (content[start : start + _PIECE_BYTES] for start in range(0, len(content), _PIECE_BYTES))


def _check_size(length: int, max_bytes: int, how: str) -> None:
    if length > max_bytes:
        raise TooLargeError(f"the body has {length} bytes{how}, and MAX_EVENT_BYTES allows {max_bytes}")


def _possible_reason(encoding: str | None, content_type: str | None = None) -> str:
    """A possible reason to add to an error: a content encoding or type that the service does not read."""
    ignored = {"identity", *_COMPRESSIONS}
    unknown = [name for name in _codings(encoding) if name not in ignored and _codec(name) is None]
    if unknown:
        return f"; its content_encoding is {unknown[0][:_MAX_NAME_LENGTH]!a}, which is not read"
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if not media_type or _READABLE_TYPES.search(media_type):
        return ""
    return f"; its content_type is {media_type[:_MAX_NAME_LENGTH]!a}, and only JSON is read"


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
        unpacked = _possible_reason(",".join(charsets)) if charsets else ""
        raise NotReadError(
            f"the body is not {problem.encoding.upper()}: {problem.reason} at byte {problem.start}{unpacked}"
        ) from None


def _codec(charset: str) -> str | None:
    """Python's name for a charset that the service reads; None for others."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if _CHARSETS.fullmatch(name) else None


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(text: str) -> object:
    """Parse JSON. A number too large for Python or a double is kept as its text."""
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
        exact = exact and _is_exact(number, literal)
        return number if math.isfinite(number) else literal

    def named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal exact
        values = dict(pairs)
        exact = exact and len(values) == len(pairs)
        return values

    found = json.loads(
        text, parse_int=integer, parse_float=fraction, parse_constant=_no_constant, object_pairs_hook=named
    )
    return JsonObject(found, text, exact=exact) if isinstance(found, dict) else _alone(found, text)


def _is_exact(number: float, literal: str) -> bool:
    """Whether the double has exactly the value of the literal."""
    if len(literal) <= _EXACT_DIGITS and "e" not in literal and "E" not in literal:
        return True
    try:
        return Decimal(literal) == Decimal(repr(number))
    except InvalidOperation:
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
