"""The ledger in MongoDB: what became of every notification. It is the truth."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

import pymongo
import structlog
from pymongo import InsertOne, UpdateOne
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from notification_service.contract.outcomes import PENDING, WAITING, Outcome, Sent, Status, summarize
from notification_service.delivery.ports.channel import Attempt, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Opened, Paid, RecordedEvent
from notification_service.foundation.address_digests import Digests, named_in, stand_in, texts_of_id
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.mongo import address_keys, documents
from notification_service.stores.mongo.client import (
    Collection,
    Database,
    Document,
    GroupedReads,
    GroupedWrites,
    Write,
    Written,
    answered,
    unavailable,
)

log = structlog.get_logger(__name__)

_INDEXES = ("event_id", "event_ids", "recipient", "notification_type", "created_at", "address_digests")
_BUILDING = 600
"""Seconds that the indexes of a large collection may take; it is open meanwhile."""

_MAX = {"event_ids": 1000, "attempts": 200, "history": 200, "replays": 200}
"""Of the lists of one record: a fact that is reported for ever must not grow to the 16 MB that MongoDB holds."""

_OPEN = {"$in": list(documents.OPEN)}
_OVER = ("reason", "detail", "fingerprint", "due_at", "sending")
"""What an entry that is pending again no longer says."""

_OF_ITS_EVENT = ("event_json", "stripped_at")
"""Nor these, where it is another event's from now on."""


