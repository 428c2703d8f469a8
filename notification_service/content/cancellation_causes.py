"""Finds out why a booking was cancelled or refunded, from known phrases alone.

The sentences are in `templates/_base/words.txt`, where they can be changed and translated.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from notification_service.contract.events import BookingCancelled, BookingRefunded, Event, PaymentRefunded
from notification_service.foundation.caching import bounded_cache


class Cause(StrEnum):
    CUSTOMER = "customer"
    SHOW = "show"
    """The cinema called the show off."""
    MOVED = "moved"
    """The cinema moved the show to another time or place."""
    SEATS = "seats"
    """The payment arrived, and the seats could not be confirmed."""
    PAYMENT = "payment"
    UNPAID = "unpaid"


BY_THE_CINEMA = frozenset({Cause.SHOW, Cause.MOVED, Cause.SEATS})

_CUSTOMER = "(?:customer|user|client|guest|buyer|purchaser|member|ticket ?holder|patron)s?"
_CINEMA = "(?:cinema|theat(?:er|re)|venue|house|management|organi[sz]er|operator|exhibitor)"
_SHOW = "(?:show(?:time|ing)?|screening|performance|film|movie)"
_OFF = "(?:cancell?ed|cancell?ation|called off|withdrawn)"
_MOVED = "(?:rescheduled|moved|postponed|relocated)"
_EQUIPMENT = "(?:projector|projection|screen|sound|power|equipment|air conditioning|heating)"
_BROKEN = "(?:out of order|broken|failure|failed|outage|defect(?:ive)?|breakdown|fault|malfunction)"
_LINK = "(?: (?:was|is|has been|been|had to be|of|the|a|by|in))*"
_PHRASES: Mapping[Cause, str] = {
    Cause.CUSTOMER: rf"{_CUSTOMER}(?: requested| initiated)? {_OFF}|(?:requested|{_OFF}){_LINK} {_CUSTOMER}"
    rf"|{_CUSTOMER} request(?:ed)?|change of plans",
    Cause.SHOW: rf"{_SHOW}{_LINK} {_OFF}|{_OFF}{_LINK} {_CINEMA}|{_CINEMA}{_LINK} closed"
    rf"|{_EQUIPMENT}(?: of)?(?: \w+ \d+| \d+)?{_LINK} {_BROKEN}|power cut",
    Cause.MOVED: rf"{_SHOW}(?: time)?{_LINK} {_MOVED}",
    Cause.SEATS: r"seats? (?:confirmation|booking|reservation|allocation) failed",
    Cause.PAYMENT: r"payment (?:failed|declined|failure)",
    Cause.UNPAID: r"payment (?:timeout|timed out|expired|deadline expired)|not paid in time|unpaid",
}
_KNOWN = {cause: re.compile(rf"\b(?:{phrases})\b") for cause, phrases in _PHRASES.items()}
_DOUBTS = re.compile(r"\b(?:not?|never|without|neither|nor|if|unless|may|might|maybe|perhaps|or)\b|n['\u2019]t\b|\?")
_CACHE_SIZE = 256
_MAX_LENGTH = 200
"""A longer text names no single cause."""


def cause(event: Event) -> Cause | None:
    """Returns the cause that the event's reason names; None where it names none, several, or with a doubt."""
    return cause_in(_reason(event) or "")


@bounded_cache(_CACHE_SIZE)
def cause_in(text: str) -> Cause | None:
    words = " ".join(re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*|\?", text.casefold()))
    if len(text) > _MAX_LENGTH or _DOUBTS.search(words.replace("not paid in time", "unpaid")):
        return None
    found = {cause for cause, phrases in _KNOWN.items() if phrases.search(words)}
    return found.pop() if len(found) == 1 else None


def _reason(event: Event) -> str | None:
    match event:
        case BookingCancelled():
            return event.cancellation_reason or event.reason
        case BookingRefunded():
            return event.refund_reason
        case PaymentRefunded():
            return event.reason
        case _:
            return None
