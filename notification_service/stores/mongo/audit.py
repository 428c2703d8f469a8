"""Reads the records for `reconcile`, in batches, and marks a record that is published again."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime

from notification_service.contract.notification_ids import REPORT_FIELD
from notification_service.contract.outcomes import WAITING
from notification_service.delivery.ports.ledger import Record
from notification_service.stores.mongo import schema
from notification_service.stores.mongo.client import Database, Document, in_batches, translate_errors

_BATCH_SIZE = 500
_OURS = {"$or": [{name: {"$exists": True}} for name in ("outcome", "fact", "event_ids")]}
"""Foreign documents in a deployed collection have none of these fields."""
_IDENTITY = ("event_id", "event_ids", "event_type", "fact", "notification_type", "template", "booking_id", "message_id")
_STATE = ("status", "outcome", "reason", "owner", "updated_at", "due_at", "sent_at", "repaired")
_FIELDS = dict.fromkeys((*_IDENTITY, *_STATE, "attempts.result", f"event_data.{REPORT_FIELD}"), 1)


class MongoAudit:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]

    async def prepare(self) -> None:
        """Create the index that `records_of` needs, if it is missing."""
        await schema.create_indexes(self._records, schema.BY_EVENT)

    def batches(self) -> AsyncIterator[list[Document]]:
        """Yield the service's records without their events, one batch in memory at a time."""
        return in_batches(self._records.find(_OURS, _FIELDS), _BATCH_SIZE)

    async def read(self, notification_ids: Collection[object]) -> list[Document]:
        """Returns these records as they are now."""
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, _FIELDS)
        return list(await translate_errors(found.to_list(None)))

    async def existing(self, notification_ids: Collection[str]) -> set[str]:
        """Returns those of the ids that have a record."""
        found = self._records.find({"_id": {"$in": list(notification_ids)}}, {"_id": 1})
        return {str(each["_id"]) for each in await translate_errors(found.to_list(None))}

    async def records_of(self, event_ids: Collection[str]) -> dict[str, list[Document]]:
        """Returns the records that name each event, with `event_ids`, template, channel and booking only."""
        wanted = set(event_ids)
        fields = dict.fromkeys(("event_ids", "template", "notification_type", "booking_id"), 1)
        found = self._records.find({"event_ids": {"$in": list(wanted)}}, fields).sort("_id")
        by_event: dict[str, list[Document]] = {}
        for record in await translate_errors(found.to_list(None)):
            for event_id in wanted.intersection(filter(_is_text, record["event_ids"])):
                by_event.setdefault(event_id, []).append(record)
        return by_event

    async def event_of(self, record: Record) -> Document:
        """Returns the fields of a record that hold its event; empty if the record is gone."""
        fields = {"event_data": 1, "event_json": 1, "event_whole": 1}
        return await translate_errors(self._records.find_one({"_id": record["_id"]}, fields)) or {}

    async def touch(self, record: Record, now: datetime) -> bool:
        """Update the time of a record that has not changed since it was read. Returns whether that succeeded.

        Of several processes that repair at once, one succeeds and publishes the event again.
        """
        fields: Document = {"updated_at": now, **({"due_at": now} if record["outcome"] == WAITING else {})}
        as_read = {name: record.get(name) for name in ("_id", "outcome", "owner", "updated_at")}
        done = await translate_errors(self._records.update_one(as_read, {"$set": fields}))
        return bool(done.modified_count)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
