"""Which mails nobody needs any more."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from notification_service.contract.notification_rules import RULES
from notification_service.contract.showtimes import has_begun

SHOWTIME = "2026-12-15 08:00 PM"
MADRID = ZoneInfo("Europe/Madrid")
BEGINS = datetime(2026, 12, 15, 19, 0, tzinfo=UTC)


def test_only_the_ticket_is_needless_when_the_show_has_begun() -> None:
    obsolete = {rule.template for rule in RULES.values() if rule.until_showtime}
    assert "booking_confirmation" in obsolete
    assert not obsolete & {"booking_cancellation", "payment_success", "payment_failed", "payment_refund"}


@pytest.mark.parametrize(("now", "begun"), [(BEGINS - timedelta(seconds=1), False), (BEGINS, True)])
def test_a_show_begins_at_the_cinema_s_clock(now: datetime, *, begun: bool) -> None:
    assert has_begun(SHOWTIME, MADRID, now) is begun


def test_without_a_zone_a_show_has_begun_only_when_it_has_everywhere() -> None:
    everywhere = datetime(2026, 12, 16, 8, 0, tzinfo=UTC)
    assert not has_begun(SHOWTIME, None, everywhere - timedelta(seconds=1))
    assert has_begun(SHOWTIME, None, everywhere)


@pytest.mark.parametrize("text", [None, "some evening", "2026-12-15", "0026-12-15 20:00", "1926-12-15T20:00:00Z"])
def test_a_showtime_that_cannot_be_read_never_makes_a_mail_needless(text: str | None) -> None:
    assert not has_begun(text, MADRID, datetime(2999, 1, 1, tzinfo=UTC))
