"""In its quiet hours a channel wakes nobody, loses nothing, and says what waits; what cannot wait goes."""

import asyncio
import time as clock
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event, parse
from notification_service.contract.outcomes import Sent, Skipped, SkipReason
from notification_service.delivery.ports.channel import BeforeHandover, HandoverRefused, OutgoingMessage, Verdict
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.quiet_hours import QuietHours, parse_quiet_hours
from notification_service.delivery.settlements import Done, Retry
from notification_service.delivery.show_changes import Zone
from tests.unit.fakes import ACCEPTED, IN_DOUBT, deferred
from tests.unit.phones import NUMBER, Phones

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(8))


def cancelled(kind: str = "booking.cancelled", **changes: object) -> Event:
    event = parse({"booking_id": "B-1", **changes}, kind)
    assert event is not None
    return event


def end(now: str, event: Event | None = None, zone: tzinfo | None = BERLIN, hours: QuietHours = NIGHT) -> str | None:
    """When the message goes, in UTC; None: at once. `now`: in Berlin unless it has an offset."""
    at = datetime.fromisoformat(now)
    at = at if at.tzinfo else at.replace(tzinfo=BERLIN)
    until = hours.wait_until(event or cancelled(), lambda _: zone, at)
    return until.isoformat(timespec="minutes").removesuffix("+00:00") if until else None


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-29T21:59:59", None),
        ("2026-11-29T22:00", "2026-11-30T07:00"),
        ("2026-11-29T23:59:59.999999", "2026-11-30T07:00"),
        ("2026-11-30T00:00", "2026-11-30T07:00"),
        ("2026-11-30T07:59:59.999999", "2026-11-30T07:00"),
        ("2026-11-30T08:00", None),
        ("2026-11-29T15:00", None),
        ("2026-11-29T22:30+00:00", "2026-11-30T07:00"),
        # The clocks go forward and back in these nights.
        ("2026-03-28T23:00", "2026-03-29T06:00"),
        ("2026-10-24T23:00", "2026-10-25T07:00"),
    ],
)
def test_from_the_first_minute_until_the_end_by_the_clock_of_the_place(now: str, until: str | None) -> None:
    assert end(now) == until


def test_quiet_hours_of_the_day_do_not_reach_over_midnight() -> None:
    siesta = QuietHours(time(13), time(15, 30))
    assert [end(f"2026-11-29T{at}", hours=siesta) for at in ("12:59", "13:00", "15:29", "15:30", "23:00")] == [
        None, "2026-11-29T14:30", "2026-11-29T14:30", None, None,
    ]  # fmt: skip


def test_an_end_in_the_hour_that_comes_twice_or_not_at_all_lies_ahead() -> None:
    hours = QuietHours(time(1), time(2, 30))
    for begin in (datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC)):
        for minutes in range(0, 240, 5):
            now = begin + timedelta(minutes=minutes)
            until = hours.wait_until(cancelled(), lambda _: BERLIN, now)
            assert until is None or now < until <= now + timedelta(hours=2, minutes=30)


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        ("booking.confirmed", False),
        ("payment.success", False),
        ("payment.failed", False),
        ("booking.cancelled", True),
        ("booking.refunded", True),
        ("payment.refunded", True),
    ],
)
def test_what_answers_the_reader_goes_at_any_hour(*, kind: str, waits: bool) -> None:
    assert (end("2026-11-29T23:00", cancelled(kind, transaction_id="T1")) is not None) is waits


@pytest.mark.parametrize(
    ("showtime", "waits"),
    [
        ("2026-11-29T23:30", False),
        ("2026-11-30T07:30", False),
        ("2026-11-30T09:59", False),
        ("2026-11-30T10:00", True),
        ("2026-11-30 20:00", True),
        ("2026-11-30T08:30:00Z", False),
        ("2026-11-29T22:59", True),  # it has begun: nobody can act on it
        ("tonight", True),
        (None, True),
    ],
)
def test_a_cancellation_goes_at_once_where_the_morning_is_too_late(*, showtime: str | None, waits: bool) -> None:
    assert (end("2026-11-29T23:00", cancelled(showtime=showtime)) is not None) is waits


def test_without_a_zone_the_show_s_own_offset_counts_and_utc_is_none() -> None:
    now = "2026-11-29T22:30+00:00"  # 23:30 in Berlin, 04:00 in Mumbai
    assert end(now, cancelled(showtime="2026-12-15T20:00+05:30"), None) == "2026-11-30T02:30"
    assert end(now, cancelled(showtime="2026-12-15T20:00Z"), None) is None
    assert end(now, cancelled(showtime="2026-12-15T20:00"), None) is None
    assert end(now, cancelled(), None) is None
    assert end(now, cancelled(), timezone(timedelta(hours=-8))) is None


def test_the_setting_is_read_in_the_ways_people_write_it() -> None:
    assert parse_quiet_hours("22:00-08:00") == parse_quiet_hours(" 22:00 \u2013 8:00 ") == NIGHT


@pytest.mark.parametrize(
    "text", ["", "22-8", "22:00", "24:00-08:00", "22:60-08:00", "10pm-8am", "22:00-22:00", "at night"]
)
def test_what_names_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22:00"):
        parse_quiet_hours(text)


