"""Which service a device's token belongs to, and which of a person's devices get a message. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from notification_service.contract.devices import Device

MAX_DEVICES = 10


class PushService(StrEnum):
    FCM = "fcm"
    APNS = "apns"


@dataclass(frozen=True, slots=True)
class Target:
    """A device that gets the message."""

    device: Device
    service: PushService

    @property
    def digest(self) -> str:
        return self.device.digest


@dataclass(frozen=True, slots=True)
class Choice:
    """`refused`: why each other token is not used, without the token."""

    targets: tuple[Target, ...]
    refused: tuple[str, ...]


_APNS = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
"""Apple's tokens are bytes in hexadecimal, 32 today and up to 100 by its documentation."""
_MAX_LENGTH = 4096
_FCM = re.compile(rf"[A-Za-z0-9_:-]{{32,{_MAX_LENGTH}}}")
_APPLE = {"ios", "ipados", "macos", "watchos", "tvos", "visionos", "iphone", "ipad", "apple", "apns", "apn"}
_OTHER = {"android", "web", "fcm", "gcm", "firebase", "chrome"}
_FIRST_WORD = re.compile(r"(?<=[a-z])[^a-z].*", re.DOTALL)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def choose(devices: Sequence[Device], services: Collection[PushService]) -> Choice:
    """The devices that were registered last, at most ten. `services`: those that are set up."""
    targets, refused = [], []
    for number, device in enumerate(devices, 1):
        try:
            targets.append(Target(device, _service(device, services)))
        except ValueError as problem:
            refused.append(f"device {number} {problem}")
    targets.sort(key=lambda each: _registered(each.device), reverse=True)
    targets = _each_once(targets)
    if len(targets) > MAX_DEVICES:
        refused.append(f"{len(targets) - MAX_DEVICES} devices are left out: the {MAX_DEVICES} newest get it")
    return Choice(tuple(targets[:MAX_DEVICES]), tuple(refused))


def _each_once(targets: Sequence[Target]) -> list[Target]:
    """Each device once: Apple's tokens are numbers in hexadecimal, which capital and small letters write alike."""
    found: dict[str, Target] = {}
    for each in targets:
        token = each.device.token
        found.setdefault(token.lower() if each.service is PushService.APNS else token, each)
    return list(found.values())


def _service(device: Device, services: Collection[PushService]) -> PushService:
    """Raises `ValueError` with the reason why the token cannot be used."""
    service = _shaped(device)
    if service not in services:
        raise ValueError(f"belongs to {service.upper()}, which is not set up")
    return service


def _shaped(device: Device) -> PushService:
    # A platform may come with its version, such as `iOS 17.2`.
    token, platform = device.token, _FIRST_WORD.sub("", device.platform or "") or device.platform
    if fault := device.fault or _fault(token):
        raise ValueError(fault)
    is_hexadecimal = _APNS.fullmatch(token) is not None
    if platform in _APPLE or platform is None:
        # An app for iOS with Firebase has a token of FCM.
        return PushService.APNS if is_hexadecimal else PushService.FCM
    if platform in _OTHER:
        return PushService.FCM
    raise ValueError(f"names the platform {platform[:20]!r}, which is none of ios, android and web")


def _fault(token: str) -> str | None:
    if token.startswith(("ExponentPushToken", "ExpoPushToken")):
        return "has a token of Expo's own service: store the device's native token"
    if token.startswith(("http:", "https:")):
        return "has the address of a Web Push subscription: store the token of FCM's web SDK"
    if _APNS.fullmatch(token) or _FCM.fullmatch(token):
        return None
    if any(each in "\r\n\u2028\u2029" for each in token):
        return "has a token with a line break in it, so it may be two: store each alone"
    if token.startswith("<") or any(each.isspace() for each in token):
        return "has a token with spaces or brackets, as iOS prints one: store it as hexadecimal digits"
    how = "too many" if len(token) > _MAX_LENGTH else "of which some do not occur in one, or too few"
    return f"has no token of FCM or APNs: {len(token)} characters, {how}"


def _registered(device: Device) -> datetime:
    at = device.registered_at
    return _LONG_AGO if at is None else at if at.tzinfo else at.replace(tzinfo=UTC)
