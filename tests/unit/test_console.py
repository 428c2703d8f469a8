"""Who holds a session, who has to wait, what a bar of a chart stands for, which parked events are meant."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.broker.parking import ParkedEvent
from notification_service.console.access import SESSION_SECONDS, Access, Failures
from notification_service.console.charts import HEIGHT, SERIES, Hours, Span, draw
from notification_service.console.desk import Choice
from notification_service.outcomes import StoreUnavailableError
from notification_service.reconciling import OUTCOMES

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_known_until_it_ends_and_under_no_other_token() -> None:
    clock = Clock()
    access = Access("token", clock)
    session = access.session()
    assert access.knows(session)
    assert Access("token", clock).knows(session)
    assert not Access("another", clock).knows(session)
    clock.now += SESSION_SECONDS + 1
    assert not access.knows(session)


def test_a_session_that_was_changed_is_none() -> None:
    access = Access("token", Clock())
    session = access.session()
    later = str(10**12) + session[session.index(".") :]
    flipped = [session[:at] + chr(ord(session[at]) ^ 1) + session[at + 1 :] for at in range(len(session))]
    for forged in (later, *flipped, "", ".", "..", "1.2.3", "\u00e9.\u00e9.\u00e9", access.word(session)):
        assert not access.knows(forged)


def test_the_word_of_a_form_belongs_to_one_session() -> None:
    access = Access("token", Clock())
    one, other = access.session(), access.session()
    assert access.is_word(access.word(one), one)
    for wrong in (access.word(other), "", one, "é"):
        assert not access.is_word(wrong, one)


def test_who_fails_five_times_waits_for_the_oldest_to_be_forgotten() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(5):
        assert failures.wait("a") == 0
        failures.add("a")
        clock.now += 1
    assert failures.wait("a") == 55
    assert failures.wait("b") == 0
    clock.now += 55
    assert failures.wait("a") == 0
    failures.add("a")
    assert failures.wait("a") == 1


def test_strangers_do_not_fill_the_memory() -> None:
    failures = Failures(Clock())
    for number in range(10_100):
        failures.add(str(number))
    assert len(failures._failed) == 10_000


def test_every_outcome_has_one_place_in_the_charts() -> None:
    assert Counter(each for series in SERIES.values() for each in series) == Counter(OUTCOMES)


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 10, 99, 101, 5_000, 999_999])
def test_a_chart_keeps_its_bars_inside_and_shows_the_smallest(most: int) -> None:
    spans = [Span(NOW, {"sent": most, "bounced": 1 if most else 0}), Span(NOW + HOUR, None)]
    chart = draw(spans, ["sent", "bounced"], "%H:%M")
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT and bar.height >= 1.5 for bar in chart.bars)
    assert [bar.says for bar in chart.bars] == ([f"12:30: {most:,} sent", "12:30: 1 bounced"] if most else [])
    assert chart.series == (["sent", "bounced"] if most else [])
    ground, middle, top = (int(says.replace(",", "")) for _, says in chart.lines)
    assert (ground, middle) == (0, top / 2)
    assert top >= most


async def test_hours_are_counted_once_the_newest_first_and_the_young_ones_again() -> None:
    asked: list[datetime] = []

    async def tally(since: datetime, until: datetime) -> Mapping[str, int]:
        asked.append(since)
        assert until == since + HOUR
        return {"sent": since.hour, "parked": 1, "an outcome that is none": 7}

    hours = Hours(tally)
    spans = await hours.spans(NOW, 6, 2)
    newest = NOW.replace(minute=0)
    assert asked == [newest - each * HOUR for each in range(6)]
    assert [span.since for span in spans] == [newest - 5 * HOUR, newest - 3 * HOUR, newest - HOUR]
    assert [span.counts and (span.counts["sent"], span.counts["for a person"]) for span in spans] == [
        (7 + 8, 2),
        (9 + 10, 2),
        (11 + 12, 2),
    ]
    asked.clear()
    await hours.spans(NOW, 6, 2)
    assert asked == [newest, newest - HOUR, newest - 2 * HOUR]


async def test_a_page_does_not_wait_for_a_slow_count() -> None:
    release = asyncio.Event()

    async def tally(since: datetime, _: datetime) -> Mapping[str, int]:
        if since.hour < 12:
            await release.wait()
        return {"sent": 1}

    hours = Hours(tally)
    assert [span.total for span in await hours.spans(NOW, 2, 1)] == [0, 1]
    assert (await hours.spans(NOW, 2, 1))[0].counts is None
    release.set()
    assert [span.total for span in await hours.spans(NOW, 2, 1)] == [1, 1]
    await hours.close()


async def test_a_count_that_fails_is_told_to_the_page() -> None:
    async def tally(_: datetime, __: datetime) -> Mapping[str, int]:
        raise StoreUnavailableError("MongoDB", "away")

    with pytest.raises(StoreUnavailableError):
        await Hours(tally).spans(NOW, 2, 1)


def test_a_choice_means_what_has_everything_that_is_given_and_was_shown() -> None:
    event = ParkedEvent("e1", "payment.success", "rejected(no_recipient)", "", NOW, b"")
    for meant in (
        Choice(),
        Choice(frozenset({"e1", "e2"})),
        Choice(reason="no_rec", event_type="payment.success", older_than=0.1, until=NOW),
    ):
        assert meant(event)
    for other in (
        Choice(frozenset({"e2"})),
        Choice(reason="schema"),
        Choice(event_type="payment.failed"),
        Choice(older_than=10**7),
        Choice(frozenset({"e1"}), until=NOW - HOUR),
    ):
        assert not other(event)
    assert [Choice().narrow, Choice(until=NOW).narrow, Choice(reason="x").narrow] == [False, False, True]
