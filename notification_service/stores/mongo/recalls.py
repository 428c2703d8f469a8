"""The orders to recall bounces, and the bounced records with their events."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from notification_service.contract.outcomes import SUPPRESSING, ParkReason
from notification_service.delivery.ports.recalls import Order
from notification_service.stores.mongo import documents, schema
from notification_service.stores.mongo.client import Database, Document, in_batches, translate_errors
from notification_service.stores.mongo.schema import FACTS
from notification_service.stores.mongo.search import identity

_BATCH_SIZE = 100
_ID_PREFIX = "recall:"
"""The `_id` of an order is this prefix and the fingerprint; no fact of a booking or payment begins with it."""
_SUPPRESSED: Document = {"outcome": "skipped", "reason": {"$in": [str(reason) for reason in SUPPRESSING]}}
_FIELDS = dict.fromkeys(
    (
        *("event_id", "event_ids", "event_type", "notification_type", "booking_id", "template", "recipient"),
        *("outcome", "reason", "detail", "fingerprint", "created_at", "updated_at"),
        *("event_data", "event_json", "event_whole"),
    ),
    1,
)


@dataclass(frozen=True, slots=True)
class Bounces:
    """Which records to select; all given conditions hold.

    `code`: a part of the server's code, such as 550 or 5.4.5, or `unmovable`, `suppressed`, `unsubscribed`.
    `since`: the earliest time of the bounce.
    `domain`: that of the address, as the record has it.
    """

    notification: str | None = None
    event: str | None = None
    code: str | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    template: str | None = None
    domain: str | None = None

    @property
    def narrow(self) -> bool:
        return any((self.notification, self.event, self.code, self.fingerprint, self.since, self.template, self.domain))

    @property
    def _outcomes(self) -> Document:
        """What bounced, was suppressed or is `unmovable` is in no queue. One that is given by id may also be in one."""
        if self.fingerprint:
            return {"outcome": "bounced"}
        if self.notification or self.event:
            return {"$or": [{"outcome": {"$in": ["bounced", "parked", "unknown"]}}, _SUPPRESSED]}
        unmovable = {"outcome": "parked", "reason": ParkReason.UNMOVABLE.value}
        return {"$or": [{"outcome": "bounced"}, unmovable, *([_SUPPRESSED] if self.code in SUPPRESSING else [])]}

    @property
    def query(self) -> Document:
        conditions: Document = {
            **self._outcomes,
            "_id": identity(self.notification) if self.notification else None,
            "event_ids": documents.storable_text(self.event) if self.event else None,
            "fingerprint": self.fingerprint,
            "updated_at": {"$gte": self.since} if self.since else None,
            "template": self.template,
        }
        return {name: value for name, value in conditions.items() if value is not None}

    def matches(self, record: Document) -> bool:
        """Check the conditions that no query can express."""
        code = self.code is None or self.code in str(record.get("reason")).split()
        domain = str(record.get("recipient")).rpartition("@")[2].casefold()
        return code and (self.domain is None or self.domain.casefold() == domain)


class MongoRecalls:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]
        self._orders = database[FACTS]

    async def order(self, order: Order) -> None:
        first = {"opening": order.opening, "created_at": datetime.now(UTC)}
        change = {"$setOnInsert": first, "$min": {"since": order.since}}
        await translate_errors(self._orders.update_one({"_id": _ID_PREFIX + order.fingerprint}, change, upsert=True))

    async def orders(self) -> list[Order]:
        found = self._orders.find({"_id": {"$gte": _ID_PREFIX, "$lt": _ID_PREFIX + "g"}})
        return [
            Order(str(each["_id"]).removeprefix(_ID_PREFIX), each["since"], each["opening"])
            for each in await translate_errors(found.to_list(None))
        ]

    async def carried_out(self, order: Order) -> None:
        which = {"_id": _ID_PREFIX + order.fingerprint, "opening": order.opening}
        await translate_errors(self._orders.delete_one(which))

    def bounced_by(self, fingerprint: str, since: datetime) -> AsyncIterator[list[Document]]:
        return self.bounced(Bounces(fingerprint=fingerprint, since=since))

    async def bounced(self, wanted: Bounces) -> AsyncIterator[list[Document]]:
        """Yield the records with their events, a batch at a time, unsorted: MongoDB limits how many it sorts."""
        if wanted.fingerprint:
            # Only bounced records have one, so the sparse index is small, but few services ever need it.
            await schema.create_indexes(self._records, schema.BY_FINGERPRINT)
        async for batch in in_batches(self._records.find(wanted.query, _FIELDS), _BATCH_SIZE, wanted.matches):
            yield batch
