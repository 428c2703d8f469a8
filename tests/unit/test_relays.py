"""Several relays: mail goes by the first that takes it, nothing that may have gone out goes by another, and the first
gets its mail back by itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from notification_service.channels.admission import State
from notification_service.channels.breaker import Breaker
from notification_service.channels.relays import Relay, Relays
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Blocked,
    Deferred,
    HandoverRefused,
    NothingSent,
    OutgoingMessage,
    PutOff,
    Refused,
    Tried,
    Verdict,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.rates import Rates
from notification_service.delivery.rate_limits import Place, RateLimits
from notification_service.foundation.errors import ChannelUnavailableError, StoreUnavailableError
from notification_service.stores.memory.rates import MemoryRates
from tests.unit.fakes import ACCEPTED, IN_DOUBT, UNAVAILABLE, attempt, deferred, envelope, held, refused, unmarked

PAUSE = 0.02
BLOCKED = Blocked(attempt("blocked", 550, "5.4.5 Daily user sending limit exceeded"), "wait for tomorrow")


class ScriptedRelay:
    """Answers each attempt as it is told to; while `hangs`, an attempt ends in a timeout after `timeout_s`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Tried = ACCEPTED
        self.bad: str | None = None
        self.hangs = False
        self.timeout_s = 0.3
        self.tries: list[str] = []
        self.closed = False
        self.logins = 0

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        self.tries.append(message.notification_id)
        await asyncio.sleep(self.timeout_s if self.hangs else 0.001)
        if self.hangs:
            return self._as_mine(UNAVAILABLE)
        answer = UNAVAILABLE if message.notification_id == self.bad else self.answer
        if isinstance(answer, Accepted):
            await before_handover()
        return self._as_mine(answer)

    async def check(self) -> str:
        self.logins += 1
        if self.hangs or self.answer is UNAVAILABLE:
            raise ChannelUnavailableError("it does not let us in")
        return "it lets us in"

    def _as_mine(self, tried: Tried) -> Tried:
        if isinstance(tried, HandoverRefused | PutOff):
            return tried
        return replace(tried, attempt=replace(tried.attempt, relay=self.name))

    async def close(self) -> None:
        self.closed = True


class Pair:
    """Two scripted relays and the channel over them."""

    def __init__(
        self, *, limits: tuple[RateLimits, RateLimits] = (RateLimits(), RateLimits()), max_wait_s: float = 5.0
    ) -> None:
        self.first, self.second = ScriptedRelay("smtp"), ScriptedRelay("smtp-fallback")
        self.counted: list[Attempt] = []
        self.channel = Relays(
            [
                Relay(self._breaker(each, max_wait_s), MemoryRates(limit))
                for each, limit in zip((self.first, self.second), limits, strict=True)
            ]
        )
        self.breakers = [each.breaker for each in self.channel.relays]

    def _breaker(self, relay: ScriptedRelay, max_wait_s: float) -> Breaker:
        return Breaker(
            relay,
            4,
            first_pause_s=PAUSE,
            max_pause_s=4 * PAUSE,
            max_wait_s=max_wait_s,
            on_attempt=self.counted.append,
            log_in=relay.check,
        )

    async def deliver(
        self, message: OutgoingMessage | None = None, nothing_sent: NothingSent = unmarked, seconds: float = 5
    ) -> Verdict:
        return await asyncio.wait_for(self.channel.deliver(message or envelope(), held, nothing_sent), seconds)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    await made.channel.close()


