"""Signals as they travel through our own queue: one JSON object each."""

import json
from datetime import UTC, datetime
from typing import Any

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.signals import Signal, SignalKind

_OPTIONAL = ("notification_id", "provider_message_id", "address", "code")


def written(signal: Signal) -> bytes:
    fields = {name: getattr(signal, name) for name in (*_OPTIONAL, "source", "source_id", "detail")}
    fields |= {
        "kind": signal.kind.value,
        "channel": signal.channel.value,
        "at": signal.at.astimezone(UTC).isoformat(),
        "extra": dict(signal.extra),
    }
    return json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=True).encode()


def read(body: bytes) -> Signal:
    """Raises `ValueError` for what no version of the service wrote, or a later one in another form."""
    try:
        found = dict(json.loads(body))
        at = datetime.fromisoformat(_text(found, "at"))
        return Signal(
            source=_text(found, "source"),
            source_id=_text(found, "source_id"),
            kind=SignalKind(_text(found, "kind")),
            at=at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC),
            channel=ChannelKind(_text(found, "channel")),
            detail=str(found.get("detail", "")),
            extra={str(name): str(value) for name, value in dict(found.get("extra", {})).items()},
            **{name: _text(found, name) if found.get(name) else None for name in _OPTIONAL},
        )
    except (TypeError, OverflowError, RecursionError) as problem:
        raise ValueError("a field has another type") from problem


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing")
    return value
