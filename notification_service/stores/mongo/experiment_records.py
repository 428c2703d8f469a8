"""Reads what the records say of a test: who was assigned what, what became of it, and who paid afterwards."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime

from notification_service.stores.mongo import schema
from notification_service.stores.mongo.client import Database, Document, in_batches, translate_errors

_BATCH_SIZE = 1000
_PAID = "payment.success"
_FIELDS = dict.fromkeys(
    (
        *("unit", "variant", "fell_back", "outcome", "reason", "sent_at", "created_at", "booking_id"),
        *("notification_type", "template_digest", "delivery.status"),
    ),
    1,
)
_TRAFFIC_FIELDS = dict.fromkeys((*_FIELDS, "event_data.user_id", "event_data.booking_id"), 1)


class MongoExperimentRecords:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]

    async def assigned(self, salt: str, channel: str) -> AsyncIterator[list[Document]]:
        """Yield the records of one channel that have a part in this test, over an index that it creates."""
        await schema.create_indexes(self._records, schema.BY_EXPERIMENT)
        found = self._records.find({"experiment": salt, "notification_type": channel}, _FIELDS)
        async for batch in in_batches(found, _BATCH_SIZE):
            yield batch

    def sent(self, template: str, channel: str, since: datetime) -> AsyncIterator[list[Document]]:
        """Yield the records of a template that were created since then and sent, with the ids of their event."""
        which = {"created_at": {"$gte": since}, "template": template, "notification_type": channel, "outcome": "sent"}
        return in_batches(self._records.find(which, _TRAFFIC_FIELDS), _BATCH_SIZE)

    async def payments(self, booking_ids: Collection[str]) -> dict[str, list[datetime]]:
        """Returns when payments of these bookings were reported, by booking, over the index on `booking_id`."""
        which = {"booking_id": {"$in": list(booking_ids)}, "event_type": _PAID}
        found: dict[str, list[datetime]] = {}
        cursor = self._records.find(which, {"booking_id": 1, "created_at": 1})
        for each in await translate_errors(cursor.to_list(None)):
            found.setdefault(str(each["booking_id"]), []).append(each["created_at"])
        return found

    def shadows(self, name: str, channel: str, since: datetime) -> AsyncIterator[list[Document]]:
        """Yield the records of one channel that say what a new template made of their events, over `created_at`."""
        which = {"created_at": {"$gte": since}, "shadow.name": name, "notification_type": channel}
        return in_batches(self._records.find(which, {"shadow": 1}), _BATCH_SIZE)
