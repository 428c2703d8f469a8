"""The ledger as an auditor reads it: every record once, in batches, and the one write of a repair."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Any

from notification_service.contract.outcomes import WAITING
from notification_service.stores.mongo.client import Database, Document, answered, in_batches

_BATCH = 500
_OURS = {"$or": [{name: {"$exists": True}} for name in ("outcome", "fact", "event_ids")]}
"""What else stands in a deployed collection has none of these fields."""
_OWN = ("event_id", "event_ids", "event_type", "fact", "notification_type", "template", "booking_id", "message_id")
_STATE = ("status", "outcome", "reason", "owner", "updated_at", "due_at", "sent_at", "repaired")
_FIELDS = dict.fromkeys((*_OWN, *_STATE, "attempts.result", "event_data.refund_transaction_id"), 1)


class MongoAudit:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]

    def batches(self) -> AsyncIterator[list[Document]]:
        """Our records, without what their events held; memory holds one batch of them."""
        return in_batches(self._records.find(_OURS, _FIELDS), _BATCH)

    async def again(self, notification_ids: Collection[object]) -> list[Document]:
        """These records as they stand now."""
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, _FIELDS)
        return list(await answered(found.to_list(None)))

    async def known(self, notification_ids: Collection[str]) -> set[str]:
        """Those of them that have a record."""
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, {"_id": 1})
        return {str(each["_id"]) for each in await answered(found.to_list(None))}

    async def records_of(self, event_ids: Collection[str]) -> dict[str, list[Document]]:
        """Which records name each of these events, by their ids, templates and channels."""
        wanted = set(event_ids)
        found = self._records.find(
            {"event_ids": {"$in": list(wanted)}}, {"event_ids": 1, "template": 1, "notification_type": 1}
        ).sort("_id")
        named: dict[str, list[Document]] = {}
        for record in await answered(found.to_list(None)):
            for event_id in wanted.intersection(filter(_is_text, record["event_ids"])):
                named.setdefault(event_id, []).append(record)
        return named

    async def event_of(self, record: Mapping[str, Any]) -> Document:
        """What a record keeps of its event, in the fields that hold it; empty where the record is gone."""
        kept = {"event_data": 1, "event_json": 1, "event_whole": 1}
        return await answered(self._records.find_one({"_id": record["_id"]}, kept)) or {}

    async def touch(self, record: Mapping[str, Any], now: datetime) -> bool:
        """Whether it stood as it was read until now, and so is ours to publish again: of several copies, one's."""
        fields: Document = {"updated_at": now, **({"due_at": now} if record["outcome"] == WAITING else {})}
        as_read = {name: record.get(name) for name in ("_id", "outcome", "owner", "updated_at")}
        done = await answered(self._records.update_one(as_read, {"$set": fields}))
        return bool(done.modified_count)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
