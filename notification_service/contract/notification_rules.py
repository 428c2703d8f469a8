"""The rule of each event type: its template, and the business fact that it reports. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from notification_service.contract import events, payment_ids
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.contract.notification_ids import Fact, notification_id

E = TypeVar("E", events.BookingConfirmed, events.BookingCancelled, events.BookingRefunded)


@dataclass(frozen=True, slots=True)
class Rule:
    """`until_showtime`: the message is obsolete once the show has begun. See also `delivery/booking_history.py`.

    `needed`: it also goes to a reader who called a message spam. `at_any_hour`: it answers what its reader does at that
    moment, so that quiet hours do not hold it.
    """

    template: str
    fact: Callable[[Any], Fact | None]
    until_showtime: bool = False
    needed: bool = False
    at_any_hour: bool = False


def _of_booking(happened: str) -> Callable[[Any], Fact | None]:
    return lambda event: Fact(f"booking:{event.booking_id}:{happened}") if event.booking_id else None


def _of_payment(happened: str) -> Callable[[Any], Fact | None]:
    return lambda event: _payment(event, happened)


def _payment(event: events.PaymentSucceeded | events.PaymentFailed, happened: str) -> Fact | None:
    """Keyed by our transaction id, else by the booking and the gateway's id, since test gateways count from 1."""
    gateway = payment_ids.gateway_id(event.gateway_response)
    alias = f"gateway:{event.booking_id or ''}:{gateway}:{happened}" if gateway else None
    if event.transaction_id:
        return Fact(f"payment:{event.transaction_id}:{happened}", alias=alias)
    return Fact(alias, alias=alias) if alias else None


def _of_refund(payment: str | None, booking: str | None, refund: str | None) -> Fact | None:
    if payment:
        return Fact(f"payment:{payment}:refunded", refund)
    return Fact(f"booking:{booking}:refunded", refund) if booking else None


RULES: Mapping[type[Event], Rule] = {
    events.BookingConfirmed: Rule(
        "booking_confirmation", _of_booking("confirmed"), until_showtime=True, needed=True, at_any_hour=True
    ),
    events.BookingCancelled: Rule("booking_cancellation", _of_booking("cancelled")),
    events.BookingRefunded: Rule(
        "payment_refund", lambda event: _of_refund(event.transaction_id, event.booking_id, None), needed=True
    ),
    events.PaymentSucceeded: Rule("payment_success", _of_payment("succeeded"), at_any_hour=True),
    events.PaymentFailed: Rule("payment_failed", _of_payment("failed"), at_any_hour=True),
    events.PaymentRefunded: Rule(
        "payment_refund",
        lambda event: _of_refund(event.original_transaction_id, event.booking_id, event.refund_transaction_id),
        needed=True,
    ),
}


_SHOW_FIELDS = ("movie_title", "showtime", "seats", "cinema_name", "currency", "time_zone", "locale")


TICKETS = tuple(event_type for event_type, model in events.MODELS.items() if RULES[model].until_showtime)
"""The types of the events whose message is needed at the entrance."""


TICKET_TEMPLATES = frozenset(rule.template for rule in RULES.values() if rule.until_showtime)
"""Their templates."""


TEMPLATES = tuple(dict.fromkeys(rule.template for rule in RULES.values()))

NEEDED_BY_ALL = frozenset(rule.template for rule in RULES.values() if rule.needed)
"""Tickets and refunds, which a reader needs whatever they think of our mails."""


def says_which_show(event: events.BookingCancelled | events.BookingRefunded) -> bool:
    return bool(event.movie_title and event.showtime)


def with_missing_details(event: E, confirmed: Event) -> E:
    """The event, with details of the show that it lacks taken from its booking's confirmation."""
    missing = [name for name in _SHOW_FIELDS if name in type(event).model_fields and getattr(event, name) in (None, ())]
    return event.model_copy(update={name: getattr(confirmed, name) for name in missing})


def booking_ids(event: Event, channel: ChannelKind) -> tuple[str, str] | None:
    """The notification ids of the booking's first confirmation and first cancellation."""
    rules = RULES[events.BookingConfirmed], RULES[events.BookingCancelled]
    facts = [rule.fact(event) for rule in rules]
    ids = [notification_id(fact, None, rule.template, channel) for fact, rule in zip(facts, rules, strict=True) if fact]
    return (ids[0], ids[1]) if ids else None


def receipt_id(event: events.PaymentFailed, channel: ChannelKind) -> str | None:
    """The notification id of the same payment's success."""
    rule = RULES[events.PaymentSucceeded]
    fact = rule.fact(event)
    return notification_id(fact, None, rule.template, channel) if fact else None


def is_ticket(event: Event) -> bool:
    """Whether its message is needed at the entrance, and obsolete afterwards."""
    return RULES[type(event)].until_showtime
