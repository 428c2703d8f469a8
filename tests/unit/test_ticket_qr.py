"""The QR code of a ticket, as Pillow and two readers see it.

zxing-cpp writes with zint's code and reads with its own; qrfast is ZXing in Rust, and shares nothing with either.
"""

import time
from io import BytesIO

import pytest
import qrfast
import zxingcpp
from hypothesis import example, given, settings, strategies as st
from PIL import Image, ImageOps

from notification_service.channels.email.ticket.qr import QrCode, _modules, draw
from tests.fuzzing import examples

TOKEN = "8c2f0d8e-6f0b-4f0e-9a59-0d6d3c2b1a77"
ACROSS = 29
"""Modules: version 3, that of 36 bytes at level M."""

PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")


def drawn(text: str) -> QrCode:
    code = draw(text)
    assert code is not None
    return code


def picture(code: QrCode) -> Image.Image:
    with Image.open(BytesIO(code.png)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "1", (code.side, code.side))
        return image.convert("L")


def scanned(code: QrCode) -> zxingcpp.Barcode:
    image = picture(code)
    pixels = memoryview(image.tobytes()).cast("B", (code.side, code.side))
    (found,) = zxingcpp.read_barcodes(
        pixels, zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode]), text_mode=zxingcpp.TextMode.Plain
    )
    return found


def read_by_a_stranger(code: QrCode) -> str | None:
    return qrfast.decode_qr_bytes(picture(code).tobytes(), code.side, code.side, try_harder=False)


def test_a_token_is_read_as_it_was_written() -> None:
    found = scanned(drawn(TOKEN))
    assert found.text == read_by_a_stranger(drawn(TOKEN)) == TOKEN
    assert found.ec_level == "M"


@settings(max_examples=examples(200), deadline=None)
@given(st.text(PRINTABLE, min_size=1, max_size=300).filter(lambda text: len(text.encode()) <= 300))
@example("0123456789")
@example("BOOKING-17")
@example("é")
@example("予約番号 17")
@example("ｱｲｳ")
@example("🎬" * 75)
@example("x" * 300)
@example("\u0080")
@example("\\~[01](01)")
@example(" ")
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    code = drawn(text)
    assert scanned(code).text == text
    assert read_by_a_stranger(code) == text
    assert 330 <= code.side <= 470


@pytest.mark.parametrize("text", [f"{c}" * n for c in "\x00\x55\xaa 0A" for n in (17, 100)])
def test_the_fixed_mask_is_read_through_monotonous_text_too(text: str) -> None:
    assert scanned(drawn(text)).bytes == text.encode()
    assert read_by_a_stranger(drawn(text)) == text


@given(st.text(PRINTABLE, min_size=1, max_size=75))
def test_the_picture_is_its_modules_made_large(text: str) -> None:
    modules, code = _modules(text), drawn(text)
    across = len(modules)
    small = Image.new("L", (across + 8, across + 8), 255)
    for row, dark in enumerate(modules):
        for column in range(across):
            small.putpixel((column + 4, row + 4), 0 if dark[column] == "1" else 255)
    assert small.resize((code.side, code.side), Image.Resampling.NEAREST).tobytes() == picture(code).tobytes()


@pytest.mark.parametrize("text", [TOKEN, "é", "0123456789", "x" * 300, "é" * 150])
def test_the_level_is_m_and_the_mask_is_the_fixed_one(text: str) -> None:
    """Read as ISO/IEC 18004 §7.9 has it: an option that the writer does not know it would pass over in silence."""
    format_bits = "".join(row[8] for row in reversed(_modules(text)[-7:]))[:5]
    assert int(format_bits, 2) ^ 0b10101 == 0b00_011


def first_mode(code: QrCode, across: int) -> int:
    """The mode indicator of ISO/IEC 18004 §7.4: the four modules at the bottom right, under the mask (3)."""
    image, scale, last = picture(code), code.side // (across + 8), across - 1
    mode = 0
    for row, column in ((last, last), (last, last - 1), (last - 1, last), (last - 1, last - 1)):
        dark = image.getpixel(((column + 4) * scale, (row + 4) * scale)) == 0
        mode = mode << 1 | (dark ^ ((row + column) % 3 == 0))
    return mode


@pytest.mark.parametrize(
    ("text", "across", "mode"),
    [(TOKEN, ACROSS, 0b0100), ("0123456789", 21, 0b0001), ("B-17", 21, 0b0010), ("é", 21, 0b0111)],
)
def test_only_what_could_be_guessed_wrong_says_that_it_is_utf_8(text: str, across: int, mode: int) -> None:
    assert first_mode(drawn(text), across) == mode


def test_a_quiet_zone_of_four_modules_is_all_round() -> None:
    code = drawn(TOKEN)
    scale, rest = divmod(code.side, ACROSS + 8)
    assert rest == 0
    margin = 4 * scale
    assert ImageOps.invert(picture(code)).getbbox() == (margin, margin, code.side - margin, code.side - margin)


def test_a_module_has_no_half_pixels() -> None:
    code = drawn(TOKEN)
    image = picture(code)
    small = image.resize((ACROSS + 8, ACROSS + 8), Image.Resampling.NEAREST)
    assert small.resize(image.size, Image.Resampling.NEAREST).tobytes() == image.tobytes()


@pytest.mark.parametrize("text", ["", "x" * 301, "é" * 151, "x" * 10_000_000, "half \ud83c of a film"])
def test_nothing_is_drawn_of_what_no_phone_could_read(text: str) -> None:
    assert draw(text) is None


@pytest.mark.parametrize("text", ["x" * 300, "é" * 150])
def test_the_limit_itself_is_drawn(text: str) -> None:
    assert scanned(drawn(text)).text == text


def test_the_same_text_is_the_same_small_picture() -> None:
    assert draw(TOKEN) == draw(TOKEN) != draw(TOKEN[::-1])
    assert len(drawn(TOKEN).png) < 700
    assert len(drawn("x" * 300).png) < 2500
    assert "png" not in repr(draw(TOKEN))


def test_drawing_takes_less_time_than_the_mail_around_it() -> None:
    took = []
    for _ in range(30):
        start = time.perf_counter()
        draw(TOKEN)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.005
