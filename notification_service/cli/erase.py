"""`erase`: removes one person from every record."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, DryRun, Yes, agreed
from notification_service.cli.terminal import say, say_json
from notification_service.records import erasure
from notification_service.records.erasure import ErasureReport
from notification_service.settings import Settings


def command(
    address: Annotated[
        str,
        typer.Option(
            help="Whose personal data is removed: a mail address, or a phone number (+49…).", metavar="ADDRESS"
        ),
    ],
    *,
    discard_parked: Annotated[
        bool, typer.Option("--discard-parked", help="Also discard the parked events that contain it.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Change nothing: search everything, and report what contains it.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove a person from every record.

    Sent mails are not sent again, and waiting ones are not sent at all. Exit 1 if anything still contains the
    address.
    """
    settings = command_settings()
    if verify:
        _verify(settings, address, as_json=as_json)
        return
    erased = _erase(settings, address, dry=True)
    discarded = len(erased.parked) if discard_parked else 0
    question = (
        f"Erase {erased.records} records of {erased.address}, and remove {len(erased.outbox)} files of the outbox and "
        f"{discarded} parked events?"
    )
    nothing = not (erased.records or erased.outbox or discarded)
    if done := not dry_run and (nothing or agreed(question, yes=yes)):
        erased = _erase(settings, address, dry=False, discard_parked=discard_parked)
    if as_json:
        say_json(asdict(erased) | {"dry_run": not done})
    else:
        for sentence in erased.sentences(dry=not done, delay=max(settings.service.retry_rungs)):
            say(sentence)
    if done and not erased.whole:
        raise typer.Exit(1)


def _erase(settings: Settings, address: str, *, dry: bool, discard_parked: bool = False) -> ErasureReport:
    with terminal.progress("Looking for records" if dry else "Erasing"):
        return asyncio.run(erasure.erase(settings, address, dry=dry, discard_parked=discard_parked))


def _verify(settings: Settings, address: str, *, as_json: bool) -> None:
    with terminal.progress("Reading everything"):
        traces = asyncio.run(erasure.verify(settings, address))
    if as_json:
        say_json(asdict(traces) | {"traces": traces.count})
    else:
        for sentence in traces.sentences():
            say(sentence)
    if traces.count:
        raise typer.Exit(1)
