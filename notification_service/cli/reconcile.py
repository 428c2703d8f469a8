"""`reconcile`: checks that every event has one record, and that records and verdicts agree."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from notification_service.bootstrap import further_channels
from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, DryRun, Yes, agreed
from notification_service.cli.tables import Column
from notification_service.cli.terminal import say, say_item, say_json
from notification_service.records import audit
from notification_service.records.audit import AuditReport
from notification_service.records.reconciliation import OUTCOMES
from notification_service.settings import Settings


def command(
    events: Annotated[
        Path | None,
        typer.Option(help="Published events: one event, or its id, per line.", metavar="FILE"),
    ] = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Publish the events of stalled records again.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Check every record: find stalled and contradictory ones, and events without a record.

    Exit 1 if anything is found. Without --repair it changes nothing.
    """
    settings = command_settings()
    report = _examine(settings, events)
    question = f"Publish {report.repairable} events again, if their records hold them in full?"
    if repair and report.repairable and not dry_run and agreed(question, yes=yes):
        report = _examine(settings, events, repair=True)
    if as_json:
        say_json(_as_json(report))
    else:
        show(report)
    if not report.balanced:
        raise typer.Exit(1)


def _examine(settings: Settings, events: Path | None, *, repair: bool = False) -> AuditReport:
    with terminal.progress("Repairing" if repair else "Reading records") as bar:
        others = further_channels.event_types(settings)
        examining = audit.examine(settings, events=events, repair=repair, others=others, on_records=bar.advance)
        return asyncio.run(examining)


def show(report: AuditReport) -> None:
    outcomes = (*OUTCOMES, *sorted(set(report.outcomes) - set(OUTCOMES)))
    counts = [(each, report.outcomes[each]) for each in outcomes if report.outcomes[each]]
    terminal.table((Column("outcome"), Column("records", right=True)), counts)
    say()
    terminal.table((Column("queue"), Column("events", right=True)), report.queues.items())
    say()
    for text in (*(each.text for each in report.findings), *report.notes):
        say_item("-", text)
    if report.published:
        say(f"{report.published} published again; run reconcile again in a few minutes")
    if report.confirmed:
        say(f"{report.confirmed} events confirmed, {report.recorded} of them have a record")
    total = report.outcomes.total()
    say(f"{total} records: " + ("they balance" if report.balanced else f"{len(report.findings)} findings"))


def _as_json(report: AuditReport) -> Mapping[str, object]:
    fields = {name: getattr(report, name) for name in ("balanced", "outcomes", "queues", "confirmed", "recorded")}
    findings = [asdict(each) for each in report.findings]
    moved = {"notes": report.notes, "repairable": report.repairable, "published": report.published}
    return {**fields, "findings": findings, **moved}
