"""Draws a QR code (ISO/IEC 18004) as a PNG, in a fifth of a millisecond."""

import struct
import zlib
from dataclasses import dataclass, field
from math import isqrt

import zxingcpp

_MAX_BYTES = 300
_QUIET_ZONE = 4
"""Light modules around the code, as the standard requires."""

_TARGET_SIDE = 400
"""In pixels; the side is the nearest multiple of the number of modules."""
_MASK = 3
"""Any of the eight masks can be read. Comparing them takes ten times as long as making the code."""

_DARK = bytes.maketrans(b"\x00\xff", b"10")

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ONE_BIT_GREY = (1, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class QrCode:
    """A square image. `side`: in pixels."""

    png: bytes = field(repr=False)
    side: int


def draw(text: str) -> QrCode | None:
    """Returns the QR code of a text; None where it is empty, or too long for a phone to read from a screen.

    Equal texts give equal bytes.
    """
    try:
        size = len(text[: _MAX_BYTES + 1].encode())
    except UnicodeEncodeError:  # half of a surrogate pair cannot be encoded
        return None
    if not 0 < size <= _MAX_BYTES:
        return None
    return _drawn(_modules(text))


def _modules(text: str) -> list[str]:
    """The rows of modules; `1` is a dark one."""
    # Without an ECI, scanners guess the encoding: zbar reads é as 矇. ASCII needs none, and old scanners print it.
    options = {} if text.isascii() else {"eci": "UTF-8"}
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M", data_mask=_MASK, **options)
    image = bytes(code.to_image(add_quiet_zones=False))  # type: ignore[call-overload]  # a buffer, which its stub does not say
    across, bits = isqrt(len(image)), image.translate(_DARK).decode()
    return [bits[start : start + across] for start in range(0, across * across, across)]


def _drawn(modules: list[str]) -> QrCode:
    across = len(modules) + 2 * _QUIET_ZONE
    scale = round(_TARGET_SIDE / across)
    side = across * scale
    width = -(-side // 8)
    edge, gap, module, light = _QUIET_ZONE * scale, "0" * (scale - 1), (1 << scale) - 1, (1 << side) - 1
    margin = _line(light, side, width) * edge
    # A row of modules is a number whose digits are `scale` bits apart; times `module`, each digit fills its bits.
    rows = (_line(light ^ (int(gap.join(row), 2) * module << edge), side, width) * scale for row in modules)
    return QrCode(_png(side, margin + b"".join(rows) + margin), side)


def _line(pixels: int, side: int, width: int) -> bytes:
    """One line of `side` pixels, padded to `width` bytes, after the filter byte (0: no filter)."""
    return b"\0" + (pixels << (8 * width - side)).to_bytes(width, "big")


def _png(side: int, lines: bytes) -> bytes:
    header = struct.pack(">2I5B", side, side, *_ONE_BIT_GREY)
    # Level 6 saves sixty bytes and takes nearly twice as long; level 3 takes half as long, for two hundred bytes more.
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 4)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
