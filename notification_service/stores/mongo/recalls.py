"""What bounced, for whoever calls it back: the orders to do so, and the records with their events."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from notification_service.contract.outcomes import ParkReason
from notification_service.delivery.ports.recalls import Order
from notification_service.stores.mongo import documents
from notification_service.stores.mongo.client import Database, Document, answered, in_batches

_BATCH = 100
_ORDERS = "recall:"
"""Before the fingerprint, the id of an order; no fact of a booking or a payment begins so."""
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
    """Which records; all that is given has to hold.

    `code`: any part of the server's, such as 550 or 5.4.5, or `unmovable`. `since`: when they bounced. `domain`: of the
    address, as it is written.
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
    def _standing(self) -> Document:
        """What bounced or is `unmovable` waits in no queue; what is named is found wherever its event lies."""
        if self.fingerprint:
            return {"outcome": "bounced"}
        if self.notification or self.event:
            return {"outcome": {"$in": ["bounced", "parked", "unknown"]}}
        return {"$or": [{"outcome": "bounced"}, {"outcome": "parked", "reason": ParkReason.UNMOVABLE.value}]}

    @property
    def query(self) -> Document:
        asked: Document = {
            **self._standing,
            "_id": self.notification,
            "event_ids": documents.storable_text(self.event) if self.event else None,
            "fingerprint": self.fingerprint,
            "updated_at": {"$gte": self.since} if self.since else None,
            "template": self.template,
        }
        return {name: value for name, value in asked.items() if value is not None}

    def holds(self, record: Document) -> bool:
        """What no query says."""
        code = self.code is None or self.code in str(record.get("reason")).split()
        domain = str(record.get("recipient")).rpartition("@")[2].casefold()
        return code and (self.domain is None or self.domain.casefold() == domain)


class MongoRecalls:
    """Every method raises `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._records = database[collection]
        self._orders = database[documents.FACTS]

    async def order(self, order: Order) -> None:
        first = {"opening": order.opening, "created_at": datetime.now(UTC)}
        change = {"$setOnInsert": first, "$min": {"since": order.since}}
        await answered(self._orders.update_one({"_id": _ORDERS + order.fingerprint}, change, upsert=True))

    async def orders(self) -> list[Order]:
        found = self._orders.find({"_id": {"$gte": _ORDERS, "$lt": _ORDERS + "g"}})
        return [
            Order(str(each["_id"]).removeprefix(_ORDERS), each["since"], each["opening"])
            for each in await answered(found.to_list(None))
        ]

    async def carried_out(self, order: Order) -> None:
        which = {"_id": _ORDERS + order.fingerprint, "opening": order.opening}
        await answered(self._orders.delete_one(which))

    def bounced_by(self, fingerprint: str, since: datetime) -> AsyncIterator[list[Document]]:
        return self.bounced(Bounces(fingerprint=fingerprint, since=since))

    def bounced(self, wanted: Bounces) -> AsyncIterator[list[Document]]:
        """The records with their events, a batch at a time, in no order: a database sorts only so many of them."""
        return in_batches(self._records.find(wanted.query, _FIELDS), _BATCH, wanted.holds)
