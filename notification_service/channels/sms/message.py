"""An SMS as it is handed to a provider."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from notification_service.delivery.ports.channel import OutgoingMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingSms(OutgoingMessage):
    """`recipient`: a number in E.164. `content`: the text in UTF-8. `valid_until`: when it is of no use any more."""

    suffix: ClassVar[str] = ".sms.txt"

    segments: int
    valid_until: datetime | None = None

    @property
    def text(self) -> str:
        return self.content.decode()
