"""The tokens of a person's devices, in the forms in which events and the directory have them."""

from datetime import UTC, datetime

import pytest

from notification_service.channels.push.devices import PushService, choose
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
        ([{"device_id": "0f8fad5b-d9cb-469f-a165-70867728950e", "agent": "Mozilla/5.0 (X11; Linux) " * 3}], ()),
        ([{"token": "", "device_token": " ", "registration_token": "t1"}], (Device("t1"),)),
        ([{"token": None}, {}], ()),
    ],
)
def test_tokens_are_read_in_every_form(value: object, found: tuple[Device, ...]) -> None:
    assert devices.read(value) == found


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (7, "a number"),
        (True, "a truth value"),
        (["t2"], "a list"),
        ({"token": 7}, "a number"),
        ({"token": ["t2"]}, "a list"),
        ({"token": {"token": "t2"}}, "an object"),
    ],
)
def test_what_is_no_token_says_so_and_costs_no_other(value: object, fault: str) -> None:
    found = devices.read([value, "t1", value])
    assert [each.token for each in found] == ["", "t1", ""]
    assert found[0].fault.startswith(f"has {fault} where its token should be")


@pytest.mark.parametrize(
    "value",
    [
        {"ios": "ab" * 32},
        {"ios": ["ab" * 32], "android": []},
        {"phone-1": {"token": "ab" * 32, "platform": "ios"}},
        {"devices": [{"token": "x" * 140}]},
        {"fcmToken": "x" * 140, "platform": "android"},
        {"endpoint": "https://updates.push.services.example/wpush/v2/" + "a" * 60, "keys": {}},
    ],
)
def test_a_token_under_another_name_is_not_passed_over_in_silence(value: object) -> None:
    (found,) = devices.read(value)
    assert "may have a token under another name" in found.fault
    assert "token, device_token, registration_token" in found.fault


def test_an_unreadable_time_costs_no_token() -> None:
    assert devices.read([{"token": "t1", "registered_at": "yesterday"}]) == (Device("t1"),)


def test_of_a_hundred_and_one_tokens_the_newest_ten_are_used_and_of_too_many_it_is_said() -> None:
    listed = [{"token": f"{number:064x}", "registered_at": 1_760_000_000 + number} for number in range(101)]
    choice = choose(devices.read(listed), tuple(PushService))
    assert [int(each.device.token, 16) for each in choice.targets] == list(range(100, 90, -1))
    assert choice.refused == ("91 devices are left out: the 10 newest get it",)
    assert "one of 1500" in devices.read([f"{number:064x}" for number in range(1500)])[-1].fault


def test_an_event_brings_a_number_and_tokens() -> None:
    reading = read({"phone": "+14155550132", "device_tokens": ["t1", 7]}, "booking.cancelled")
    assert reading is not None
    assert reading.event.phone == "+14155550132"
    assert [(each.token, bool(each.fault)) for each in reading.event.device_tokens] == [("t1", False), ("", True)]
    assert reading.remarks == ()
