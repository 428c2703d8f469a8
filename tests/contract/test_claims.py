"""Who works on a notification: the in-memory twin and Redis answer alike. Leases are short and end by themselves."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from notification_service.contract.outcomes import (
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Sent,
    Simulated,
    Unknown,
    may_be_reopened,
)
from notification_service.delivery.ports.claims import Claimed, Claims, Decided, Fence, Held, InterruptedSend, Tenure
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claims import RedisClaims
from tests.stack.local import LocalStack
from tests.stack.processes import free_port
from tests.stack.proxy import Proxy
from tests.stack.stores import PersistentRedis

LEASE = 0.25
HELD, LOST, HELD_HERE = Fence.HELD, Fence.LOST, Fence.HELD_HERE


@pytest.fixture(params=["memory", "redis"])
async def claims(request: pytest.FixtureRequest) -> AsyncIterator[Claims]:
    if request.param == "memory":
        yield MemoryClaims(LEASE)
        return
    stack: LocalStack = request.getfixturevalue("stack")
    async with redis.connect(stack.redis_url) as client:
        yield RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)


@pytest.fixture
def proxy(stack: LocalStack) -> Iterator[Proxy]:
    with Proxy(stack.redis.port) as running:
        yield running


@pytest.fixture
async def behind(proxy: Proxy) -> AsyncIterator[RedisClaims]:
    """Claims whose connection is ours to break; the scripts are known to the server already."""
    async with redis.connect(f"redis://127.0.0.1:{proxy.port}/0") as client:
        claims = RedisClaims(client, lease_seconds=30, verdict_seconds=60)
        warm = uuid.uuid4().hex
        await claims.claim(warm, "a")
        await claims.mark_sending(warm, "a")
        await claims.decide(warm, "a", Sent())
        await claims.release(warm, "a")
        yield claims


@pytest.fixture
def one() -> str:
    """A notification that no other test knows."""
    return uuid.uuid4().hex


async def lose_writes(claims: Claims, name: str) -> None:
    """As a server that comes back without its last writes, or another one that is promoted: the claim was its own."""
    if isinstance(claims, RedisClaims):
        await claims._redis.hset(f"notification:{name}", "server", "another")
    elif isinstance(claims, MemoryClaims):
        claims._claims[name].server = "another"


async def after_the_lease() -> None:
    await asyncio.sleep(LEASE + 0.1)


# ── claim ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_notification_is_claimed_as_fresh(claims: Claims, one: str) -> None:
    assert await claims.claim(one, "a") == Claimed(fresh=True)


async def test_what_another_holds_is_held_for_the_rest_of_its_lease(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    held = await claims.claim(one, "b")
    assert isinstance(held, Held)
    assert 0 < held.seconds <= LEASE


async def test_ones_own_claim_asked_for_again_is_as_fresh_as_it_was(claims: Claims, one: str) -> None:
    assert [await claims.claim(one, "a") for _ in range(3)] == [Claimed(fresh=True)] * 3
    await after_the_lease()
    assert await claims.claim(one, "a") == Claimed(fresh=True)


async def test_a_claim_whose_lease_is_over_is_granted_to_the_next_and_is_not_fresh(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await after_the_lease()
    assert await claims.claim(one, "b") == Claimed(fresh=False, before="a")
    assert isinstance(await claims.claim(one, "a"), Held)


async def test_of_many_at_once_one_wins(claims: Claims, one: str) -> None:
    answers = await asyncio.gather(*(claims.claim(one, f"owner-{number}") for number in range(12)))
    assert answers.count(Claimed(fresh=True)) == 1
    assert sum(isinstance(answer, Held) for answer in answers) == 11


async def test_notifications_are_apart(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert await claims.claim(one + "x", "b") == Claimed(fresh=True)


# ── the sending marker ───────────────────────────────────────────────────────────────────────────────


async def test_whoever_finds_a_marker_without_its_owner_has_to_doubt(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert await claims.mark_sending(one, "a") is HELD
    assert isinstance(await claims.claim(one, "b"), Held)
    await after_the_lease()
    assert await claims.claim(one, "b") == InterruptedSend(again=False)


async def test_whoever_doubts_is_told_which_relay_may_have_the_message(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a", relay="smtp")
    await claims.unmark(one, "a")
    await claims.mark_sending(one, "a", relay="smtp-fallback")
    for owner in ("b", "c"):
        await after_the_lease()
        assert await claims.claim(one, owner) == InterruptedSend(relay="smtp-fallback")
    await claims.mark_sending(one, "c", relay="smtp-fallback")
    await after_the_lease()
    assert await claims.claim(one, "d") == InterruptedSend(again=True, relay="smtp-fallback")
    await claims.decide(one, "d", Unknown("it was lost twice"))
    assert await claims.claim(one, "e", reopen=True) == InterruptedSend(relay="smtp-fallback")


async def test_a_renewal_sets_the_relay_of_a_lost_mark_again(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.renew({one: Tenure("a", sending=True, relay="smtp")})
    await after_the_lease()
    assert await claims.claim(one, "b") == InterruptedSend(relay="smtp")


async def test_a_doubt_whose_finder_is_lost_before_it_resends_is_the_same_doubt(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a")
    for owner in ("b", "c"):
        await after_the_lease()
        assert await claims.claim(one, owner) == InterruptedSend(again=False)


async def test_a_resend_that_is_lost_is_a_doubt_for_the_second_time(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a")
    await after_the_lease()
    await claims.claim(one, "b")
    assert await claims.mark_sending(one, "b") is HELD
    await after_the_lease()
    assert await claims.claim(one, "c") == InterruptedSend(again=True)
    await after_the_lease()
    assert await claims.claim(one, "d") == InterruptedSend(again=True)


async def test_a_resend_is_known_as_one_also_where_the_first_mail_was_forgotten(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert await claims.mark_sending(one, "a", again=True) is HELD
    await after_the_lease()
    assert await claims.claim(one, "b") == InterruptedSend(again=True)


async def test_the_owner_itself_asking_again_after_its_marker_is_in_doubt_too(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a")
    assert await claims.claim(one, "a") == InterruptedSend(again=False)


async def test_a_marker_without_a_key_plants_a_doubt_where_that_is_wanted(claims: Claims, one: str) -> None:
    assert await claims.mark_sending(one, "a", create_if_missing=True) is HELD
    assert isinstance(await claims.claim(one, "b"), Held)
    await after_the_lease()
    assert await claims.claim(one, "b") == InterruptedSend(again=False)


async def test_a_marker_is_refused_to_whoever_lost_the_claim(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await after_the_lease()
    await claims.claim(one, "b")
    assert await claims.mark_sending(one, "a") is LOST
    await after_the_lease()
    assert await claims.claim(one, "c") == Claimed(fresh=False, before="b")


async def test_a_marker_is_refused_where_another_took_the_claim_and_let_it_go(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await after_the_lease()
    await claims.claim(one, "b")
    await claims.release(one, "b")
    assert await claims.mark_sending(one, "a") is LOST
    assert await claims.claim(one, "c") == Claimed(fresh=True)


async def test_a_marker_asked_for_twice_is_one(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert [await claims.mark_sending(one, "a") for _ in range(2)] == [HELD, HELD]
    await after_the_lease()
    assert await claims.claim(one, "b") == InterruptedSend(again=False)


async def test_a_marker_begins_the_lease_anew(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await asyncio.sleep(LEASE * 0.7)
    await claims.mark_sending(one, "a")
    held = await claims.claim(one, "b")
    assert isinstance(held, Held)
    assert held.seconds > LEASE * 0.4


# ── certainty ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_of_another_server_proves_nothing(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await lose_writes(claims, one)
    await after_the_lease()
    assert await claims.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)
    await after_the_lease()
    assert await claims.claim(one, "c") == Claimed(fresh=False, before="b")


@pytest.mark.parametrize("again", [True, False])
async def test_a_doubt_of_another_server_stays_uncertain(claims: Claims, one: str, again: bool) -> None:  # noqa: FBT001 - parametrised
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a", again=again)
    await lose_writes(claims, one)
    for owner in ("b", "c"):
        await after_the_lease()
        assert await claims.claim(one, owner) == InterruptedSend(again, certain=False)


async def test_a_renewal_makes_nothing_certain(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await lose_writes(claims, one)
    await claims.renew({one: Tenure("a")})
    await claims.unmark(one, "a")
    await after_the_lease()
    assert await claims.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)


@pytest.mark.parametrize("again", [True, False])
async def test_a_marker_says_that_the_claim_is_of_another_server(claims: Claims, one: str, again: bool) -> None:  # noqa: FBT001 - parametrised
    """Which may still serve it to others: they would find a claim that seems to prove that nothing went out."""
    await claims.claim(one, "a")
    await lose_writes(claims, one)
    await claims.renew({one: Tenure("a")})
    assert [await claims.mark_sending(one, "a", again=again) for _ in range(2)] == [HELD_HERE] * 2
    assert await claims.mark_sending(one, "b") is LOST
    await claims.unmark(one, "a")
    assert await claims.mark_sending(one, "a") is HELD_HERE
    assert await claims.decide(one, "a", Sent()) is HELD


async def test_ones_own_claim_asked_for_again_at_another_server_is_still_of_the_first(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await lose_writes(claims, one)
    assert await claims.claim(one, "a") == Claimed(fresh=True)
    assert await claims.mark_sending(one, "a") is HELD_HERE


async def test_who_takes_over_at_another_server_has_a_claim_of_that_one(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await lose_writes(claims, one)
    await after_the_lease()
    await claims.claim(one, "b")
    assert await claims.mark_sending(one, "b") is HELD


@pytest.mark.parametrize("again", [True, False])
async def test_a_renewal_sets_a_marker_again_that_was_lost(claims: Claims, one: str, again: bool) -> None:  # noqa: FBT001 - parametrised
    await claims.claim(one, "a")
    await claims.renew({one: Tenure("a", sending=True, again=again)})
    await after_the_lease()
    assert await claims.claim(one, "b") == InterruptedSend(again)


async def test_a_persons_wish_is_certain_again(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.decide(one, "a", Unknown("lost"))
    await lose_writes(claims, one)
    assert await claims.claim(one, "b", reopen=True) == InterruptedSend()


# ── the verdict ──────────────────────────────────────────────────────────────────────────────────────

OUTCOMES: list[Outcome] = [
    Sent(),
    Sent(possible_duplicate=True),
    Simulated("outbox/é.eml"),
    Bounced("550 5.1.1", 'no "such" user'),
    Parked(ParkReason.RETRIES_EXHAUSTED, "gave up"),
    Unknown("lost"),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
async def test_everybody_gets_the_verdict_and_it_outlives_the_lease(claims: Claims, one: str, outcome: Outcome) -> None:
    await claims.claim(one, "a")
    assert await claims.decide(one, "a", outcome) is HELD
    assert await claims.claim(one, "b") == Decided(outcome)
    await after_the_lease()
    assert await claims.claim(one, "a") == Decided(outcome)


async def test_a_verdict_without_a_key_is_remembered(claims: Claims, one: str) -> None:
    assert await claims.decide(one, "a", Sent()) is HELD
    assert await claims.claim(one, "b") == Decided(Sent())


async def test_a_repeated_verdict_is_accepted_and_another_one_does_not_replace_it(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert await claims.decide(one, "a", Sent()) is HELD
    assert await claims.decide(one, "a", Sent()) is HELD
    assert await claims.decide(one, "a", Unknown("x")) is LOST
    assert await claims.decide(one, "b", Sent()) is LOST
    assert await claims.claim(one, "c") == Decided(Sent())


async def test_a_stale_owner_decides_nothing(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await after_the_lease()
    await claims.claim(one, "b")
    assert await claims.decide(one, "a", Sent()) is LOST
    assert isinstance(await claims.claim(one, "c"), Held)


async def test_after_a_verdict_there_is_no_marker_and_no_release(claims: Claims, one: str) -> None:
    await claims.decide(one, "a", Sent())
    assert await claims.mark_sending(one, "a") is LOST
    assert await claims.release(one, "a") is LOST
    assert await claims.claim(one, "b") == Decided(Sent())


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
async def test_only_a_verdict_that_may_be_reopened_is(claims: Claims, one: str, outcome: Outcome) -> None:
    await claims.claim(one, "a")
    await claims.decide(one, "a", outcome)
    answer = await claims.claim(one, "b", reopen=True)
    if may_be_reopened(outcome):
        assert answer == (InterruptedSend() if isinstance(outcome, Unknown) else Claimed(fresh=False))
        assert isinstance(await claims.claim(one, "c", reopen=True), Held)
    else:
        assert answer == Decided(outcome)


async def test_a_replay_of_an_unknown_or_claimed_notification_is_like_any_claim(claims: Claims, one: str) -> None:
    assert await claims.claim(one, "a", reopen=True) == Claimed(fresh=True)
    assert isinstance(await claims.claim(one, "b", reopen=True), Held)


# ── what surely did not go out ───────────────────────────────────────────────────────────────────────


async def test_a_marker_that_is_taken_back_leaves_nothing_to_doubt(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a")
    await claims.unmark(one, "a")
    await asyncio.sleep(LEASE * 1.5)
    assert await claims.claim(one, "b") == Claimed(fresh=False, before="a")


async def test_a_resend_that_is_taken_back_leaves_the_first_doubt_and_its_one_more_mail(
    claims: Claims, one: str
) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a", again=True)
    await claims.unmark(one, "a")
    await asyncio.sleep(LEASE * 1.5)
    assert await claims.claim(one, "b") == InterruptedSend(again=False)


async def test_only_its_owner_takes_a_marker_back(claims: Claims, one: str) -> None:
    await claims.unmark(one, "a")
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a")
    await claims.unmark(one, "b")
    await asyncio.sleep(LEASE * 1.5)
    assert await claims.claim(one, "b") == InterruptedSend()


async def test_a_verdict_is_not_taken_back(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    await claims.mark_sending(one, "a")
    await claims.decide(one, "a", Sent())
    await claims.unmark(one, "a")
    assert await claims.claim(one, "b") == Decided(Sent())


# ── starts of what may kill its worker ───────────────────────────────────────────────────────────────


async def test_starts_that_never_end_are_counted(claims: Claims, one: str) -> None:
    assert [await claims.begin(one) for _ in range(3)] == [0, 1, 2]
    assert await claims.begin(uuid.uuid4().hex) == 0
    await claims.end(one)
    assert await claims.begin(one) == 2
    await claims.end(one, forget=True)
    assert await claims.begin(one) == 0


async def test_more_ends_than_starts_lend_no_credit(claims: Claims, one: str) -> None:
    for _ in range(3):
        await claims.end(one)
    assert [await claims.begin(one) for _ in range(2)] == [0, 1]


async def test_a_start_whose_answer_was_lost_counts_once(behind: RedisClaims, proxy: Proxy, one: str) -> None:
    await behind.begin(uuid.uuid4().hex)
    proxy.lose_replies(1, after=b"EVALSHA")
    assert [await behind.begin(one) for _ in range(2)] == [0, 1]
    assert proxy.loss.count == 0


# ── release and renew ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("marked", [True, False])
async def test_what_is_released_is_fresh_for_the_next(claims: Claims, one: str, marked: bool) -> None:  # noqa: FBT001 - parametrised
    await claims.claim(one, "a")
    if marked:
        await claims.mark_sending(one, "a")
    assert await claims.release(one, "a") is HELD
    assert await claims.claim(one, "b") == Claimed(fresh=True)


async def test_only_its_owner_releases_a_claim(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert await claims.release(one, "b") is LOST
    assert isinstance(await claims.claim(one, "b"), Held)


async def test_a_repeated_release_has_no_further_effect(claims: Claims, one: str) -> None:
    await claims.claim(one, "a")
    assert [await claims.release(one, "a") for _ in range(2)] == [HELD, HELD]


@pytest.mark.parametrize("marked", [True, False])
async def test_a_claim_that_is_renewed_stands(claims: Claims, one: str, marked: bool) -> None:  # noqa: FBT001 - parametrised
    await claims.claim(one, "a")
    if marked:
        await claims.mark_sending(one, "a")
    for _ in range(4):
        await asyncio.sleep(LEASE / 2)
        assert list(await claims.renew({one: Tenure("a")})) == [one]
    assert isinstance(await claims.claim(one, "b"), Held)


async def test_only_what_still_stands_is_renewed(claims: Claims, one: str) -> None:
    names = {name: f"{one}-{name}" for name in ("ours", "taken", "decided", "unknown", "released")}
    for name in ("ours", "decided", "released"):
        await claims.claim(names[name], "a")
    await claims.claim(names["taken"], "b")
    await claims.decide(names["decided"], "a", Sent())
    await claims.release(names["released"], "a")
    assert list(await claims.renew(dict.fromkeys(names.values(), Tenure("a")))) == [names["ours"]]
    assert list(await claims.renew({})) == []
    assert await claims.claim(names["unknown"], "c") == Claimed(fresh=True)


# ── Redis alone ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_whose_answer_was_lost_is_recognised_as_our_own(
    behind: RedisClaims, proxy: Proxy, one: str
) -> None:
    proxy.lose_replies(1, after=b"EVALSHA")
    assert await behind.claim(one, "a") == Claimed(fresh=True)
    assert proxy.loss.count == 0
    assert isinstance(await behind.claim(one, "b"), Held)


async def test_a_verdict_a_marker_and_a_release_whose_answers_were_lost_stand(
    behind: RedisClaims, proxy: Proxy, one: str
) -> None:
    await behind.claim(one, "a")
    proxy.lose_replies(1, after=b"EVALSHA")
    assert await behind.mark_sending(one, "a") is HELD
    proxy.lose_replies(1, after=b"EVALSHA")
    assert await behind.decide(one, "a", Sent()) is HELD
    await behind.claim(one + "x", "a")
    proxy.lose_replies(1, after=b"EVALSHA")
    assert await behind.release(one + "x", "a") is HELD
    assert proxy.loss.count == 0
    assert await behind.claim(one, "b") == Decided(Sent())


async def test_a_claim_that_cannot_be_renewed_costs_the_others_nothing(behind: RedisClaims, one: str) -> None:
    held = {name: Tenure("a") for name in (f"{one}-1", f"{one}-2", f"{one}-3")}
    for name in held:
        await behind.claim(name, "a")
    await behind._redis.set(f"notification:{one}-2", "x")
    assert list(await behind.renew(held)) == [f"{one}-1", f"{one}-3"]
    with pytest.raises(StoreUnavailableError, match="WRONGTYPE"):
        await behind.renew({f"{one}-2": Tenure("a")})


async def test_a_clock_that_was_set_back_holds_no_claim_beyond_its_lease(behind: RedisClaims, one: str) -> None:
    await behind.claim(one, "a")
    await behind._redis.hincrby(f"notification:{one}", "until", 3_600_000)
    impatient = RedisClaims(behind._redis, lease_seconds=LEASE, verdict_seconds=60)
    held = await impatient.claim(one, "b")
    assert isinstance(held, Held)
    assert held.seconds == 30, "the lease of its owner, which may renew it only every 10 s"
    await asyncio.sleep(0.01)
    left = await impatient.claim(one, "b")
    assert isinstance(left, Held)
    assert left.seconds < 30


BROKEN = InterruptedSend(again=False, certain=False)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        (None, Claimed(fresh=True)),
        ({"state": "claimed", "owner": "x"}, Claimed(fresh=False, before="x", certain=False)),
        ({"state": "claimed", "owner": "x", "until": "soon"}, Claimed(fresh=False, before="x", certain=False)),
        ({"state": "decided"}, BROKEN),
        ({"state": "decided", "verdict": "{"}, BROKEN),
        ({"state": "decided", "verdict": "7"}, BROKEN),
        ({"state": "decided", "verdict": "[]"}, BROKEN),
    ],
)
async def test_a_broken_claim_proves_nothing_and_holds_nobody_for_ever(
    behind: RedisClaims, one: str, fields: dict[Any, Any] | None, answer: object
) -> None:
    if fields is None:
        await behind._redis.set(f"notification:{one}", "no claim")
    else:
        await behind._redis.hset(f"notification:{one}", mapping=fields)
    assert await behind.claim(one, "a") == answer
    assert await behind.decide(one, "a", Sent()) is HELD
    assert await behind.claim(one, "b") == Decided(Sent())


async def test_a_verdict_of_another_version_leaves_the_decision_to_the_ledger(behind: RedisClaims, one: str) -> None:
    verdict = '{"status": "sent", "outcome": "delivered"}'
    await behind._redis.hset(f"notification:{one}", mapping={"state": "decided", "verdict": verdict})
    with pytest.raises(StoreUnavailableError, match=f"notification:{one}"):
        await behind.claim(one, "a")


async def test_an_answer_that_is_no_redis_is_an_outage(one: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b":no number\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with redis.connect(f"redis://127.0.0.1:{port}/0") as client:
            claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
            with pytest.raises(StoreUnavailableError):
                await claims.claim(one, "a")
        server.close()


async def test_an_idle_connection_that_the_server_closed_costs_no_claim(
    behind: RedisClaims, proxy: Proxy, one: str
) -> None:
    proxy.cut()
    assert await behind.claim(one, "a") == Claimed(fresh=True)


async def test_a_server_that_hangs_surfaces_within_three_seconds(behind: RedisClaims, proxy: Proxy, one: str) -> None:
    proxy.black_hole()
    started = time.monotonic()
    for call in (behind.claim(one, "a"), behind.renew({one: Tenure("a")}), behind.ping()):
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError) as caught:
            await call
        assert caught.value.store == "Redis"
        assert time.monotonic() - began < 3
    assert time.monotonic() - started > 0.5, "it did hang"
    proxy.flow()
    assert await behind.claim(one + "x", "a") == Claimed(fresh=True)


async def test_many_callers_of_a_server_that_hangs_fail_within_three_seconds(
    behind: RedisClaims, proxy: Proxy, one: str
) -> None:
    proxy.black_hole()
    began = time.monotonic()
    told = await asyncio.gather(*(behind.claim(f"{one}-{n}", "a") for n in range(64)), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailableError) for answer in told)
    assert time.monotonic() - began < 3


async def test_a_server_that_is_not_there_is_unavailable_at_once(one: str) -> None:
    async with redis.connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="Redis cannot be reached"):
            await claims.claim(one, "a")
        assert time.monotonic() - began < 3


async def test_the_keys_expire_with_the_memory_of_verdicts(stack: LocalStack, one: str) -> None:
    async with redis.connect(stack.redis_url) as client:
        claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
        await claims.claim(one, "a")
        assert 50 < await client.ttl(f"notification:{one}") <= 60
        await claims.decide(one, "a", Sent())
        assert 50 < await client.ttl(f"notification:{one}") <= 60


@pytest.mark.process
async def test_a_server_that_was_started_anew_is_another(tmp_path: Path, one: str) -> None:
    """Its claims are in a file, and what was written after the file is lost."""
    server = PersistentRedis(tmp_path)
    with server:
        async with redis.connect(server.url) as client:
            claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
            await claims.claim(one, "a")
            await claims.claim(one + "x", "a")
            await client.save()
            await claims.mark_sending(one, "a")
        server.kill()
        server.start()
        server.wait_ready()
        await after_the_lease()
        async with redis.connect(server.url) as client:
            claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
            assert await claims.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)
            await after_the_lease()
            assert await claims.claim(one, "c") == Claimed(fresh=False, before="b")


@pytest.mark.process
async def test_a_server_that_was_demoted_and_promoted_again_is_another(tmp_path: Path, one: str) -> None:
    first, second = PersistentRedis(tmp_path / "first"), PersistentRedis(tmp_path / "second")
    with first, second:
        async with redis.connect(first.url) as client, redis.connect(second.url) as other:
            claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
            await claims.claim(one, "a")
            await other.replicaof("127.0.0.1", str(first.port))
            await _linked(other)
            await other.replicaof("NO", "ONE")
            await client.replicaof("127.0.0.1", str(second.port))
            await _linked(client)
            await client.replicaof("NO", "ONE")
            await after_the_lease()
            there = RedisClaims(other, lease_seconds=LEASE, verdict_seconds=60)
            assert await there.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)
            assert await claims.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)


@pytest.mark.process
async def test_a_marker_at_a_server_that_is_promoted_beside_the_first(tmp_path: Path, one: str) -> None:
    first, second = PersistentRedis(tmp_path / "first"), PersistentRedis(tmp_path / "second")
    with first, second:
        async with redis.connect(first.url) as client, redis.connect(second.url) as other:
            here = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
            there = RedisClaims(other, lease_seconds=LEASE, verdict_seconds=60)
            await other.replicaof("127.0.0.1", str(first.port))
            await _linked(other)
            await here.claim(one, "a")
            await client.wait(1, 1000)
            await other.replicaof("NO", "ONE")
            assert await there.mark_sending(one, "a") is HELD_HERE
            await after_the_lease()
            assert await here.claim(one, "b") == Claimed(fresh=False, before="a", certain=True)


async def test_where_info_is_hidden_no_claim_is_certain(stack: LocalStack, one: str) -> None:
    async with redis.connect(stack.redis_url) as client:
        await client.acl_setuser(
            "hidden", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"], commands=["-info"]
        )
        try:
            async with redis.connect(stack.redis_url.replace("://", "://hidden:secret@")) as hidden:
                claims = RedisClaims(hidden, lease_seconds=LEASE, verdict_seconds=60)
                assert not await claims.certain()
                assert await claims.claim(one, "a") == Claimed(fresh=True)
                assert await claims.mark_sending(one, "a") is HELD
                await claims.unmark(one, "a")
                await after_the_lease()
                assert await claims.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)
        finally:
            await client.acl_deluser("hidden")


async def test_a_claim_of_the_version_before_is_not_certain(stack: LocalStack, one: str) -> None:
    async with redis.connect(stack.redis_url) as client:
        for field, value in (("state", "claimed"), ("owner", "a"), ("until", "1")):
            await client.hset(f"notification:{one}", field, value)
        claims = RedisClaims(client, lease_seconds=LEASE, verdict_seconds=60)
        assert await claims.certain()
        assert await claims.claim(one, "b") == Claimed(fresh=False, before="a", certain=False)


async def _linked(replica: redis.RedisClient) -> None:
    for _ in range(200):
        if (await replica.info("replication")).get("master_link_status") == "up":
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("the replica never came up")


async def test_scripts_that_the_server_forgot_are_loaded_again(stack: LocalStack, one: str) -> None:
    async with redis.connect(stack.redis_url) as client:
        claims = RedisClaims(client, lease_seconds=30, verdict_seconds=60)
        await claims.claim(one, "a")
        await client.script_flush()
        fences = [claims.mark_sending(one, "a"), claims.mark_sending(one, "b"), claims.release(one + "x", "a")]
        assert await asyncio.gather(*fences) == [HELD, LOST, HELD]
