"""Workers that die in the middle of a recall: what bounced because of us is sent, once, whoever is left."""

from collections.abc import Iterator, Sequence

import pytest

from tests.model.smtp import Reply
from tests.model.test_model_crashes import AFTERMATHS, Aftermath, Killer, named, nothing_more
from tests.model.world import Setting, World

ODD, US = Reply.ODD_WORDS_AFTER_DATA, Reply.REFUSES_US_AFTER_DATA
SCRIPTS = ((ODD,) * 3, (ODD,) * 5, (US,) * 4, (US, ODD, ODD, US, ODD))
EVENTS = 3


def run(setting: Setting, killer: Killer) -> World:
    world = World(setting)
    for number in range(1, EVENTS + 1):
        world.publish(number)
    world.run(killer)
    world.close()
    return world


def every_crash(setting: Setting, then: Aftermath, before: Sequence[int] = (), stride: int = 1) -> Iterator[World]:
    step = before[-1] if before else 0
    while True:
        killer = Killer((*before, step), then)
        world = run(setting, killer)
        if killer.done <= len(before):
            return
        yield world
        step += stride


def outcomes(world: World, unfinished_starts: int) -> set[str]:
    """Bounced only where the worker died before it could know that these refusals are alike."""
    counted = {"sent", "unknown"} if unfinished_starts > 1 else {"sent"}
    return counted if world.stores.ordered or ODD not in world.setting.replies else {*counted, "bounced"}


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
@pytest.mark.parametrize("workers", [1, 2])
def test_undisturbed(script: tuple[Reply, ...], workers: int) -> None:
    world = run(Setting("recall", script, workers=workers, recall=True), Killer((), nothing_more))
    world.check(outcomes(world, 0))
    if script[0] is ODD and workers == 1:
        assert world.stores.ordered


@pytest.mark.timeout(300)
@pytest.mark.parametrize("then", AFTERMATHS, ids=named)
@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_killed_at_each_step(script: tuple[Reply, ...], then: Aftermath) -> None:
    for workers in (1, 2):
        unfinished_starts = list(every_crash(Setting("recall", script, workers=workers, recall=True), then))
        assert len(unfinished_starts) > 25, "the workers have more steps than that"
        assert script[0] is US or workers == 2 or sum(world.stores.ordered for world in unfinished_starts) > 10
        for world in unfinished_starts:
            world.check(outcomes(world, 1))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_killed_at_each_pair_of_steps(script: tuple[Reply, ...]) -> None:
    setting = Setting("recall", script, recall=True)
    for first in every_crash(setting, nothing_more):
        for world in every_crash(setting, nothing_more, first.killed_at):
            world.check(outcomes(world, 2))
