"""Records that grow old, and those of one person: what they say of somebody is taken out, or they go."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import BulkWriteError, PyMongoError

from notification_service.addresses import key
from notification_service.outcomes import WAITING, Skipped, SkipReason
from notification_service.retention import Changed
from notification_service.stores import documents
from notification_service.stores.mongo import Database, Document, answered, in_batches, unavailable
from notification_service.stores.mongo_recipients import UNKEYED, spellings

_BATCH = 500
_SOME = 100
_OURS: Document = {"fact": {"$exists": True}}
_CLOSED: Document = {"outcome": {"$nin": list(documents.OPEN)}}
_UNDATED: Document = {
    "$or": [{"created_at": None}, {"created_at": {"$type": ["number", "string", "object", "bool", "timestamp"]}}]
}
"""By the index on `created_at`: each of these is one range of it, as "no date" is not."""

Record = Mapping[str, Any]
_Write = ReplaceOne[Document] | DeleteOne


class MongoKeeping:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]
        self._facts = database[documents.FACTS]

    async def made_between(self, after: datetime | None, before: datetime) -> AsyncIterator[list[Document]]:
        """By the index on `created_at`."""
        made: Document = {"$lt": before, **({"$gte": after} if after else {})}
        async for batch in self._batches({"created_at": made, **_OURS, **_CLOSED}, sort="created_at"):
            yield batch

    async def undated(self) -> list[str]:
        """The ids of some of our records that say no time at which they were made."""
        found = self._records.find({**_OURS, **_CLOSED, **_UNDATED}, {"_id": 1}).limit(_SOME)
        return [str(each["_id"]) for each in await answered(found.to_list(_SOME))]

    async def addressed_to(self, address: str) -> AsyncIterator[list[Document]]:
        """In any case of letters, by the index on `recipient_key`, and older records by that on `recipient`."""
        async for batch in self._batches({"recipient_key": key(address), **_OURS}, sort="recipient_key"):
            yield batch
        if written := await spellings(self._records, address):
            older = {"recipient": {"$in": written}, **UNKEYED, **_OURS}
            async for batch in self._batches(older, sort="recipient"):
                yield batch

    def _batches(self, which: Document, *, sort: str) -> AsyncIterator[list[Document]]:
        return in_batches(self._records.find(which).sort(sort, 1), _BATCH)

    async def strip(self, records: Sequence[Record], at: datetime) -> Changed:
        """How many now say nothing of a person; one that was changed since it was read is not among them."""
        return await self._write(records, lambda each: ReplaceOne(_as_read(each), documents.without_person(each, at)))

    async def erase(self, records: Sequence[Record], at: datetime) -> Changed:
        """The same, and what a retry or a replay would send is closed: its event, when it comes back, sends nothing."""
        return await self._write(records, lambda each: ReplaceOne(_as_read(each), _erased(each, at)))

    async def remove(self, records: Sequence[Record]) -> Changed:
        return await self._write(records, lambda each: DeleteOne(_as_read(each)))

    async def _write(self, records: Sequence[Record], change: Callable[[Record], _Write]) -> Changed:
        """Whatever is odd about one record, the others are changed."""
        writes: list[tuple[str, _Write]] = []
        left: dict[str, str] = {}
        for each in records:
            try:
                writes.append((str(each["_id"]), change(each)))
            except Exception as problem:  # noqa: BLE001 - an old record may hold anything, and each is said
                left[str(each["_id"])] = type(problem).__name__
        if not writes:
            return Changed(0, left)
        count, refused = await self._written([write for _, write in writes])
        return Changed(count, {**left, **{writes[index][0]: why for index, why in refused.items()}})

    async def _written(self, writes: Sequence[_Write]) -> tuple[int, dict[int, str]]:
        """How many documents it changed, and why the server refuses a write, by its place."""
        try:
            done = (await self._records.bulk_write(writes, ordered=False)).bulk_api_result
        except BulkWriteError as problem:
            done = dict(problem.details)
            if done.get("writeConcernErrors"):
                raise unavailable(problem) from problem
        except PyMongoError as problem:
            raise unavailable(problem) from problem
        refused = {error["index"]: f"MongoDB refuses it: {error['code']}" for error in done["writeErrors"]}
        return done["nModified"] + done["nRemoved"], refused

    async def forget_facts(self, before: datetime) -> int:
        """Which report of a fact came first, where no record of that time is left."""
        gone = 0
        while True:
            old = self._facts.find({"created_at": {"$lt": before}}, {"_id": 1}).limit(_BATCH)
            ids = [each["_id"] for each in await answered(old.to_list(_BATCH))]
            if not ids:
                return gone
            gone += (await answered(self._facts.delete_many({"_id": {"$in": ids}}))).deleted_count


def _as_read(record: Record) -> Document:
    """Its `event_ids` too: a further event of its fact is noted there, and nowhere else."""
    return {name: record.get(name) for name in ("_id", "outcome", "owner", "updated_at", "event_ids")}


def _erased(record: Record, at: datetime) -> Document:
    left, outcome = documents.without_person(record, at), record.get("outcome")
    if outcome in documents.MENDABLE:
        past = {name: left[name] for name in ("status", "outcome", "reason", "updated_at") if name in left}
        left["history"] = [*left.get("history", ()), past]
    if outcome in (WAITING, *documents.MENDABLE):
        left.pop("due_at", None)
        left |= documents.closed(Skipped(SkipReason.ERASED), at, str)
    return left | {"erased_at": at}
