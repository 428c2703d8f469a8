"""Searches the records for a person: newest first, a page at a time, each page over an index."""

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
from notification_service.foundation.phone_numbers import is_number, read_e164
from notification_service.stores.mongo.client import Database, Document, translate_errors, unavailable
from notification_service.stores.mongo.documents import RECORDED_EVENT_FIELDS, recorded_event, storable_text
from notification_service.stores.mongo.recipients import SPELLINGS_INDEX, spellings
from notification_service.stores.mongo.schema import BY_EVENT, BY_TIME, INDEX_BUILD_TIMEOUT_S

log = structlog.get_logger(__name__)

_NEWEST_FIRST = [("created_at", DESCENDING), ("_id", DESCENDING)]
# Read backwards: SecantusDB loses the end of a range in a descending index.
_INDEXES = [
    BY_EVENT,
    *(IndexModel([(name, ASCENDING), *BY_TIME]) for name in ("booking_id", "recipient_key", "recipient", "outcome")),
    SPELLINGS_INDEX,
    IndexModel([*BY_TIME, ("outcome", ASCENDING)]),
]
_ID_PREFIX = re.compile(r"([0-9a-f]{8,31})(?:…|\.\.\.)?")
_MESSAGE_ID = re.compile(r"<?([0-9a-f]{32})@[^@\s]+")

