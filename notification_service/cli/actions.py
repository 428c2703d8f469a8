"""Acts on selected events: asks first, shows progress, and reports what the broker refused."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import typer

from notification_service.cli import terminal
from notification_service.cli.options import agreed
from notification_service.cli.terminal import say
from notification_service.foundation.errors import EventRefusedError

T = TypeVar("T")
Act = Callable[[Callable[[object], None], Callable[[EventRefusedError], None]], Coroutine[None, None, list[T]]]
"""Takes a callback for each event that was moved and one for each that the broker refused; returns the moved ones."""


@dataclass(frozen=True, slots=True)
class ActionResult(Generic[T]):
    moved: Sequence[T] = ()
    refused: Sequence[EventRefusedError] = ()

    def end(self) -> None:
        """Print on standard error what the broker refused, and exit with 1 if there is any."""
        for problem in self.refused:
            say(problem, err=True)
        if self.refused:
            raise typer.Exit(1)


def act_on(found: Sequence[T], act: Act[T], verb: str, *, dry_run: bool, yes: bool) -> ActionResult[T]:
    """Ask for confirmation, then act. A dry run moves nothing, and returns what would be moved."""
    if dry_run:
        return ActionResult(found)
    if not found or not agreed(f"{verb} {len(found)} events?", yes=yes):
        return ActionResult()
    refused: list[EventRefusedError] = []
    with terminal.progress(verb, len(found)) as bar:
        moved = asyncio.run(act(lambda _: bar.advance(), refused.append))
    return ActionResult(moved, refused)


def say_count(count: int, ending: str, *, dry_run: bool) -> None:
    say(f"{count} {'would be ' if dry_run else ''}{ending}")
