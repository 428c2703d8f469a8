"""The brand's colours stay readable whatever colour is set, and its logo is an image fit for a mail."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from notification_service.content.branding import ACCENT, Brand, check_colour, contrast, palette, read_logo
from notification_service.foundation.errors import ConfigurationError

WHITE, MASTHEAD, CARD = (255, 255, 255), (42, 45, 51), (28, 30, 34)
COLOURS = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def png(width: int, height: int) -> bytes:
    header = struct.pack(">II5B", width, height, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk


@given(COLOURS)
def test_every_colour_becomes_one_that_can_be_read_in_light_and_dark(colour: str) -> None:
    made = palette(colour)
    assert contrast(rgb(made.accent), WHITE) >= 4.5
    assert contrast(rgb(made.on_accent), rgb(made.accent)) >= 4.5
    assert contrast(rgb(made.accent_dark), MASTHEAD) >= 4.5
    assert contrast(rgb(made.accent_dark), CARD) >= 4.5
    assert contrast(rgb(made.on_accent_dark), rgb(made.accent_dark)) >= 4.5


def test_a_colour_that_can_be_read_is_kept() -> None:
    assert palette(ACCENT).accent == ACCENT
    assert contrast((0, 0, 0), WHITE) == pytest.approx(21)
    assert contrast(WHITE, WHITE) == pytest.approx(1)


@pytest.mark.parametrize("text", ["red", "#fff", "#12345g", "123456", "#1234567", "#7a2135;}", ""])
def test_a_colour_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no colour such as"):
        check_colour(text)
    assert check_colour("#7A2135") == ACCENT


@pytest.mark.parametrize(("size", "shown"), [((320, 64), (160, 32)), ((64, 64), (32, 32)), ((9000, 32), (280, 32))])
def test_a_logo_is_shown_in_one_height(tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]) -> None:
    (tmp_path / "logo.png").write_bytes(png(*size))
    logo = read_logo(tmp_path / "logo.png")
    assert (logo.width, logo.height) == shown
    assert Brand("Lumen", logo=logo).logo is logo


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GIF89a", "has to be a PNG"),
        (png(1, 1) + bytes(50_000), "at most 50000 bytes"),
        (png(0, 5), "without a size"),
        (b"\x89PNG\r\n\x1a\n", "has to be a PNG"),
    ],
)
def test_a_file_that_is_no_logo_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "logo.png").write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        read_logo(tmp_path / "logo.png")


def test_a_logo_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"BRAND_LOGO=.* cannot be read: No such file"):
        read_logo(tmp_path / "logo.png")
