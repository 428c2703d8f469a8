"""The signals in MongoDB, and what they say in the record of their notification."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, InsertOne, UpdateOne

from notification_service.contract.delivery_status import Delivery, DeliveryStatus, furthest
from notification_service.contract.signals import Signal
from notification_service.delivery.ports.signals import SignalledRecord, StoredSignal
from notification_service.stores.mongo import documents, schema
from notification_service.stores.mongo.address_keys import KnownDigests
from notification_service.stores.mongo.client import (
    Database,
    Document,
    GroupedReads,
    GroupedWrites,
    Written,
    translate_errors,
)

_RECORD_FIELDS = {"notification_type": 1, "template": 1, "recipient": 1, "address_digests": 1}
_INDEXES = [
    IndexModel([("notification_id", ASCENDING), ("at", ASCENDING)], sparse=True),
    IndexModel([("kind", ASCENDING), ("received_at", DESCENDING)]),
    IndexModel([("received_at", ASCENDING)]),
    IndexModel([("address_digest", ASCENDING)], sparse=True),
]
_RECORD_INDEXES = [
    IndexModel([("provider_message_id", ASCENDING)], sparse=True),
    IndexModel(
        [("delivery.status", ASCENDING), ("created_at", ASCENDING), ("_id", ASCENDING)],
        partialFilterExpression={"delivery.status": {"$exists": True}},
    ),
]
_MAX_TRIES = 20
_MAX_TIMELINE = 500
_LINGER_S = 0.05
"""Nobody waits for a signal, and clicks come by the hundred: alone, each costs three calls."""


class MongoSignals:
    """`collection`: the records. `address_keys`, `full_recipients`: as in `MongoLedger`."""

    def __init__(
        self, database: Database, collection: str, address_keys: Sequence[str] = (), *, full_recipients: bool = True
    ) -> None:
        self._database = database
        self._records = database[collection]
        self._signals = database[schema.SIGNALS]
        self._by_id = GroupedReads(linger_s=_LINGER_S).of(self._records, _RECORD_FIELDS)
        self._writes = GroupedWrites(self._signals, linger_s=_LINGER_S)
        self._digests = KnownDigests(database, address_keys, full_recipients=full_recipients)

    async def index(self) -> None:
        """Create the indexes that are missing. Raises `StoreUnavailableError`; one that is refused is logged."""
        await schema.create_indexes(self._signals, *_INDEXES)
        await schema.create_indexes(self._records, *_RECORD_INDEXES)

    async def record_of(self, signal: Signal) -> SignalledRecord | None:
        own_id, provider_id = signal.notification_id, signal.provider_message_id
        found = await self._by_id.find(documents.storable_text(own_id)) if own_id else None
        if found is None and provider_id:
            which = {"provider_message_id": documents.storable_text(provider_id)}
            found = await translate_errors(self._records.find_one(which, _RECORD_FIELDS))
        if found is None:
            return None
        template = found.get("template")
        return SignalledRecord(
            str(found["_id"]),
            str(found.get("notification_type") or signal.channel),
            str(template) if template else None,
            str(found.get("recipient") or ""),
            tuple(map(str, found.get("address_digests") or ())),
        )

    async def address_digest(self, address: str) -> str | None:
        return next(iter((await self._digests.get()).of([address])), None)

    async def add(self, stored: StoredSignal, received_at: datetime) -> bool:
        if await self._writes.write(InsertOne(_document(stored, received_at))) is Written.DONE:
            return True
        found = await translate_errors(self._signals.find_one({"_id": stored.key}, {"handled": 1}))
        return not (found and found.get("handled"))

    async def mark_handled(self, key: str) -> None:
        await self._writes.write(UpdateOne({"_id": key}, {"$set": {"handled": True}}))

    async def advance(self, notification_id: str, delivery: Delivery) -> None:
        for _ in range(_MAX_TRIES):
            found = await translate_errors(self._records.find_one({"_id": notification_id}, {"delivery": 1}))
            if found is None:
                return
            known = _delivery(found.get("delivery"))
            further = furthest(known, delivery) if known else delivery
            if further == known or await self._replace(notification_id, found.get("delivery"), further):
                return

    async def _replace(self, notification_id: str, seen: object, delivery: Delivery) -> bool:
        """Returns False where another worker has changed it since it was seen."""
        which: Document = {"_id": notification_id, "delivery": seen}
        if isinstance(seen, dict):
            which = {"_id": notification_id, **{f"delivery.{name}": value for name, value in seen.items()}}
        fields = {"status": delivery.status.value, "code": delivery.code, "at": delivery.at}
        result = await translate_errors(self._records.update_one(which, {"$set": {"delivery": fields}}))
        return result.matched_count > 0

    async def of_record(self, record: Document) -> list[Document]:
        """What was learnt of a record's message, in the order in which it happened."""
        named: list[Document] = [{"notification_id": record["_id"]}]
        if provider_id := record.get("provider_message_id"):
            named.append({"provider_message_id": provider_id, "notification_id": None})
        found = [
            each
            for which in named
            for each in await translate_errors(self._signals.find(which).limit(_MAX_TIMELINE).to_list(_MAX_TIMELINE))
        ]
        return sorted(found, key=lambda each: each["at"])


def _document(stored: StoredSignal, received_at: datetime) -> Document:
    """Without the address, and without the source's own id, which may hold it: `_id` is a digest of that."""
    signal = stored.signal
    fields: dict[str, Any] = {
        "_id": stored.key,
        "source": signal.source,
        "kind": signal.kind.value,
        "at": signal.at,
        "received_at": received_at,
        "channel": stored.record.channel if stored.record else signal.channel.value,
        "notification_id": stored.record.notification_id if stored.record else signal.notification_id,
        "provider_message_id": signal.provider_message_id,
        "template": stored.template,
        "mailbox": stored.mailbox or None,
        "address_digest": stored.address_digest,
        "code": signal.code,
        "detail": documents.storable_text(signal.detail) or None,
        "extra": {name: documents.storable_text(value) for name, value in signal.extra.items()} or None,
    }
    texts = {name: documents.storable_text(each) if isinstance(each, str) else each for name, each in fields.items()}
    return {name: value for name, value in texts.items() if value is not None}


def _delivery(value: object) -> Delivery | None:
    """None for a field that is missing, or that somebody else wrote."""
    if not isinstance(value, dict) or value.get("status") not in set(DeliveryStatus):
        return None
    at = value.get("at")
    return (
        Delivery(DeliveryStatus(value["status"]), at, str(value.get("code") or ""))
        if isinstance(at, datetime)
        else None
    )