@asynccontextmanager
async def many(pair: Pair, count: int) -> AsyncIterator[list[asyncio.Task[Verdict]]]:
    tasks = [asyncio.create_task(pair.deliver(to(f"n{number}"), seconds=20)) for number in range(count)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def to(name: str, domain: str = "guests.example", held_by: str | None = None) -> OutgoingMessage:
    return replace(envelope(name), recipient=f"{name}@{domain}", held_by=held_by)


def relay_of(verdict: Verdict) -> str | None:
    assert isinstance(verdict, Accepted)
    return verdict.attempt.relay


async def test_while_the_first_takes_mail_the_second_gets_none(pair: Pair) -> None:
    assert [relay_of(await pair.deliver()) for _ in range(20)] == ["smtp"] * 20
    assert pair.second.tries == []


async def test_what_the_first_cannot_take_goes_by_the_second_at_once_and_its_mark_is_taken_back(pair: Pair) -> None:
    pair.first.answer, taken_back = UNAVAILABLE, []

    async def nothing_sent() -> None:
        taken_back.append(True)

    assert relay_of(await pair.deliver(nothing_sent=nothing_sent)) == "smtp-fallback"
    assert (len(pair.first.tries), taken_back) == (1, [True])
    assert [each.state for each in pair.breakers] == [State.OPEN, State.CLOSED]
    assert [(each.result, each.relay) for each in pair.counted] == [
        ("unavailable", "smtp"),
        ("accepted", "smtp-fallback"),
    ]


async def test_while_the_first_is_down_it_is_probed_by_logins_and_no_mail_waits_for_it(pair: Pair) -> None:
    pair.first.answer = UNAVAILABLE
    async with many(pair, 100) as tasks:
        verdicts = await asyncio.gather(*tasks)
    await asyncio.sleep(6 * PAUSE)
    assert {relay_of(each) for each in verdicts} == {"smtp-fallback"}
    assert len(pair.first.tries) <= 4  # those that were under way when it opened
    assert pair.first.logins > 0


async def test_a_login_alone_does_not_bring_the_mail_back(pair: Pair) -> None:
    pair.first.answer = replace(UNAVAILABLE, hint="at MAIL")
    for number in range(60):
        assert relay_of(await pair.deliver(to(f"n{number}"))) == "smtp-fallback"
        await asyncio.sleep(PAUSE / 4)
    assert 2 <= len(pair.first.tries) <= 20  # the pause before a probe grows, though each login passes


async def test_the_first_gets_its_mail_back_when_a_probe_passes(pair: Pair) -> None:
    pair.first.answer = UNAVAILABLE
    assert relay_of(await pair.deliver()) == "smtp-fallback"
    pair.first.answer = ACCEPTED
    with capture_logs() as lines:
        async with asyncio.timeout(2):
            while relay_of(await pair.deliver()) != "smtp":  # noqa: ASYNC110 - mail is what brings it back
                await asyncio.sleep(PAUSE)
    assert [relay_of(await pair.deliver()) for _ in range(5)] == ["smtp"] * 5
    assert pair.breakers[0].state is State.CLOSED
    assert [line["relay"] for line in lines if line["event"] == "relay.changed"][-1:] == ["smtp"]


async def test_mail_that_waits_at_a_first_that_hangs_goes_over_when_it_is_found_out(pair: Pair) -> None:
    pair.first.hangs = True
    async with many(pair, 40) as tasks:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*tasks)
        seconds = asyncio.get_running_loop().time() - began
    assert seconds < 2 * pair.first.timeout_s + 0.5  # one timeout for all of them, and not one for each
    assert len(pair.first.tries) <= 6
    quick = asyncio.get_running_loop().time()
    assert relay_of(await pair.deliver()) is not None
    assert asyncio.get_running_loop().time() - quick < 2 * pair.first.timeout_s


@pytest.mark.parametrize(
    "verdict", [deferred(), refused(), IN_DOUBT, HandoverRefused()], ids=lambda v: type(v).__name__
)
async def test_what_is_about_a_recipient_or_in_doubt_never_goes_over(pair: Pair, verdict: Tried) -> None:
    pair.first.answer = verdict
    assert type(await pair.deliver()) is type(verdict)
    assert pair.second.tries == []


async def test_three_mails_in_doubt_stop_the_first_and_none_of_them_goes_over(pair: Pair) -> None:
    pair.first.answer = IN_DOUBT
    for number in range(3):
        assert type(await pair.deliver(to(f"doubt{number}"))) is type(IN_DOUBT)
    assert relay_of(await pair.deliver(to("next"))) == "smtp-fallback"
    assert pair.second.tries == ["next"]


async def test_what_the_first_may_have_waits_for_it_though_the_second_is_free(pair: Pair) -> None:
    pair.first.answer = UNAVAILABLE
    await pair.deliver()
    waiting = asyncio.create_task(pair.deliver(to("doubtful", held_by="smtp")))
    await asyncio.sleep(6 * PAUSE)
    assert not waiting.done()
    pair.first.answer = ACCEPTED
    assert relay_of(await waiting) == "smtp"
    assert "doubtful" not in pair.second.tries


async def test_what_the_second_may_have_goes_by_the_second_though_the_first_is_back(pair: Pair) -> None:
    assert relay_of(await pair.deliver(to("doubtful", held_by="smtp-fallback"))) == "smtp-fallback"


