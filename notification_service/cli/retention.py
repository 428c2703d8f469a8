"""`retention`: applies the ages of RECORD_DAYS_FULL and RECORD_DAYS now."""

import asyncio
from dataclasses import asdict

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, DryRun, Yes, agreed
from notification_service.cli.terminal import say, say_json
from notification_service.records import erasure
from notification_service.records.retention_sweeper import SweepResult
from notification_service.settings import Settings


def command(*, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove personal data from old records, and remove older records.

    The service does the same once an hour. RECORD_DAYS_FULL and RECORD_DAYS set the ages.
    """
    settings = command_settings()
    swept = _sweep(settings, dry=True)
    question = f"Remove the personal data of {swept.stripped} records, and {swept.removed} whole records?"
    if done := not dry_run and agreed(question, yes=yes):
        swept = _sweep(settings, dry=False)
    if as_json:
        say_json(asdict(swept) | {"dry_run": not done})
        return
    dry = "" if done else ": a dry run, nothing was changed"
    say(f"{swept.stripped} records without their personal data, {swept.removed} removed{dry}")
    if swept.left:
        say(f"{swept.left} cannot be changed or have no valid date, and stay as they are: the log names some of them")


def _sweep(settings: Settings, *, dry: bool) -> SweepResult:
    with terminal.progress("Reading records"):
        return asyncio.run(erasure.sweep(settings, dry=dry))
