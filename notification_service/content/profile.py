"""The sender of all messages: brand, defaults, links and policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from notification_service.content.branding import Brand
from notification_service.content.links import LinkPatterns
from notification_service.content.localization import Defaults

_USUAL_SHOW_MINUTES = 150


@dataclass(frozen=True, slots=True)
class Policies:
    """What the cinema promises its customers. A promise that is not set is not mentioned.

    `refund_days`: business days such as `5-10` by payment method, and under `default`. `show_minutes`: how long a
    show lasts. `arrive_minutes`: how long before the show to come. `cancel_hours`: until how long before
    the show its customers can cancel; 0: until it begins; None: not at all, or only as the cinema decides.
    """

    refund_days: Mapping[str, str] = field(default_factory=dict)
    show_minutes: int | None = None
    arrive_minutes: int | None = None
    cancel_hours: int | None = None

    @property
    def calendar_minutes(self) -> int:
        """How long a show takes in a calendar, which needs an end."""
        return self.show_minutes or _USUAL_SHOW_MINUTES

    def days(self, method: str | None) -> str | None:
        found = self.refund_days.get((method or "").casefold()) or self.refund_days.get("default")
        return found.replace("-", "\u2013") if found else None


@dataclass(frozen=True, slots=True)
class SenderProfile:
    """What is the same in every message of the sender."""

    brand: Brand
    defaults: Defaults = field(default_factory=Defaults)
    links: LinkPatterns = field(default_factory=LinkPatterns)
    policies: Policies = field(default_factory=Policies)
