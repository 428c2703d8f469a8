"""The kinds of channels by which a recipient can be reached."""

from enum import StrEnum


class ChannelKind(StrEnum):
    """A kind of channel. The value is part of notification ids, records, queue names and metrics."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"

    def own(self, key: str) -> str:
        """The key with the channel's name as its prefix. E-mail, the oldest channel, has no prefix."""
        return key if self is ChannelKind.EMAIL else f"{self}:{key}"
