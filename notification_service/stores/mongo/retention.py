"""Records that grow old, and those of one person: what they say of somebody is taken out, or they go."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from notification_service.contract.outcomes import WAITING, Skipped, SkipReason
from notification_service.delivery.ports.retention import ChangeResult
from notification_service.foundation.address_digests import MORE, Digests, names, stand_in, texts_in, texts_of_id
from notification_service.foundation.addresses import key
from notification_service.stores.mongo import address_keys, documents
from notification_service.stores.mongo.client import Database, Document, answered, in_batches, unavailable
from notification_service.stores.mongo.recipients import UNKEYED, spellings

_BATCH = 500
_SOME = 100
_OURS: Document = {"fact": {"$exists": True}}
_CLOSED: Document = {"outcome": {"$nin": list(documents.OPEN)}}
_UNDATED: Document = {
    "$or": [{"created_at": None}, {"created_at": {"$type": ["number", "string", "object", "bool", "timestamp"]}}]
}
"""By the index on `created_at`: each of these is one range of it, as "no date" is not."""

Record = Mapping[str, Any]
_Write = ReplaceOne[Document] | DeleteOne | UpdateOne

UNDIGESTED: Document = {"address_digests": None}
"""Records that were written before records had digests of the addresses that they name."""


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
        self._facts = database[documents.FACTS]
        self._keys = address_keys
        self._full = full_recipients

    async def made_between(self, after: datetime | None, before: datetime) -> AsyncIterator[list[Document]]:
        """By the index on `created_at`."""
        made: Document = {"$lt": before, **({"$gte": after} if after else {})}
        async for batch in self._batches({"created_at": made, **_OURS, **_CLOSED}, sort="created_at"):
            yield batch

    async def undated(self) -> list[str]:
        """The ids of some of our records that say no time at which they were made."""
        found = self._records.find({**_OURS, **_CLOSED, **_UNDATED}, {"_id": 1}).limit(_SOME)
        return [str(each["_id"]) for each in await answered(found.to_list(_SOME))]

    async def addressed_to(self, address: str, event_ids: Sequence[str] = ()) -> AsyncIterator[list[Document]]:
        """Each record whose mail goes to an address, or whose event or replies name it, in any spelling.

        By the index on `address_digests` and that on `recipient_key`, and older records by that on `recipient`. Those
        that have no digests yet, or such under a key that is lost, are read. `event_ids`: of events that name it.
        """
        seen = set[str]()
        async for batch in self._found(address, event_ids):
            fresh = [record for record in batch if str(record["_id"]) not in seen]
            seen |= {str(record["_id"]) for record in fresh}
            if fresh:
                yield fresh

    async def _found(self, address: str, event_ids: Sequence[str]) -> AsyncIterator[list[Document]]:
        digests = await self._digests()
        sought = digests.sought(address)
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
        """Whether some records have digests under a key that the settings do not name any more."""
        return await address_keys.lost(self._database, await self._digests())

    async def _digests(self) -> Digests:
        return await address_keys.digests(self._database, self._keys, full_recipients=self._full)

    async def digest(self) -> int:
        """Give digests to the records of earlier versions, so that nobody has to read them again. How many have some.

        Without a key there are none to give.
        """
        digests, count = await self._digests(), 0
        if not digests.known:
            return 0
        async for batch in self._batches({**UNDIGESTED, "stripped_at": None, **_OURS}, sort="address_digests"):
            writes = [
                UpdateOne({"_id": each["_id"], **UNDIGESTED}, {"$set": {"address_digests": digests.of(texts_in(each))}})
                for each in batch
            ]
            count += (await self._written(writes))[0]
        return count

    async def traces(self, address: str) -> AsyncIterator[str]:
        """The id of each record of ours, and of each line of the facts, that names an address: all of them are read."""
        async for batch in self._batches(_OURS, sort="_id"):
            for each in batch:
                if _names(each, address):
                    yield str(each["_id"])
        async for lines in in_batches(self._facts.find({}), _BATCH):
            for each in lines:
                if _names(each, address):
                    yield f"{documents.FACTS} {stand_in(str(each['_id']))}"

    async def erase_facts(self, address: str) -> int:
        """What reported a fact first is known again, and does not name the address any more."""
        found = self._facts.find({"address_digests": {"$in": (await self._digests()).sought(address)}})
        count = 0
        async for batch in in_batches(found, _BATCH):
            for each in batch:
                report = {"report": stand_in(str(each["report"]))}
                change = {"$set": report, "$unset": {"address_digests": ""}}
                count += (await answered(self._facts.update_one({"_id": each["_id"]}, change))).modified_count
        return count

    def _batches(self, which: Document, *, sort: str) -> AsyncIterator[list[Document]]:
        return in_batches(self._records.find(which).sort(sort, 1), _BATCH)

    async def strip(self, records: Sequence[Record], at: datetime) -> ChangeResult:
        """How many now say nothing of a person; one that was changed since it was read is not among them."""
        return await self._write(records, lambda each: ReplaceOne(_as_read(each), documents.without_person(each, at)))

    async def erase(self, records: Sequence[Record], at: datetime, address: str = "") -> ChangeResult:
        """The same, and what a retry or a replay would send is closed: its event, when it comes back, sends nothing.

        No name that stays, of a booking or an event, holds the `address` any more.
        """

        def erased(record: Record) -> Document:
            left = _erased(record, at)
            return documents.without_address(left, address) if address else left

        return await self._write(records, lambda each: ReplaceOne(_as_read(each), erased(each)))

    async def remove(self, records: Sequence[Record]) -> ChangeResult:
        return await self._write(records, lambda each: DeleteOne(_as_read(each)))

    async def _write(self, records: Sequence[Record], change: Callable[[Record], _Write]) -> ChangeResult:
        """Whatever is odd about one record, the others are changed."""
        writes: list[tuple[str, _Write]] = []
        left: dict[str, str] = {}
        for each in records:
            try:
                writes.append((str(each["_id"]), change(each)))
            except Exception as problem:  # noqa: BLE001 - an old record may hold anything, and each is said
                left[str(each["_id"])] = type(problem).__name__
        if not writes:
            return ChangeResult(0, left)
        count, refused = await self._written([write for _, write in writes])
        return ChangeResult(count, {**left, **{writes[index][0]: why for index, why in refused.items()}})

    async def _written(self, writes: Sequence[_Write]) -> tuple[int, dict[int, str]]:
        """How many documents it changed, and why the server refuses a write, by its place."""
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
        """Which report of a fact came first, where no record of that time is left."""
        gone = 0
        while True:
            old = self._facts.find({"created_at": {"$lt": before}}, {"_id": 1}).limit(_BATCH)
            ids = [each["_id"] for each in await answered(old.to_list(_BATCH))]
            if not ids:
                return gone
            gone += (await answered(self._facts.delete_many({"_id": {"$in": ids}}))).deleted_count


def _as_read(record: Record) -> Document:
    """Its `event_ids` too: a further event of its fact is noted there, and nowhere else."""
    return {name: record.get(name) for name in ("_id", "outcome", "owner", "updated_at", "event_ids")}


def _erased(record: Record, at: datetime) -> Document:
    left, outcome = documents.without_person(record, at), record.get("outcome")
    if outcome in documents.MENDABLE:
        past = {name: left[name] for name in ("status", "outcome", "reason", "updated_at") if name in left}
        left["history"] = [*left.get("history", ()), past]
    if outcome in (WAITING, *documents.MENDABLE):
        left.pop("due_at", None)
        left |= documents.closed(Skipped(SkipReason.ERASED), at, str)
    return left | {"erased_at": at}
