"""Bounce and complaint rates by template and class of mailbox provider, against the limits of providers. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from notification_service.contract.signals import SignalKind

COMPLAINTS_ASKED, COMPLAINTS_ALLOWED = 0.001, 0.003
"""Gmail's and Yahoo's rules for senders: below 0.1 % of the mails, and never 0.3 %."""

_SILENT = ("gmail",)
"""Classes that report no single complaints: their own figures stand in Google's Postmaster Tools."""


class Standing(StrEnum):
    GOOD = "good"
    HIGH = "high"
    OVER = "over the limit"
    UNKNOWN = "not reported"


@dataclass(frozen=True, slots=True)
class MailboxRate:
    """`complained`: None where the provider reports no complaints, which is not the same as none."""

    template: str
    mailbox: str
    accepted: int
    bounced: int
    complained: int | None

    @property
    def bounce_rate(self) -> float:
        return self.bounced / self.accepted if self.accepted else 0.0

    @property
    def complaint_rate(self) -> float | None:
        if self.complained is None:
            return None
        return self.complained / self.accepted if self.accepted else 0.0

    @property
    def standing(self) -> Standing:
        rate = self.complaint_rate
        if rate is None:
            return Standing.UNKNOWN
        if rate >= COMPLAINTS_ALLOWED:
            return Standing.OVER
        return Standing.HIGH if rate >= COMPLAINTS_ASKED else Standing.GOOD


Place = tuple[str, str]
"""A template and a class of mailbox provider."""


def rates(accepted: Mapping[Place, int], signals: Mapping[tuple[str, str, str], int]) -> list[MailboxRate]:
    """`signals`: how many of each template, class and kind. The most mails first."""
    told = (SignalKind.BOUNCED, SignalKind.COMPLAINED)
    heard = ((template, mailbox) for template, mailbox, kind in signals if kind in told)
    places: Iterable[Place] = {*accepted, *heard}

    def of(place: Place) -> MailboxRate:
        template, mailbox = place
        complained = signals.get((template, mailbox, SignalKind.COMPLAINED), 0)
        return MailboxRate(
            template,
            mailbox,
            accepted.get(place, 0),
            signals.get((template, mailbox, SignalKind.BOUNCED), 0),
            None if mailbox in _SILENT and not complained else complained,
        )

    return sorted(map(of, places), key=lambda each: (-each.accepted, each.template, each.mailbox))
