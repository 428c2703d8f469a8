"""What can come between two steps: another worker's turn, with or without a fault."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.model.world import Setting, World

Intervention = Callable[[World], None]


def nothing(world: World) -> None:
    """Only a mark in a plot."""


def switch(world: World) -> None:
    world.switch(world.ready()[0])


def cut(world: World) -> None:
    """Its delivery comes again, to itself: the job that runs is joined."""
    world.cut(world.ready()[0])


def cut_and_switch(world: World) -> None:
    """Its delivery comes again, to the other one."""
    worker = world.ready()[0]
    world.switch(worker)
    world.cut(worker)


def stall(world: World) -> None:
    world.stall(world.ready()[0])


def kill(world: World) -> None:
    world.crash(world.ready()[0])


def forget_and_switch(world: World) -> None:
    world.forget()
    world.switch(world.ready()[0])


def lose_a_write_and_kill(world: World) -> None:
    world.lose_writes(1)
    world.crash(world.ready()[0])


def split_and_switch(world: World) -> None:
    """Its delivery comes again, to the other one, which asks another primary."""
    worker = world.ready()[0]
    world.split(worker)
    world.switch(worker)
    world.cut(worker)


def promote(world: World) -> None:
    """Its claim stands at the primary of before too, where the others ask."""
    world.promote(world.ready()[0])


EVERY = (
    *(lose_a_write_and_kill, split_and_switch, promote, switch, cut, cut_and_switch, stall, kill, forget_and_switch),
)


@dataclass
class Plot:
    """Intervenes whenever the next step has the name that comes next; what happens between is left to itself."""

    scenes: tuple[tuple[str, Intervention], ...]
    done: int = 0

    def __call__(self, world: World) -> None:
        if self.done < len(self.scenes):
            name, intervention = self.scenes[self.done]
            if world.ready()[0].process.gates[0].name == name:
                self.done += 1
                intervention(world)


def play(setting: Setting, *scenes: tuple[str, Intervention]) -> World:
    """To rest; each scene has to come."""
    world, plot = World(setting), Plot(scenes)
    world.publish(copies=setting.copies)
    world.run(plot)
    world.close()
    assert plot.done == len(scenes), world.failure(f"{scenes[plot.done][0]} never came")
    return world
