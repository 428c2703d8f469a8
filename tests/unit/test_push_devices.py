"""Which service a token belongs to, which devices get a message, and what is said of the others."""

from datetime import UTC, datetime, timedelta

import pytest

from notification_service.channels.push.devices import PushService, choose
from notification_service.contract.devices import Device

BOTH = tuple(PushService)
FCM, APNS = "fcm-token:" + "x" * 130, "ab" * 32
NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("device", "service"),
    [
        (Device(APNS), PushService.APNS),
        (Device(APNS.upper()), PushService.APNS),
        (Device("cd" * 80), PushService.APNS),
        (Device(FCM), PushService.FCM),
        (Device(APNS, "ios"), PushService.APNS),
        (Device(FCM, "ios"), PushService.FCM),
        (Device(FCM, "android"), PushService.FCM),
        (Device(APNS, "android"), PushService.FCM),
        (Device(FCM, "web"), PushService.FCM),
        (Device(APNS, "ios 17.2"), PushService.APNS),
        (Device(APNS, "iphone14,2"), PushService.APNS),
        (Device(APNS, "android 14"), PushService.FCM),
        (Device(APNS, "android/34"), PushService.FCM),
    ],
)
def test_a_token_belongs_to_a_service(device: Device, service: PushService) -> None:
    assert [each.service for each in choose([device], BOTH).targets] == [service]


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (Device("ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]"), "Expo"),
        (Device("https://updates.push.services.mozilla.com/wpush/v2/abc"), "Web Push"),
        (Device("<abcd1234 abcd1234>"), "spaces or brackets"),
        (Device("short"), "too few"),
        (Device(f"{APNS[:32]}\n{APNS[32:]}"), "line break"),
        (Device(f"{FCM}\r\n{FCM}"), "line break"),
        (Device(f"{FCM}\u2028{FCM}"), "line break"),
        (Device(f"{APNS[:8]}\t{APNS[8:]}"), "spaces or brackets"),
        (Device("x" * 5000), "too many"),
        (Device(FCM, "blackberry"), "platform 'blackberry'"),
        (Device("é" * 64), "do not occur"),
        (Device("a/../../3/device/" + "b" * 40), "do not occur"),
    ],
)
def test_a_token_that_cannot_be_used_says_why_without_showing_it(device: Device, reason: str) -> None:
    choice = choose([device], BOTH)
    assert not choice.targets
    assert reason in choice.refused[0]
    assert device.token not in choice.refused[0]


def test_a_token_of_apple_is_the_same_in_capital_letters_and_the_newer_one_counts() -> None:
    listed = [Device(APNS, None, NOW), Device(APNS.upper(), None, NOW + timedelta(1)), Device(FCM), Device(FCM.upper())]
    assert [each.device.token for each in choose(listed, BOTH).targets] == [APNS.upper(), FCM, FCM.upper()]


def test_a_token_of_a_service_that_is_not_set_up_is_refused() -> None:
    choice = choose([Device(APNS), Device(FCM)], [PushService.FCM])
    assert [each.device.token for each in choice.targets] == [FCM]
    assert choice.refused == ("device 1 belongs to APNS, which is not set up",)


def test_the_ten_devices_that_were_registered_last_get_it() -> None:
    devices = [Device(f"{n:02x}" * 32, registered_at=NOW - timedelta(days=n)) for n in range(12, 0, -1)]
    choice = choose([Device("ff" * 32), *devices], BOTH)
    assert [each.device.token for each in choice.targets] == [f"{n:02x}" * 32 for n in range(1, 11)]
    assert choice.refused == ("3 devices are left out: the 10 newest get it",)


def test_times_with_and_without_a_zone_are_compared() -> None:
    older, newer = Device(APNS, registered_at=datetime(2026, 1, 1)), Device(FCM, registered_at=NOW)  # noqa: DTZ001 - as stored
    assert [each.device for each in choose([older, newer], BOTH).targets] == [newer, older]
