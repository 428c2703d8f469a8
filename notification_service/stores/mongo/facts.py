"""Facts of bookings and payments in MongoDB that several notifications depend on, in a collection of their own."""

from datetime import UTC, datetime

from pymongo import InsertOne, UpdateOne

from notification_service.delivery.ports.ledger import Paid
from notification_service.foundation.address_digests import may_name, named_in, stand_in, texts_of_id
from notification_service.stores.mongo import documents
from notification_service.stores.mongo.address_keys import KnownDigests
from notification_service.stores.mongo.client import Database, GroupedReads, GroupedWrites, Written
from notification_service.stores.mongo.schema import FACTS


class MongoFacts:
    """`reads`: a group of reads that is shared with other stores."""

    def __init__(self, database: Database, reads: GroupedReads, digests: KnownDigests) -> None:
        self._facts = reads.of(database[FACTS], {"report": 1, "paid_at": 1})
        self._new_facts = GroupedWrites(database[FACTS], reads.turns)
        self._digests = digests

    async def first_report(self, fact: str, report: str) -> str:
        key = _fact_id(fact)
        ours = {"_id": key, "report": report, "created_at": datetime.now(UTC)}
        if may_name(report) and (digests := (await self._digests.get()).of(texts_of_id(report))):
            ours["address_digests"] = digests
        if await self._new_facts.write(InsertOne(ours)) is Written.DONE:
            return report
        found = await self._facts.find(key)
        # An erased report was replaced by its digest.
        return str(found["report"]) if found and found["report"] != stand_in(report) else report

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        key = _payment_id(booking_id)
        first = await self._new_facts.write(InsertOne({"_id": key, "paid_at": at, "created_at": datetime.now(UTC)}))
        if first is Written.DUPLICATE and at is not None:
            await self._new_facts.write(UpdateOne({"_id": key}, {"$max": {"paid_at": at}}))

    async def paid(self, booking_id: str) -> Paid | None:
        found = await self._facts.find(_payment_id(booking_id))
        return Paid(found.get("paid_at")) if found else None


def _payment_id(booking_id: str) -> str:
    return _fact_id(f"booking:{booking_id}:paid")


def _fact_id(fact: str) -> str:
    """The `_id` of a fact's document: the fact, or its digest if it contains an address."""
    key = documents.storable_text(fact)
    return stand_in(key) if "@" in key and named_in([key]) else key
