"""What RabbitMQ writes on a message that it dead-letters, in the header `x-death`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Death:
    """`reason`: the broker's word, such as `delivery_limit`. `routing_key`: under which it had come to that queue."""

    queue: str
    reason: str
    routing_key: str
    at: datetime


def first(headers: Mapping[str, Any]) -> Death | None:
    """How the message left the first queue that it was dead-lettered from; None where it never was."""
    listed = headers.get("x-death")
    if not isinstance(listed, Sequence):
        return None
    queue = headers.get("x-first-death-queue")
    return next((_read(each) for each in listed if isinstance(each, Mapping) and each.get("queue") == queue), None)


def _read(death: Mapping[str, Any]) -> Death:
    keys, at = death.get("routing-keys"), death.get("time")
    return Death(
        queue=str(death.get("queue")),
        reason=str(death.get("reason", "")),
        routing_key=next(iter(map(str, keys)), "") if isinstance(keys, Sequence) else "",
        at=at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(0, UTC),
    )