async def test_whoever_marks_the_handover_is_told_which_relay_gets_the_content(pair: Pair) -> None:
    told = []

    async def before_handover(relay: str | None = None) -> Fence:
        told.append(relay)
        return Fence.HELD

    await pair.channel.deliver(envelope(), before_handover, unmarked)
    pair.first.answer = UNAVAILABLE
    await pair.channel.deliver(envelope(), before_handover, unmarked)
    assert told == ["smtp", "smtp-fallback"]


async def test_a_relay_that_is_no_longer_configured_holds_nothing(pair: Pair) -> None:
    assert relay_of(await pair.deliver(to("doubtful", held_by="gone"))) == "smtp"


async def test_a_refused_account_sends_each_mail_over_before_the_breaker_opens(pair: Pair) -> None:
    pair.first.answer = BLOCKED
    assert relay_of(await pair.deliver(to("a"))) == "smtp-fallback"
    assert pair.breakers[0].takes_mail  # one domain says nothing of the others
    assert relay_of(await pair.deliver(to("b", "other.example"))) == "smtp-fallback"
    assert not pair.breakers[0].takes_mail


async def test_refusals_of_addresses_in_one_wording_are_the_accounts_and_go_over(pair: Pair) -> None:
    pair.first.answer = replace(refused("5.7.0"), fingerprint="policy")
    kinds = [type(await pair.deliver(to(f"n{number}", f"d{number}.example"))) for number in range(3)]
    assert kinds == [Refused, Refused, Accepted]


async def test_where_both_refuse_the_account_for_one_domain_it_is_deferred(pair: Pair) -> None:
    pair.first.answer = pair.second.answer = BLOCKED
    verdict = await pair.deliver(to("a"))
    assert isinstance(verdict, Deferred)
    assert verdict.attempt.relay == "smtp-fallback"


async def test_where_both_are_down_mail_waits_and_goes_by_whichever_is_back(pair: Pair) -> None:
    for back in (pair.second, pair.first):
        pair.first.answer = pair.second.answer = UNAVAILABLE
        async with many(pair, 12) as tasks:
            await asyncio.sleep(4 * PAUSE)
            assert not any(task.done() for task in tasks)
            assert not any(each.takes_mail for each in pair.breakers)
            back.answer = ACCEPTED
            verdicts = await asyncio.gather(*tasks)
        assert {relay_of(each) for each in verdicts} == {back.name}


async def test_where_both_stay_down_mail_is_put_off_in_time_with_its_last_attempt() -> None:
    pair = Pair(max_wait_s=0.2)
    pair.first.answer = pair.second.answer = UNAVAILABLE
    began = asyncio.get_running_loop().time()
    verdict = await pair.deliver()
    assert asyncio.get_running_loop().time() - began < 0.5
    assert isinstance(verdict, PutOff)
    assert verdict.attempt is not None
    await pair.channel.close()


async def test_two_relays_that_flap_lose_and_double_nothing(pair: Pair) -> None:
    async def flap() -> None:
        up, down = ACCEPTED, UNAVAILABLE
        answers: list[tuple[Tried, Tried]] = [(down, up), (up, down), (down, down), (up, up)]
        for _ in range(10):
            for first, second in answers:
                pair.first.answer, pair.second.answer = first, second
                await asyncio.sleep(0.01)

    async with many(pair, 200) as tasks:
        await flap()
        verdicts = await asyncio.gather(*tasks)
    assert all(isinstance(each, Accepted | Deferred) for each in verdicts)
    accepted = [each for each in pair.counted if each.result == "accepted"]
    assert len(accepted) == sum(isinstance(each, Accepted) for each in verdicts)
    assert all(each.slots.conversations == each.slots.waiting == each.slots._taken == 0 for each in pair.breakers)


async def test_a_mail_that_breaks_every_session_does_not_stop_the_others(pair: Pair) -> None:
    pair.first.bad = pair.second.bad = "bad"
    bad = asyncio.create_task(pair.deliver(to("bad"), seconds=20))
    async with many(pair, 5):
        while not bad.done():
            assert isinstance(await pair.deliver(to("good"), seconds=20), Accepted)
    assert isinstance(await bad, Deferred)


async def test_a_used_up_limit_of_the_first_sends_mail_over() -> None:
    pair = Pair(limits=(RateLimits(per_day=2, server="first"), RateLimits()))
    relays = [relay_of(await pair.deliver()) for _ in range(4)]
    assert relays[0] == "smtp"
    assert relays[-1] == "smtp-fallback"
    assert [each.state for each in pair.breakers] == [State.CLOSED, State.CLOSED]
    await pair.channel.close()


