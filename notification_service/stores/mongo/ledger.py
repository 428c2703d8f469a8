"""The ledger in MongoDB: one record for each notification. It is the source of truth."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from pymongo import InsertOne, UpdateOne

from notification_service.contract.outcomes import PENDING, WAITING, Outcome, Sent, Status, summarize
from notification_service.delivery.ports.channel import Attempt, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Intent, Opened, RecordedEvent
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.foundation.address_digests import may_name
from notification_service.foundation.addresses import mask_in
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.mongo import documents, schema
from notification_service.stores.mongo.address_keys import KnownDigests
from notification_service.stores.mongo.client import (
    Collection,
    Database,
    Document,
    GroupedReads,
    GroupedWrites,
    Write,
    WriteRefusedError,
    Written,
    translate_errors,
)
from notification_service.stores.mongo.facts import MongoFacts

_MAX_LENGTHS = {"event_ids": 1000, "attempts": 200, "history": 200, "replays": 200}
"""Limits for the lists of one record: a fact that is reported again and again must not grow to 16 MB."""

_OPEN = {"$in": list(documents.OPEN)}
_ENDED_FIELDS = ("reason", "detail", "fingerprint", "due_at", "sending", "sending_by", "resends")
"""Fields that a record loses when it becomes pending again."""

_NO_MARK: Document = {"sending": "", "sending_by": ""}
_EVENT_FIELDS = ("event_json", "stripped_at")
"""Fields that it also loses when another event takes it over."""


class MongoLedger(MongoFacts):
    """`collection`: the records. `full_recipients`: whether they show addresses in full or masked.

    `address_keys`: for the digests by which records are found by address, the current key first. `reads`: a group of
    reads that is shared with another store.
    """

    def __init__(
        self,
        database: Database,
        collection: str,
        *,
        full_recipients: bool,
        address_keys: Sequence[str] = (),
        reads: GroupedReads | None = None,
    ) -> None:
        self._database = database
        self._records: Collection = database[collection]
        self._digests = KnownDigests(database, address_keys, full_recipients=full_recipients)
        reads = reads or GroupedReads()
        super().__init__(database, reads, self._digests)
        # An update costs a server several times as much as an insert, and a mail waits for its intent alone.
        self._intents = GroupedWrites(self._records, reads.turns)
        self._updates = GroupedWrites(self._records, reads.turns)
        self._events = reads.of(self._records, documents.RECORDED_EVENT_FIELDS)
        self._show: documents.Show = str if full_recipients else mask_in

    async def prepare(self) -> None:
        """Create the collection if it is absent, and read the address keys. Raises `StoreUnavailableError`."""
        await schema.create_collection(self._database, self._records.name)
        await self._digests.get()

    async def index(self) -> None:
        """Create the indexes that are missing. Raises `StoreUnavailableError`. On a large collection it takes long."""
        await schema.create_record_indexes(self._records)

    async def ping(self) -> None:
        """Raises `StoreUnavailableError`."""
        await translate_errors(self._database.command("ping"))

    async def open(self, intent: Intent) -> Opened | AlreadyThere:
        digests = (await self._digests.get()).of(documents.texts_of(intent))
        new = {**documents.pending(intent, self._show), "address_digests": digests}
        problem: Exception = StoreUnavailableError("MongoDB", "the insert failed as a duplicate of no record")
        try:
            if await self._intents.write(InsertOne(new)) is Written.DONE:
                return Opened()
        except WriteRefusedError as refusal:
            # A unique index of others may be asked before that of the ids.
            problem = refusal
        found = await self._read(intent.notification_id)
        if found is None:
            raise problem
        if found["outcome"] == PENDING and found["owner"] == intent.owner:
            # This worker's own insert, whose answer was lost.
            return Opened()
        await self._trim(found)
        return AlreadyThere(documents.entry(found))

    async def event_data_of(self, notification_ids: Sequence[str]) -> list[RecordedEvent]:
        found = await asyncio.gather(*map(self._events.find, notification_ids))
        return [documents.recorded_event(document) for document in found if document]

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        resends: int,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
        lost: Attempt | None = None,
    ) -> Fence:
        fields: Document = {"owner": owner, "status": Status.PENDING, "outcome": PENDING, "updated_at": at}
        fields |= documents.resent(resends)
        if intent is not None:
            fields |= documents.of_event(intent, self._show)
        change: Document = {
            "$set": fields,
            "$unset": {name: "" for name in (*_ENDED_FIELDS, *(_EVENT_FIELDS if intent else ())) if name not in fields},
            "$addToSet": {"event_ids": documents.storable_text(event_id)},
        }
        which: Document = {"_id": notification_id, **documents.reopenable(was), "owner": {"$in": [seen, owner]}}
        if not sending:
            which["sending"] = {"$ne": True}
        if intent is not None and (digests := (await self._digests.get()).of(documents.texts_of(intent))):
            change["$addToSet"]["address_digests"] = {"$each": digests}
        if was is not None:
            change["$addToSet"]["history"] = documents.closed(was, at, self._show)
        if lost is not None:
            change["$addToSet"]["attempts"] = documents.attempt(lost, self._show)
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
        shadow: ShadowResult | None = None,
    ) -> Fence:
        fields = documents.closed(outcome, at, self._show)
        if recipient:
            fields |= documents.addressed(recipient, self._show)
        if owner is None and isinstance(outcome, Sent):
            fields["repaired"] = True
        fields |= documents.of_message(message, remarks, shadow, self._show)
        if attempt and attempt.provider_message_id:
            fields["provider_message_id"] = documents.storable_text(attempt.provider_message_id)
        which: Document = {"_id": notification_id, "outcome": _OPEN}
        if owner is not None:
            which["owner"] = owner
        texts = (recipient or "", (message and message.subject) or "", str(fields.get("detail", "")), *remarks)
        change = {"$set": fields, "$unset": {"due_at": "", **_NO_MARK}}
        if await self._update(which, await self._with_attempt(change, attempt, texts)):
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
        shown = self._show(documents.storable_text(reason))
        fields = {"outcome": WAITING, "reason": shown, "due_at": due_at, "updated_at": at}
        change = await self._with_attempt({"$set": fields, "$unset": _NO_MARK}, attempt, (reason,))
        await self._update(_open_entry(notification_id, owner), change)

    async def mark_sending(self, notification_id: str, owner: str, relay: str | None = None) -> Fence:
        mark = {"sending": True, **({"sending_by": relay} if relay else {})}
        if await self._update(_open_entry(notification_id, owner), {"$set": mark}):
            return Fence.HELD
        found = await self._read(notification_id)
        if found is None:
            return Fence.NO_ENTRY
        ours = found["owner"] == owner and found["outcome"] == PENDING and found.get("sending")
        return Fence.HELD if ours else Fence.LOST

    async def unmark(self, notification_id: str, owner: str) -> None:
        await self._update(_open_entry(notification_id, owner), {"$unset": _NO_MARK})

    async def note_fallback(self, notification_id: str, owner: str, template_digest: str) -> None:
        fields = {**documents.FALLBACK, "template_digest": template_digest}
        await self._update(_open_entry(notification_id, owner), {"$set": fields})

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        await self._update({"_id": notification_id}, await self._with_attempt({}, attempt))

    async def _trim(self, found: Document) -> None:
        """Keep the first and the last items of lists that are too long, unless they were changed meanwhile."""
        for name, limit in _MAX_LENGTHS.items():
            listed = found.get(name)
            if isinstance(listed, list) and len(listed) > limit:
                kept = [listed[0], *listed[1 - limit :]]
                await self._update({"_id": found["_id"], name: listed}, {"$set": {name: kept}})

    async def note_event(self, notification_id: str, event_id: str) -> None:
        event = documents.storable_text(event_id)
        await self._update({"_id": notification_id}, {"$addToSet": {"event_ids": event}})

    async def note_later(self, notification_id: str, later: str) -> None:
        await self._update({"_id": notification_id}, {"$addToSet": {"later": later}})

    async def _update(self, which: Document, change: Document) -> bool:
        """Returns whether it is certain that the document was changed."""
        operation: Write = UpdateOne(which, change)
        return await self._updates.write(operation) is Written.DONE

    async def _with_attempt(self, change: Document, attempt: Attempt | None, texts: Sequence[str] = ()) -> Document:
        """Add the attempt to a set, so that a write repeated after a lost answer does not record it twice.

        `texts`: those of this write that may contain an address, as the server's reply may.
        """
        added: Document = {"attempts": documents.attempt(attempt, self._show)} if attempt else {}
        addressed = [each for each in (*texts, (attempt.reply or "") if attempt else "") if may_name(each)]
        if addressed and (digests := (await self._digests.get()).of(addressed)):
            added["address_digests"] = {"$each": digests}
        return {**change, "$addToSet": added} if added else change

    async def _read(self, notification_id: str) -> Document | None:
        return await translate_errors(self._records.find_one({"_id": notification_id}, {"event_data": 0}))


def _open_entry(notification_id: str, owner: str) -> Document:
    return {"_id": notification_id, "owner": owner, "outcome": PENDING}
