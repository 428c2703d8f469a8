"""Reasons of a booking system are mapped to causes, and nothing more is claimed."""

import pytest

from notification_service.content.cancellation_causes import BY_THE_CINEMA, Cause, cause, cause_in
from notification_service.contract.events import EVENT_TYPES, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("User requested cancellation", Cause.CUSTOMER),
        ("Customer cancellation", Cause.CUSTOMER),
        ("user_cancelled", Cause.CUSTOMER),
        ("Canceled by the customer.", Cause.CUSTOMER),
        ("Customer cancelled the show", Cause.CUSTOMER),
        ("Seat confirmation failed after payment", Cause.SEATS),
        ("payment failed", Cause.PAYMENT),
        ("PAYMENT_TIMEOUT", Cause.UNPAID),
        ("Not paid in time", Cause.UNPAID),
        ("show cancelled", Cause.SHOW),
        ("Showtime cancelled by the cinema", Cause.SHOW),
        ("The screening had to be called off", Cause.SHOW),
        ("The projector of screen 4 is out of order", Cause.SHOW),
        ("Screen 4 broken", Cause.SHOW),
        ("The screening was moved to another day", Cause.MOVED),
        ("Show rescheduled", Cause.MOVED),
    ],
)
def test_a_reason_names_its_cause(text: str, found: Cause) -> None:
    assert cause_in(text) is found


@pytest.mark.parametrize(
    "text",
    [
        *("", "Something else", "cancelled", "Event cancelled", "Cancelled by admin", "Staff decision 17/B"),
        *("The show was not cancelled", "Maybe the show is cancelled", "Show cancelled?", "Show wasn't cancelled"),
        *("Customer or cinema cancelled", "Customer cancellation: payment failed", "show cancelled " * 30),
        *("Session cancelled", "the showcase cancelled", "superuser cancelled"),
    ],
)
def test_a_reason_that_names_no_cause_or_several_has_none(text: str) -> None:
    assert cause_in(text) is None


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_kind_of_event_can_be_asked(event_type: str) -> None:
    event = parse({"reason": "Show cancelled", "refund_reason": "Show cancelled"}, event_type)
    assert event is not None
    tells = event_type in ("booking.cancelled", "booking.refunded", "payment.refund", "payment.refunded")
    assert cause(event) is (Cause.SHOW if tells else None)


def test_the_reason_for_a_cancellation_comes_before_any_other() -> None:
    event = parse({"cancellation_reason": "Show cancelled", "reason": "user cancelled"}, "booking.cancelled")
    assert event is not None
    assert cause(event) in BY_THE_CINEMA
