"""The kinds of channels by which somebody can be reached."""

from enum import StrEnum


class ChannelKind(StrEnum):
    """The ways to reach somebody. The value is part of notification ids, records, queue names and metrics."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"

    def own(self, key: str) -> str:
        """A key that each channel counts for itself. Those of e-mail are older than the other channels, and bare."""
        return key if self is ChannelKind.EMAIL else f"{self}:{key}"
