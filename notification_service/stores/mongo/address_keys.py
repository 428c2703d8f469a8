"""The keys of the digests of addresses: those of the settings, and one that the database keeps for want of them."""

import secrets
from collections.abc import Sequence
from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from notification_service.foundation.address_digests import Digests
from notification_service.stores.mongo import documents
from notification_service.stores.mongo.client import Database, Document, answered

_ID = "key:addresses"
"""No fact of a booking or a payment begins so. It has no date, so it never grows old."""


async def digests(database: Database, keys: Sequence[str], *, full_recipients: bool) -> Digests:
    """Raises `StoreUnavailableError`.

    Without ADDRESS_KEYS a key is made once and kept beside the records. Where those mask their addresses it would let
    whoever reads the database guess them, so they have no digests then.
    """
    kept = await _kept(database)
    known = Digests([*keys, *([kept["secret"]] if full_recipients or keys else [])])
    first = known.known[:1]
    if first and first[0] not in kept.get("used", ()):
        await answered(database[documents.FACTS].update_one({"_id": _ID}, {"$addToSet": {"used": first[0]}}))
    return known


async def lost(database: Database, known: Digests) -> bool:
    """Whether records may have digests under a key that is not known any more."""
    return not set((await _kept(database)).get("used", ())) <= set(known.known)


async def _kept(database: Database) -> Document:
    facts = database[documents.FACTS]
    if found := await answered(facts.find_one({"_id": _ID})):
        return found
    with suppress(DuplicateKeyError):  # another worker was faster
        await answered(facts.insert_one({"_id": _ID, "secret": secrets.token_hex(32), "used": []}))
    return await answered(facts.find_one({"_id": _ID})) or {"secret": "", "used": []}
