"""The ledger as an auditor reads it: every record once, in batches, and the one write of a repair."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Any

from pymongo.errors import PyMongoError

from notification_service.outcomes import WAITING
from notification_service.stores.mongo import Database, Document, answered, unavailable

_BATCH = 500
_FIELDS = {"attempts.reply": 0, "history": 0, "subject": 0}


class MongoBooks:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]

    async def batches(self) -> AsyncIterator[list[Document]]:
        """Our records, whatever else stands in the collection; memory holds one batch of them."""
        cursor = self._records.find({"fact": {"$exists": True}}, _FIELDS).batch_size(_BATCH)
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

    async def known(self, notification_ids: Collection[str]) -> set[str]:
        """Those of them that have a record."""
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, {"_id": 1})
        return {str(each["_id"]) for each in await answered(found.to_list(None))}

    async def records_of(self, event_ids: Collection[str]) -> dict[str, list[str]]:
        """Which records name each of these events."""
        wanted = set(event_ids)
        found = self._records.find({"event_ids": {"$in": list(wanted)}}, {"event_ids": 1})
        named: dict[str, list[str]] = {}
        for record in await answered(found.to_list(None)):
            for event_id in wanted.intersection(record["event_ids"]):
                named.setdefault(event_id, []).append(str(record["_id"]))
        return named

    async def touch(self, record: Mapping[str, Any], now: datetime) -> bool:
        """Whether it stood as it was read until now, and so is ours to publish again: of several copies, one's."""
        fields: Document = {"updated_at": now, **({"due_at": now} if record["outcome"] == WAITING else {})}
        as_read = {name: record[name] for name in ("_id", "outcome", "owner", "updated_at")}
        done = await answered(self._records.update_one(as_read, {"$set": fields}))
        return bool(done.modified_count)
