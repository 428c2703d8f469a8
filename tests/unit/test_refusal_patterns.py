"""Refusals of the service: one domain is held, two stop the channel, and equal wordings in a row are about us."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from notification_service.channels.admission import State
from notification_service.channels.breaker import Breaker
from notification_service.channels.refusal_patterns import Refusals
from notification_service.delivery.ports.channel import (
    Accepted,
    BeforeHandover,
    Blocked,
    Deferred,
    OutgoingMessage,
    PutOff,
    Refused,
    Tried,
    Verdict,
)
from tests.unit.fakes import ACCEPTED, IN_DOUBT, attempt, deferred, envelope, held, unmarked

PAUSE = 0.02
QUOTA = Blocked(attempt("blocked", 550, "5.4.5 Daily user sending limit exceeded"), "wait for tomorrow")
ODD = "550 Computer says no to <someone@somewhere.example>"


def mail(recipient: str, name: str = "n") -> OutgoingMessage:
    return replace(envelope(name), recipient=recipient)


def odd(code: str = "550", words: str = "f1") -> Refused:
    return Refused(attempt("refused", 550, ODD), code, words)


Answer = Callable[[str], Tried]


@dataclass
class Server:
    """Answers by the recipient. `seen`: whom it was asked about, in turn."""

    answer: Answer
    name: str = "server"
    seconds: float = 0
    seen: list[str] = field(default_factory=list)

    async def send_once(self, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:  # noqa: ARG002 - a try that is only answered
        self.seen.append(envelope.recipient)
        await asyncio.sleep(self.seconds)
        return self.answer(envelope.recipient)

    async def close(self) -> None:
        """Nothing is open."""


def refusing(*domains: str, verdict: Tried = QUOTA) -> Answer:
    return lambda recipient: verdict if recipient.rpartition("@")[2] in domains else ACCEPTED


def everything(recipient: str) -> Tried:
    return QUOTA


def breaker_over(server: Server, most: int = 8, refusals: Refusals | None = None) -> Breaker:
    return Breaker(server, most, first_pause_s=PAUSE, max_pause_s=4 * PAUSE, refusals=refusals)


def state(breaker: Breaker) -> State:
    """As it is now; an attribute's type would be remembered."""
    return breaker.state


async def verdict_on(breaker: Breaker, recipient: str) -> Verdict:
    return await breaker.deliver(mail(recipient), held, unmarked)


async def test_a_domain_that_refuses_us_alone_is_held_and_stops_nobody() -> None:
    breaker = breaker_over(Server(refusing("bad.example")))
    with capture_logs() as lines:
        for number in range(32):
            verdict = await verdict_on(breaker, f"guest{number}@bad.example")
            assert isinstance(verdict, Deferred)
            assert verdict.about == "the server refuses us for bad.example"
        assert state(breaker) is State.CLOSED
        assert await verdict_on(breaker, "jane@good.example") == ACCEPTED
    assert [line["domain"] for line in lines if line["event"] == "domain.held"] == ["bad.example"]
    assert list(breaker.refusals.held) == ["bad.example"]


async def test_a_named_wait_of_a_domain_that_is_held_is_passed_on() -> None:
    breaker = breaker_over(Server(refusing("bad.example", verdict=replace(QUOTA, wait=600.0))))
    verdict = await verdict_on(breaker, "jane@bad.example")
    assert isinstance(verdict, Deferred)
    assert verdict.wait == 600


async def test_a_held_domain_that_takes_mail_again_is_released() -> None:
    server = Server(refusing("bad.example"))
    breaker = breaker_over(server)
    with capture_logs() as lines:
        await verdict_on(breaker, "jane@bad.example")
        server.answer = refusing()
        assert await verdict_on(breaker, "jane@bad.example") == ACCEPTED
    assert [line["event"] for line in lines] == ["domain.held", "domain.released"]
    assert not breaker.refusals.held


async def test_two_domains_that_refuse_us_stop_the_channel_and_no_mail_is_blamed() -> None:
    server = Server(everything)
    breaker = breaker_over(server)
    first = await verdict_on(breaker, "a@one.example")
    assert isinstance(first, Deferred)
    waiting = asyncio.create_task(verdict_on(breaker, "b@two.example"))
    await asyncio.sleep(PAUSE / 2)
    assert state(breaker) is State.OPEN
    assert breaker.reason == "550 5.4.5 Daily user sending limit exceeded"
    server.answer = refusing()
    assert await waiting == ACCEPTED
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize("six", range(3))
async def test_six_mails_to_six_domains_all_go_out_when_it_is_mended(six: int) -> None:
    """They come again when they were put off; none ever uses up more than the one retry of the first."""
    server = Server(everything)
    breaker = breaker_over(server)
    counted = 0

    async def until_it_ends(recipient: str) -> Verdict:
        nonlocal counted
        while not isinstance(verdict := await verdict_on(breaker, recipient), Accepted):
            assert isinstance(verdict, Deferred | PutOff)
            counted += isinstance(verdict, Deferred)
            await asyncio.sleep(PAUSE)
        return verdict

    tasks = [asyncio.create_task(until_it_ends(f"a@d{number}.example")) for number in range(6 + six)]
    await asyncio.sleep(PAUSE * 20)
    assert not any(task.done() for task in tasks)
    server.answer = refusing()
    await asyncio.wait_for(asyncio.gather(*tasks), 2)
    assert counted == 1
    await breaker.close()


