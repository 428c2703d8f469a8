"""One worker, killed before and after the effect of each of its calls in turn, and the one after it likewise."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from tests.model.smtp import Reply
from tests.model.worker import LEASE
from tests.model.world import Setting, World

Aftermath = Callable[[World], None]


def nothing_more(world: World) -> None:
    """Only the worker is gone."""


def redis_forgets(world: World) -> None:
    world.forget()


def redis_loses_a_write(world: World) -> None:
    world.lose_writes(1)


def redis_loses_two_writes(world: World) -> None:
    world.lose_writes(2)


def redis_is_away(world: World) -> None:
    """For as long as the second run takes, and for one lease more."""
    world.claims_go_away(LEASE + 1)


def published_again(world: World) -> None:
    world.publish()


AFTERMATHS = (
    *(nothing_more, redis_forgets, redis_loses_a_write, redis_loses_two_writes, redis_is_away, published_again),
)
SCRIPTS = (
    (),
    (Reply.LATER,),
    (Reply.LATER_AFTER_DATA,),
    (Reply.LOST_AFTER_THE_DOT,),
    (Reply.LOST_IN_THE_BODY,),
    (Reply.CLOSING,),
    (Reply.CLOSING_AFTER_DATA,),
    (Reply.REFUSES_US,),
    (Reply.REFUSES_US_AFTER_DATA,),
)


def settings(script: tuple[Reply, ...], *, fine: bool) -> list[Setting]:
    """Each event published once and twice, and with a copy on the express lane, under both unknown policies."""
    name = ", ".join(reply.name for reply in script) or "OK"
    return [
        Setting(name, script, copies, hold=hold, fine=fine, express=express)
        for copies, express in ((1, False), (2, False), (1, True))
        for hold in (False, True)
    ]


def named(value: object) -> str:
    return (
        " ".join(reply.name for reply in value) or "OK" if isinstance(value, tuple) else getattr(value, "__name__", "")
    )


@dataclass
class Killer:
    """Kills whoever is about to take the steps of these numbers."""

    at: tuple[int, ...]
    then: Aftermath
    done: int = 0

    def __call__(self, world: World) -> None:
        if self.done < len(self.at) and world.steps == self.at[self.done]:
            self.done += 1
            world.crash(world.ready()[0])
            self.then(world)


def run(setting: Setting, killer: Killer) -> World:
    world = World(setting)
    world.publish(copies=setting.copies)
    world.run(killer)
    world.close()
    return world


def every_crash(setting: Setting, then: Aftermath, before: Sequence[int] = ()) -> Iterator[World]:
    """A run for each step after those `before` at which the worker can be killed."""
    step = before[-1] if before else 0
    while True:
        killer = Killer((*before, step), then)
        world = run(setting, killer)
        if killer.done <= len(before):
            return
        yield world
        step += 1


def outcomes(setting: Setting, unfinished_starts: int) -> set[str]:
    """What the record may say: `unknown` where a person decides, or where the second try was lost as well."""
    doubts = unfinished_starts + any("LOST" in reply.name for reply in setting.replies)
    return {"sent", "unknown"} if setting.hold or doubts > 1 else {"sent"}


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_undisturbed(script: tuple[Reply, ...]) -> None:
    for setting in settings(script, fine=True):
        run(setting, Killer((), nothing_more)).check(outcomes(setting, 0))


@pytest.mark.parametrize("then", AFTERMATHS, ids=named)
@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_killed_at_each_step(script: tuple[Reply, ...], then: Aftermath) -> None:
    plain, *others = settings(script, fine=False)
    for setting in (replace(plain, fine=True), *others):
        unfinished_starts = list(every_crash(setting, then))
        assert len(unfinished_starts) > 8, "the worker has more steps than that"
        for world in unfinished_starts:
            world.check(outcomes(setting, 1))


def killed_twice(script: tuple[Reply, ...], then: Aftermath, *, fine: bool) -> None:
    for setting in settings(script, fine=fine):
        for first in every_crash(setting, then):
            for world in every_crash(setting, then, first.killed_at):
                world.check(outcomes(setting, 2))


@pytest.mark.parametrize("then", AFTERMATHS, ids=named)
@pytest.mark.parametrize("script", SCRIPTS[:1] + SCRIPTS[3:4], ids=named)
def test_killed_at_each_pair_of_steps(script: tuple[Reply, ...], then: Aftermath) -> None:
    killed_twice(script, then, fine=False)


@pytest.mark.soak
@pytest.mark.parametrize("then", AFTERMATHS, ids=named)
@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_killed_before_and_after_the_effects_of_each_pair_of_calls(script: tuple[Reply, ...], then: Aftermath) -> None:
    killed_twice(script, then, fine=True)