_MAX_SAME_PREFIX = 1000
"""Records whose ids share a prefix of 8 characters; by chance, two of 90,000 records do."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_CLOCK_SKEW = timedelta(days=366)
"""How far ahead another machine's clock may be."""
_STRETCHES = (timedelta(minutes=2), timedelta(minutes=20), timedelta(hours=4), timedelta(days=2), timedelta(days=20))
_PAGE_FIELDS = dict.fromkeys(
    (
        *("event_id", "event_type", "notification_type", "booking_id", "template", "recipient", "subject"),
        *("status", "outcome", "reason", "due_at", "possible_duplicate", "delivery", "created_at", "updated_at"),
    ),
    1,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends and the next begins, as a text for a URL or a command line."""

    created_at: datetime
    notification_id: str

    def __str__(self) -> str:
        return f"{self.created_at:%Y%m%dT%H%M%S.%fZ}-{self.notification_id}"

    @classmethod
    def read(cls, text: str) -> "Place":
        """Raises `ValueError`."""
        moment, _, notification_id = text.partition("-")
        created_at = datetime.strptime(moment, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        if not _EPOCH <= created_at <= datetime.now(UTC) + _MAX_CLOCK_SKEW:
            raise ValueError(f"no record was created at {created_at}")
        return cls(created_at, notification_id)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Which records to find; all given conditions hold. `term`: a booking, event or notification id, or an address.

    A notification is found by its id, by the first 8 or more characters of it, and by the Message-ID of its mail.
    `delivery`: what became of the mail after it was sent. `since` is inclusive, `until` exclusive.
    """

    term: str | None = None
    booking: str | None = None
    event: str | None = None
    notification: str | None = None
    address: str | None = None
    channel: str | None = None
    outcomes: tuple[str, ...] = ()
    delivery: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`following`: where the next page begins; None if this is the last one."""

    records: Sequence[Document]
    following: Place | None


class MongoSearch:
    """`full_recipients`: whether records show addresses in full. Methods raise `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str, *, full_recipients: bool) -> None:
        self._records = database[collection]
        self._full = full_recipients

    async def prepare(self) -> None:
        """Create the indexes that are missing. If that fails or takes too long, searches are slow, but not wrong."""
        try:
            with pymongo.timeout(INDEX_BUILD_TIMEOUT_S):
                await self._records.create_indexes(_INDEXES)
        except PyMongoError as problem:
            log.warning("search.not_prepared", problem=str(problem)[:200])

    async def ping(self) -> None:
        """Fail fast if the server is down, before `prepare`, which may take minutes."""
        await translate_errors(self._records.database.command("ping"))

    async def find(self, notification_id: str) -> Document | None:
        """Returns the whole record."""
        return await translate_errors(self._records.find_one({"_id": notification_id}))

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        """Returns the events of these records."""
        if not notification_ids:
            return []
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, RECORDED_EVENT_FIELDS)
        return [recorded_event(each) for each in await translate_errors(found.to_list(None))]

    async def page(self, search: SearchQuery, *, limit: int, after: Place | None = None) -> SearchPage:
        """Returns at most `limit` records, newest first, without their events and attempts."""
        found = [await self._newest(each, search, limit + 1, after) for each in await self._queries(search)]
        distinct = {record["_id"]: record for record in chain.from_iterable(found)}
        ordered = sorted(distinct.values(), key=_newness, reverse=True)
        records, last = ordered[:limit], ordered[limit - 1 : limit]
        following = Place(last[0]["created_at"], last[0]["_id"]) if len(ordered) > limit else None
        return SearchPage(records, following)

    async def tally(self, since: datetime, until: datetime) -> dict[str, int]:
        """Returns how many records of each outcome were created in that time, `until` excluded."""
        created = {"created_at": {"$gte": since, "$lt": until}}
        stages: list[Document] = [{"$match": created}, {"$group": {"_id": "$outcome", "records": {"$sum": 1}}}]
        groups = await translate_errors(self._records.aggregate(stages).to_list(None))
        return {str(each["_id"]): each["records"] for each in groups if each["_id"] is not None}

    async def _newest(self, query: Document, search: SearchQuery, limit: int, after: Place | None) -> list[Document]:
        """Read back in time in stretches, each about ten times as long as the last, until `limit` records are found.

        Some servers sort all matches before they return the first one; a stretch keeps that small.
        """
        if "_id" in query:
            matches = await translate_errors(self._records.find(query, _PAGE_FIELDS).to_list(_MAX_SAME_PREFIX))
            place = (after.created_at, after.notification_id) if after else None
            return [record for record in matches if place is None or _newness(record) < place]
        found: list[Document] = []
        stretches = () if {"booking_id", "event_ids"} & query.keys() else _STRETCHES
        for created in _stretches(search.since or _EPOCH, search.until, after, stretches):
            if len(found) < limit:
                found += await self._read({**query, **created}, limit - len(found))
        return found

    async def _read(self, query: Document, limit: int) -> list[Document]:
        """Returns the newest of the service's records. Foreign documents in the collection have ids of another type.

        The type is checked here: as a condition of the query it would make the server choose the wrong index.
        """
        found: list[Document] = []
        cursor = self._records.find(query, _PAGE_FIELDS).sort(_NEWEST_FIRST).batch_size(limit + 1)
        try:
            async for record in cursor:
                if isinstance(record["_id"], str):
                    found.append(record)
                if len(found) == limit:
                    break
            await cursor.close()
        except PyMongoError as problem:
            raise unavailable(problem) from problem
        return found

    async def _queries(self, search: SearchQuery) -> list[Document]:
        """Returns a query for each meaning of `term` and each outcome: no index serves an `$or` of them."""
        given = dict(_ids(search))
        ends: list[Document] = [{"outcome": outcome} for outcome in search.outcomes] or [{}]
        recipients = [{}] if search.address is None else await self._by_address(search.address)
        terms = [{}] if search.term is None else await self._by_term(storable_text(search.term))
        return [{**term, **to, **given, **end} for term in terms for to in recipients for end in ends]

    async def _by_term(self, term: str) -> list[Document]:
        ids = [{"_id": identity(term)}, {"booking_id": term}, {"event_ids": term}]
        return [*ids, *(await self._by_address(term) if "@" in term or is_number(term) else ())]

    async def _by_address(self, text: str) -> list[Document]:
        """Match an address in any case of letters, and a phone number in any spelling with its country prefix.

        Masked records match every address with the same mask.
        """
        try:
            address = read_e164(text) if is_number(text) else read_mailbox(text)
        except NotAnAddressError:
            address = storable_text(text)
        if not self._full:
            either = (mask(address), mask(address[:1].swapcase() + address[1:]))
            return [{"recipient": shown} for shown in dict.fromkeys(either)]
        older = await spellings(self._records, address)
        return [{"recipient_key": key(address)}, *({"recipient": written} for written in older)]


def _ids(search: SearchQuery) -> Iterator[tuple[str, object]]:
    if search.notification is not None:
        yield "_id", identity(search.notification)
    if search.booking is not None:
        yield "booking_id", storable_text(search.booking)
    if search.event is not None:
        yield "event_ids", storable_text(search.event)
    if search.delivery is not None:
        yield "delivery.status", search.delivery
    if search.channel is not None:
        yield "notification_type", search.channel


def identity(text: str) -> str | Document:
    """A condition on `_id`: the id itself, or the range of a prefix."""
    if prefix := _ID_PREFIX.fullmatch(text):
        return {"$gte": prefix[1], "$lt": prefix[1] + "g"}
    message_id = _MESSAGE_ID.match(text)
    return message_id[1] if message_id else text


def _newness(record: Document) -> tuple[datetime, str]:
    return record["created_at"], record["_id"]


def _stretches(
    since: datetime, until: datetime | None, after: Place | None, stretches: Sequence[timedelta]
) -> Iterator[Document]:
    """Yield adjacent ranges of `created_at`, backwards from the end of the last page."""
    below: Document = {"$lt": until} if until else {}
    if after is not None and (until is None or after.created_at < until):
        until, below = after.created_at, {"$lt": after.created_at}
        yield {"created_at": until, "_id": {"$lt": after.notification_id}}
    # Without `until` the first range is open: the clocks of other workers may be ahead.
    end = until or datetime.now(UTC)
    for stretch in stretches:
        if end - since <= stretch:  # not `end - stretch <= since`: the difference may be before year 1
            break
        begin = end - stretch
        yield {"created_at": {"$gte": begin, **below}}
        end, below = begin, {"$lt": begin}
    yield {"created_at": {"$gte": since, **below}}
