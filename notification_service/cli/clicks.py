"""`clicks`: how often each link of each e-mail was followed, people and machines apart."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, Since, moment
from notification_service.cli.tables import Column
from notification_service.cli.terminal import say, say_json
from notification_service.records import database
from notification_service.settings import Settings, Tracking

if TYPE_CHECKING:
    from notification_service.records.click_report import ClickReport, Row

_DEFAULT = timedelta(days=30)
_COLUMNS = (
    Column("e-mail", min_width=13),
    Column("link"),
    Column("people", right=True),
    Column("of mails", right=True, optional=True),
    Column("machines", right=True),
    Column("machines by", min_width=12, optional=True),
)


def command(*, since: Since = None, as_json: AsJson = False) -> None:
    """Count clicks on the links of each e-mail, 30 days back unless --since says otherwise.

    Only readers who agree are counted, and only with TRACKING=clicks.
    """
    settings = command_settings()
    begin = moment("--since", since) or datetime.now(UTC) - _DEFAULT
    with terminal.progress("Reading clicks"):
        found = asyncio.run(_report(settings, begin))
    if as_json:
        say_json({"since": begin.isoformat(), "cut": found.cut, "links": [_fields(each) for each in found.rows]})
        return
    terminal.table(_COLUMNS, [_cells(each) for each in found.rows])
    say(f"{sum(each.people for each in found.rows)} clicks by people since {begin:%Y-%m-%d %H:%M} UTC")
    if found.cut:
        say("There are more clicks than one report counts: ask for a shorter time with --since")
    if settings.tracking.tracking is Tracking.OFF:
        say("TRACKING=off: no new clicks are counted")


async def _report(settings: Settings, since: datetime) -> "ClickReport":
    from notification_service.records import click_report  # noqa: PLC0415 - a service without feedback does not need it

    async with database.opened(settings) as opened:
        return await click_report.report(settings, opened, since)


def _cells(row: "Row") -> tuple[object, ...]:
    why = ", ".join(f"{name} {count}" for name, count in row.why.most_common())
    return row.template, row.link, row.people, row.mails, row.machines, why


def _fields(row: "Row") -> dict[str, object]:
    return {
        "template": row.template,
        "link": row.link,
        "people": row.people,
        "mails": row.mails,
        "machines": row.machines,
        "why": dict(row.why),
    }
