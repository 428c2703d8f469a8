"""What pamqp cannot read is as if it had not been set, whatever its bytes; the frame it is in stays readable."""

import asyncio
import struct
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import pytest
from hypothesis import given, strategies as st
from pamqp import decode, frame
from pamqp.commands import Basic
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader

from notification_service.broker import lenient_decoding
from tests.fuzz.examples import fuzzed_more
from tests.stack.processes import free_port

CAFE = "café".encode("latin-1")
FLAGS = Basic.Properties.flags


@pytest.fixture(autouse=True)
def tolerant() -> Iterator[None]:
    """Installed for the test alone, so that each one says what it needs."""
    before = dict(decode.METHODS)
    lenient_decoding.install()
    yield
    decode.METHODS.update(before)


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def table(inside: bytes) -> bytes:
    return struct.pack(">I", len(inside)) + inside


def header(**properties: bytes) -> bytes:
    """A frame as it is on the wire, with these bytes for these properties; their order is that of AMQP."""
    flags = sum(FLAGS[name] for name in properties)
    payload = struct.pack(">HHQH", 60, 0, 2, flags) + b"".join(properties.values())
    return struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"


def properties_of(data: bytes) -> Basic.Properties:
    consumed, _, content = frame.unmarshal(data)
    assert consumed == len(data)
    assert isinstance(content, ContentHeader)
    return content.properties


def test_this_is_the_pamqp_that_was_looked_into() -> None:
    """With another one: does it still decode by METHODS, and can only these three types fail?"""
    assert version("pamqp") == "4.0.1"


MICROSECONDS = struct.pack(">Q", 1_700_000_000_000_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_type", short(CAFE)),
        ("headers", table(short(CAFE) + b"V")),
        ("headers", table(short(b"x") + b"T" + MICROSECONDS)),
        ("headers", table(short(b"x") + b"?")),
        ("headers", table(b"\xff")),
        ("headers", table((short(b"x") + b"F" + b"\0\0\xff\xff") * 2_000)),
        ("message_id", short(CAFE)),
        ("timestamp", MICROSECONDS),
        ("timestamp", b"\xff" * 8),
    ],
)
def test_what_cannot_be_read_is_not_there_and_what_follows_is(name: str, value: bytes) -> None:
    read = properties_of(header(**{name: value, "app_id": short(b"booking")}))
    assert (read[name], read.app_id) == (None, "booking")


def test_an_unreadable_routing_key_counts_as_missing() -> None:
    deliver = struct.pack(">HH", 60, 60) + short(b"tag") + struct.pack(">QB", 7, 1) + short(b"events") + short(CAFE)
    data = struct.pack(">BHI", 1, 1, len(deliver)) + deliver + b"\xce"
    _, _, method = frame.unmarshal(data)
    assert isinstance(method, Basic.Deliver)
    assert (method.delivery_tag, method.redelivered, method.exchange, method.routing_key) == (7, True, "events", None)


def test_what_can_be_read_is_read_as_before() -> None:
    moment = datetime(2026, 12, 15, tzinfo=UTC)
    written = Basic.Properties(content_type="é", headers={"é": [1, {"x": "y"}]}, message_id="m", timestamp=moment)
    assert properties_of(frame.marshal(ContentHeader(0, 2, written), 1)) == written


@pytest.mark.parametrize(("name", "cut"), [("app_id", b""), ("timestamp", bytes(7)), ("headers", table(b"xyz")[:-1])])
def test_a_frame_in_which_bytes_are_missing_is_still_an_error(name: str, cut: bytes) -> None:
    with pytest.raises(UnmarshalingException):
        properties_of(header(**{name: cut}))


@given(
    content_type=st.binary(max_size=255).map(short),
    headers=st.binary(max_size=400).map(table),
    message_id=st.binary(max_size=255).map(short),
    timestamp=st.binary(min_size=8, max_size=8),
)
@fuzzed_more
def test_any_bytes_leave_the_frame_readable(
    content_type: bytes, headers: bytes, message_id: bytes, timestamp: bytes
) -> None:
    read = properties_of(
        header(
            content_type=content_type,
            headers=headers,
            message_id=message_id,
            timestamp=timestamp,
            app_id=short(b"booking"),
        )
    )
    assert read.app_id == "booking"


async def test_a_connection_that_never_came_up_is_closed_and_warns_nobody_later() -> None:
    """Forgotten on another thread, as it happens beside Motor's, it would leave a coroutine that nobody awaits."""
    with pytest.raises(lenient_decoding.LOST) as told:
        await lenient_decoding.connect(f"amqp://127.0.0.1:{free_port()}/", timeout=5)
    await asyncio.to_thread(traceback.clear_frames, told.tb.tb_next)
