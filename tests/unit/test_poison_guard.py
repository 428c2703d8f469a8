"""Deliveries that came back: one at a time, unless the one before takes long, and no innocent is counted."""

import asyncio

from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.stores.memory.claims import MemoryClaims


async def test_one_at_a_time_in_the_order_of_their_coming() -> None:
    poison_guard, here = PoisonGuard(MemoryClaims()), []

    async def handled(name: str) -> None:
        async with poison_guard.turn(name):
            here.append(f"{name} begins")
            await asyncio.sleep(0.01)
            here.append(f"{name} ends")

    await asyncio.gather(*map(handled, "abc"))
    assert here == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


async def test_one_that_takes_long_lets_the_next_one_start_and_hands_over_once() -> None:
    poison_guard, at_once, most = PoisonGuard(MemoryClaims(), start_interval_s=0.02), 0, 0

    async def handled(name: str, seconds: float) -> None:
        nonlocal at_once, most
        async with poison_guard.turn(name):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(seconds)
            at_once -= 1

    await asyncio.wait_for(asyncio.gather(handled("long", 0.1), *(handled(name, 0.005) for name in "abcdef")), 2)
    assert most == 2


async def test_an_error_ends_its_turn_and_its_start() -> None:
    claims = MemoryClaims()
    poison_guard = PoisonGuard(claims)
    for _ in range(5):
        try:
            async with poison_guard.turn("n") as unfinished_starts:
                assert unfinished_starts == 0
                raise RuntimeError  # noqa: TRY301 - the turn is what is looked at
        except RuntimeError:
            continue
    assert await claims.begin("n") == 0


async def test_a_start_that_only_waits_is_over_when_a_poison_would_have_struck() -> None:
    """Four workers in turn have it in hand while a server is down, and each loses its connection."""
    claims, seen = MemoryClaims(), []

    async def waits(poison_guard: PoisonGuard) -> None:
        async with poison_guard.turn("n") as unfinished_starts:
            seen.append(unfinished_starts)
            await asyncio.sleep(0.3)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(waits(PoisonGuard(claims, start_interval_s=0.02)))
            await asyncio.sleep(0.06)
    assert seen == [0, 0, 0, 0]
    assert await claims.begin("n") == 0


async def test_what_comes_back_to_the_worker_that_still_has_it_is_not_counted() -> None:
    claims = MemoryClaims()
    poison_guard = PoisonGuard(claims, start_interval_s=0.01)
    async with poison_guard.turn("n") as first, poison_guard.turn("n") as second:
        assert (first, second) == (0, 0)
    assert await claims.begin("n") == 0


async def test_one_whose_turn_does_not_come_is_to_come_again_and_is_not_counted() -> None:
    """It would stand unacked for as long, and the broker would close the channel over it."""
    claims = MemoryClaims()
    poison_guard, goes_on = PoisonGuard(claims), asyncio.Event()

    async def hangs() -> None:
        async with poison_guard.turn("first"):
            await goes_on.wait()

    first = asyncio.create_task(hangs())
    await asyncio.sleep(0)
    poison_guard.allow_to_wait(0.02)
    poison_guard.allow_to_wait(1800)
    async with poison_guard.turn("second") as unfinished_starts:
        assert unfinished_starts is None
    goes_on.set()
    await first
    async with poison_guard.turn("second") as unfinished_starts:
        assert unfinished_starts == 0