# ── in the pipeline ──────────────────────────────────────────────────────────────────────────────────

NOW = {"phone": NUMBER, "time_zone": "UTC"}


def around_now() -> QuietHours:
    """From an hour ago for two hours, in UTC."""
    now = datetime.now(UTC)
    return QuietHours((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time())


class Nightfall(QuietHours):
    """Quiet from the moment at which the night has come."""

    has_come: ClassVar[list[str]] = []

    def wait_until(self, event: Event, zone: Zone, now: datetime) -> datetime | None:  # noqa: ARG002 - as it overrides
        return now + timedelta(hours=1) if self.has_come else None


async def test_a_message_of_the_night_waits_for_the_morning_and_says_so() -> None:
    phones = Phones(quiet_hours=around_now())
    retry = await phones.handle(**NOW)
    assert isinstance(retry, Retry)
    assert not retry.counted
    assert retry.not_before == pytest.approx(clock.time() + 3600, abs=5)
    assert retry.reason.endswith("UTC (SMS_QUIET_HOURS)")
    assert (phones.record.outcome, phones.record.reason) == ("waiting", retry.reason)
    assert phones.observer.by == [("sms", "SMS_QUIET_HOURS")]
    assert phones.sent == []


async def test_a_night_is_judged_again_every_hour_so_that_a_setting_that_is_taken_out_works_by_then() -> None:
    long = QuietHours(*((datetime.now(UTC) + timedelta(hours=hours)).time() for hours in (-1, 10)))
    phones, began = Phones(quiet_hours=long), clock.time()
    retry = await phones.handle(**NOW)
    assert isinstance(retry, Retry)
    assert retry.seconds <= 3600
    assert began + 3599 <= (retry.not_before or 0) <= clock.time() + 3600
    ten_hours = datetime.now(UTC) + timedelta(hours=10)
    assert phones.record.due_at == pytest.approx(ten_hours, abs=timedelta(seconds=5))
    for _ in range(3):
        assert isinstance(retry := await phones.handle(**NOW), Retry)
        assert not retry.counted
    assert (phones.record.attempts, phones.record.history, phones.record.entry.resends) == ([], [], 0)
    assert await Phones(after=phones).handle(**NOW) == Done(Sent())


async def test_it_goes_in_the_morning_once_though_the_worker_is_another() -> None:
    phones = Phones(quiet_hours=around_now())
    await phones.handle(**NOW)
    morning = Phones(after=phones)
    assert await morning.handle(**NOW) == Done(Sent())
    assert await morning.handle(**NOW) == Done(Sent())
    assert len(morning.sent) == 1


async def test_a_retry_and_a_resend_wait_as_well() -> None:
    phones = Phones(quiet_hours=around_now())
    assert isinstance(retry := await phones.handle(attempt=1, **NOW), Retry)
    assert not retry.counted
    doubtful = Phones(steps=[IN_DOUBT])
    await doubtful.handle(**NOW)
    night = Phones(after=doubtful, quiet_hours=around_now())
    assert isinstance(retry := await night.handle(**NOW), Retry)
    assert night.sent == []


async def test_what_no_queue_takes_cannot_wait() -> None:
    phones = Phones(quiet_hours=around_now())
    assert await phones.handle(unmovable=True, **NOW) == Done(Sent())


async def test_a_message_that_waited_in_the_channel_until_the_night_is_not_handed_over() -> None:
    hours = Nightfall(time(0), time(1))
    phones = Phones(quiet_hours=hours)

    async def until_night(_: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        hours.has_come.append("night")
        await asyncio.sleep(1.1)  # longer than an answer about its relevance is used
        return HandoverRefused() if await before_handover() is Fence.LOST else ACCEPTED

    phones.channel.steps.append(until_night)
    retry = await phones.handle(**NOW)
    assert isinstance(retry, Retry)
    assert "SMS_QUIET_HOURS" in retry.reason
    assert phones.record.outcome == "waiting"


@pytest.mark.parametrize(
    ("kind", "not_selected"),
    [(ChannelKind.SMS, frozenset({"booking.confirmed"})), (ChannelKind.PUSH, frozenset())],
)
async def test_a_cancellation_is_not_sent_in_the_morning_if_the_booking_stands_again(
    kind: ChannelKind, not_selected: frozenset[str]
) -> None:
    """SMS only hears of the confirmation, and push sends it in the night."""
    booking: dict[str, Any] = {**NOW, "booking_id": "B-7", "device_tokens": ["ab" * 32]}
    off = {**booking, "event_id": "off", "timestamp": "2026-11-24T11:00:00Z"}
    night = Phones(kind, quiet_hours=around_now(), not_selected=not_selected)
    assert isinstance(await night.handle(**off), Retry)
    await night.handle("booking.confirmed", **{**booking, "event_id": "on", "timestamp": "2026-11-24T12:00:00Z"})
    morning = Phones(kind, after=night)
    assert await morning.handle(**off) == Done(Skipped(SkipReason.SUPERSEDED))
    assert morning.sent == []


async def test_without_the_setting_every_hour_is_as_before() -> None:
    phones = Phones(steps=[deferred()])
    assert isinstance(retry := await phones.handle(**NOW), Retry)
    assert retry.counted
    assert phones.observer.by == []
