"""The collections of the service: their validator and their indexes."""

from collections.abc import Awaitable, Mapping
from typing import Any

import pymongo
import structlog
from pymongo import ASCENDING, IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import Status
from notification_service.stores.mongo.client import Collection, Database, translate_errors, unavailable

log = structlog.get_logger(__name__)

FACTS = "notification_facts"
"""The collection with one document for each fact that was reported, each payment, and each order to recall."""

SIGNALS = "notification_signals"
"""The collection of what became known about messages after they were sent."""

INDEX_BUILD_TIMEOUT_S = 600
"""The indexes of a large collection may take this long; the collection stays usable meanwhile."""

_RECORD_INDEXES = [
    IndexModel([(name, ASCENDING)]) for name in ("event_id", "recipient", "notification_type", "created_at")
]
"""The indexes of a deployed `notification_logs`. Every event pays for them, so there are no others until they are asked
for: whoever searches by anything else creates the index for it."""

BY_TIME = [("created_at", ASCENDING), ("_id", ASCENDING)]
BY_EVENT = IndexModel([("event_ids", ASCENDING), *BY_TIME])
BY_ADDRESS = IndexModel([("address_digests", ASCENDING)])
BY_FINGERPRINT = IndexModel([("fingerprint", ASCENDING)], sparse=True)
BY_EXPERIMENT = IndexModel([("experiment", ASCENDING)], sparse=True)
FACTS_BY_AGE = IndexModel([("created_at", ASCENDING)])
FACTS_BY_ADDRESS = IndexModel([("address_digests", ASCENDING)], sparse=True)

VALIDATOR: Mapping[str, Any] = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["event_id", "notification_type", "recipient", "status", "created_at"],
        "properties": {
            "event_id": {"bsonType": "string"},
            "notification_type": {"enum": [kind.value for kind in ChannelKind]},
            "recipient": {"bsonType": "string"},
            "status": {"enum": [status.value for status in Status]},
            "created_at": {"bsonType": "date"},
            "subject": {"bsonType": "string"},
            "event_data": {"bsonType": "object"},
            "sent_at": {"bsonType": "date"},
        },
    }
}
"""The validator of a deployed `notification_logs`. On an empty database the service sets it itself."""


async def create_collection(database: Database, name: str) -> None:
    """Create the collection of records with its validator if it is absent. Raises `StoreUnavailableError`.

    The service works without the validator if it is not allowed to create one, and logs that.
    """
    if name not in await translate_errors(database.list_collection_names()):
        await if_allowed(database.create_collection(name, validator=VALIDATOR), what=f"collection {name}")


async def create_record_indexes(records: Collection) -> None:
    """Create those that a deployed collection has. Raises `StoreUnavailableError`; one that is refused is logged."""
    await create_indexes(records, *_RECORD_INDEXES)


async def create_indexes(collection: Collection, *indexes: IndexModel) -> None:
    """Create the indexes that are missing. On a large collection it takes long; the collection stays usable meanwhile.

    Raises `StoreUnavailableError`. An index that is refused is logged: what needs it is slow, but not wrong.
    """
    # Within the time for an index, a server that is down would be waited for.
    await translate_errors(collection.database.command("ping"))
    with pymongo.timeout(INDEX_BUILD_TIMEOUT_S):
        for index in indexes:
            name = ", ".join(index.document["key"])
            await if_allowed(collection.create_indexes([index]), what=f"index on {collection.name}: {name}")


async def if_allowed(call: Awaitable[object], *, what: str) -> None:
    try:
        await call
    except OperationFailure as problem:
        log.warning("ledger.not_created", what=what, problem=str(problem)[:200])
    except CollectionInvalid:
        log.debug("ledger.not_created", what=what, problem="another worker was faster")
    except PyMongoError as problem:
        raise unavailable(problem) from problem
