"""The brand in the mails: name, address, logo, and the colours that are derived from one setting."""

import base64
import hashlib
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from notification_service.foundation.errors import ConfigurationError

ACCENT = "#7a2135"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_WHITE, _INK, _DARK_GROUND = (255, 255, 255), (28, 29, 33), (42, 45, 51)
_MIN_CONTRAST = 4.5
_STEPS = 20
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_LOGO_BYTES = 50_000
_LOGO_HEIGHT, _MAX_LOGO_WIDTH = 32, 280

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours with a contrast of 4.5:1 to their background (WCAG 2.2, 1.4.3): white, the dark ground, the accent."""

    accent: str
    on_accent: str
    accent_dark: str
    on_accent_dark: str


@dataclass(frozen=True, slots=True)
class Logo:
    """A PNG that is attached to each mail. `width`, `height`: the size at which it is shown, in pixels."""

    png: bytes = field(repr=False)
    width: int
    height: int

    @property
    def content_id(self) -> str:
        return f"logo-{hashlib.sha256(self.png).hexdigest()[:12]}"


@dataclass(frozen=True)
class Brand:
    """The sender as readers see it.

    `sender`: the address that mails come from, and the organizer in calendar files.
    """

    name: str
    support_email: str | None = None
    site_url: str | None = None
    address: str | None = None
    sender: str = "tickets@localhost"
    colour: str = ACCENT
    logo: Logo | None = None

    @cached_property
    def palette(self) -> Palette:
        return palette(self.colour)


def check_colour(text: str) -> str:
    """Returns the colour in lower case. Raises `ValueError` where it is not written like `#7a2135`."""
    if not _COLOUR.fullmatch(text):
        raise ValueError(f"{text!r} is no colour such as {ACCENT}")
    return text.lower()


def palette(colour: str) -> Palette:
    """Returns the readable accents for light and dark mode that are closest to `colour`."""
    wanted = _rgb(colour)
    accent = _towards(wanted, (0, 0, 0), _WHITE)
    dark = _towards(wanted, _WHITE, _DARK_GROUND)
    return Palette(_hex(accent), _hex(_better(accent)), _hex(dark), _hex(_better(dark)))


def _towards(colour: Rgb, end: Rgb, ground: Rgb) -> Rgb:
    """Mix the colour with `end` until it is readable on `ground`."""
    for step in range(_STEPS + 1):
        mixed = _mixed(colour, end, step / _STEPS)
        if contrast(mixed, ground) >= _MIN_CONTRAST:
            return mixed
    return end


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _better(ground: Rgb) -> Rgb:
    return _WHITE if contrast(_WHITE, ground) >= contrast(_INK, ground) else _INK


def contrast(one: Rgb, other: Rgb) -> float:
    """Returns the contrast ratio, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Rgb) -> float:
    def linear(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004 - WCAG

    red, green, blue = map(linear, colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(text: str) -> Rgb:
    red, green, blue = base64.b16decode(text[1:].upper())
    return red, green, blue


def _hex(colour: Rgb) -> str:
    return "#" + bytes(colour).hex()


def read_logo(path: Path) -> Logo:
    """Read the logo. Raises `ConfigurationError` where it is no PNG, or too large to go with each mail."""
    try:
        png = path.read_bytes()
    except OSError as problem:
        raise ConfigurationError(f"BRAND_LOGO={path} cannot be read: {problem.strerror}") from problem
    if png[:8] != _PNG or len(png) < 24 or len(png) > _MAX_LOGO_BYTES:  # noqa: PLR2004 - its signature and first chunk
        raise ConfigurationError(f"BRAND_LOGO={path} has to be a PNG of at most {_MAX_LOGO_BYTES} bytes")
    width, height = struct.unpack(">II", png[16:24])
    if not width or not height:
        raise ConfigurationError(f"BRAND_LOGO={path} is an image without a size")
    return Logo(png, max(1, min(_MAX_LOGO_WIDTH, round(width * _LOGO_HEIGHT / height))), _LOGO_HEIGHT)
