"""Reads the tokens of a person's devices, for push: texts, or objects with a token and its platform. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notification_service.contract import values

_TOKEN_KEYS = ("token", "device_token", "registration_token")
_PLATFORM_KEYS = ("platform", "type", "os")
_NAMES = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object"}
_TIME_KEYS = ("registered_at", "updated_at", "created_at")
_MIN_TOKEN = 64
_MAX_DEVICES = 1000
"""Of one person, that are looked at."""


@dataclass(frozen=True, slots=True)
class Device:
    """`platform`: in lower case, such as `ios` or `android`, where it is known. `registered_at`: of the token.

    `fault`: why there is no token, where what stands in its place cannot be read.
    """

    token: str = field(repr=False)
    platform: str | None = None
    registered_at: datetime | None = None
    fault: str = ""

    @property
    def digest(self) -> str:
        """Names the device in records and logs, where its token does not belong."""
        return hashlib.sha256(self.token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read(value: object) -> tuple[Device, ...]:
    """The devices, each token once, and what stands where a token should as a device with a fault."""
    value = values.unwrap_deep(value)
    listed = value if isinstance(value, list) else [] if value is None else [value]
    found: dict[str, Device] = {}
    for number, each in enumerate(listed[:_MAX_DEVICES]):
        if device := _device(each):
            found[device.token or f"fault {number}"] = device
    if len(listed) > _MAX_DEVICES:
        found["too many"] = Device("", fault=f"is one of {len(listed)}: the first {_MAX_DEVICES} are read")
    return tuple(found.values())


def _device(value: object) -> Device | None:
    """None where nothing is said, such as by an empty text."""
    try:
        return _read(value)
    except values.UNREADABLE as problem:
        return Device("", fault=str(problem))


def _read(value: object) -> Device | None:
    """Raises one of `UNREADABLE`, with what is wrong as its text."""
    token = _token(next(_named(value, _TOKEN_KEYS), None) if isinstance(value, dict) else value)
    if token is None and isinstance(value, dict) and any(map(_may_be_token, _texts(value))):
        raise ValueError(f"is an object with no {', '.join(_TOKEN_KEYS)}, and may have a token under another name")
    if token is None or not isinstance(value, dict):
        return Device(token) if token else None
    platform = next(_named(value, _PLATFORM_KEYS), None)
    return Device(
        token,
        platform.strip().lower() if isinstance(platform, str) and platform.strip() else None,
        _moment(next(_named(value, _TIME_KEYS), None)),
    )


def _moment(value: object) -> datetime | None:
    """When a token was registered only orders the devices, so an unreadable time costs nobody a message."""
    try:
        return values.moment(value)
    except values.UNREADABLE:
        return None


def _token(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"has {_NAMES.get(type(value), 'a value')} where its token should be, and a token is a text")
    return values.exact(value)


def _named(value: dict[str, Any], keys: tuple[str, ...]) -> Iterator[object]:
    return (value[key] for key in keys if not _is_blank(value.get(key)))


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _texts(value: object) -> Iterator[str]:
    """All texts in an object, such as one of devices by their ids."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _may_be_token(text: str) -> bool:
    """Tokens are longer than the ids of devices, and have no blanks, as the names of programs do."""
    return len(text) >= _MIN_TOKEN and not any(each.isspace() for each in text)
