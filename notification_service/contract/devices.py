"""Reads the tokens of a person's devices, for push: texts, or objects with a token and its platform. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notification_service.contract import values

_TOKEN_KEYS = ("token", "device_token", "registration_token")
_PLATFORM_KEYS = ("platform", "type", "os")
_TIME_KEYS = ("registered_at", "updated_at", "created_at")
_MAX_DEVICES = 100


@dataclass(frozen=True, slots=True)
class Device:
    """`platform`: in lower case, such as `ios` or `android`, where it is known. `registered_at`: of the token."""

    token: str = field(repr=False)
    platform: str | None = None
    registered_at: datetime | None = None

    @property
    def digest(self) -> str:
        """Names the device in records and logs, where its token does not belong."""
        return hashlib.sha256(self.token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read(value: object) -> tuple[tuple[Device, ...], bool]:
    """The devices, each token once, and whether some could not be read. At most 100 are read."""
    value = values.unwrap_deep(value)
    listed = value if isinstance(value, list) else [] if value is None else [value]
    found: dict[str, Device] = {}
    unread = len(listed) > _MAX_DEVICES
    for each in listed[:_MAX_DEVICES]:
        try:
            device = _device(each)
        except values.UNREADABLE:
            unread = True
        else:
            found.update({device.token: device} if device else {})
    return tuple(found.values()), unread


def _device(value: object) -> Device | None:
    if not isinstance(value, dict):
        token = _token(value)
        return Device(token) if token else None
    token = _token(next(_named(value, _TOKEN_KEYS), None))
    if token is None:
        return None
    platform = next(_named(value, _PLATFORM_KEYS), None)
    registered_at = next(_named(value, _TIME_KEYS), None)
    return Device(
        token,
        platform.strip().lower() if isinstance(platform, str) and platform.strip() else None,
        values.moment(registered_at),
    )


def _token(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError("a token is a text")
    return values.exact(value)


def _named(value: dict[str, Any], keys: tuple[str, ...]) -> Iterator[object]:
    return (value[key] for key in keys if value.get(key) is not None)
