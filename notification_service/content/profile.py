"""Who sends, and what the sender promises: the same in every message."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notification_service.content import links
from notification_service.content.branding import Brand
from notification_service.content.localization import Defaults


@dataclass(frozen=True, slots=True)
class Policies:
    """What the house promises; nothing that is not known is said.

    `refund_days`: business days such as `5-10` by payment method, and under `default`. `show_minutes`: how long a
    show is taken to last in a calendar. `arrive_minutes`: how long before the show to come.
    """

    refund_days: Mapping[str, str] = field(default_factory=dict)
    show_minutes: int = 150
    arrive_minutes: int | None = None

    def days(self, method: str | None) -> str | None:
        found = self.refund_days.get((method or "").casefold()) or self.refund_days.get("default")
        return found.replace("-", "\u2013") if found else None


@dataclass(frozen=True, slots=True)
class SenderProfile:
    """Everything about whoever writes that is the same in every mail."""

    brand: Brand
    defaults: Defaults = field(default_factory=Defaults)
    ways: links.LinkPatterns = field(default_factory=links.LinkPatterns)
    terms: Policies = field(default_factory=Policies)
