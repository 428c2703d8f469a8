"""The record of one request to a provider, without the number that it is about."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from notification_service.delivery.ports.channel import Attempt
from notification_service.foundation.addresses import mask, mask_in
from notification_service.foundation.printable import shown

_MAX_REPLY_LENGTH, _MAX_READ_LENGTH = 300, 3000
"""Characters that are kept, and those that are searched for numbers first."""


@dataclass(frozen=True, slots=True)
class AttemptTimer:
    """`number`: hidden wherever a reply repeats it."""

    number: str = field(repr=False)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)

    def ended(
        self, result: str, reply: str | None = None, code: int | None = None, provider_id: str | None = None
    ) -> Attempt:
        """`provider_id`: the id that the provider gave the message."""
        duration_ms, shown_reply = round((time.monotonic() - self.started) * 1000, 1), self._hidden(reply or "") or None
        return Attempt(self.at, result, duration_ms, code, shown_reply, provider_message_id=provider_id)

    def _hidden(self, reply: str) -> str:
        bare, reply = self.number.removeprefix("+"), reply[:_MAX_READ_LENGTH]
        hidden = reply.replace(self.number, mask(self.number)).replace(bare, mask(bare)) if bare else reply
        return mask_in(shown(hidden))[:_MAX_REPLY_LENGTH]
