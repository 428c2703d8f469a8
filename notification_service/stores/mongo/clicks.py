"""Reads the clicks that were kept, and when their messages were sent, for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from notification_service.contract.signals import SignalKind
from notification_service.stores.mongo import schema
from notification_service.stores.mongo.client import Database, Document, in_batches, translate_errors

_BATCH_SIZE = 1000
_FIELDS = dict.fromkeys(("notification_id", "template", "at", "extra"), 1)


@dataclass(frozen=True, slots=True)
class KeptClick:
    """One click as it is stored. `why`: of a machine, what its request said; empty for anybody else."""

    notification_id: str
    template: str
    link: str
    at: datetime
    why: str


class MongoClicks:
    """`collection`: the records. Both methods raise `StoreUnavailableError`."""

    def __init__(self, database: Database, collection: str) -> None:
        self._signals = database[schema.SIGNALS]
        self._records = database[collection]

    async def since(self, since: datetime, limit: int) -> Sequence[KeptClick]:
        """The clicks from then on, `limit` of them at most."""
        found = self._signals.find({"kind": str(SignalKind.CLICKED), "received_at": {"$gte": since}}, _FIELDS)
        return [_click(each) async for batch in in_batches(found.limit(limit), _BATCH_SIZE) for each in batch]

    async def sent_at(self, notification_ids: Sequence[str]) -> Mapping[str, datetime]:
        """When each was sent, of those whose record says so."""
        found: dict[str, datetime] = {}
        for begin in range(0, len(notification_ids), _BATCH_SIZE):
            ids = list(notification_ids[begin : begin + _BATCH_SIZE])
            cursor = self._records.find({"_id": {"$in": ids}}, {"sent_at": 1})
            for each in await translate_errors(cursor.to_list(None)):
                if isinstance(at := each.get("sent_at"), datetime):
                    found[str(each["_id"])] = at
        return found


def _click(document: Document) -> KeptClick:
    extra = document.get("extra")
    said: Mapping[str, object] = extra if isinstance(extra, dict) else {}
    return KeptClick(
        str(document.get("notification_id") or ""),
        str(document.get("template") or "unknown"),
        str(said.get("link") or "unknown"),
        document["at"],
        str(said.get("why") or ""),
    )
