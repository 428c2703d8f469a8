"""The suppressions in MongoDB: one document for each address, by its keyed digest. `erase` leaves them alone."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Entry, Evidence, Lift
from notification_service.delivery.ports.suppressions import Known, Page
from notification_service.stores.mongo import address_keys
from notification_service.stores.mongo.client import Database, Document, GroupedReads, translate_errors
from notification_service.stores.mongo.documents import listed, storable_text

SUPPRESSIONS = "notification_suppressions"
_FIELDS = dict.fromkeys((*map(str, Cause), "changed_at"), 1)
_MAX_EVIDENCE, _MAX_LIFTS = 20, 50
"""Of one address and cause; the oldest make room."""


class MongoSuppressions:
    """`keys`, `full_recipients`: as the ledger has them. `reads`: a group of reads that is shared with it."""

    def __init__(
        self,
        database: Database,
        keys: Sequence[str] = (),
        *,
        full_recipients: bool,
        reads: GroupedReads | None = None,
    ) -> None:
        self._addresses = database[SUPPRESSIONS]
        self._by_id = (reads or GroupedReads()).of(self._addresses, _FIELDS)
        self._digests = address_keys.KnownDigests(database, keys, full_recipients=full_recipients)

    async def index(self) -> None:
        """Create the index of `page` if it is missing. Raises `StoreUnavailableError`."""
        await translate_errors(self._addresses.create_index([("changed_at", DESCENDING)]))

    async def known(self, channel: ChannelKind, address: str) -> Known:
        digests = (await self._digests.get()).of_address(address)
        found = await asyncio.gather(*(self._by_id.find(_id(channel, digest)) for digest in digests))
        read = [_known(each) for each in found if each]
        times = [each.changed_at for each in read if each.changed_at]
        entries = tuple(chain.from_iterable(each.entries for each in read))
        return Known(channel, digests[0] if digests else "", entries, max(times, default=None))

    async def note(self, channel: ChannelKind, digest: str, cause: Cause, evidence: Evidence) -> bool:
        written = _written(evidence)
        which = {"_id": _id(channel, digest), f"{cause}.evidence.key": {"$ne": written["key"]}}
        pushed = {f"{cause}.evidence": {"$each": [written], "$slice": -_MAX_EVIDENCE}}
        return await self._push(which, pushed)

    async def lift(self, channel: ChannelKind, digest: str, cause: Cause, lift: Lift) -> None:
        written = {"at": lift.at, "by": storable_text(lift.by), "reason": storable_text(lift.reason)}
        which = {
            "_id": _id(channel, digest),
            f"{cause}.lifts": {"$not": {"$elemMatch": {"at": written["at"], "by": written["by"]}}},
        }
        await self._push(which, {f"{cause}.lifts": {"$each": [written], "$slice": -_MAX_LIFTS}})

    async def page(self, *, cause: Cause | None = None, before: datetime | None = None, limit: int) -> Page:
        query: Document = {"changed_at": {"$lt": before}} if before else {}
        if cause:
            query[str(cause)] = {"$exists": True}
        cursor = self._addresses.find(query).sort("changed_at", DESCENDING).limit(limit + 1)
        found = [_known(each) for each in await translate_errors(cursor.to_list(limit + 1))]
        return Page(found[:limit], found[limit - 1].changed_at if len(found) > limit else None)

    async def beginning_with(self, digest: str, limit: int) -> Sequence[Known]:
        pattern = f"^({'|'.join(ChannelKind)}):{re.escape(digest)}"
        cursor = self._addresses.find({"_id": {"$regex": pattern}}).sort("_id", 1).limit(limit)
        return [_known(each) for each in await translate_errors(cursor.to_list(limit))]

    async def _push(self, which: Document, pushed: Document) -> bool:
        """Returns whether anything was written: False where the document has it already."""
        change = {"$push": pushed, "$set": {"changed_at": datetime.now(UTC)}}
        try:
            result = await translate_errors(self._addresses.update_one(which, change, upsert=True))
        except DuplicateKeyError:
            # The document is there and does not match, or another worker was faster: then it matches now.
            result = await translate_errors(self._addresses.update_one(which, change))
        return bool(result.modified_count or result.upserted_id)


def _id(channel: ChannelKind, digest: str) -> str:
    return f"{channel}:{digest}"


def _known(document: Document) -> Known:
    channel, _, digest = str(document["_id"]).partition(":")
    kind = ChannelKind(channel)
    entries = [_entry(kind, digest, cause, held) for cause in Cause if isinstance(held := document.get(cause), dict)]
    return Known(kind, digest, tuple(entries), document.get("changed_at"))


def _entry(channel: ChannelKind, digest: str, cause: Cause, held: Document) -> Entry:
    evidence = tuple(_evidence(each) for each in listed(held, "evidence", dict))
    lifts = tuple(Lift(each["at"], each["by"], each["reason"]) for each in listed(held, "lifts", dict))
    return Entry(channel, digest, cause, evidence, lifts)


def _evidence(document: dict[str, Any]) -> Evidence:
    return Evidence(**{name: each for name, each in document.items() if name != "key"})


def _written(evidence: Evidence) -> Document:
    """`key`: the identity as one value, so that one condition asks for it."""
    source, source_id = storable_text(evidence.source), storable_text(evidence.source_id)
    return {
        "key": f"{source}:{source_id}",
        "source": source,
        "source_id": source_id,
        "at": evidence.at,
        "code": storable_text(evidence.code) if evidence.code else None,
        "detail": storable_text(evidence.detail),
        "notification_id": evidence.notification_id,
    }
