"""`reconcile`: says in a terminal whether the books balance."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from notification_service.auditing import Report
from notification_service.reconciling import OUTCOMES, shown


def show(report: Report) -> None:
    console = Console(highlight=False)
    books, queues = Table("outcome", "records", title="The books"), Table("queue", "events", title="The queues")
    for outcome in (*OUTCOMES, *sorted(set(report.outcomes) - set(OUTCOMES))):
        if report.outcomes[outcome]:
            books.add_row(shown(outcome), str(report.outcomes[outcome]))
    for name, depth in report.queues.items():
        queues.add_row(name, str(depth))
    console.print(books, queues)
    for line in (*(each.text for each in report.findings), *report.notes):
        typer.echo(f"- {line}")
    if report.published:
        typer.echo(f"{report.published} published again; look once more when they had time to end")
    if report.confirmed:
        typer.echo(f"{report.confirmed} events confirmed, {report.recorded} of them have a record")
    total = report.outcomes.total()
    typer.echo(f"{total} records: " + ("they balance" if report.balanced else f"{len(report.findings)} findings"))


def as_json(report: Report) -> str:
    told = {name: getattr(report, name) for name in ("balanced", "outcomes", "queues", "confirmed", "recorded")}
    findings = [asdict(each) for each in report.findings]
    moved = {"notes": report.notes, "repairable": report.repairable, "published": report.published}
    return json.dumps({**told, "findings": findings, **moved})
