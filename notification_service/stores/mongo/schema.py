"""The collections of the service: their validator and their indexes."""

from collections.abc import Awaitable, Mapping
from typing import Any

import pymongo
import structlog
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

_INDEXES = ("event_id", "event_ids", "recipient", "notification_type", "created_at", "address_digests")

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


async def create_indexes(records: Collection, facts: Collection) -> None:
    """Create the indexes that are missing. Raises `StoreUnavailableError`; an index that is refused is logged."""
    with pymongo.timeout(INDEX_BUILD_TIMEOUT_S):
        for name in _INDEXES:
            await if_allowed(records.create_index(name), what=f"index on {name}")
        # Only bounced records have a fingerprint, so a sparse index costs no other write anything.
        await if_allowed(records.create_index("fingerprint", sparse=True), what="index on fingerprint")
        await if_allowed(records.create_index("experiment", sparse=True), what="index on experiment")
        await if_allowed(facts.create_index("created_at"), what=f"index on {facts.name}.created_at")
        await if_allowed(
            facts.create_index("address_digests", sparse=True), what=f"index on {facts.name}.address_digests"
        )


async def if_allowed(call: Awaitable[object], *, what: str) -> None:
    try:
        await call
    except OperationFailure as problem:
        log.warning("ledger.not_created", what=what, problem=str(problem)[:200])
    except CollectionInvalid:
        log.debug("ledger.not_created", what=what, problem="another worker was faster")
    except PyMongoError as problem:
        raise unavailable(problem) from problem