async def test_the_probe_goes_to_a_domain_that_has_not_refused_us() -> None:
    server = Server(refusing("one.example", "two.example"))
    breaker = breaker_over(server, most=1)
    recipients = [*(f"{n}@one.example" for n in range(4)), *(f"{n}@two.example" for n in range(4)), "j@good.example"]
    verdicts = await asyncio.wait_for(asyncio.gather(*(verdict_on(breaker, each) for each in recipients)), 2)
    assert verdicts[-1] == ACCEPTED
    assert all(isinstance(each, Deferred) for each in verdicts[:-1])
    assert breaker.slots.generation == 1
    opened_by = server.seen.index("0@two.example")
    assert server.seen[opened_by + 1] == "j@good.example"


async def test_the_same_domains_stop_nobody_a_second_time_while_others_pass() -> None:
    breaker = breaker_over(Server(refusing("one.example", "two.example", "three.example")), most=1)
    attack = [f"{n}@{name}.example" for n in range(10) for name in ("one", "two")]
    await asyncio.wait_for(asyncio.gather(*(verdict_on(breaker, each) for each in [*attack, "j@good.example"])), 2)
    assert breaker.slots.generation == 1
    for each in [*attack, "x@three.example"]:
        assert isinstance(await verdict_on(breaker, each), Deferred)
    assert breaker.slots.generation == 1
    assert state(breaker) is State.CLOSED


async def test_where_only_refused_domains_wait_they_make_room_for_others() -> None:
    breaker = breaker_over(Server(everything))
    verdicts = await asyncio.wait_for(
        asyncio.gather(*(verdict_on(breaker, f"{n}@{name}.example") for n in range(8) for name in ("one", "two"))), 2
    )
    assert any(isinstance(each, PutOff) for each in verdicts)
    assert not breaker.waiting
    await breaker.close()


async def test_an_untried_domain_is_probed_soon_however_long_the_channel_was_closed() -> None:
    server = Server(everything)
    breaker = Breaker(server, 8, first_pause_s=PAUSE, max_pause_s=60)
    breaker.admission._pause_s = 60
    await verdict_on(breaker, "a@one.example")
    waiting = asyncio.create_task(verdict_on(breaker, "b@two.example"))
    await asyncio.sleep(PAUSE)
    breaker.admission._untried_probe_at = asyncio.get_running_loop().time() + PAUSE
    server.answer = refusing("one.example", "two.example")
    assert await asyncio.wait_for(verdict_on(breaker, "j@good.example"), 1) == ACCEPTED
    assert isinstance(await asyncio.wait_for(waiting, 1), Deferred)


