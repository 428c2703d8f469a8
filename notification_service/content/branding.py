"""Who the mails speak for, and the colours that follow from the one that the brand names."""

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
_READABLE = 4.5
_STEPS = 20
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_LOGO_SIZE = 50_000
_LOGO_HEIGHT, _WIDEST_LOGO = 32, 280

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """Each is readable on what it stands on (WCAG 2.2, 1.4.3): white, the dark grounds, the accent itself."""

    accent: str
    on_accent: str
    accent_dark: str
    on_accent_dark: str


@dataclass(frozen=True, slots=True)
class Logo:
    """A PNG that rides along in each mail; `width` and `height` are those at which it is shown, in pixels."""

    png: bytes = field(repr=False)
    width: int
    height: int

    @property
    def content_id(self) -> str:
        return f"logo-{hashlib.sha256(self.png).hexdigest()[:12]}"


@dataclass(frozen=True)
class Brand:
    """Who writes. Every mail is signed with it, and changing it needs no template.

    `sender` is the address that mails come from; the calendar files name it as their organizer.
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
    """The colour as it is. Raises `ValueError` where it is not written as `#7a2135` is."""
    if not _COLOUR.fullmatch(text):
        raise ValueError(f"{text!r} is no colour such as {ACCENT}")
    return text.lower()


def palette(colour: str) -> Palette:
    """The accent for light and dark mode: as close to `colour` as can be read."""
    wanted = _rgb(colour)
    accent = _towards(wanted, (0, 0, 0), _WHITE)
    dark = _towards(wanted, _WHITE, _DARK_GROUND)
    return Palette(_hex(accent), _hex(_better(accent)), _hex(dark), _hex(_better(dark)))


def _towards(colour: Rgb, end: Rgb, ground: Rgb) -> Rgb:
    """Mixed with `end` until it is readable on `ground`."""
    for step in range(_STEPS + 1):
        mixed = _mixed(colour, end, step / _STEPS)
        if contrast(mixed, ground) >= _READABLE:
            return mixed
    return end


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _better(ground: Rgb) -> Rgb:
    return _WHITE if contrast(_WHITE, ground) >= contrast(_INK, ground) else _INK


def contrast(one: Rgb, other: Rgb) -> float:
    """1 to 21 (WCAG 2.2, contrast ratio)."""
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
    """Raises `ConfigurationError` where it is no PNG, or a heavy one: it goes out with each mail."""
    try:
        png = path.read_bytes()
    except OSError as problem:
        raise ConfigurationError(f"BRAND_LOGO={path} cannot be read: {problem.strerror}") from problem
    if png[:8] != _PNG or len(png) < 24 or len(png) > _MAX_LOGO_SIZE:  # noqa: PLR2004 - its signature and first chunk
        raise ConfigurationError(f"BRAND_LOGO={path} has to be a PNG of at most {_MAX_LOGO_SIZE} bytes")
    width, height = struct.unpack(">II", png[16:24])
    if not width or not height:
        raise ConfigurationError(f"BRAND_LOGO={path} is an image without a size")
    return Logo(png, max(1, min(_WIDEST_LOGO, round(width * _LOGO_HEIGHT / height))), _LOGO_HEIGHT)
