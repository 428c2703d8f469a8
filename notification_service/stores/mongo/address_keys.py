"""The keys for digests of addresses: those of the settings, and one in the database if there are none."""

import secrets
from collections.abc import Sequence
from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from notification_service.foundation.address_digests import Digests
from notification_service.stores.mongo.client import Database, Document, translate_errors
from notification_service.stores.mongo.schema import FACTS

_ID = "key:addresses"
"""No fact of a booking or payment begins with this. The document has no date, so retention never removes it."""


async def digests(database: Database, keys: Sequence[str], *, full_recipients: bool) -> Digests:
    """Returns the digests under all known keys. Raises `StoreUnavailableError`.

    Without ADDRESS_KEYS a key is created once and stored beside the records. Masked records get no digests then, since
    whoever reads the database could guess their addresses with that key.
    """
    stored = await _stored(database)
    known = Digests([*keys, *([stored["secret"]] if full_recipients or keys else [])])
    first = known.key_ids[:1]
    if first and first[0] not in stored.get("used", ()):
        await translate_errors(database[FACTS].update_one({"_id": _ID}, {"$addToSet": {"used": first[0]}}))
    return known


class KnownDigests:
    """The digests under all known keys, read once. `keys`, `full_recipients`: as for `digests`."""

    def __init__(self, database: Database, keys: Sequence[str], *, full_recipients: bool) -> None:
        self._database = database
        self._keys = keys
        self._full = full_recipients
        self._known: Digests | None = None

    async def get(self) -> Digests:
        """Raises `StoreUnavailableError`."""
        if self._known is None:
            self._known = await digests(self._database, self._keys, full_recipients=self._full)
        return self._known


async def lost(database: Database, known: Digests) -> bool:
    """Returns whether records may have digests under a key that is no longer known."""
    return not set((await _stored(database)).get("used", ())) <= set(known.key_ids)


async def _stored(database: Database) -> Document:
    facts = database[FACTS]
    if found := await translate_errors(facts.find_one({"_id": _ID})):
        return found
    with suppress(DuplicateKeyError):  # another worker was faster
        await translate_errors(facts.insert_one({"_id": _ID, "secret": secrets.token_hex(32), "used": []}))
    return await translate_errors(facts.find_one({"_id": _ID})) or {"secret": "", "used": []}
