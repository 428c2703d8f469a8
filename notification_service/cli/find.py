"""`find`: what happened to a booking, an event, a notification, or the mails to an address."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.options import (
    AsJson,
    Channel,
    EventId,
    NotificationId,
    Since,
    Until,
    moment,
    not_empty,
    text_option,
)
from notification_service.cli.tables import AGE, Column, age
from notification_service.cli.terminal import say, say_item, say_json
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.delivery_status import DeliveryStatus
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.printable import shown
from notification_service.records import database, timeline
from notification_service.records.reconciliation import OUTCOMES
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo import documents
from notification_service.stores.mongo.search import MongoSearch, Place, SearchPage, SearchQuery
from notification_service.stores.mongo.signals import MongoSignals

Term = Annotated[
    str | None, typer.Argument(help="A booking, event, notification, address or phone number.", callback=not_empty)
]
Booking = Annotated[str | None, text_option("--booking", help="Only of this booking.", metavar="ID")]
Address = Annotated[
    str | None, text_option("--address", help="Only to this address or phone number (+49…).", metavar="ADDRESS")
]
Outcomes = Annotated[
    list[str] | None, typer.Option("--outcome", help="Only with this outcome; may be repeated.", metavar="OUTCOME")
]
After = Annotated[
    str | None, text_option("--after", help="The next page: the value that the last one ends with.", metavar="PLACE")
]

Record = Mapping[str, Any]

_STYLES = {"sent": "green", "bounced": "red", "rejected": "red", "parked": "yellow", "unknown": "yellow"}
_COLUMNS = (
    AGE,
    Column("created (UTC)", optional=True),
    Column("message", min_width=13),
    Column("by"),
    Column("outcome", min_width=20, style=lambda cell: _STYLES.get(cell.partition(" ")[0], "")),
    Column("booking", min_width=9),
    Column("to", min_width=9),
    Column("id", is_id=True),
)


def command(
    term: Term = None,
    *,
    booking: Booking = None,
    event: EventId = None,
    notification: NotificationId = None,
    address: Address = None,
    channel: Channel = None,
    outcome: Outcomes = None,
    delivery: Annotated[
        DeliveryStatus | None, typer.Option("--delivery", help="Only what this became of after it was sent.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="Rows of a page.", min=1, max=1000, metavar="N")] = 50,
    after: After = None,
    addresses: Annotated[bool, typer.Option("--addresses", help="Show addresses in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find notifications, the newest first.

    If there is only one, its whole history is shown.
    """
    which = wanted(
        term=term,
        booking=booking,
        event=event,
        notification=notification,
        address=address,
        channel=channel,
        outcomes=outcome or (),
        delivery=delivery,
        since=since,
        until=until,
    )
    page, alone = asyncio.run(look(command_settings(), which, limit, _place(after)))
    if as_json:
        say_json(_as_json(page, alone, addresses=addresses), default=_text)
    elif alone:
        _history(alone, addresses=addresses)
    else:
        _table(page, addresses=addresses)


def wanted(
    *,
    outcomes: Sequence[str] = (),
    since: str | None = None,
    until: str | None = None,
    channel: ChannelKind | None = None,
    delivery: DeliveryStatus | None = None,
    **known: str | None,
) -> SearchQuery:
    """`known`: a term, a booking, an event … Raises `ConfigurationError` for an unknown outcome or time."""
    if wrong := set(outcomes) - set(OUTCOMES):
        allowed = ", ".join(OUTCOMES)
        raise ConfigurationError(f"--outcome: unknown outcome {', '.join(sorted(wrong))}; there are {allowed}")
    return SearchQuery(
        outcomes=tuple(outcomes),
        since=moment("--since", since),
        until=moment("--until", until),
        channel=channel,
        delivery=delivery,
        **known,
    )


def _place(after: str | None) -> Place | None:
    """Raises `ConfigurationError`."""
    try:
        return Place.read(after) if after else None
    except ValueError as problem:
        raise ConfigurationError(
            f"--after {shown(after)} is not valid: use the value that the previous page ends with"
        ) from problem


async def look(
    settings: Settings, which: SearchQuery, limit: int, after: Place | None
) -> tuple[SearchPage, Record | None]:
    """A page and, if it has a single record, the whole record. Raises `DependencyError`."""
    full = settings.service.record_recipient is RecipientRecord.FULL
    async with database.opened(settings) as db:
        search = MongoSearch(db, settings.mongodb.collection, full_recipients=full)
        await search.ping()
        await search.prepare()
        page = await search.page(which, limit=limit, after=after)
        alone = len(page.records) == 1 and page.following is None and after is None
        record = await search.find(page.records[0]["_id"]) if alone else None
        if record is not None:
            record["signals"] = await MongoSignals(db, settings.mongodb.collection).of_record(record)
        return page, record


def _table(page: SearchPage, *, addresses: bool) -> None:
    if page.records:
        terminal.table(_COLUMNS, [_row(each, addresses=addresses) for each in page.records])
    else:
        say("No record found. Give whole ids of bookings and events; addresses match in any letter case.")
    say(f"{len(page.records)} found" + (f"; more with --after {page.following}" if page.following else ""))


def _row(record: Record, *, addresses: bool) -> tuple[object, ...]:
    reason = f" ({record['reason']})" if record.get("reason") else ""
    at = record["created_at"]
    return (
        age(at),
        f"{at:%Y-%m-%d %H:%M:%S}",
        record.get("template") or "none",
        record.get("notification_type") or ChannelKind.EMAIL.value,
        ", ".join(filter(None, (f"{timeline.current_outcome(record)}{reason}", timeline.current_delivery(record)))),
        record.get("booking_id") or "",
        _may_show(str(record.get("recipient") or ""), addresses=addresses),
        record["_id"],
    )


def _history(record: Record, *, addresses: bool) -> None:
    """Print one notification: its ids and fields, and its history with the server's replies."""
    names = ["notification", "channel", "event_ids", "booking_id", "template", "recipient", "subject", "message_id"]
    names += ["provider_message_id"] if record.get("provider_message_id") else []
    fields = {"notification": "_id", "channel": "notification_type"}
    for name in names:
        value = record.get(fields.get(name, name))
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "not known")
        # Those of a message look like addresses, but are not a person's.
        in_full = addresses or name.endswith("message_id")
        say_item(f"{name.replace('_', ' '):12}", _may_show(words, addresses=in_full))
    if delivery := timeline.current_delivery(record):
        say_item("delivery    ", delivery)
    say()
    for each in timeline.moments(record):
        mark = f"{each.at:%Y-%m-%d %H:%M:%S}  {each.what:11}"
        say_item(mark, _may_show(each.detail, addresses=addresses))


def _as_json(page: SearchPage, record: Record | None, *, addresses: bool) -> Mapping[str, object]:
    """`records`, and `next`: the value of --after for the next page, or null. A single record is there in full."""
    show: documents.Show = str if addresses else mask_in
    records = [documents.storable(each, show) for each in ([record] if record else page.records)]
    records = [{name: value for name, value in each.items() if name != "address_digests"} for each in records]
    if not addresses:
        # An escape in its JSON would hide an address from the mask.
        records = [{name: value for name, value in each.items() if name != "event_json"} for each in records]
    if record and "message_id" in record:
        records[0]["message_id"] = record["message_id"]
    return {"records": records, "next": str(page.following) if page.following else None}


def _may_show(text: str, *, addresses: bool) -> str:
    return text if addresses else mask_in(text)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
