"""A QR code (ISO/IEC 18004) as a PNG, drawn in well under a millisecond."""

import struct
import zlib
from dataclasses import dataclass, field

import segno

_MOST_BYTES = 300
_QUIET = 4
"""Light modules around the code that the standard asks for."""

_NEAR = 400
_MASK = 3
"""Any of the eight can be read. To weigh all against each other takes four times as long as everything else."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ONE_BIT_GREY = (1, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class QrCode:
    """A square image. `side`: its pixels in each direction."""

    png: bytes = field(repr=False)
    side: int


def draw(text: str) -> QrCode | None:
    """The code that reads as `text`; None where there is nothing to say, or more than a phone reads off a screen.

    The same text is the same bytes.
    """
    try:
        size = len(text[: _MOST_BYTES + 1].encode())
    except UnicodeEncodeError:  # half of a surrogate pair: no code could say it
        return None
    if not 0 < size <= _MOST_BYTES:
        return None
    return _pictured(_modules(text))


def _modules(text: str) -> tuple[bytearray, ...]:
    """Row by row, 1 where a module is dark."""
    # Without an ECI, readers guess: zbar takes é for 矇. It is left out where it says nothing: old scanners print it.
    code = segno.make_qr(
        text, error="M", boost_error=False, mask=_MASK, mode="byte", encoding="utf-8", eci=not text.isascii()
    )
    return code.matrix


def _pictured(modules: tuple[bytearray, ...]) -> QrCode:
    across = len(modules) + 2 * _QUIET
    scale = round(_NEAR / across)
    side = across * scale
    margin = _line("1" * side) * (_QUIET * scale)
    edge = "1" * (_QUIET * scale)
    pixel = "1" * scale, "0" * scale
    rows = (_line(edge + "".join([pixel[dark] for dark in row]) + edge) * scale for row in modules)
    return QrCode(_png(side, margin + b"".join(rows) + margin), side)


def _line(bits: str) -> bytes:
    """One line of pixels, filled up to whole bytes, after the filter byte (0: none)."""
    bits += "0" * (-len(bits) % 8)
    return b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _png(side: int, lines: bytes) -> bytes:
    header = struct.pack(">2I5B", side, side, *_ONE_BIT_GREY)
    # Level 9 saves three bytes and takes three times as long.
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 6)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
