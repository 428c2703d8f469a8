"""Finds the records of one address in any case of letters: by `recipient_key`, and older ones by their spellings."""

import re
from itertools import groupby

from pymongo import ASCENDING, IndexModel

from notification_service.foundation.addresses import domain_spellings, key
from notification_service.stores.mongo.client import Collection, Document, translate_errors

UNKEYED: Document = {"recipient_key": None}
"""Records of versions that wrote no `recipient_key`."""

SPELLINGS_INDEX = IndexModel([("recipient_key", ASCENDING), ("recipient", ASCENDING)])
"""`spellings` reads the entries without a key from this index, and no records."""


async def spellings(records: Collection, address: str) -> list[str]:
    """Returns how records without a key spell this address. Raises `StoreUnavailableError`.

    It scans the index entries of all such records; without any it costs nothing.
    """
    condition = {**UNKEYED, "recipient": {"$regex": _pattern(address), "$options": "i"}}
    stages: list[Document] = [{"$match": condition}, {"$group": {"_id": "$recipient"}}]
    found = await translate_errors(records.aggregate(stages).to_list(None))
    return sorted(each["_id"] for each in found if key(each["_id"]) == key(address))


def _pattern(address: str) -> str:
    """A pattern that matches too much where letters are not ASCII: servers differ in how they fold case there."""
    local = address.rpartition("@")[0]
    domains = "|".join(dict.fromkeys(map(_loose, domain_spellings(address))))
    return f"^{_loose(local)}@(?:{domains})$" if local else f"^{_loose(address)}$"


def _loose(text: str) -> str:
    parts = ((plain, "".join(letters)) for plain, letters in groupby(text, str.isascii))
    return "".join(re.escape(part) if plain else "[^\\x00-\\x7f]+" for plain, part in parts)
