"""Which mails nobody needs any more."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from notification_service import notices
from notification_service.events import parse
from notification_service.notices import Fact, completed, confirmation_id, notification_id, superseding_id
from notification_service.wording import has_begun

SHOWTIME = "2026-12-15 08:00 PM"
MADRID = ZoneInfo("Europe/Madrid")
BEGINS = datetime(2026, 12, 15, 19, 0, tzinfo=UTC)


def test_only_the_ticket_is_needless_when_the_show_has_begun() -> None:
    needless = {rule.template for rule in notices.RULES.values() if rule.until_showtime}
    assert "booking_confirmation" in needless
    assert not needless & {"booking_cancellation", "payment_success", "payment_failed", "payment_refund"}


@pytest.mark.parametrize(("now", "begun"), [(BEGINS - timedelta(seconds=1), False), (BEGINS, True)])
def test_a_show_begins_at_the_cinema_s_clock(now: datetime, *, begun: bool) -> None:
    assert has_begun(SHOWTIME, MADRID, now) is begun


def test_without_a_zone_a_show_has_begun_only_when_it_has_everywhere() -> None:
    everywhere = datetime(2026, 12, 16, 8, 0, tzinfo=UTC)
    assert not has_begun(SHOWTIME, None, everywhere - timedelta(seconds=1))
    assert has_begun(SHOWTIME, None, everywhere)


@pytest.mark.parametrize("text", [None, "some evening", "2026-12-15"])
def test_a_showtime_that_cannot_be_read_never_makes_a_mail_needless(text: str | None) -> None:
    assert not has_begun(text, MADRID, datetime(2999, 1, 1, tzinfo=UTC))


def test_a_confirmation_is_superseded_by_the_cancellation_of_the_same_booking() -> None:
    confirmed = parse({"booking_id": "B1"}, "booking.confirmed")
    assert confirmed is not None
    assert superseding_id(confirmed) == notification_id(Fact("booking:B1:cancelled"), None, "booking_cancellation")
    for kind in ("booking.cancelled", "booking.refunded", "payment.success", "payment.failed", "payment.refund"):
        other = parse({"booking_id": "B1", "transaction_id": "T1"}, kind)
        assert other is not None
        assert superseding_id(other) is None


TOLD = {"booking_id": "B1", "movie_title": "Inception", "showtime": SHOWTIME, "seats": ["A1"], "cinema_name": "Rex"}


def test_a_cancellation_is_completed_from_what_the_confirmation_said() -> None:
    cancelled = parse({"booking_id": "B1", "cinema_name": "Odeon", "refund_amount": 3}, "booking.cancelled")
    assert cancelled is not None
    assert confirmation_id(cancelled) == notification_id(Fact("booking:B1:confirmed"), None, "booking_confirmation")
    full = completed(cancelled, TOLD).model_dump()
    assert (full["movie_title"], full["showtime"], full["seats"]) == ("Inception", SHOWTIME, ("A1",))
    assert full["cinema_name"] == "Odeon", "what the event itself says stands"
    assert full["refund_amount"] == "3"
    assert full["event_type"] == "booking.cancelled"


@pytest.mark.parametrize(
    "told", [{}, {"movie_title": 5}, {"movie_title": {}}, {"seats": {"a": 1}}, {"total_amount": "x"}]
)
def test_a_confirmation_that_says_nothing_useful_changes_nothing_important(told: dict[str, object]) -> None:
    cancelled = parse({"booking_id": "B1", "refund_amount": 3}, "booking.cancelled")
    assert cancelled is not None
    assert completed(cancelled, told).booking_id == "B1"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("booking.confirmed", {"booking_id": "B1"}),
        ("payment.refunded", {"booking_id": "B1"}),
        ("booking.cancelled", {}),
        ("booking.cancelled", {"booking_id": "B1", "movie_title": "Inception", "showtime": SHOWTIME}),
    ],
)
def test_nobody_is_asked_where_it_would_change_nothing(kind: str, fields: dict[str, object]) -> None:
    event = parse(fields, kind)
    assert event is not None
    assert confirmation_id(event) is None
