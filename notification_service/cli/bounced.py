"""`bounced`: list or replay messages that a server refused for good, and events that no queue accepts."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from notification_service.broker import parking
from notification_service.cli import actions, terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import AsJson, DryRun, EventId, NotificationId, Since, Yes, moment, text_option
from notification_service.cli.tables import AGE, Column, age
from notification_service.cli.terminal import say, say_json
from notification_service.foundation.addresses import mask, mask_in
from notification_service.foundation.errors import ConfigurationError, EventRefusedError
from notification_service.records import database
from notification_service.records.reconciliation import stored_body, to_publish
from notification_service.settings import Settings
from notification_service.stores.mongo.client import Document
from notification_service.stores.mongo.recalls import Bounces, MongoRecalls

app = typer.Typer(help="Refused mails, and events that no queue accepts: list, replay.", no_args_is_help=True)

Code = Annotated[
    str | None, text_option("--code", help="Only with this code: 550, 5.4.5, …, or unmovable.", metavar="CODE")
]
Fingerprint = Annotated[
    str | None,
    text_option("--fingerprint", help="Only refusals with this fingerprint.", metavar="HEX"),
]
Template = Annotated[
    str | None, text_option("--template", help="Only this e-mail, such as booking_confirmation.", metavar="NAME")
]
Domain = Annotated[str | None, text_option("--domain", help="Only to addresses of this domain.", metavar="NAME")]
_COLUMNS = (
    AGE,
    Column("bounced (UTC)", optional=True),
    Column("message", min_width=13, optional=True),
    Column("to", min_width=9),
    Column("code", min_width=9),
    Column("reply", min_width=24),
    Column("fingerprint"),
    Column("id", is_id=True),
)


@app.command("list")
def list_bounced(
    *,
    notification: NotificationId = None,
    event: EventId = None,
    code: Code = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    template: Template = None,
    domain: Domain = None,
    as_json: AsJson = False,
) -> None:
    """List bounced mails, and events that no queue accepts, with the reason.

    Equal refusals of a server have the same fingerprint.
    """
    which = _wanted(
        since, notification, event=event, code=code, fingerprint=fingerprint, template=template, domain=domain
    )
    found = asyncio.run(_look(command_settings(), which))
    if as_json:
        say_json(_as_json(found))
        return
    _table(found)
    say(f"{len(found)} bounced")


@app.command()
def replay(
    *,
    notification: NotificationId = None,
    event: EventId = None,
    code: Code = None,
    fingerprint: Fingerprint = None,
    since: Since = None,
    template: Template = None,
    domain: Domain = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Publish events again from their records.

    Selects bounced mails, and events that no queue accepts (--code unmovable). Give at least one condition.
    --notification and --event also select events that wait for a person.
    """
    which = _wanted(
        since, notification, event=event, code=code, fingerprint=fingerprint, template=template, domain=domain
    )
    if not which.narrow:
        raise ConfigurationError(
            "bounced replay: choose which, by --notification, --event, --code, --fingerprint, --since, --template or "
            "--domain"
        )
    settings = command_settings()
    found = asyncio.run(_look(settings, which))
    kept = [each for each in found if stored_body(each)]
    if not as_json:
        _table(found)
    done = actions.act_on(
        kept, lambda moved, refused: _replay(settings, kept, moved, refused), "Replay", dry_run=dry_run, yes=yes
    )
    if as_json:
        say_json(_as_json(done.moved, dry_run=dry_run, found=len(found)))
    else:
        actions.say_count(len(done.moved), "published again", dry_run=dry_run)
        if lacking := len(found) - len(kept):
            say(f"{lacking} are not stored in full: the booking system has to publish them again")
    done.end()


def _wanted(since: str | None, notification: str | None, **conditions: str | None) -> Bounces:
    """Raises `ConfigurationError` for a time that cannot be read."""
    return Bounces(notification=notification, since=moment("--since", since), **conditions)


async def _look(settings: Settings, which: Bounces) -> list[Document]:
    """The selected records with their events, the oldest first.

    Raises `DependencyError`, and `ConfigurationError` if several notification ids begin with the given text.
    """
    async with _recalls(settings) as recalls:
        found = [record async for batch in recalls.bounced(which) for record in batch]
    if which.notification and len(found) > 1:
        raise ConfigurationError(f"--notification: {len(found)} ids begin with {which.notification}: give more of it")
    return sorted(found, key=lambda record: record["created_at"])


async def _replay(
    settings: Settings,
    records: Sequence[Document],
    on_moved: Callable[[object], None],
    on_refused: Callable[[EventRefusedError], None],
) -> list[Document]:
    """Publish the events of these records again, each with a replay token of its own. Raises `DependencyError`."""
    moved = []
    async with parking.republishing(settings.rabbitmq.url.get_secret_value()) as republish:
        for record in records:
            if event := to_publish(record, secrets.token_hex(8)):
                try:
                    await republish(event)
                except EventRefusedError as problem:
                    on_refused(problem)
                    continue
                moved.append(record)
            on_moved(record)
    return moved


@asynccontextmanager
async def _recalls(settings: Settings) -> AsyncIterator[MongoRecalls]:
    async with database.opened(settings) as db:
        yield MongoRecalls(db, settings.mongodb.collection)


def _table(records: Sequence[Document]) -> None:
    if records:
        terminal.table(_COLUMNS, map(_row, records))


def _row(record: Document) -> tuple[object, ...]:
    at = record["updated_at"]
    return age(at), f"{at:%Y-%m-%d %H:%M}", *_cells(record)


def _cells(record: Document) -> tuple[object, ...]:
    to = mask(str(record.get("recipient") or ""))
    words = mask_in(str(record.get("detail") or ""))
    return record.get("template"), to, record.get("reason"), words, record.get("fingerprint") or "", record["_id"]


def _as_json(records: Sequence[Document], **facts: object) -> Mapping[str, object]:
    return {**facts, "notifications": [_fields(each) for each in records]}


def _fields(record: Document) -> dict[str, Any]:
    template, to, code, words, fingerprint, notification = _cells(record)
    return {
        "notification": notification,
        "event_id": record["event_id"],
        "event_type": record.get("event_type"),
        "booking_id": record.get("booking_id"),
        "template": template,
        "recipient": to,
        "code": code,
        "detail": words,
        "fingerprint": fingerprint,
        "bounced_at": record["updated_at"].isoformat(),
        "kept_in_full": stored_body(record) is not None,
    }
