"""Each search creates the index that it needs, and no event pays for an index that nobody has asked for."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.audit import MongoAudit
from notification_service.stores.mongo.experiment_records import MongoExperimentRecords
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.recalls import Bounces, MongoRecalls
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.mongo.search import MongoSearch
from tests.contract.test_ledger import database, real
from tests.stack.processes import free_port

__all__ = ["database", "real"]

RECORDS, FACTS = "notification_logs", "notification_facts"
SECONDS_OF_A_CALL = 10.0
Search = Callable[[mongo.Database], Awaitable[object]]


async def audit(database: mongo.Database) -> None:
    await MongoAudit(database, RECORDS).prepare()


async def bounces(database: mongo.Database) -> list[object]:
    recalls = MongoRecalls(database, RECORDS)
    return [batch async for batch in recalls.bounced(Bounces(fingerprint="0123"))]


async def experiment(database: mongo.Database) -> list[object]:
    return [batch async for batch in MongoExperimentRecords(database, RECORDS).assigned("2026-12", "email")]


async def find(database: mongo.Database) -> None:
    await MongoSearch(database, RECORDS, full_recipients=True).prepare()


async def erase(database: mongo.Database) -> None:
    await MongoRetention(database, RECORDS).prepare_to_erase()


async def sweep(database: mongo.Database) -> None:
    await MongoRetention(database, RECORDS).forget_facts(datetime.now(UTC))


async def leading_fields(database: mongo.Database, collection: str) -> set[str]:
    return {index["key"][0][0] for index in (await database[collection].index_information()).values()}


@pytest.mark.parametrize(
    ("search", "collection", "fields"),
    [
        (audit, RECORDS, {"event_ids"}),
        (bounces, RECORDS, {"fingerprint"}),
        (experiment, RECORDS, {"experiment"}),
        (find, RECORDS, {"event_ids", "booking_id", "recipient_key", "outcome"}),
        (erase, RECORDS, {"address_digests"}),
        (erase, FACTS, {"address_digests"}),
        (sweep, FACTS, {"created_at"}),
    ],
)
async def test_a_search_creates_its_index(
    real: MongoLedger, database: mongo.Database, search: Search, collection: str, fields: set[str]
) -> None:
    await database[FACTS].insert_one({"_id": "fact"})
    before = await leading_fields(database, collection)
    assert not fields & before
    await search(database)
    await search(database)
    assert await leading_fields(database, collection) == before | fields


async def test_the_audit_and_a_search_share_the_index_by_event(real: MongoLedger, database: mongo.Database) -> None:
    await find(database)
    before = await database[RECORDS].index_information()
    await audit(database)
    assert await database[RECORDS].index_information() == before


@pytest.mark.parametrize("search", [audit, bounces, experiment, erase, sweep])
async def test_a_server_that_is_down_is_not_waited_for_as_long_as_an_index_may_take(search: Search) -> None:
    client = mongo.connect(f"mongodb://127.0.0.1:{free_port()}/")
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await search(client["x"])
    client.close()
    assert time.monotonic() - began < SECONDS_OF_A_CALL
