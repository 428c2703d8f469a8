"""Who holds a session, who has to wait, what a bar of a chart stands for, which parked events are meant."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given, strategies as st

from notification_service.broker.parked_events import ParkedEvent, ParkedFilter, age_in_hours
from notification_service.console.auth import SESSION_SECONDS, Access
from notification_service.console.charts import HEIGHT, SERIES, Hours, Span, draw
from notification_service.console.login_attempts import AttemptLimit, LogLimit, sender
from notification_service.console.public_address import PublicAddress
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.records.reconciliation import OUTCOMES
from notification_service.stores.memory.sessions import MemorySessions

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────
def console(clock: Clock) -> Access:
    return Access("token", MemorySessions(clock))


async def test_a_session_is_known_until_its_time_is_over_or_somebody_ends_it() -> None:
    clock = Clock()
    access = console(clock)
    session, other = await access.begin(), await access.begin()
    clock.now += SESSION_SECONDS - 1
    assert await access.is_session(session)
    await access.end(session)
    assert not await access.is_session(session)
    assert await access.is_session(other)
    clock.now += 1
    assert not await access.is_session(other)


async def test_another_worker_knows_a_session_and_another_token_does_not() -> None:
    sessions = MemorySessions()
    session = await Access("token", sessions).begin()
    assert await Access("token", sessions).is_session(session)
    assert not await Access("another", sessions).is_session(session)


async def test_nothing_else_is_a_session() -> None:
    access = console(Clock())
    session = await access.begin()
    flipped = [session[:at] + chr(ord(session[at]) ^ 1) + session[at + 1 :] for at in range(len(session))]
    for forged in (*flipped, "", session + " ", session * 2, "\u00e9" * 43, "\ud800", access.csrf_token(session)):
        assert not await access.is_session(forged)


async def test_what_is_kept_of_a_session_opens_nothing_and_what_a_browser_holds_says_nothing_of_the_token() -> None:
    kept: list[str] = []

    class SimulatedSend(MemorySessions):
        async def begin(self, key: str, seconds: int) -> None:
            kept.append(key)
            await super().begin(key, seconds)

    sessions = SimulatedSend()
    access = Access("token", sessions)
    session = await access.begin()
    assert not await access.is_session(kept[0])
    assert session not in kept[0]
    # The word is the same under any token, so it confirms no guess of one.
    assert Access("another", sessions).csrf_token(session) == access.csrf_token(session)


async def test_the_csrf_token_of_a_form_belongs_to_one_session() -> None:
    access = console(Clock())
    one, other = await access.begin(), await access.begin()
    assert access.is_csrf_token(access.csrf_token(one), one)
    for wrong in (access.csrf_token(other), "", one, "é", "\ud800"):
        assert not access.is_csrf_token(wrong, one)


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────────
def test_who_tries_five_times_waits_for_the_oldest_to_be_forgotten() -> None:
    clock = Clock()
    attempts = AttemptLimit(clock)
    for _ in range(5):
        assert attempts.take("a") == 0
        clock.now += 1
    assert attempts.take("a") == 55
    assert attempts.take("b") == 0
    clock.now += 55
    assert attempts.take("a") == 0
    assert attempts.take("a") == 1


def test_what_was_right_does_not_count_and_forgives_nothing_else() -> None:
    attempts = AttemptLimit(Clock())
    for _ in range(20):
        assert attempts.take("a") == 0
        attempts.give_back("a")
    for _ in range(5):
        assert attempts.take("a") == 0
    attempts.give_back("a")
    assert [attempts.take("a"), attempts.take("a")] == [0, 60]


def test_attempts_of_all_addresses_slow_each_other_down_and_lock_nobody_out() -> None:
    clock = Clock()
    attempts = AttemptLimit(clock)
    waited = []
    for number in range(1000):
        assert attempts.take(f"guesser {number}") == 0
        waited.append(attempts.delay_s)
    assert waited[:20] == [0] * 20
    assert waited == sorted(waited)
    assert waited[-1] == 2
    assert attempts.take("operator") == 0
    clock.now += 60
    assert attempts.delay_s == 0


def test_strangers_do_not_fill_the_memory() -> None:
    attempts = AttemptLimit(Clock())
    for number in range(10_100):
        attempts.take(str(number))
    assert len(attempts._made) == 10_000
    assert len(attempts._all) == 1000


def test_strangers_do_not_fill_the_log() -> None:
    clock = Clock()
    lines = LogLimit(clock)
    assert [lines.take() for _ in range(100)] == [0] * 20 + [None] * 80
    clock.now += 60
    assert [lines.take(), lines.take()] == [80, 0]


PROXIES = [ip_network("10.0.3.0/24"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.3.7", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.3.7", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.3.7", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.3.7", ["198.51.100.1, 203.0.113.9, 10.0.3.8,fd00::1"], "203.0.113.9"),
        ("10.0.3.7", [], "10.0.3.7"),
        ("10.0.3.7", ["10.0.3.8"], "10.0.3.8"),
        ("10.0.3.7", ["203.0.113.9, <script>"], "10.0.3.7"),
        ("10.0.3.7", ["203.0.113.9, "], "10.0.3.7"),
        ("10.0.3.7", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.3.7", ["[2001:db8::1]:4711"], "2001:db8::/64"),
        ("10.0.3.7", ["2001:db8::1%" + "x" * 5000], "2001:db8::/64"),
        ("10.0.3.7", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.3.7", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:0:0:1::1", [], "2001:db8::/64"),
        ("2001:db8:0:0:ffff::2", [], "2001:db8::/64"),
        ("2001:db8:0:1::1", [], "2001:db8:0:1::/64"),
        ("fd00::1", ["2001:db8:0:1::1"], "2001:db8:0:1::/64"),
        ("", ["203.0.113.9"], "unknown"),
        ("a path", [], "unknown"),
    ],
)
def test_only_a_proxy_of_ours_says_whom_it_speaks_for(peer: str, forwarded: list[str], found: str) -> None:
    assert sender(peer, forwarded, PROXIES) == found


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_no_text_of_a_client_is_the_name_of_a_sender(peer: str, forwarded: list[str]) -> None:
    found = sender(peer, forwarded, [ip_network("0.0.0.0/1"), ip_network("::/1")])
    if found != "unknown":
        ip_network(found)


# ── the address that browsers open ───────────────────────────────────────────────────────────────────
URL = "https://console.example"


@pytest.mark.parametrize(
    ("url", "headers", "here"),
    [
        (URL, {"origin": URL}, True),
        (URL, {"origin": URL, "sec-fetch-site": "same-origin"}, True),
        (URL, {}, True),
        (URL, {"origin": "http://console.example"}, False),
        (URL, {"origin": "https://console.example:444"}, False),
        (URL, {"origin": "https://evil.example", "host": "evil.example"}, False),
        (URL, {"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, False),
        (URL, {"origin": URL, "sec-fetch-site": "same-site"}, False),
        (URL, {"origin": "null"}, False),
        (URL, {"origin": "http://["}, False),
        (None, {"origin": "http://a:1", "host": "a:1"}, True),
        (None, {"origin": "https://a", "host": "a"}, True),
        (None, {"origin": "https://a", "host": "behind", "sec-fetch-site": "same-origin"}, True),
        (None, {"origin": "http://b", "host": "a"}, False),
        (None, {"origin": "http://[", "host": "["}, True),
        (None, {"origin": "http://[", "host": "a"}, False),
        (None, {"origin": "null", "host": "null"}, False),
        (None, {"origin": "http://None"}, False),
        (None, {"sec-fetch-site": "none"}, False),
    ],
)
def test_a_form_is_from_here_by_what_the_browser_says(url: str | None, headers: dict[str, str], here: bool) -> None:  # noqa: FBT001 - a case
    assert PublicAddress(url).is_from_here(headers) is here


@pytest.mark.parametrize(
    ("url", "host", "taken"),
    [
        (URL, "console.example", True),
        (URL, "CONSOLE.example:443", True),
        (URL, "console.example:80", False),
        (URL, "console.example.evil.example", False),
        (URL, "", False),
        ("http://localhost:8085", "localhost:8085", True),
        ("http://localhost:8085", "localhost", False),
        (None, "anything", True),
    ],
)
def test_only_the_host_that_is_named_is_answered(url: str | None, host: str, taken: bool) -> None:  # noqa: FBT001 - a case
    assert PublicAddress(url).is_addressed({"host": host}) is taken


# ── charts and choices ───────────────────────────────────────────────────────────────────────────────
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


async def test_a_count_that_fails_is_shown_on_the_page() -> None:
    async def tally(_: datetime, __: datetime) -> Mapping[str, int]:
        raise StoreUnavailableError("MongoDB", "away")

    with pytest.raises(StoreUnavailableError):
        await Hours(tally).spans(NOW, 2, 1)


def test_a_choice_means_what_has_everything_that_is_given_and_was_shown() -> None:
    event = ParkedEvent("e1", "payment.success", "rejected(no_recipient)", "", NOW, b"")
    for meant in (
        ParkedFilter(),
        ParkedFilter(frozenset({"e1", "e2"})),
        ParkedFilter(reason="no_rec", event_type="payment.success", older_than=0.1, until=NOW),
    ):
        assert meant(event)
    for other in (
        ParkedFilter(frozenset({"e2"})),
        ParkedFilter(reason="schema"),
        ParkedFilter(event_type="payment.failed"),
        ParkedFilter(older_than=10**7),
        ParkedFilter(frozenset({"e1"}), until=NOW - HOUR),
    ):
        assert not other(event)
    assert not ParkedFilter(until=NOW).is_limited
    assert ParkedFilter(reason="x").is_limited


@pytest.mark.parametrize("text", ["-1", "-0.1", "nan", "inf", "-inf", "1e300", "87841", "", "old", "1h", "0x10"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours from 0 to"):
        age_in_hours(text)


@pytest.mark.parametrize(("text", "age"), [("0", 0), ("1", 1), (" 0.5 ", 0.5), ("87840", 87840), ("1e-3", 0.001)])
def test_an_age_is_a_number_of_hours(text: str, age: float) -> None:
    assert age_in_hours(text) == age
