"""Unpacks the bytes of a body: compressed, in base64, or behind the id of a schema. Pure."""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping

_PIECE_BYTES = 4096
"""Bytes. zlib copies what follows the end of a gzip member, so many small members must not copy the whole body."""
_GZIP, _ZLIB, _RAW_DEFLATE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
"""No JSON text starts with these bytes, in any encoding."""
COMPRESSIONS: Mapping[str, tuple[int, ...]] = {
    "gzip": (_GZIP,),
    "x-gzip": (_GZIP,),
    # RFC 9110 §8.4.1.2: `deflate` is the zlib format, and some senders leave out its header.
    "deflate": (_ZLIB, _RAW_DEFLATE),
    "zlib": (_ZLIB,),
}
_MAX_LAYERS = 4
_BASE64 = re.compile(rb"\s*(?:e[wy3]|H4sI)[A-Za-z0-9+/_=\s-]*")
"""An object, or gzip, in base64 (RFC 4648 §4 and §5). No JSON text starts with these letters."""
_SCHEMA_ID = re.compile(rb"\0\0[\0-\xff]{3}(?=[\[{])")
"""What Confluent's serialisers write before the JSON: a zero byte and the id of the schema."""
_OBJECT = re.compile(rb"(\xef\xbb\xbf)?\s*\{")


class NotReadError(ValueError):
    """The body is not JSON; the message says why, without quoting the body."""


class TooLargeError(NotReadError):
    """The body is larger than allowed."""


def codings(encoding: str | None) -> list[str]:
    """The content codings in the order in which they were applied (RFC 9110 §8.4)."""
    return [name for each in (encoding or "").lower().split(",") if (name := each.strip())]


def unpacked(content: bytes, names: list[str], max_bytes: int) -> bytes:
    """Out of base64, then decompressed as the sender says, then as the bytes show.

    Plain JSON that is named compressed stays as it is.
    """
    _check_size(len(content), max_bytes, "")
    content = _without_schema_id(_out_of_base64(content))
    layers = [formats for name in reversed(names) if (formats := COMPRESSIONS.get(name))]
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


def _out_of_base64(content: bytes) -> bytes:
    """The content, decoded where its bytes show that it is base64, whatever the sender says."""
    return from_base64(content) or content if _BASE64.fullmatch(content) else content


def from_base64(content: bytes) -> bytes | None:
    """Decode base64 in either alphabet (RFC 4648), with or without padding and line breaks; None if it is none."""
    letters = b"".join(content.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)
    except binascii.Error:
        return None


def _without_schema_id(content: bytes) -> bytes:
    found = _SCHEMA_ID.match(content)
    return content[found.end() :] if found else content


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
