"""Records that grow old, and those of one person: what they say of somebody is taken out, or they go."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import PyMongoError

from notification_service.addresses import key
from notification_service.outcomes import WAITING, Skipped, SkipReason
from notification_service.stores import documents
from notification_service.stores.mongo import Database, Document, answered, unavailable
from notification_service.stores.mongo_recipients import UNKEYED, spellings

_BATCH = 500
_OURS: Document = {"fact": {"$exists": True}}
_CLOSED: Document = {"outcome": {"$nin": list(documents.OPEN)}}

Record = Mapping[str, Any]


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

    async def addressed_to(self, address: str) -> AsyncIterator[list[Document]]:
        """In any case of letters, by the index on `recipient_key`, and older records by that on `recipient`."""
        async for batch in self._batches({"recipient_key": key(address), **_OURS}, sort="recipient_key"):
            yield batch
        if written := await spellings(self._records, address):
            older = {"recipient": {"$in": written}, **UNKEYED, **_OURS}
            async for batch in self._batches(older, sort="recipient"):
                yield batch

    async def _batches(self, which: Document, *, sort: str) -> AsyncIterator[list[Document]]:
        cursor = self._records.find(which).sort(sort, 1).batch_size(_BATCH)
        batch: list[Document] = []
        try:
            async for record in cursor:
                batch.append(record)
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
        except PyMongoError as problem:
            raise unavailable(problem) from problem
        if batch:
            yield batch

    async def strip(self, records: Sequence[Record], at: datetime) -> int:
        """How many now say nothing of a person; one that was changed since it was read is not among them."""
        return await self._replace([(each, documents.without_person(each, at)) for each in records])

    async def erase(self, records: Sequence[Record], at: datetime) -> int:
        """The same, and what a retry or a replay would send is closed: its event, when it comes back, sends nothing."""
        return await self._replace([(each, _erased(each, at)) for each in records])

    async def _replace(self, changes: Sequence[tuple[Record, Document]]) -> int:
        if not changes:
            return 0
        writes = [ReplaceOne(_as_read(seen), new) for seen, new in changes]
        return (await answered(self._records.bulk_write(writes, ordered=False))).modified_count

    async def remove(self, records: Sequence[Record]) -> int:
        if not records:
            return 0
        writes = [DeleteOne(_as_read(each)) for each in records]
        return (await answered(self._records.bulk_write(writes, ordered=False))).deleted_count

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
    return {name: record.get(name) for name in ("_id", "outcome", "owner", "updated_at")}


def _erased(record: Record, at: datetime) -> Document:
    left = documents.without_person(record, at)
    if record["outcome"] in documents.MENDABLE:
        past = {name: left[name] for name in ("status", "outcome", "reason", "updated_at") if name in left}
        left["history"] = [*left.get("history", ()), past]
    if record["outcome"] in (WAITING, *documents.MENDABLE):
        left.pop("due_at", None)
        left |= documents.closed(Skipped(SkipReason.ERASED), at, str)
    return left | {"erased_at": at}
