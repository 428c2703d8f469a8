"""`reconcile`: says in a terminal whether the books balance."""

from collections.abc import Mapping
from dataclasses import asdict

from notification_service.cli.terminal import say, table
from notification_service.records.audit import AuditReport
from notification_service.records.reconciliation import OUTCOMES


def show(report: AuditReport) -> None:
    outcomes = (*OUTCOMES, *sorted(set(report.outcomes) - set(OUTCOMES)))
    counts = [(each, report.outcomes[each]) for each in outcomes if report.outcomes[each]]
    table(("outcome", "records"), counts, title="The books")
    table(("queue", "events"), report.queues.items(), title="The queues")
    for line in (*(each.text for each in report.findings), *report.notes):
        say(f"- {line}")
    if report.published:
        say(f"{report.published} published again; look once more when they had time to end")
    if report.confirmed:
        say(f"{report.confirmed} events confirmed, {report.recorded} of them have a record")
    total = report.outcomes.total()
    say(f"{total} records: " + ("they balance" if report.balanced else f"{len(report.findings)} findings"))


def as_json(report: AuditReport) -> Mapping[str, object]:
    told = {name: getattr(report, name) for name in ("balanced", "outcomes", "queues", "confirmed", "recorded")}
    findings = [asdict(each) for each in report.findings]
    moved = {"notes": report.notes, "repairable": report.repairable, "published": report.published}
    return {**told, "findings": findings, **moved}
