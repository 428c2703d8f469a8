"""What all webhooks have in common: the request, how it is refused, and strictly parsed JSON."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Protocol, TypeVar

from notification_service.contract.signals import Signal
from notification_service.foundation.printable import shown

MAX_AGE = timedelta(hours=72)
"""Longer than any provider repeats a refused request."""
MAX_AHEAD = timedelta(minutes=5)

_MAX_TEXT = 10_000
_MAX_ID = 500
_NOTIFICATION = re.compile(r"[0-9a-f]{32}")
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class CallbackRefusedError(Exception):
    """The request is not believed or cannot be read. `status`: the HTTP status; the text is one plain line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class CannotVerifyError(Exception):
    """A signature cannot be checked just now, so the provider should repeat its request."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request. `headers`: by their names in lower case. `now`: aware, when it came. `path`, `query`: of its URL."""

    headers: Mapping[str, str]
    body: bytes
    now: datetime
    path: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a verified request says. `unreadable`: how many of its events have a form that is not known."""

    signals: Sequence[Signal]
    unreadable: int = 0


Entry = TypeVar("Entry")


def heard(entries: Sequence[Entry], read: Callable[[Entry], Iterable[Signal]]) -> Heard:
    """One entry of a new form does not keep the others from being heard.

    `read`: raises `CallbackRefusedError` for such, as this does where there is nothing but such.
    """
    signals: list[Signal] = []
    problems: list[CallbackRefusedError] = []
    for each in entries:
        try:
            signals += read(each)
        except CallbackRefusedError as problem:
            problems.append(problem)
    if problems and len(problems) == len(entries):
        raise problems[0]
    return Heard(signals, len(problems))


class Provider(Protocol):
    """`max_bytes`: the largest body that the provider sends."""

    name: str
    max_bytes: int

    async def read(self, webhook: Webhook) -> Heard:
        """Raises `CallbackRefusedError` for what is not signed or not readable, and `CannotVerifyError`."""


class Fields:
    """The fields of one JSON object. Each method raises `CallbackRefusedError` for a value of another type."""

    def __init__(self, value: object, name: str = "the body") -> None:
        if not isinstance(value, dict):
            malformed(f"{name} is not an object")
        self._fields: dict[str, Any] = value

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        found = self.optional(name)
        if not found:
            malformed(f"{name} is missing")
        return found

    def optional(self, name: str) -> str:
        """A text; empty where the field is missing or null."""
        found = self._fields.get(name)
        if found is not None and not isinstance(found, str):
            malformed(f"{name} is not a text")
        return (found or "")[:_MAX_TEXT]

    def whole_text(self, name: str) -> str:
        """A text of any length that the body may have."""
        found = self._fields.get(name)
        if not isinstance(found, str):
            malformed(f"{name} is not a text")
        return found

    def identity(self, name: str) -> str:
        """A text or a whole number by which the provider knows something."""
        found = self._fields.get(name)
        text = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
        if not isinstance(text, str) or not 0 < len(text) <= _MAX_ID:
            malformed(f"{name} is no id")
        return text

    def flag(self, name: str) -> bool:
        found = self._fields.get(name)
        if not isinstance(found, bool):
            malformed(f"{name} is neither true nor false")
        return found

    def fields(self, name: str) -> "Fields":
        return Fields(self._fields.get(name), name)

    def maybe(self, name: str) -> "Fields":
        """An object; an empty one where the field is missing or null."""
        return Fields(self._fields.get(name) or {}, name)

    def listed(self, name: str) -> list[Any]:
        found = self._fields.get(name)
        if not isinstance(found, list):
            malformed(f"{name} is not a list")
        return found

    def seconds(self, name: str) -> datetime:
        """A time in seconds since 1970."""
        found = self._fields.get(name)
        if not isinstance(found, int | float) or isinstance(found, bool):
            malformed(f"{name} is not a number")
        return moment_of_seconds(found, name)

    def moment(self, name: str) -> datetime:
        """A time in ISO 8601, with its zone."""
        return moment(self.text(name), name)

    def notification(self, name: str) -> str | None:
        """The id of one of our notifications; None where the field holds nothing or something else."""
        found = self._fields.get(name)
        first = found[0] if isinstance(found, list) and found else found
        return first if isinstance(first, str) and _NOTIFICATION.fullmatch(first) else None


def malformed(why: str) -> NoReturn:
    raise CallbackRefusedError(400, f"This cannot be read: {shown(why)}.")


def unsigned(why: str) -> NoReturn:
    raise CallbackRefusedError(401, f"This is not signed as it has to be: {why}.")


def moment(text: str, name: str) -> datetime:
    """Fractions of a second beyond six digits are cut, as .NET writes seven."""
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return found.astimezone(UTC) if found.tzinfo else malformed(f"{name} has no zone")
    except (ValueError, OverflowError):
        malformed(f"{name} is no time")


def moment_of_seconds(seconds: float, name: str) -> datetime:
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        malformed(f"{name} is no time")
    return found if found < _LATEST else malformed(f"{name} is no time")


def check_age(signed_at: datetime, now: datetime) -> None:
    """Raises `CallbackRefusedError` where a signed time is too old, or lies too far ahead."""
    if not now - MAX_AGE <= signed_at <= now + MAX_AHEAD:
        raise CallbackRefusedError(401, "This was signed too long ago, or by a clock that is ahead.")


def parse(body: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Raises `CallbackRefusedError` for what is no JSON, names a field twice, or nests too deeply."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_number)
    except RecursionError:
        malformed("it nests too deeply")
    except ValueError:
        malformed("it is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        malformed("a field stands there twice")
    return found


def _no_number(_: str) -> NoReturn:
    malformed("a number is none")
