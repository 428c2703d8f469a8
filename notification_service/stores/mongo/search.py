"""The ledger as a person searches it: the newest first, a page at a time, each page by an index."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

import pymongo
import structlog
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import PyMongoError

from notification_service.delivery.ports.ledger import RecordedEvent
from notification_service.foundation.addresses import NotAnAddressError, key, mask, read_mailbox
from notification_service.stores.mongo.client import Database, Document, answered, unavailable
from notification_service.stores.mongo.documents import TOLD, event_data_of, storable_text
from notification_service.stores.mongo.recipients import SPELLINGS_INDEX, spellings

log = structlog.get_logger(__name__)

_NEWEST_FIRST = [("created_at", DESCENDING), ("_id", DESCENDING)]
_BY_TIME = [("created_at", ASCENDING), ("_id", ASCENDING)]
"""Read backwards. SecantusDB loses what lies at the end of a range in an index that descends."""
_INDEXES = [
    *(
        IndexModel([(name, ASCENDING), *_BY_TIME])
        for name in ("booking_id", "event_ids", "recipient_key", "recipient", "outcome")
    ),
    SPELLINGS_INDEX,
    IndexModel([*_BY_TIME, ("outcome", ASCENDING)]),
]
_BUILDING = 600
"""Seconds that the indexes of a large collection may take; the collection is open meanwhile."""

_BEGINNING = re.compile(r"([0-9a-f]{8,31})(?:…|\.\.\.)?")
_MESSAGE_ID = re.compile(r"<?([0-9a-f]{32})@[^@\s]+")

_MAX_ALIKE = 1000
"""Records whose ids begin alike; by chance there are two of them among 90,000."""

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=366)
"""What another machine's clock may be ahead."""
_REACHES = (timedelta(minutes=2), timedelta(minutes=20), timedelta(hours=4), timedelta(days=2), timedelta(days=20))
_LIST = dict.fromkeys(
    (
        "event_id",
        "event_type",
        "notification_type",
        "booking_id",
        "template",
        "recipient",
        "subject",
        "status",
        "outcome",
        "reason",
        "due_at",
        "possible_duplicate",
        "created_at",
        "updated_at",
    ),
    1,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends and the next begins, as one word that an address or a command line can carry."""

    created_at: datetime
    notification_id: str

    def __str__(self) -> str:
        return f"{self.created_at:%Y%m%dT%H%M%S.%fZ}-{self.notification_id}"

    @classmethod
    def read(cls, text: str) -> "Place":
        """Raises `ValueError`."""
        moment, _, notification_id = text.partition("-")
        created_at = datetime.strptime(moment, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        if not _EVER <= created_at <= datetime.now(UTC) + _AHEAD:
            raise ValueError(f"nothing was created at {created_at}")
        return cls(created_at, notification_id)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What a record has to have. `term`: a booking, an event, a notification or an address, whichever it is.

    A notification is known by its id, by the first eight characters or more of it, as tables show them, and by
    the Message-ID of its mail. `since` is part of the time, `until` is not.
    """

    term: str | None = None
    booking: str | None = None
    event: str | None = None
    notification: str | None = None
    address: str | None = None
    channel: str | None = None
    outcomes: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`following`: where the next page begins, or None where this is the last."""

    records: Sequence[Document]
    following: Place | None


class MongoSearch:
    """`full_recipients`: whether the records show addresses in full. Methods raise `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str, *, full_recipients: bool) -> None:
        self._records = database[collection]
        self._full = full_recipients

    async def prepare(self) -> None:
        """Create the indexes that are missing. Where that is refused or takes long, searches are slow, not wrong."""
        try:
            with pymongo.timeout(_BUILDING):
                await self._records.create_indexes(_INDEXES)
        except PyMongoError as problem:
            log.warning("search.not_prepared", problem=str(problem)[:200])

    async def ping(self) -> None:
        """For whoever does not want to wait for a server that is away as long as its indexes may take."""
        await answered(self._records.database.command("ping"))

    async def one(self, notification_id: str) -> Document | None:
        """The whole record."""
        return await answered(self._records.find_one({"_id": notification_id}))

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        """What these records keep of their events."""
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, TOLD) if notification_ids else None
        return [event_data_of(each) for each in await answered(found.to_list(None))] if found is not None else []

    async def page(self, wanted: SearchQuery, *, limit: int, after: Place | None = None) -> Page:
        """At most `limit` records, those created last first, without their events and attempts."""
        found = [await self._newest(each, wanted, limit + 1, after) for each in await self._meanings(wanted)]
        distinct = {record["_id"]: record for record in chain.from_iterable(found)}
        ordered = sorted(distinct.values(), key=_newness, reverse=True)
        records, last = ordered[:limit], ordered[limit - 1 : limit]
        following = Place(last[0]["created_at"], last[0]["_id"]) if len(ordered) > limit else None
        return Page(records, following)

    async def tally(self, since: datetime, until: datetime) -> dict[str, int]:
        """How many of our records of each outcome were created in that time, `until` not included."""
        created = {"created_at": {"$gte": since, "$lt": until}}
        stages: list[Document] = [{"$match": created}, {"$group": {"_id": "$outcome", "records": {"$sum": 1}}}]
        groups = await answered(self._records.aggregate(stages).to_list(None))
        return {str(each["_id"]): each["records"] for each in groups if each["_id"] is not None}

    async def _newest(self, which: Document, wanted: SearchQuery, most: int, after: Place | None) -> list[Document]:
        """Read back in time, each stretch ten times as long as the one before it, until there are `most`.

        So little is read on any server: some sort all that they find before the first record is given out.
        """
        if "_id" in which:
            named = await answered(self._records.find(which, _LIST).to_list(_MAX_ALIKE))
            place = (after.created_at, after.notification_id) if after else None
            return [record for record in named if place is None or _newness(record) < place]
        found: list[Document] = []
        reaches = () if {"booking_id", "event_ids"} & which.keys() else _REACHES
        for stretch in _stretches(wanted.since or _EVER, wanted.until, after, reaches):
            if len(found) < most:
                found += await self._read({**which, **stretch}, most - len(found))
        return found

    async def _read(self, which: Document, most: int) -> list[Document]:
        """The newest of ours. What else stands in a deployed collection has ids of another type.

        A condition on the type would be one more for the server to plan by, and it plans by the wrong one.
        """
        found: list[Document] = []
        cursor = self._records.find(which, _LIST).sort(_NEWEST_FIRST).batch_size(most + 1)
        try:
            async for record in cursor:
                if isinstance(record["_id"], str):
                    found.append(record)
                if len(found) == most:
                    break
            await cursor.close()
        except PyMongoError as problem:
            raise unavailable(problem) from problem
        return found

    async def _meanings(self, wanted: SearchQuery) -> list[Document]:
        """A query for each thing that `term` may be and each outcome: one `$or` of them is answered by no index."""
        given = dict(_given(wanted))
        ends: list[Document] = [{"outcome": outcome} for outcome in wanted.outcomes] or [{}]
        addressed = [{}] if wanted.address is None else await self._addressed(wanted.address)
        meanings = [{}] if wanted.term is None else await self._named(storable_text(wanted.term))
        return [{**meaning, **to, **given, **end} for meaning in meanings for to in addressed for end in ends]

    async def _named(self, term: str) -> list[Document]:
        named = [{"_id": _identity(term)}, {"booking_id": term}, {"event_ids": term}]
        return [*named, *(await self._addressed(term) if "@" in term else ())]

    async def _addressed(self, text: str) -> list[Document]:
        """As the records write it, in any case of letters. Masked, it stands for everybody whose address looks so."""
        try:
            address = read_mailbox(text)
        except NotAnAddressError:
            address = storable_text(text)
        if not self._full:
            either = (mask(address), mask(address[:1].swapcase() + address[1:]))
            return [{"recipient": shown} for shown in dict.fromkeys(either)]
        older = await spellings(self._records, address)
        return [{"recipient_key": key(address)}, *({"recipient": written} for written in older)]


def _given(wanted: SearchQuery) -> Iterator[tuple[str, object]]:
    if wanted.notification is not None:
        yield "_id", _identity(wanted.notification)
    if wanted.booking is not None:
        yield "booking_id", storable_text(wanted.booking)
    if wanted.event is not None:
        yield "event_ids", storable_text(wanted.event)
    if wanted.channel is not None:
        yield "notification_type", wanted.channel


def _identity(text: str) -> str | Document:
    """What the `_id` is, or between what it lies."""
    if beginning := _BEGINNING.fullmatch(text):
        return {"$gte": beginning[1], "$lt": beginning[1] + "g"}
    message_id = _MESSAGE_ID.match(text)
    return message_id[1] if message_id else text


def _newness(record: Document) -> tuple[datetime, str]:
    return record["created_at"], record["_id"]


def _stretches(
    since: datetime, until: datetime | None, after: Place | None, reaches: Sequence[timedelta]
) -> Iterator[Document]:
    """Times of creation, one next to the other, backwards from the end of the last page."""
    below: Document = {"$lt": until} if until else {}
    if after is not None and (until is None or after.created_at < until):
        until, below = after.created_at, {"$lt": after.created_at}
        yield {"created_at": until, "_id": {"$lt": after.notification_id}}
    # Without an end the first stretch has none either: the clocks of other workers may be ahead.
    end = until or datetime.now(UTC)
    for reach in reaches:
        if end - since <= reach:  # not the other way round: the beginning may lie before all time
            break
        begin = end - reach
        yield {"created_at": {"$gte": begin, **below}}
        end, below = begin, {"$lt": begin}
    yield {"created_at": {"$gte": since, **below}}
