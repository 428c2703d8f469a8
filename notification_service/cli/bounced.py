"""`bounced`: list, or send on its way again, what a mail server refused for good, or what no queue takes."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from notification_service.broker import parking
from notification_service.cli import terminal
from notification_service.cli.find import moment
from notification_service.cli.options import text_option
from notification_service.foundation.addresses import mask, mask_in
from notification_service.foundation.errors import EventRefusedError
from notification_service.records import database
from notification_service.records.reconciliation import channel_of, stored_body
from notification_service.settings import Settings
from notification_service.stores.mongo.client import Document
from notification_service.stores.mongo.recalls import Bounces, MongoRecalls

NotificationOption = Annotated[str | None, text_option("--notification", help="Only the notification of this id.")]
Event = Annotated[str | None, text_option("--event", help="Only what this event reported.")]
Code = Annotated[str | None, text_option("--code", help="Only refused with this code: 550, 5.4.5, …, or unmovable.")]
Fingerprint = Annotated[
    str | None, text_option("--fingerprint", help="Only refused in the same words, whatever address or id they name.")
]
Since = Annotated[
    str | None,
    text_option(metavar="TIME", help="Only what bounced at or after it: 30m, 2h or 3d ago, or 2026-11-26T15:00."),
]
Template = Annotated[str | None, text_option("--template", help="Only this e-mail, such as booking_confirmation.")]
Domain = Annotated[str | None, text_option("--domain", help="Only to addresses of this domain.")]


def chosen(*, since: str | None, **known: str | None) -> Bounces:
    """Raises `ConfigurationError` for a time that is none."""
    return Bounces(since=moment("--since", since), **known)


async def look(settings: Settings, wanted: Bounces) -> list[Document]:
    """The records with their events, those created first first. Raises `DependencyError`."""
    async with _recalls(settings) as recalls:
        found = [record async for batch in recalls.bounced(wanted) for record in batch]
    return sorted(found, key=lambda record: record["created_at"])


async def replay(
    settings: Settings,
    records: Sequence[Document],
    moved_one: Callable[[object], None],
    refused_one: Callable[[EventRefusedError], None],
) -> list[Document]:
    """Publish their events again, each as a wish of its own; those that are kept in full. Raises `DependencyError`."""
    moved = []
    async with parking.bringing_in(settings.rabbitmq.url.get_secret_value()) as bring_in:
        for record in records:
            if body := stored_body(record):
                try:
                    await bring_in(
                        body,
                        str(record["event_type"]),
                        str(record["event_id"]),
                        secrets.token_hex(8),
                        channel_of(record),
                    )
                except EventRefusedError as problem:
                    refused_one(problem)
                    continue
                moved.append(record)
            moved_one(record)
    return moved


@asynccontextmanager
async def _recalls(settings: Settings) -> AsyncIterator[MongoRecalls]:
    async with database.opened(settings) as db:
        yield MongoRecalls(db, settings.mongodb.collection)


def table(records: Sequence[Document]) -> None:
    """A row each, with ids in full: a person has to copy them."""
    if not records:
        return
    columns = ("bounced (UTC)", "e-mail", "to", "code", "the server's words", "fingerprint", "notification")
    terminal.table(columns, ((f"{each['updated_at']:%Y-%m-%d %H:%M}", *_cells(each)) for each in records))


def _cells(record: Document) -> tuple[object, ...]:
    to = mask(str(record.get("recipient") or ""))
    said = mask_in(str(record.get("detail") or ""))
    return record.get("template"), to, record.get("reason"), said, record.get("fingerprint") or "", record["_id"]


def as_json(records: Sequence[Document], **facts: object) -> Mapping[str, object]:
    return {**facts, "notifications": [_told(each) for each in records]}


def _told(record: Document) -> dict[str, Any]:
    template, to, code, said, fingerprint, notification = _cells(record)
    return {
        "notification": notification,
        "event_id": record["event_id"],
        "event_type": record.get("event_type"),
        "booking_id": record.get("booking_id"),
        "template": template,
        "recipient": to,
        "code": code,
        "detail": said,
        "fingerprint": fingerprint,
        "bounced_at": record["updated_at"].isoformat(),
        "kept_in_full": stored_body(record) is not None,
    }