class MongoLedger:
    """`collection`: the audit records. `full_recipients`: whether they show addresses in full or masked.

    `address_keys`: of the digests by which a record is found whose event names an address, the present one first.
    """

    def __init__(
        self, database: Database, collection: str, *, full_recipients: bool, address_keys: Sequence[str] = ()
    ) -> None:
        self._database = database
        self._records: Collection = database[collection]
        reads = GroupedReads()
        self._facts = reads.of(database[documents.FACTS], {"report": 1, "paid_at": 1})
        self._new_facts = GroupedWrites(database[documents.FACTS])
        self._writes = GroupedWrites(self._records)
        self._told = reads.of(self._records, documents.TOLD)
        self._full = full_recipients
        self._show: documents.Show = str if full_recipients else mask_in
        self._keys = address_keys
        self._known: Digests | None = None

    async def prepare(self) -> None:
        """On an empty database the collection with its validator. Raises `StoreUnavailableError`.

        What we may not create, we do without, and say so.
        """
        if self._records.name not in await answered(self._database.list_collection_names()):
            await _if_allowed(
                self._database.create_collection(self._records.name, validator=documents.VALIDATOR),
                what=f"collection {self._records.name}",
            )
        await self._digests()

    async def _digests(self) -> Digests:
        if self._known is None:
            self._known = await address_keys.digests(self._database, self._keys, full_recipients=self._full)
        return self._known

    async def index(self) -> None:
        """The indexes that are missing. Beside the work: on a large collection it takes long. Raises as `prepare`."""
        with pymongo.timeout(_BUILDING):
            await self._create_indexes()

    async def _create_indexes(self) -> None:
        for name in _INDEXES:
            await _if_allowed(self._records.create_index(name), what=f"index on {name}")
        # Only what bounced has one, so no other write pays for it.
        await _if_allowed(self._records.create_index("fingerprint", sparse=True), what="index on fingerprint")
        facts = self._database[documents.FACTS]
        await _if_allowed(facts.create_index("created_at"), what=f"index on {facts.name}.created_at")
        await _if_allowed(
            facts.create_index("address_digests", sparse=True), what=f"index on {facts.name}.address_digests"
        )

    async def ping(self) -> None:
        """Raises `StoreUnavailableError`."""
        await answered(self._database.command("ping"))

    async def open(self, intent: Intent) -> Opened | AlreadyThere:
        named = (await self._digests()).of(documents.texts_of(intent))
        new = {**documents.pending(intent, self._show), "address_digests": named}
        written = await self._writes.write(InsertOne(new))
        if written is Written.DONE:
            return Opened()
        found = await self._read(intent.notification_id)
        if found is None:
            raise StoreUnavailableError("MongoDB", "an entry is refused as a duplicate and cannot be read")
        if found["outcome"] == PENDING and found["owner"] == intent.owner:
            # Our own write, whose answer was lost.
            return Opened()
        await self._trim(found)
        return AlreadyThere(documents.entry(found))

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        found = await asyncio.gather(*map(self._told.find, notification_ids))
        return [documents.event_data_of(document) for document in found if document]

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        possible_duplicate: bool,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
    ) -> Fence:
        fields: Document = {"owner": owner, "status": Status.PENDING, "outcome": PENDING, "updated_at": at}
        if possible_duplicate:
            fields["possible_duplicate"] = True
        if intent is not None:
            fields |= documents.of_event(intent, self._show)
        change: Document = {
            "$set": fields,
            "$unset": {name: "" for name in (*_OVER, *(_OF_ITS_EVENT if intent else ())) if name not in fields},
            "$addToSet": {"event_ids": documents.storable_text(event_id)},
        }
        mendable = {"$in": [*documents.OPEN, *documents.MENDABLE]}
        which: Document = {"_id": notification_id, "outcome": mendable, "owner": {"$in": [seen, owner]}}
        if not sending:
            which["sending"] = {"$ne": True}
        if intent is not None and (named := (await self._digests()).of(documents.texts_of(intent))):
            change["$addToSet"]["address_digests"] = {"$each": named}
        if was is not None:
            change["$addToSet"]["history"] = documents.closed(was, at, self._show)
        if replay is not None:
            change["$addToSet"]["replays"] = replay
            which["replays"] = {"$ne": replay}
        if await self._update(which, change):
            return Fence.HELD
        found = await self._read(notification_id)
        taken = found is not None and found["owner"] == owner and found["outcome"] == PENDING
        return Fence.HELD if taken else Fence.LOST

    async def close(
        self,
        notification_id: str,
        owner: str | None,
        outcome: Outcome,
        *,
        at: datetime,
        recipient: str | None = None,
        remarks: Sequence[str] = (),
        message: OutgoingMessage | None = None,
        attempt: Attempt | None = None,
    ) -> Fence:
        fields = documents.closed(outcome, at, self._show)
        if recipient:
            fields |= documents.addressed(recipient, self._show)
        if owner is None and isinstance(outcome, Sent):
            fields["repaired"] = True
        if message and message.subject:
            fields["subject"] = self._show(documents.storable_text(message.subject))
        if remarks:
            fields["remarks"] = [self._show(documents.storable_text(remark)) for remark in remarks]
        if message:
            fields["mail_digest"] = message.digest
        which: Document = {"_id": notification_id, "outcome": _OPEN}
        if owner is not None:
            which["owner"] = owner
        said = (recipient or "", (message and message.subject) or "", str(fields.get("detail", "")), *remarks)
        change = {"$set": fields, "$unset": {"due_at": "", "sending": ""}}
        if await self._update(which, await self._with_attempt(change, attempt, said)):
            return Fence.HELD
        found = await self._read(notification_id)
        if found is None:
            return Fence.NO_ENTRY
        ours = owner is None or found["owner"] == owner
        return Fence.HELD if ours and found["outcome"] == summarize(outcome).outcome else Fence.LOST

    async def postpone(
        self,
        notification_id: str,
        owner: str,
        *,
        at: datetime,
        due_at: datetime,
        reason: str,
        attempt: Attempt | None,
    ) -> None:
        why = self._show(documents.storable_text(reason))
        fields = {"outcome": WAITING, "reason": why, "due_at": due_at, "updated_at": at}
        change = await self._with_attempt({"$set": fields, "$unset": {"sending": ""}}, attempt, (reason,))
        await self._update(_open_entry(notification_id, owner), change)

    async def mark_sending(self, notification_id: str, owner: str) -> Fence:
        if await self._update(_open_entry(notification_id, owner), {"$set": {"sending": True}}):
            return Fence.HELD
        found = await self._read(notification_id)
        if found is None:
            return Fence.NO_ENTRY
        ours = found["owner"] == owner and found["outcome"] == PENDING and found.get("sending")
        return Fence.HELD if ours else Fence.LOST

    async def unmark(self, notification_id: str, owner: str) -> None:
        await self._update(_open_entry(notification_id, owner), {"$unset": {"sending": ""}})

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        await self._update({"_id": notification_id}, await self._with_attempt({}, attempt))

    async def _trim(self, found: Document) -> None:
        """The first and the last of a list that has grown too long, unless it has changed since it was read."""
        for name, most in _MAX.items():
            listed = found.get(name)
            if isinstance(listed, list) and len(listed) > most:
                kept = [listed[0], *listed[1 - most :]]
                await self._update({"_id": found["_id"], name: listed}, {"$set": {name: kept}})

    async def note_event(self, notification_id: str, event_id: str) -> None:
        event = documents.storable_text(event_id)
        await self._update({"_id": notification_id}, {"$addToSet": {"event_ids": event}})

    async def note_later(self, notification_id: str, later: str) -> None:
        await self._update({"_id": notification_id}, {"$addToSet": {"later": later}})

    async def first_report(self, fact: str, report: str) -> str:
        key = _named(fact)
        ours = {"_id": key, "report": report, "created_at": datetime.now(UTC)}
        if "@" in report and (named := (await self._digests()).of(texts_of_id(report))):
            ours["address_digests"] = named
        if await self._new_facts.write(InsertOne(ours)) is Written.DONE:
            return report
        found = await self._facts.find(key)
        # Where an address in it was erased, something else stands for it.
        return str(found["report"]) if found and found["report"] != stand_in(report) else report

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        key = _paid(booking_id)
        first = await self._new_facts.write(InsertOne({"_id": key, "paid_at": at, "created_at": datetime.now(UTC)}))
        if first is Written.DUPLICATE and at is not None:
            await self._new_facts.write(UpdateOne({"_id": key}, {"$max": {"paid_at": at}}))

    async def paid(self, booking_id: str) -> Paid | None:
        found = await self._facts.find(_paid(booking_id))
        return Paid(found.get("paid_at")) if found else None

    async def _update(self, which: Document, change: Document) -> bool:
        """Whether it is certain that the one document was changed."""
        operation: Write = UpdateOne(which, change)
        return await self._writes.write(operation) is Written.DONE

    async def _with_attempt(self, change: Document, attempt: Attempt | None, said: Sequence[str] = ()) -> Document:
        """As a set, so that a write which is repeated after a lost answer adds no attempt that was never made.

        A server repeats addresses; what the record `said` before may name others.
        """
        added: Document = {"attempts": documents.attempt(attempt, self._show)} if attempt else {}
        texts = [each for each in (*said, (attempt.reply or "") if attempt else "") if "@" in each]
        if texts and (named := (await self._digests()).of(texts)):
            added["address_digests"] = {"$each": named}
        return {**change, "$addToSet": added} if added else change

    async def _read(self, notification_id: str) -> Document | None:
        return await answered(self._records.find_one({"_id": notification_id}, {"event_data": 0}))


def _open_entry(notification_id: str, owner: str) -> Document:
    return {"_id": notification_id, "owner": owner, "outcome": PENDING}


def _paid(booking_id: str) -> str:
    return _named(f"booking:{booking_id}:paid")


def _named(fact: str) -> str:
    """The id of its line. One that names an address is known by its digest, as nobody could erase it and keep it."""
    key = documents.storable_text(fact)
    return stand_in(key) if "@" in key and named_in([key]) else key


async def _if_allowed(call: Awaitable[object], *, what: str) -> None:
    try:
        await call
    except OperationFailure as problem:
        log.warning("ledger.not_created", what=what, problem=str(problem)[:200])
    except CollectionInvalid:
        log.debug("ledger.not_created", what=what, problem="another worker was faster")
    except PyMongoError as problem:
        raise unavailable(problem) from problem
