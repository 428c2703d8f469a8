"""`find`: what became of a booking, an event, a notification, or of what an address was to get."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from notification_service.cli import terminal
from notification_service.cli.options import given, text_option
from notification_service.cli.terminal import say
from notification_service.contract.facts import ChannelKind
from notification_service.delivery.ports.ledger import Record
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.printable import shown
from notification_service.records import database, timeline
from notification_service.records.reconciliation import OUTCOMES
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo import documents
from notification_service.stores.mongo.search import MongoSearch, Page, Place, SearchQuery

Term = Annotated[str | None, typer.Argument(help="A booking, an event, a notification or an address.", callback=given)]
Booking = Annotated[str | None, text_option("--booking", help="Only of this booking.")]
Event = Annotated[str | None, text_option("--event", help="Only what this event reported.")]
NotificationOption = Annotated[str | None, text_option("--notification", help="Only the notification of this id.")]
Address = Annotated[str | None, text_option("--address", help="Only what goes to this address.")]
Outcomes = Annotated[
    list[str] | None, typer.Option("--outcome", help="Only what ended so, or waits; may be given more than once.")
]
Since = Annotated[
    str | None,
    text_option(metavar="TIME", help="Only what began at or after it: 30m, 2h or 3d ago, or 2026-11-26T15:00 in UTC."),
]
Until = Annotated[str | None, text_option(metavar="TIME", help="Only what began before it; likewise.")]
After = Annotated[str | None, text_option("--after", help="The page that follows, as the last one named it.")]

_AGO = re.compile(r"([0-9]{1,6}) ?([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def wanted(
    *,
    outcomes: Sequence[str] = (),
    since: str | None = None,
    until: str | None = None,
    channel: ChannelKind | None = None,
    **known: str | None,
) -> SearchQuery:
    """`known`: a term, a booking, an event … Raises `ConfigurationError` for an outcome or a time that is none."""
    if wrong := set(outcomes) - set(OUTCOMES):
        raise ConfigurationError(f"--outcome {', '.join(sorted(wrong))} is none; there are {', '.join(OUTCOMES)}")
    return SearchQuery(
        outcomes=tuple(outcomes),
        since=moment("--since", since),
        until=moment("--until", until),
        channel=channel,
        **known,
    )


def place(after: str | None) -> Place | None:
    """Raises `ConfigurationError`."""
    try:
        return Place.read(after) if after else None
    except ValueError as problem:
        raise ConfigurationError(
            f"--after {shown(after)} is no place: it is what the page before it named"
        ) from problem


async def look(settings: Settings, which: SearchQuery, limit: int, after: Place | None) -> tuple[Page, Record | None]:
    """A page, and where it is of one record, that one in full. Raises `DependencyError`."""
    full = settings.service.record_recipient is RecipientRecord.FULL
    async with database.opened(settings) as db:
        search = MongoSearch(db, settings.mongodb.collection, full_recipients=full)
        await search.ping()
        await search.prepare()
        page = await search.page(which, limit=limit, after=after)
        alone = len(page.records) == 1 and page.following is None and after is None
        return page, await search.find(page.records[0]["_id"]) if alone else None


def table(page: Page, *, addresses: bool) -> None:
    """A row a notification, newest first, with ids in full: a person has to copy them."""
    if page.records:
        columns = ("created (UTC)", "e-mail", "outcome", "booking", "to", "notification")
        terminal.table(columns, (_row(each, addresses=addresses) for each in page.records))
    else:
        say("Nothing is recorded of that. A booking or an event has to be whole, an address in any case of letters.")
    say(f"{len(page.records)} found" + (f"; more with --after {page.following}" if page.following else ""))


def _row(record: Record, *, addresses: bool) -> tuple[object, ...]:
    reason = f" ({record['reason']})" if record.get("reason") else ""
    return (
        f"{record['created_at']:%Y-%m-%d %H:%M:%S}",
        record.get("template") or "none",
        f"{timeline.current_outcome(record)}{reason}",
        record.get("booking_id") or "",
        _may_show(str(record.get("recipient") or ""), addresses=addresses),
        record["_id"],
    )


def story(record: Record, *, addresses: bool) -> None:
    """One notification: what is known of it, and everything that happened, with the server's words."""
    names = ("notification", "channel", "event_ids", "booking_id", "template", "recipient", "subject", "message_id")
    fields = {"notification": "_id", "channel": "notification_type"}
    for name in names:
        value = record.get(fields.get(name, name))
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "not known")
        in_full = addresses or name == "message_id"  # it looks like an address, and names no person
        say(f"{name.replace('_', ' '):13}{_may_show(words, addresses=in_full)}")
    say()
    for moment in timeline.moments(record):
        said = _may_show(moment.detail, addresses=addresses)
        say(f"{moment.at:%Y-%m-%d %H:%M:%S}  {moment.what:12}{said}".rstrip())


def as_json(page: Page, record: Record | None, *, addresses: bool) -> Mapping[str, object]:
    """`records`, and `next`, the place of the following page or null. One that was found alone is there in full."""
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


def moment(option: str, text: str | None) -> datetime | None:
    """So long ago, or a time in ISO 8601, in UTC where it names no zone. Raises `ConfigurationError`."""
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as problem:
        raise ConfigurationError(
            f"{option} {shown(text)} is no time: write 30m, 2h or 3d for so long ago, or 2026-11-26T15:00 in UTC"
        ) from problem


def written(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
