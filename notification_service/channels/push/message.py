"""A push message as its transport takes it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from notification_service.channels.push.devices import Target
from notification_service.delivery.ports.channel import OutgoingMessage

_DAY_S = 86400
MAX_LIFETIME_S = 28 * _DAY_S
"""FCM keeps a message for four weeks at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPush(OutgoingMessage):
    """`content`: title and body as JSON. `valid_until`: the show's start, after which no device shows it any more."""

    suffix: ClassVar[str] = ".json"
    has_parts: ClassVar[bool] = True

    targets: tuple[Target, ...] = field(repr=False)
    title: str = field(repr=False)
    body: str = field(repr=False)
    booking_id: str | None = None
    valid_until: datetime | None = None

    @property
    def tag(self) -> str:
        """The same for every try: on the device, a second message replaces the first. APNs takes 64 bytes."""
        return self.notification_id[:64]

    def lifetime_s(self, now: datetime) -> int:
        """Seconds for which a service keeps the message for a device that it cannot reach."""
        if self.valid_until is None:
            return _DAY_S
        return max(0, min(MAX_LIFETIME_S, int((self.valid_until - now).total_seconds())))

    def expires_at(self, now: datetime) -> int:
        """As `lifetime_s`, as a Unix time."""
        return int(now.astimezone(UTC).timestamp()) + self.lifetime_s(now)
