"""What stands in a body is read as it was meant, within a limit, and nothing of it is lost."""

import base64
import gzip
import json
import time
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from notification_service.contract.bodies import Body, JsonObject, beginning, read, text_of
from notification_service.contract.packing import NotReadError, TooLargeError

LARGEST = 64 * 1024
EVENT = {"booking_id": "B1", "movie_title": "Amélie", "seats": ["A1", 7], "total_amount": 25.5}
PLAIN = json.dumps(EVENT, ensure_ascii=False).encode()


def gzipped(content: bytes) -> bytes:
    """Without the time of the day, which would give the tests other names in each process."""
    return gzip.compress(content, mtime=0)


def bare(content: bytes) -> bytes:
    """Deflated without the frame of zlib."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def fault_of(content: bytes, encoding: str | None = None) -> str:
    with pytest.raises(NotReadError) as caught:
        read(Body(content, encoding), max_bytes=LARGEST)
    return str(caught.value)


# ── packed ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzipped(PLAIN), "gzip"),
        (gzipped(PLAIN), " GZip "),
        (gzipped(PLAIN), "x-gzip"),
        (gzipped(PLAIN), None),
        (gzipped(PLAIN), ""),
        (gzipped(PLAIN), "utf-8"),
        (gzipped(PLAIN), "br"),
        (gzipped(PLAIN[:9]) + gzipped(b"") + gzipped(PLAIN[9:]) + b"\0" * 9, "gzip"),
        (gzipped(gzipped(PLAIN)), "gzip, gzip"),
        (gzipped(gzipped(PLAIN)), "gzip"),
        (gzipped(zlib.compress(PLAIN)), "deflate, gzip"),
        (gzipped(PLAIN.decode().encode("utf-16")), "gzip"),
        (zlib.compress(PLAIN), "deflate"),
        (zlib.compress(PLAIN), "zlib"),
        (bare(PLAIN), "deflate"),
        (bare(b"\n" + PLAIN * 1), "Deflate"),
        *((PLAIN, name) for name in ("gzip", "deflate", "br", "identity", "utf-8", "UTF8", "binary", "\ud800", ",")),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_packed_body_is_unpacked_and_a_plain_one_is_not(content: bytes, encoding: str | None) -> None:
    assert read(Body(content, encoding), max_bytes=LARGEST) == EVENT


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (gzipped(PLAIN)[:-1], "gzip", "it is cut short"),
        (gzipped(PLAIN)[:30], None, "it is cut short"),
        (gzipped(PLAIN)[:-8] + b"\0" * 8, "gzip", "incorrect data check"),
        (gzipped(PLAIN) + b"more", "gzip", "incorrect header check"),
        (b"\x1f\x8b", "gzip", "it is cut short"),
        (b"\x1f\x8bgarbage", None, "unknown compression method"),
        (b"no gzip", "gzip", "incorrect header check"),
        (b"", "gzip", "it is cut short"),
        (b"\x8b\x02\x80{}\x03", "br", "its content_encoding is 'br', which is not read"),
        (b"\x28\xb5\x2f\xfd", "ZSTD", "its content_encoding is 'zstd', which is not read"),
        (b"text", "snappy\n" + "x" * 99, "its content_encoding is 'snappy\\n"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_cannot_be_decompressed_is_reported(content: bytes, encoding: str | None, said: str) -> None:
    told = fault_of(content, encoding)
    assert said in told
    assert len(told) < 200
    assert told.isprintable()


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("application/x-protobuf", "; its content_type is 'application/x-protobuf', and only JSON is read"),
        ("Application/XML; charset=utf-8", "; its content_type is 'application/xml', and only JSON is read"),
        ("avro/binary\n" + "x" * 99, "; its content_type is 'avro/binary\\nxxx"),
        *((name, "(char 1)") for name in ("application/json", "application/cloudevents+json", "text/plain", "", None)),
    ],
)
def test_a_body_that_is_not_json_names_the_type_that_it_has(content_type: str | None, said: str) -> None:
    with pytest.raises(NotReadError) as caught:
        read(Body(b"\n\x07booking", None, content_type), max_bytes=LARGEST)
    told = str(caught.value)
    assert said in told
    assert ("content_type" in told) is ("content_type" in said)
    assert told.isprintable()


@pytest.mark.parametrize("packed", [gzipped, zlib.compress, bare])
def test_a_bomb_is_never_unpacked_beyond_the_limit(packed: Any) -> None:  # noqa: ANN401 - three kinds of callable
    bomb = packed(b"[" + b" " * 50_000_000)
    assert len(bomb) < LARGEST
    tracemalloc.start()
    with pytest.raises(TooLargeError, match=f"{LARGEST + 1} bytes or more, unpacked, and MAX_EVENT_BYTES allows"):
        read(Body(bomb, "gzip" if packed is gzipped else "deflate"), max_bytes=LARGEST)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * LARGEST


def test_a_body_of_the_largest_size_is_read_packed_too() -> None:
    content = b'{"a": "' + b"x" * (LARGEST - 9) + b'"}'
    assert read(Body(gzipped(content), "gzip"), max_bytes=LARGEST) == json.loads(content)
    with pytest.raises(TooLargeError):
        read(Body(gzipped(content), "gzip"), max_bytes=LARGEST - 1)


def test_many_members_take_no_long_time() -> None:
    content = gzipped(b"") * (LARGEST // 20)
    started = time.thread_time()
    fault_of(content, "gzip")
    assert time.thread_time() - started < 0.5


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "zlib", "br", "utf-16", "x", "", None]))
@example(bare(b"{}"), "gzip")
def test_any_bytes_under_any_name_are_read_or_refused(content: bytes, encoding: str | None) -> None:
    with suppress(NotReadError):
        read(Body(content, encoding, f"application/json; charset={encoding}"), max_bytes=200)
    assert len(beginning(Body(content, encoding), characters=50)) <= 50


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_unicode_is_known_by_its_bytes(charset: str) -> None:
    assert read(Body(PLAIN.decode().encode(charset)), max_bytes=LARGEST) == EVENT


@pytest.mark.parametrize("where", [{"content_type": "application/json; Charset={}"}, {"encoding": "{}"}])
@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "ISO-8859-15", "latin1"])
def test_another_charset_is_read_where_it_is_named(where: dict[str, str], charset: str) -> None:
    content = PLAIN.decode().encode(charset)
    named = {name: text.format(charset) for name, text in where.items()}
    assert read(Body(content, **named), max_bytes=LARGEST) == EVENT
    assert "not UTF-8" in fault_of(content)


@pytest.mark.parametrize("charset", ["iso-8859-1", "us-ascii", "utf-16"])
def test_what_is_utf_8_is_read_so_whatever_is_named(charset: str) -> None:
    assert read(Body(PLAIN, content_type=f"application/json; charset={charset}"), max_bytes=LARGEST) == EVENT


@pytest.mark.parametrize("charset", ["rot13", "zlib", "utf-7", "unicode_escape", "punycode", "no such", "\0", ""])
def test_no_other_codec_of_python_is_believed(charset: str) -> None:
    with pytest.raises(NotReadError):
        read(Body(b'{"a": "\xff"}', charset, f"text/plain; charset={charset}"), max_bytes=LARGEST)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────


def value(literal: str) -> tuple[Any, bool]:
    said = read(Body(b'{"it": %s}' % literal.encode()), max_bytes=LARGEST)
    assert isinstance(said, JsonObject)
    assert said.text == f'{{"it": {literal}}}'
    return said["it"], said.exact


@pytest.mark.parametrize(
    ("literal", "read_as", "exact"),
    [
        ("18446744073709551615", 2**64 - 1, True),
        ("-1" + "0" * 1000, -(10**1000), True),
        ("1" * 5000, "1" * 5000, False),
        ("-" + "1" * 5000, "-" + "1" * 5000, False),
        ("1e999", "1e999", False),
        ("-1E+400", "-1E+400", False),
        ("1" + "0" * 400 + ".5", "1" + "0" * 400 + ".5", False),
        ("1e-400", 0.0, False),
        ("1e-99999999999999999999", 0.0, False),
        ("0.1000000000000000000001", 0.1, False),
        ("12345678901234567.5", 12345678901234568.0, False),
        ("0.1", 0.1, True),
        ("25.50", 25.5, True),
        ("0.30000000000000004", 0.30000000000000004, True),
        ("1.7976931348623157e308", 1.7976931348623157e308, True),
        ("1E5", 100000.0, True),
        ("-0.0", -0.0, True),
        ('{"a": 1, "a": 2}', {"a": 2}, False),
        ('{"a": 1, "b": [{"c": 1}, {"c": 1}]}', {"a": 1, "b": [{"c": 1}, {"c": 1}]}, True),
    ],
    ids=lambda part: repr(part)[:24],
)
def test_a_number_is_what_it_says_or_the_text_is_known_to_say_more(
    literal: str, read_as: object, *, exact: bool
) -> None:
    assert value(literal) == (read_as, exact)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_json_is_refused(literal: str) -> None:
    assert fault_of(b'{"it": %s}' % literal.encode()) == f"the body is not JSON: {literal} is not JSON"


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_what_python_writes_is_exact(data: dict[str, Any]) -> None:
    said = read(Body(json.dumps(data).encode()), max_bytes=LARGEST)
    assert isinstance(said, JsonObject)
    assert (said, said.exact) == (data, True)


def test_what_cannot_be_read_is_shown_as_far_as_it_can_be() -> None:
    assert beginning(Body(gzipped(b"<ticket>\xff\0"), "gzip"), characters=20) == "<ticket>\\xff\0"
    assert beginning(Body(b"\x1f\x8b\x08", "gzip"), characters=20) == "\x1f\\x8b\x08"
    assert beginning(Body(b"x" * 100), characters=20) == "x" * 20
    assert text_of(Body(b"no JSON"), max_bytes=LARGEST) == "no JSON"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
@pytest.mark.parametrize("encoding", [None, "base64", "gzip"])
def test_base64_is_known_by_its_first_letters(encoding: str | None, encode: Any, packed: bool) -> None:  # noqa: ANN401, FBT001
    sent = json.dumps({"a": "\u00ff\u00fe" * 40}, ensure_ascii=False).encode()
    content = encode(gzip.compress(sent) if packed else sent)
    for body in (content, content.rstrip(b"=\n")):
        assert read(Body(body, encoding), max_bytes=LARGEST) == json.loads(sent)


@pytest.mark.parametrize("content", [b"eyJ", b"ew==!", b"eyJhIjox", b"ey" + b" " * 200_000 + b"!", b"H4sIAAAA"])
def test_what_only_begins_like_base64_is_refused_at_once(content: bytes) -> None:
    began = time.monotonic()
    fault_of(content)
    assert time.monotonic() - began < 1


def test_the_id_of_the_schema_before_the_json_is_no_part_of_it() -> None:
    assert read(Body(b'\0\0\0\0*{"a": 1}'), max_bytes=LARGEST) == {"a": 1}
    for encoding in ("utf-16-be", "utf-32-be"):
        assert read(Body('{"{": 1}'.encode(encoding)), max_bytes=LARGEST) == {"{": 1}
