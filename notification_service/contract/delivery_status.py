"""What became of a message that a server took, as its record has it beside `sent`. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notification_service.contract.signals import SignalKind


class DeliveryStatus(StrEnum):
    """In rising order: a later one takes the place of an earlier one, and never the other way round."""

    DEFERRED = "deferred"
    DELIVERED = "delivered"
    FAILED = "failed"
    COMPLAINED = "complained"


_RANKS = {status: rank for rank, status in enumerate(DeliveryStatus)}
_OF_KIND = {
    SignalKind.DEFERRED: DeliveryStatus.DEFERRED,
    SignalKind.DELIVERED: DeliveryStatus.DELIVERED,
    SignalKind.BOUNCED: DeliveryStatus.FAILED,
    SignalKind.COMPLAINED: DeliveryStatus.COMPLAINED,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """`at`: aware, in UTC, in whole milliseconds as the stores keep it. `code`: the enhanced status code, or empty."""

    status: DeliveryStatus
    at: datetime
    code: str = ""


def of_signal(kind: SignalKind, at: datetime, code: str | None) -> Delivery | None:
    """None where the signal says nothing of the delivery, such as a click."""
    status = _OF_KIND.get(kind)
    whole_ms = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return Delivery(status, whole_ms, code or "") if status else None


def furthest(first: Delivery, second: Delivery) -> Delivery:
    """The one that counts of two: the same in whatever order, and however often, signals come.

    A bounce counts more than a delivery, since a server may take a mail first and report later that it failed; a
    complaint is about a mail that somebody has seen. Of two with one status the later one counts.
    """
    return max(first, second, key=lambda each: (_RANKS[each.status], each.at, each.code))