async def test_a_mail_that_was_under_way_and_is_accepted_closes_it_at_once() -> None:
    gate = asyncio.Event()

    class Slow(Server):
        async def send_once(self, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
            if envelope.recipient == "j@good.example":
                await gate.wait()
            return await super().send_once(envelope, before_handover)

    breaker = Breaker(Slow(refusing("one.example", "two.example")), 8, first_pause_s=60)
    good = asyncio.create_task(verdict_on(breaker, "j@good.example"))
    bad = [asyncio.create_task(verdict_on(breaker, f"a@{name}.example")) for name in ("one", "two")]
    await asyncio.sleep(PAUSE)
    assert state(breaker) is State.OPEN
    gate.set()
    assert await asyncio.wait_for(good, 1) == ACCEPTED
    assert all(isinstance(each, Deferred) for each in await asyncio.wait_for(asyncio.gather(*bad), 1))
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize("verdict", [QUOTA, IN_DOUBT], ids=["refused", "in doubt"])
async def test_many_domains_at_the_head_of_the_queue_do_not_cost_a_probe_each(verdict: Tried) -> None:
    """None of them has refused us yet, so each would be a probe, while mails that would go wait in the broker."""
    evil = [f"evil{number}.example" for number in range(32)]
    server = Server(refusing(*evil, verdict=verdict))
    breaker = breaker_over(server)
    ended = await asyncio.wait_for(asyncio.gather(*(verdict_on(breaker, f"a@{domain}") for domain in evil)), 5)
    assert sum(isinstance(each, PutOff) for each in ended) >= 20
    assert len(server.seen) <= 12
    assert await asyncio.wait_for(verdict_on(breaker, "a@good.example"), 5) == ACCEPTED


def test_who_has_raised_the_alarm_for_nothing_needs_more_domains_the_next_time() -> None:
    now = [0.0]
    refusals = Refusals(clock=lambda: now[0])
    numbers = iter(range(1000))

    def domains_until_it_is_about_us() -> int:
        tried = 1
        while not refusals.blocked(f"a@evil{next(numbers)}.example", QUOTA):
            tried += 1
        return tried

    def needed() -> int:
        found = domains_until_it_is_about_us()
        refusals.accepted("a@good.example")
        return found

    assert [needed() for _ in range(4)] == [2, 4, 8, 8]
    now[0] += 3601
    assert needed() == 2


async def test_a_domain_of_which_others_passed_opens_nothing_by_breaking_off() -> None:
    server = Server(refusing("evil.example", verdict=IN_DOUBT))
    breaker = breaker_over(server)
    for _ in range(3):
        await verdict_on(breaker, "a@evil.example")
    assert state(breaker) is State.OPEN
    assert await asyncio.wait_for(verdict_on(breaker, "a@good.example"), 5) == ACCEPTED
    for _ in range(9):
        await verdict_on(breaker, "a@evil.example")
    assert state(breaker) is State.CLOSED


async def test_a_probe_that_says_nothing_of_us_does_not_close_it() -> None:
    answers: Mapping[str, Tried] = {"busy.example": deferred(), "gone.example": odd("550 5.1.1")}
    breaker = breaker_over(Server(lambda to: answers.get(to.rpartition("@")[2], QUOTA)), most=1)
    names = ("one", "two", "busy", "gone")
    tasks = [asyncio.create_task(verdict_on(breaker, f"a@{name}.example")) for name in names]
    await asyncio.wait(tasks[2:], timeout=1)
    assert state(breaker) is not State.CLOSED
    assert [type(task.result()) for task in tasks[2:]] == [Deferred, Refused]
    for task in tasks:
        task.cancel()
    await breaker.close()


async def test_an_attack_by_one_domain_leaves_others_at_full_speed() -> None:
    server = Server(refusing("evil.example"), seconds=0.001)
    breaker = breaker_over(server)
    good = [f"{n}@good{n % 40}.example" for n in range(596)]
    bad = [f"{n}@evil.example" for n in range(32)]
    mixed = [*bad[:8], *good[:300], *bad[8:], *good[300:]]
    verdicts = await asyncio.wait_for(asyncio.gather(*(verdict_on(breaker, each) for each in mixed)), 10)
    assert verdicts.count(ACCEPTED) == 596
    assert breaker.slots.generation == 0


async def test_two_domains_of_an_attacker_cost_one_probe() -> None:
    server = Server(refusing("evil.example", "worse.example"), seconds=0.001)
    breaker = breaker_over(server)
    good = [f"{n}@good{n % 40}.example" for n in range(596)]
    bad = [f"{n}@{name}.example" for n in range(16) for name in ("evil", "worse")]
    mixed = [*bad, *good]
    verdicts = await asyncio.wait_for(asyncio.gather(*(verdict_on(breaker, each) for each in mixed)), 10)
    assert verdicts.count(ACCEPTED) == 596
    assert breaker.slots.generation <= 1


# ── equal words in a row ─────────────────────────────────────────────────────────────────────────────
class Watched:
    """Refusals whose clock a test moves, and the alarms that they gave."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: list[tuple[str, datetime]] = []
        self.of = Refusals(lambda *alarm: self.alarms.append(alarm), lambda: self.now)

    def read(self, recipient: str, verdict: Refused | None = None) -> type[Tried]:
        read = self.of.read(recipient, verdict or odd())
        if isinstance(read, Blocked):
            self.of.blocked(recipient, read)
        return type(read)


def test_three_equal_refusals_in_two_domains_are_about_us() -> None:
    watched = Watched()
    assert [watched.read(to) for to in ("a@one.example", "b@one.example", "c@two.example")] == [
        Refused,
        Refused,
        Blocked,
    ]
    (fingerprint, since), *more = watched.alarms
    assert (fingerprint, more) == ("f1", [])
    assert datetime.now(UTC) - since > timedelta(hours=23)


@pytest.mark.parametrize(
    "recipients",
    [
        ("a@one.example", "a@one.example", "b@two.example"),  # one address twice
        ("a@one.example", "b@two.example"),  # two
        ("a@one.example", "b@one.example"),  # two of one domain
    ],
    ids=str,
)
def test_less_than_that_blames_each_address(recipients: tuple[str, ...]) -> None:
    watched = Watched()
    assert {watched.read(to) for to in recipients} == {Refused}


def test_an_accepted_mail_between_them_ends_the_row_and_says_how_far_back_to_go() -> None:
    watched = Watched()
    watched.read("a@one.example")
    watched.read("b@two.example")
    before = datetime.now(UTC)
    watched.of.accepted("j@good.example")
    assert [watched.read(f"{n}@d{n}.example") for n in range(3)] == [Refused, Refused, Blocked]
    assert before <= watched.alarms[0][1] <= datetime.now(UTC)


def test_three_equal_refusals_in_one_domain_hold_it_and_call_back_what_bounced() -> None:
    """All customers may be at one provider."""
    watched = Watched()
    assert [watched.read(f"{n}@one.example") for n in range(6)] == [Refused] * 2 + [Blocked] * 4
    assert [fingerprint for fingerprint, _ in watched.alarms] == ["f1"]
    assert list(watched.of.held) == ["one.example"]


async def test_a_domain_that_refuses_everybody_in_words_of_its_own_stops_nobody_else() -> None:
    breaker = breaker_over(Server(refusing("one.example", verdict=odd())))
    verdicts = [await verdict_on(breaker, f"{n}@one.example") for n in range(9)]
    assert [type(each) for each in verdicts] == [Refused] * 2 + [Deferred] * 7
    assert state(breaker) is State.CLOSED
    assert await verdict_on(breaker, "jane@good.example") == ACCEPTED


def test_refusals_that_name_the_address_are_not_counted() -> None:
    watched = Watched()
    nobody = replace(odd(), names_address=True)
    assert {watched.read(f"{n}@d{n % 3}.example", nobody) for n in range(9)} == {Refused}


def test_refusals_in_other_words_are_not_counted_together() -> None:
    watched = Watched()
    assert {watched.read(f"{n}@d{n}.example", odd(words=f"f{n}")) for n in range(300)} == {Refused}
    assert len(watched.of._alike) <= 100


def test_words_that_come_again_when_others_pass_blame_their_addresses() -> None:
    watched = Watched()
    typos = [f"{n}@d{n}.example" for n in range(3)]
    for each in typos:
        watched.read(each)
    watched.of.accepted("j@good.example")
    assert not watched.of.is_about_us("f1")
    assert [watched.read(each) for each in typos * 3] == [Refused] * 9
    watched.now += 3601
    assert len(watched.alarms) == 1


def test_words_whose_addresses_take_mail_again_may_mean_us_a_second_time() -> None:
    watched = Watched()
    for _ in range(2):
        assert [watched.read(f"{n}@d{n}.example") for n in range(3)] == [Refused, Refused, Blocked]
        for n in range(3):
            watched.of.accepted(f"{n}@d{n}.example")
        watched.of.accepted("0@d0.example")
    assert len(watched.alarms) == 2


def test_words_that_another_worker_found_to_be_about_us_block_at_once() -> None:
    watched = Watched()
    watched.of.mark_about_us("f1")
    assert watched.read("a@one.example") is Blocked
    assert watched.of.is_about_us("f1")


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from(["accept", "block", "f1", "f2"])), max_size=60
    )
)
def test_one_domain_alone_never_stops_the_channel(steps: list[tuple[int, int, str]]) -> None:
    """Whatever one domain's server says, and in whatever order, others being accepted or not asked at all."""
    watched = Watched()
    for name, _, what in steps:
        to = f"{name}@evil.example"
        match what:
            case "accept":
                watched.of.accepted(f"{name}@good.example")
            case "block":
                assert not watched.of.blocked(to, QUOTA)
            case words:
                read = watched.of.read(to, odd(words=words))
                assert not (isinstance(read, Blocked) and watched.of.blocked(to, read))


def test_a_domain_of_which_others_passed_counts_for_nothing_while_our_account_is_refused() -> None:
    watched = Watched()
    assert not watched.of.blocked("a@held.example", QUOTA)
    watched.of.accepted("j@good.example")
    assert [watched.of.blocked(f"a@{name}.example", QUOTA) for name in ("one", "held", "two", "held", "one")] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_holds_are_bounded_in_number_and_in_time() -> None:
    watched = Watched()
    for n in range(3000):
        watched.of.blocked(f"a@d{n}.example", QUOTA)
        watched.of.accepted("j@good.example")
    assert len(watched.of.held) == 1000
    watched.now += 3601
    assert not watched.of.held
