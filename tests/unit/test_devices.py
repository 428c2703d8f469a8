"""The tokens of a person's devices, in the forms in which events and the directory have them."""

from datetime import UTC, datetime

import pytest

from notification_service.contract import devices
from notification_service.contract.devices import Device
from notification_service.contract.events import read


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        ([], ()),
        ("t1", (Device("t1"),)),
        (["t1", "t2", "t1", " ", "null"], (Device("t1"), Device("t2"))),
        ([{"token": "t1", "platform": " iOS "}], (Device("t1", "ios"),)),
        ([{"device_token": "t1", "platform": None}], (Device("t1"),)),
        (
            [{"token": "t1", "registered_at": {"$date": "2026-11-01T10:00:00Z"}}],
            (Device("t1", None, datetime(2026, 11, 1, 10, tzinfo=UTC)),),
        ),
        ({"token": "t1"}, (Device("t1"),)),
        ([{"platform": "ios"}], ()),
    ],
)
def test_tokens_are_read_in_every_form(value: object, found: tuple[Device, ...]) -> None:
    assert devices.read(value) == (found, False)


@pytest.mark.parametrize("value", [[7, "t1"], [["t1"], "t1"], [{"token": 7}, "t1"], ["t1", *"abcdefg" * 20]])
def test_what_is_no_token_is_left_out_and_remarked(value: object) -> None:
    found, unread = devices.read(value)
    assert Device("t1") in found
    assert unread or len(found) < 100


def test_an_event_brings_a_number_and_tokens() -> None:
    reading = read({"phone": "+14155550132", "device_tokens": ["t1", 7]}, "booking.cancelled")
    assert reading is not None
    assert (reading.event.phone, reading.event.device_tokens) == ("+14155550132", (Device("t1"),))
    assert [remark.field for remark in reading.remarks] == ["device_tokens"]
