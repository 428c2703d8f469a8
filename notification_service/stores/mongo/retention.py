"""Finds records by age or by address, and removes their personal data or the whole record."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from itertools import chain

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from notification_service.contract.outcomes import WAITING, Skipped, SkipReason
from notification_service.delivery.ports.ledger import Record
from notification_service.delivery.ports.retention_policy import ChangeResult
from notification_service.foundation.address_digests import MORE, Digests, names, stand_in, texts_in, texts_of_id
from notification_service.foundation.addresses import key
from notification_service.stores.mongo import address_keys, documents, personal_data, schema
from notification_service.stores.mongo.client import Database, Document, in_batches, translate_errors, unavailable
from notification_service.stores.mongo.recipients import UNKEYED, spellings
from notification_service.stores.mongo.schema import FACTS, SIGNALS

_BATCH_SIZE = 500
_MAX_UNDATED = 100
_OURS: Document = {"fact": {"$exists": True}}
_CLOSED: Document = {"outcome": {"$nin": list(documents.OPEN)}}
_UNDATED: Document = {
    "$or": [{"created_at": None}, {"created_at": {"$type": ["number", "string", "object", "bool", "timestamp"]}}]
}
"""Each of these types is one range of the index on `created_at`; "not a date" would be none."""

_Write = ReplaceOne[Document] | DeleteOne | UpdateOne

UNDIGESTED: Document = {"address_digests": None}
"""Records of versions that wrote no digests of addresses."""


def _names(record: Record, address: str) -> bool:
    texts = texts_in({name: each for name, each in record.items() if name != "message_id"})
    ids = record.get("event_ids")
    more = [each for each in ids if isinstance(each, str)] if isinstance(ids, list) else []
    more.append(str(record.get("report")))
    return names(address, [*texts, *chain.from_iterable(map(texts_of_id, more))])


class MongoRetention:
    """Every method raises `StoreUnavailableError`."""

    def __init__(
        self, database: Database, collection: str, address_keys: Sequence[str] = (), *, full_recipients: bool = True
    ) -> None:
        self._database = database
        self._records = database[collection]
        self._facts = database[FACTS]
        self._signals = database[SIGNALS]
        self._keys = address_keys
        self._full = full_recipients

    async def prepare_to_erase(self) -> None:
        """Create the indexes that `addressed_to` and `erase_facts` need beside those of `MongoSearch`, if missing."""
        await schema.create_indexes(self._records, schema.BY_ADDRESS)
        await schema.create_indexes(self._facts, schema.FACTS_BY_ADDRESS)

    async def created_between(self, after: datetime | None, before: datetime) -> AsyncIterator[list[Document]]:
        """Yield closed records by their age, over the index on `created_at`."""
        created: Document = {"$lt": before, **({"$gte": after} if after else {})}
        async for batch in self._batches({"created_at": created, **_OURS, **_CLOSED}, sort="created_at"):
            yield batch

    async def undated(self) -> list[str]:
        """Returns the ids of up to 100 records whose `created_at` is not a date."""
        found = self._records.find({**_OURS, **_CLOSED, **_UNDATED}, {"_id": 1}).limit(_MAX_UNDATED)
        return [str(each["_id"]) for each in await translate_errors(found.to_list(_MAX_UNDATED))]

    async def addressed_to(self, address: str, event_ids: Sequence[str] = ()) -> AsyncIterator[list[Document]]:
        """Yield each record of which the recipient, the event or a reply contains the address, in any spelling.

        It uses the indexes on `address_digests` and `recipient_key`, and for older records that on `recipient`. Records
        without digests, or with digests under a lost key, are read. `event_ids`: further events that contain it.
        """
        seen = set[str]()
        async for batch in self._found(address, event_ids):
            fresh = [record for record in batch if str(record["_id"]) not in seen]
            seen |= {str(record["_id"]) for record in fresh}
            if fresh:
                yield fresh

    async def _found(self, address: str, event_ids: Sequence[str]) -> AsyncIterator[list[Document]]:
        digests = await self._digests()
        sought = digests.to_search(address)
        async for batch in self._batches({"address_digests": {"$in": sought}, **_OURS}, sort="address_digests"):
            yield [each for each in batch if MORE not in each["address_digests"] or _names(each, address)]
        async for batch in self._batches({"recipient_key": key(address), **_OURS}, sort="recipient_key"):
            yield batch
        if written := await spellings(self._records, address):
            older = {"recipient": {"$in": written}, **UNKEYED, **_OURS}
            async for batch in self._batches(older, sort="recipient"):
                yield batch
        for event_id in event_ids:
            found = {"event_ids": documents.storable_text(event_id), **_OURS}
            async for batch in self._batches(found, sort="event_ids"):
                yield batch
        unknown = {} if await address_keys.lost(self._database, digests) else UNDIGESTED
        async for batch in self._batches({**unknown, "stripped_at": None, **_OURS}, sort="address_digests"):
            yield [each for each in batch if _names(each, address)]

    async def key_is_lost(self) -> bool:
        """Returns whether records have digests under a key that is no longer in the settings."""
        return await address_keys.lost(self._database, await self._digests())

    async def _digests(self) -> Digests:
        return await address_keys.digests(self._database, self._keys, full_recipients=self._full)

    async def digest(self) -> int:
        """Add digests to the records of earlier versions, so that they need not be read again. Returns how many.

        Without a key there are no digests.
        """
        digests, count = await self._digests(), 0
        if not digests.key_ids:
            return 0
        async for batch in self._batches({**UNDIGESTED, "stripped_at": None, **_OURS}, sort="address_digests"):
            writes = [
                UpdateOne({"_id": each["_id"], **UNDIGESTED}, {"$set": {"address_digests": digests.of(texts_in(each))}})
                for each in batch
            ]
            count += (await self._written(writes))[0]
        return count

    async def traces(self, address: str) -> AsyncIterator[str]:
        """Yield the id of each record and each fact that contains an address. Reads all of them."""
        async for batch in self._batches(_OURS, sort="_id"):
            for each in batch:
                if _names(each, address):
                    yield str(each["_id"])
        async for batch in in_batches(self._facts.find({}), _BATCH_SIZE):
            for each in batch:
                if _names(each, address):
                    yield f"{FACTS} {stand_in(str(each['_id']))}"

    async def erase_facts(self, address: str) -> int:
        """Replace the address in reports of facts by a digest, by which they are still recognized. Returns how many."""
        found = self._facts.find({"address_digests": {"$in": (await self._digests()).to_search(address)}})
        count = 0
        async for batch in in_batches(found, _BATCH_SIZE):
            for each in batch:
                report = {"report": stand_in(str(each["report"]))}
                change = {"$set": report, "$unset": {"address_digests": ""}}
                count += (await translate_errors(self._facts.update_one({"_id": each["_id"]}, change))).modified_count
        return count

    def _batches(self, which: Document, *, sort: str) -> AsyncIterator[list[Document]]:
        return in_batches(self._records.find(which).sort(sort, 1), _BATCH_SIZE)

    async def strip(self, records: Sequence[Record], at: datetime) -> ChangeResult:
        """Remove the personal data of records that have not changed since they were read, and of their signals."""
        await self._strip_signals(_about(records))
        return await self._write(
            records, lambda each: ReplaceOne(_as_read(each), personal_data.without_person(each, at))
        )

    async def erase(self, records: Sequence[Record], at: datetime, address: str = "") -> ChangeResult:
        """As `strip`, and close what a retry or replay would send. No id of a booking or event keeps `address`."""
        await self._strip_signals(_about(records))

        def erased(record: Record) -> Document:
            result = _erased(record, at)
            return personal_data.without_address(result, address) if address else result

        return await self._write(records, lambda each: ReplaceOne(_as_read(each), erased(each)))

    async def erase_signals(self, address: str) -> int:
        """Take what points to an address out of signals, also of those without a record. Returns how many."""
        digests = (await self._digests()).to_search(address)
        return await self._strip_signals({"address_digest": {"$in": digests}})

    async def _strip_signals(self, which: Document) -> int:
        personal = {"$unset": {"address_digest": "", "detail": ""}}
        return (await translate_errors(self._signals.update_many(which, personal))).modified_count

    async def remove(self, records: Sequence[Record]) -> ChangeResult:
        await translate_errors(self._signals.delete_many(_about(records)))
        return await self._write(records, lambda each: DeleteOne(_as_read(each)))

    async def _write(self, records: Sequence[Record], change: Callable[[Record], _Write]) -> ChangeResult:
        """A record that cannot be changed does not keep the others from being changed."""
        writes: list[tuple[str, _Write]] = []
        left: dict[str, str] = {}
        for each in records:
            try:
                writes.append((str(each["_id"]), change(each)))
            except Exception as problem:  # noqa: BLE001 - an old record may hold anything; each failure is reported
                left[str(each["_id"])] = type(problem).__name__
        if not writes:
            return ChangeResult(0, left)
        count, refused = await self._written([write for _, write in writes])
        return ChangeResult(count, {**left, **{writes[index][0]: why for index, why in refused.items()}})

    async def _written(self, writes: Sequence[_Write]) -> tuple[int, dict[int, str]]:
        """Returns the number of changed documents, and why the server refused a write, by its index."""
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
        """Delete facts and signals that are older than every record. Returns how many facts."""
        await schema.create_indexes(self._facts, schema.FACTS_BY_AGE)
        await translate_errors(self._signals.delete_many({"received_at": {"$lt": before}}))
        count = 0
        while True:
            old = self._facts.find({"created_at": {"$lt": before}}, {"_id": 1}).limit(_BATCH_SIZE)
            ids = [each["_id"] for each in await translate_errors(old.to_list(_BATCH_SIZE))]
            if not ids:
                return count
            count += (await translate_errors(self._facts.delete_many({"_id": {"$in": ids}}))).deleted_count


def _about(records: Sequence[Record]) -> Document:
    return {"notification_id": {"$in": [each["_id"] for each in records]}}


def _as_read(record: Record) -> Document:
    """A query for the record as it was read. A further event of its fact changes `event_ids` alone."""
    return {name: record.get(name) for name in ("_id", "outcome", "owner", "updated_at", "event_ids")}


def _erased(record: Record, at: datetime) -> Document:
    result, outcome = personal_data.without_person(record, at), record.get("outcome")
    if documents.may_be_reopened(record):
        past = {name: result[name] for name in ("status", "outcome", "reason", "updated_at") if name in result}
        result["history"] = [*result.get("history", ()), past]
    if outcome == WAITING or documents.may_be_reopened(record):
        result.pop("due_at", None)
        result |= documents.closed(Skipped(SkipReason.ERASED), at, str)
    return result | {"erased_at": at}
