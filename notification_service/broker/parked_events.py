"""Parked events: how they are read from their messages, and how some of them are chosen. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from notification_service.broker import dead_letters, messages
from notification_service.broker.messages import channel_of, is_from_us
from notification_service.contract import bodies
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.packing import NotReadError
from notification_service.delivery import planning

_MAX_AGE_HOURS = 10 * 366 * 24


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """`reason`: the outcome with its reason, such as `rejected(no_recipient)`. `body`: decompressed, in UTF-8."""

    event_id: str
    event_type: str
    reason: str
    detail: str
    parked_at: datetime
    body: bytes
    channel: ChannelKind = ChannelKind.EMAIL
    properties: str = field(default="", repr=False)
    """The producer's ids and headers, for searching."""


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which parked events; all given conditions hold. `older_than`: in hours. `until`: parked no later than this."""

    event_ids: frozenset[str] = frozenset()
    reason: str | None = None
    event_type: str | None = None
    older_than: float | None = None
    channel: ChannelKind | None = None
    until: datetime | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it names events by more than their channel and the time at which somebody looked."""
        return bool(self.event_ids or self.reason or self.event_type or self.older_than)

    def __call__(self, event: ParkedEvent) -> bool:
        return (
            (not self.event_ids or event.event_id in self.event_ids)
            and (self.reason is None or self.reason in event.reason)
            and (self.event_type is None or event.event_type == self.event_type)
            and (self.older_than is None or datetime.now(UTC) - event.parked_at > timedelta(hours=self.older_than))
            and (self.channel is None or event.channel is self.channel)
            and (self.until is None or event.parked_at <= self.until)
        )


def read(message: AbstractIncomingMessage, max_bytes: int) -> ParkedEvent:
    inbound = messages.read(message, max_bytes=max_bytes)
    slip = _slip(message)
    return ParkedEvent(
        event_id=planning.event_id(inbound, max_bytes=max_bytes),
        event_type=inbound.routing_key,
        reason=str(slip.get("x-reason", "")),
        detail=str(slip.get("x-detail", "")),
        parked_at=_moment(slip.get("x-parked-at")),
        body=_readable(inbound, max_bytes),
        channel=channel_of(message),
        properties=repr((message.message_id, message.correlation_id, message.user_id, message.app_id, message.headers)),
    )


def _slip(message: AbstractIncomingMessage) -> Mapping[str, Any]:
    """Headers that say why and when it was parked; made from `x-death` if the broker dead-lettered it."""
    if is_from_us(message) and "x-reason" in message.headers:
        return message.headers
    death = dead_letters.first(message.headers)
    if death is None:
        return {}
    detail = f"RabbitMQ dead-lettered it from {death.queue}; its record, if it has one, may say pending"
    return {"x-reason": f"broker({death.reason})", "x-detail": detail, "x-parked-at": death.at.isoformat()}


def _readable(inbound: InboundMessage, max_bytes: int) -> bytes:
    try:
        return bodies.text_of(inbound.content, max_bytes=max_bytes).encode("utf-8", "surrogatepass")
    except NotReadError:
        return inbound.body


def _moment(written: object) -> datetime:
    try:
        return datetime.fromisoformat(str(written))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def age_in_hours(text: str) -> float:
    """Read an age in hours. Raises `ValueError` if it is not a number in the allowed range."""
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= _MAX_AGE_HOURS:
        raise ValueError(f"the age has to be a number of hours from 0 to {_MAX_AGE_HOURS}, such as 0.5 or 48")
    return found
