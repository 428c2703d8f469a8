"""Records of one address in any case of letters: by their key, and by a look for spellings where there is none yet."""

import re
from itertools import groupby

from pymongo import ASCENDING, IndexModel

from notification_service.foundation.addresses import domain_spellings, key
from notification_service.stores.mongo.client import Collection, Document, answered

UNKEYED: Document = {"recipient_key": None}
"""Records that were written before records had a key."""

SPELLINGS_INDEX = IndexModel([("recipient_key", ASCENDING), ("recipient", ASCENDING)])
"""A look for spellings goes through its entries without a key, and reads no record."""


async def spellings(records: Collection, address: str) -> list[str]:
    """How records without a key write this address. Raises `StoreUnavailableError`.

    It costs a walk along the index entries of all such records, and nothing once there are none of them.
    """
    looked_for = {**UNKEYED, "recipient": {"$regex": _pattern(address), "$options": "i"}}
    stages: list[Document] = [{"$match": looked_for}, {"$group": {"_id": "$recipient"}}]
    found = await answered(records.aggregate(stages).to_list(None))
    return sorted(each["_id"] for each in found if key(each["_id"]) == key(address))


def _pattern(address: str) -> str:
    """Of more than is meant where letters are not ASCII: servers differ in what is the same letter there."""
    local = address.rpartition("@")[0]
    domains = "|".join(dict.fromkeys(map(_loose, domain_spellings(address))))
    return f"^{_loose(local)}@(?:{domains})$" if local else f"^{_loose(address)}$"


def _loose(text: str) -> str:
    parts = ((plain, "".join(letters)) for plain, letters in groupby(text, str.isascii))
    return "".join(re.escape(part) if plain else "[^\\x00-\\x7f]+" for plain, part in parts)
