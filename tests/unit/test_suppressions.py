"""The table of what a signal leads to, row by row, and which messages it stops."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import SkipReason
from notification_service.contract.signals import Signal, SignalKind
from notification_service.contract.suppressions import (
    Cause,
    Effect,
    Entry,
    Evidence,
    Kind,
    Lift,
    effect,
    effect_of_refusal,
    standing,
    stopping,
    stops,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TIME = 30 * DAY


def signal(kind: SignalKind, code: str | None = None, channel: ChannelKind = ChannelKind.EMAIL) -> Signal:
    return Signal(source="ses", source_id="1", kind=kind, at=NOW, code=code, channel=channel)


@pytest.mark.parametrize(
    ("code", "leads_to"),
    [
        *((code, Cause.GONE) for code in ("5.1.1", "5.1.2", "5.1.10", "550 5.1.1", "smtp; 5.1.1")),
        *((code, Cause.FAILING) for code in ("5.0.0", "5.1.0", "5.1.3", "5.1.6", "5.2.1", "5.3.0", "5.4.4", "5.5.0")),
        *((code, Cause.FAILING) for code in ("550", "554", "", "whatever")),
        *((code, Effect.ALERT) for code in ("5.7.0", "5.7.1", "5.7.26", "5.7.509", "550 5.7.1")),
        *((code, Effect.NOTHING) for code in ("4.4.7", "4.2.2", "4.7.1", "5.2.2", "450", "421", "2.1.5")),
    ],
)
def test_a_bounce_leads_to_what_its_code_says(code: str, leads_to: Cause | Effect) -> None:
    assert effect(signal(SignalKind.BOUNCED, code)) is leads_to


def test_a_part_of_a_longer_number_is_no_code() -> None:
    assert effect_of_refusal(ChannelKind.EMAIL, "192.5.1.1") is Cause.FAILING
    assert effect_of_refusal(ChannelKind.EMAIL, "15.1.1") is Cause.FAILING


def test_words_count_where_the_code_says_no_more() -> None:
    assert effect_of_refusal(ChannelKind.EMAIL, "550", names_address=True) is Cause.GONE
    assert effect_of_refusal(ChannelKind.EMAIL, "5.7.1", names_address=True) is Effect.ALERT


@pytest.mark.parametrize(
    ("channel", "code", "leads_to"),
    [
        *((ChannelKind.SMS, code, Cause.GONE) for code in ("21211", "21614", "30005", "30006")),
        *((ChannelKind.SMS, code, Effect.NOTHING) for code in ("30003", "30008")),
        (ChannelKind.SMS, "30007", Effect.ALERT),
        (ChannelKind.EMAIL, "unsubscribed", Cause.UNSUBSCRIBED),
        (ChannelKind.EMAIL, "complained", Cause.COMPLAINED),
        (ChannelKind.PUSH, "UNREGISTERED", Cause.GONE),
        (ChannelKind.PUSH, "NOT_FOUND", Effect.NOTHING),
    ],
)
def test_a_number_or_a_device_is_gone_by_its_providers_code(
    channel: ChannelKind, code: str, leads_to: Cause | Effect
) -> None:
    assert effect(signal(SignalKind.BOUNCED, code, channel)) is leads_to


@pytest.mark.parametrize(
    ("kind", "leads_to"),
    [
        (SignalKind.COMPLAINED, Cause.COMPLAINED),
        (SignalKind.UNSUBSCRIBED, Cause.UNSUBSCRIBED),
        (SignalKind.RESUBSCRIBED, Effect.RESUBSCRIBE),
        *((kind, Effect.NOTHING) for kind in (SignalKind.DELIVERED, SignalKind.DEFERRED, SignalKind.CLICKED)),
    ],
)
def test_each_other_signal_leads_to_one_thing(kind: SignalKind, leads_to: Cause | Effect) -> None:
    assert effect(signal(kind, "5.1.1")) is leads_to


SUPPRESSED, UNSUBSCRIBED = SkipReason.SUPPRESSED, SkipReason.UNSUBSCRIBED
TICKET, OTHER, OPTIONAL = Kind(needed=True), Kind(), Kind(optional=True)


@pytest.mark.parametrize(
    ("cause", "ticket", "other", "optional"),
    [
        (Cause.GONE, SUPPRESSED, SUPPRESSED, SUPPRESSED),
        (Cause.FAILING, SUPPRESSED, SUPPRESSED, SUPPRESSED),
        (Cause.BY_HAND, SUPPRESSED, SUPPRESSED, SUPPRESSED),
        (Cause.COMPLAINED, None, SUPPRESSED, SUPPRESSED),
        (Cause.UNSUBSCRIBED, None, None, UNSUBSCRIBED),
    ],
)
def test_a_cause_stops_these_kinds_and_no_other(
    cause: Cause, ticket: SkipReason | None, other: SkipReason | None, optional: SkipReason | None
) -> None:
    assert [stops(cause, kind) for kind in (TICKET, OTHER, OPTIONAL)] == [ticket, other, optional]


def entry(cause: Cause, *ages: timedelta, lifted: timedelta | None = None) -> Entry:
    evidence = tuple(
        Evidence(source="ses", source_id=str(at), at=NOW - age, code="5.1.1") for at, age in enumerate(ages)
    )
    return Entry(ChannelKind.EMAIL, "d", cause, evidence, () if lifted is None else (Lift(NOW - lifted, "jane"),))


def until(cause: Cause, *ages: timedelta, lifted: timedelta | None = None) -> datetime | bool | None:
    """When it ends: None for never, False where it does not stand."""
    found = standing(entry(cause, *ages, lifted=lifted), NOW, TIME)
    return found.until if found else False


def test_a_hard_bounce_counts_for_30_days() -> None:
    assert until(Cause.GONE, DAY) == NOW + 29 * DAY
    assert until(Cause.GONE, 30 * DAY) is False
    assert until(Cause.GONE, 40 * DAY, 10 * DAY) == NOW + 20 * DAY
    assert until(Cause.GONE) is False


def test_another_refusal_counts_from_the_second_within_30_days() -> None:
    assert until(Cause.FAILING, DAY) is False
    assert until(Cause.FAILING, 20 * DAY, DAY) == NOW + 29 * DAY
    assert until(Cause.FAILING, 35 * DAY, 6 * DAY) == NOW + 24 * DAY
    assert until(Cause.FAILING, 36 * DAY, 6 * DAY) is False, "30 days lie between them"
    assert until(Cause.FAILING, 35 * DAY, 31 * DAY) is False


def test_one_mail_that_two_sources_report_on_was_refused_once() -> None:
    def heard(source: str, notification_id: str) -> Evidence:
        return Evidence(source=source, source_id=source, at=NOW - DAY, code="5.3.0", notification_id=notification_id)

    def stands(*evidence: Evidence) -> bool:
        return standing(Entry(ChannelKind.EMAIL, "d", Cause.FAILING, evidence), NOW, TIME) is not None

    assert not stands(heard("ses", "1"), heard("report", "1"))
    assert stands(heard("ses", "1"), heard("report", "2"))


@pytest.mark.parametrize("cause", [Cause.COMPLAINED, Cause.UNSUBSCRIBED, Cause.BY_HAND])
def test_what_a_reader_or_a_person_said_has_no_end(cause: Cause) -> None:
    assert until(cause, 1000 * DAY) is None


@pytest.mark.parametrize("cause", Cause)
def test_a_lift_ends_what_was_known_until_then_and_nothing_later(cause: Cause) -> None:
    assert until(cause, 5 * DAY, 4 * DAY, lifted=3 * DAY) is False
    assert until(cause, 5 * DAY, 4 * DAY, lifted=4 * DAY) is False
    assert until(cause, 5 * DAY, 2 * DAY, DAY, lifted=3 * DAY) is not False


def test_the_order_in_which_it_became_known_does_not_matter() -> None:
    ages = [31 * DAY, 20 * DAY, 3 * DAY]
    found = {until(Cause.FAILING, *order) for order in itertools.permutations(ages)}
    assert found == {NOW + 27 * DAY}


def test_of_several_causes_the_one_that_lasts_longest_is_told() -> None:
    gone, complained = entry(Cause.GONE, DAY), entry(Cause.COMPLAINED, DAY)
    by_kind = {kind: stopping([gone, complained], kind, NOW, TIME) for kind in (TICKET, OTHER)}
    assert [found.cause for found in by_kind.values() if found] == [Cause.GONE, Cause.COMPLAINED]
    assert stopping([complained, entry(Cause.UNSUBSCRIBED, DAY)], TICKET, NOW, TIME) is None
