"""`parked`: list, show, replay or discard what waits for a person in the parking queue."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from notification_service.broker import parking
from notification_service.broker.parking import ParkedEvent, Wanted

Event = Annotated[str | None, typer.Option("--event", help="Only this event id.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only where this stands in the reason: no_recipient, …")]
EventType = Annotated[str | None, typer.Option("--type", help="Only this event type, such as payment.success.")]
_LONGEST = 10 * 366 * 24


def hours(text: str) -> float:
    """An age in hours. Raises `ValueError` where it could not be meant."""
    try:
        found = float(text)
    except ValueError:
        found = 0
    if not 0 < found <= _LONGEST:
        raise ValueError(f"the age has to be a number of hours above 0, and at most {_LONGEST}")
    return found


def _older(text: str) -> float:
    try:
        return hours(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem


Older = Annotated[
    float | None,
    typer.Option(
        "--older-than", metavar="HOURS", parser=_older, help="Only what was parked more than so many hours ago."
    ),
]


def chosen(event: str | None, reason: str | None, event_type: str | None, older_than: float | None) -> Wanted:
    """What every given condition holds for; without any, everything."""

    def wanted(parked: ParkedEvent) -> bool:
        return (
            (event is None or parked.event_id == event)
            and (reason is None or reason in parked.reason)
            and (event_type is None or parked.event_type == event_type)
            and (older_than is None or parking.age(parked) > timedelta(hours=older_than))
        )

    return wanted


def table(events: list[ParkedEvent]) -> None:
    """Print the events, a row each, with reasons and ids in full: a person has to copy them."""
    if not events:
        return
    shown = Table("parked at", "event type", "reason", "event id")
    for column in shown.columns:
        column.overflow = "fold"
    for each in events:
        shown.add_row(f"{each.parked_at:%Y-%m-%d %H:%M}", each.event_type, each.reason, each.event_id)
    Console(highlight=False).print(shown)


def as_json(events: Sequence[ParkedEvent], *, whole: bool = False, **facts: object) -> str:
    """`whole`: with their bodies."""
    return json.dumps({**facts, "events": [_told(each, whole=whole) for each in events]}, ensure_ascii=False)


def _told(event: ParkedEvent, *, whole: bool) -> dict[str, object]:
    told = {**asdict(event), "parked_at": event.parked_at.isoformat(), "body": event.body.decode("utf-8", "replace")}
    return told if whole else {name: value for name, value in told.items() if name != "body"}


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[object], None]]:
    """A bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda _: bar.advance(task)


def details(event: ParkedEvent) -> None:
    typer.echo(f"{event.event_id} ({event.event_type}), parked {event.parked_at:%Y-%m-%d %H:%M:%S %Z}")
    typer.echo(f"{event.reason}: {event.detail}")
    typer.echo(event.body.decode("utf-8", "replace"))
