"""Two workers, one step of either at a time: every order of their steps with at most two interventions.

Without an intervention the worker whose turn it is goes on as long as it can, then the other. An intervention gives
the turn to the other one, with or without a fault. Here each setting has the interventions that matter most to it;
`make soak` has all of them in every setting, and three of the two that found most.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.model.interventions import (
    EVERY,
    Intervention,
    cut_and_switch,
    forget_and_switch,
    kill,
    promote,
    stall,
    switch,
)
from tests.model.smtp import Reply
from tests.model.world import Setting, World

Schedule = tuple[tuple[int, Intervention], ...]


@dataclass
class Scheduler:
    """Intervenes before the steps of these numbers."""

    schedule: Schedule
    done: int = 0

    def __call__(self, world: World) -> None:
        if self.done < len(self.schedule) and world.steps == self.schedule[self.done][0]:
            intervention = self.schedule[self.done][1]
            self.done += 1
            intervention(world)


def run(setting: Setting, schedule: Schedule) -> World:
    world = World(setting)
    world.publish(copies=setting.copies)
    world.run(Scheduler(schedule))
    world.close()
    return world


def every_run(
    setting: Setting, interventions: tuple[Intervention, ...], most: int, before: Schedule = ()
) -> Iterator[World]:
    """The run of this schedule, and of every one that begins with it and has at most `most` interventions."""
    world = run(setting, before)
    yield world
    if len(before) == most:
        return
    first = before[-1][0] + 1 if before else 0
    for step in range(first, world.steps):
        for intervention in interventions:
            yield from every_run(setting, interventions, most, (*before, (step, intervention)))


TWO = Setting("published twice", copies=2, workers=2)
ONE = Setting("published once", workers=2)
DROPPED = Setting("250 lost", (Reply.LOST_AFTER_THE_DOT,), workers=2)
LATER = Setting("450", (Reply.LATER_AFTER_DATA,), workers=2)
CLOSING = Setting("421", (Reply.CLOSING_AFTER_DATA,), workers=2)
HOLD = Setting("hold", workers=2, hold=True)
AHEAD = Setting("on the express lane", workers=2, express=True)
AHEAD_LATER = Setting("450 on the express lane", (Reply.LATER_AFTER_DATA,), workers=2, express=True)
QUICK: tuple[tuple[Setting, tuple[Intervention, ...]], ...] = (
    (TWO, (switch, stall)),
    (ONE, (cut_and_switch, stall, kill)),
    (DROPPED, (stall,)),
    (LATER, (stall,)),
    (HOLD, (stall, kill, forget_and_switch)),
    (ONE, (promote, kill)),
    (AHEAD, (switch, stall, kill)),
    (AHEAD_LATER, (stall,)),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("setting", "interventions"), QUICK, ids=lambda value: getattr(value, "name", ""))
def test_every_order_with_two_interventions(setting: Setting, interventions: tuple[Intervention, ...]) -> None:
    for world in every_run(setting, interventions, 2):
        world.check({"sent", "unknown"})


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "setting", [TWO, ONE, DROPPED, LATER, CLOSING, HOLD, AHEAD, AHEAD_LATER], ids=lambda value: value.name
)
def test_every_order_with_two_of_all_interventions(setting: Setting) -> None:
    for world in every_run(setting, EVERY, 2):
        world.check({"sent", "unknown"})


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("setting", [TWO, ONE, DROPPED], ids=lambda value: value.name)
def test_every_order_with_three_interventions(setting: Setting) -> None:
    for world in every_run(setting, (switch, stall), 3):
        world.check({"sent", "unknown"})