async def test_where_both_limits_are_used_up_mail_comes_again_when_the_sooner_one_allows() -> None:
    limits = RateLimits(per_day=1, server="first"), RateLimits(per_minute=1, server="second")
    pair = Pair(limits=limits)
    assert [relay_of(await pair.deliver()) for _ in range(2)] == ["smtp", "smtp-fallback"]
    verdict = await pair.deliver()
    assert isinstance(verdict, PutOff)
    assert 0 < verdict.seconds <= 120
    assert verdict.reason == "our mail server takes no more a minute (SMTP_MAILS_PER_MINUTE)"
    await pair.channel.close()


async def test_a_used_up_first_and_a_second_that_is_down_put_mail_off_at_once() -> None:
    pair = Pair(limits=(RateLimits(per_minute=1, server="first"), RateLimits()))
    pair.second.answer = UNAVAILABLE
    await pair.deliver()
    verdict = await pair.deliver(seconds=1)
    assert isinstance(verdict, PutOff)
    await pair.channel.close()


async def test_what_the_first_did_not_send_does_not_count_against_its_quota() -> None:
    pair = Pair(limits=(RateLimits(per_day=1, server="first"), RateLimits()))
    pair.first.answer = UNAVAILABLE
    assert relay_of(await pair.deliver()) == "smtp-fallback"
    pair.first.answer = ACCEPTED
    await asyncio.sleep(5 * PAUSE)
    assert "smtp" in [relay_of(await pair.deliver()) for _ in range(3)]
    await pair.channel.close()


async def test_without_redis_there_are_no_limits(pair: Pair) -> None:
    class Away:
        async def reserve(self, address: str, **_: object) -> Any:  # noqa: ANN401 - it never answers
            raise StoreUnavailableError("Redis", f"away, {len(address)}")

        async def give_back(self, places: Sequence[Place]) -> None:
            raise StoreUnavailableError("Redis", f"away, {len(places)}")

    away: Rates = Away()
    channel = Relays([replace(each, rates=away) for each in pair.channel.relays])
    assert relay_of(await channel.deliver(envelope(), held, unmarked)) == "smtp"


async def test_shutdown_lets_mail_that_waits_for_the_second_finish_and_cancels_it_where_both_are_down(
    pair: Pair,
) -> None:
    pair.first.answer = UNAVAILABLE
    async with many(pair, 20) as tasks:
        await asyncio.sleep(PAUSE / 2)
        pair.channel.cancel_waiting()
        assert {relay_of(each) for each in await asyncio.gather(*tasks)} == {"smtp-fallback"}
    pair.second.answer = UNAVAILABLE
    async with many(pair, 20) as tasks:
        async with asyncio.timeout(2):
            while not all(task.done() for task in tasks):
                pair.channel.cancel_waiting()
                await asyncio.sleep(0.001)
        assert all(task.cancelled() or isinstance(task.exception(), TimeoutError) for task in tasks)
    await pair.channel.close()
    assert pair.first.closed
    assert pair.second.closed


async def test_a_mail_that_is_cancelled_while_it_waits_at_both_leaves_no_trace(pair: Pair) -> None:
    pair.first.answer = pair.second.answer = UNAVAILABLE
    async with many(pair, 5):
        await asyncio.sleep(2 * PAUSE)
    pair.first.answer = pair.second.answer = ACCEPTED
    assert isinstance(await pair.deliver(), Accepted)
    assert all(each.slots.waiting == each.slots._taken == 0 for each in pair.breakers)


async def test_a_recall_is_over_when_one_relay_has_accepted_mail(pair: Pair) -> None:
    refusals = pair.channel.refusals
    refusals.mark_about_us("policy")
    assert refusals.is_about_us("policy")
    pair.first.answer = UNAVAILABLE
    await pair.deliver()
    assert not refusals.is_about_us("policy")


async def test_a_variant_of_a_ticket_has_the_tickets_part_of_the_limits() -> None:
    pair = Pair(limits=(RateLimits(per_minute=100), RateLimits()))
    refunds = [await pair.deliver(replace(envelope(), template="payment_refund")) for _ in range(80)]
    assert relay_of(refunds[-1]) == "smtp-fallback"
    for template in ("booking_confirmation", "booking_confirmation@b"):
        assert relay_of(await pair.deliver(replace(envelope(), template=template))) == "smtp"
    await pair.channel.close()
