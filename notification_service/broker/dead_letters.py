"""Reads the header `x-death`, which RabbitMQ adds to a dead-lettered message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Death:
    """How a message left `queue`. `reason`: as in RabbitMQ, such as `delivery_limit`. `routing_key`: its key there."""

    queue: str
    reason: str
    routing_key: str
    at: datetime


def first(headers: Mapping[str, Any]) -> Death | None:
    """How the message left the first queue that dead-lettered it; None if none did."""
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
