"""Records without their person, on the real server, under the deployed validator."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notification_service.outcomes import (
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    RejectReason,
    Sent,
    Unknown,
    may_be_reopened,
    summarize,
)
from notification_service.ports import AlreadyThere, Fence
from notification_service.stores import mongo
from notification_service.stores.mongo_keeping import MongoKeeping
from notification_service.stores.mongo_ledger import MongoLedger
from tests.contract.test_ledger import AT, LATER, close, database, intent, real

__all__ = ["database", "real"]

NOW = datetime(2026, 12, 24, 8, tzinfo=UTC)
EVENT = {
    "booking_id": "B1",
    "user_email": "jane.smith@example.com",
    "first_name": "Jane",
    "seats": ["C7"],
    "refund_transaction_id": "R1",
}


@pytest.fixture
async def keeping(real: MongoLedger, database: mongo.Database) -> MongoKeeping:
    await real.open(intent(event_data=EVENT))
    return MongoKeeping(database, "notification_logs")


async def record(database: mongo.Database, name: str = "n1") -> Any:  # noqa: ANN401 - a document
    return await database["notification_logs"].find_one({"_id": name})


async def old(keeping: MongoKeeping, after: datetime | None = None) -> list[Any]:
    return [each async for batch in keeping.made_between(after, NOW) for each in batch]


async def test_a_record_without_its_person_says_what_became_of_it_and_nothing_of_anybody(
    real: MongoLedger, keeping: MongoKeeping, database: mongo.Database
) -> None:
    await close(real)
    assert await keeping.strip(await old(keeping), NOW) == 1
    left = await record(database)
    assert (left["outcome"], left["status"], left["recipient"], left["stripped_at"]) == ("sent", "sent", "", NOW)
    assert left["event_data"] == {"refund_transaction_id": "R1"}
    assert [each["result"] for each in left["attempts"]] == ["deferred"]
    said = json.dumps(left, default=str)
    for personal in ("jane", "Jane", "C7", "Booked", "a link is left out", "busy"):
        assert personal not in said


async def test_its_fact_is_not_done_again(real: MongoLedger, keeping: MongoKeeping) -> None:
    await close(real)
    before = await real.open(intent(owner="b"))
    await keeping.strip(await old(keeping), NOW)
    assert isinstance(before, AlreadyThere)
    assert await real.open(intent(owner="c")) == AlreadyThere(replace(before.entry, recipient=""))


async def test_what_is_under_way_is_not_old(real: MongoLedger, keeping: MongoKeeping) -> None:
    assert await old(keeping) == []
    await real.postpone("n1", "a", at=LATER, due_at=LATER, reason="later", attempt=None)
    assert await old(keeping) == []


async def test_what_others_wrote_into_the_collection_is_theirs(keeping: MongoKeeping, database: mongo.Database) -> None:
    theirs = {"event_id": "x", "notification_type": "sms", "recipient": "+1", "status": "sent", "created_at": AT}
    await database["notification_logs"].insert_one({"_id": "theirs", **theirs})
    assert await old(keeping) == []
    assert [batch async for batch in keeping.addressed_to({"+1"})] == []


async def test_a_record_that_was_changed_since_it_was_read_is_left_as_it_is(
    real: MongoLedger, keeping: MongoKeeping, database: mongo.Database
) -> None:
    await close(real)
    read = await old(keeping)
    await database["notification_logs"].update_one({"_id": "n1"}, {"$set": {"updated_at": NOW}})
    assert await keeping.strip(read, NOW) == 0
    assert await keeping.erase(read, NOW) == 0
    assert await keeping.remove(read) == 0
    assert (await record(database))["recipient"] == "jane.smith@example.com"


async def test_the_oldest_come_first_and_only_those_of_the_time(real: MongoLedger, keeping: MongoKeeping) -> None:
    for days in (3, 1, 2):
        await real.open(intent(f"d{days}", created_at=AT - timedelta(days=days)))
        await close(real, name=f"d{days}")
    await close(real)
    assert [each["_id"] for each in await old(keeping)] == ["d3", "d2", "d1", "n1"]
    assert [each["_id"] for each in await old(keeping, AT - timedelta(days=2))] == ["d2", "d1", "n1"]
    assert await keeping.remove((await old(keeping))[:2]) == 2
    assert [each["_id"] for each in await old(keeping)] == ["d1", "n1"]


async def test_what_waits_is_closed_when_it_is_erased(
    real: MongoLedger, keeping: MongoKeeping, database: mongo.Database
) -> None:
    await real.postpone("n1", "a", at=LATER, due_at=LATER, reason="<jane.smith@example.com> later", attempt=None)
    found = [each async for batch in keeping.addressed_to({"jane.smith@example.com"}) for each in batch]
    assert await keeping.erase(found, NOW) == 1
    left = await record(database)
    assert (left["outcome"], left["reason"], left["recipient"], left["erased_at"]) == ("skipped", "erased", "", NOW)
    assert "due_at" not in left
    assert await close(real) is Fence.LOST


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (Rejected(RejectReason.BAD_ADDRESS, "jane.smith@example.com is none"), ("skipped", "erased")),
        (Parked(ParkReason.RETRIES_EXHAUSTED, "busy"), ("skipped", "erased")),
        (Unknown("lost twice"), ("skipped", "erased")),
        (Sent(), ("sent", None)),
        (Bounced("5.1.1", "no such user"), ("skipped", "erased")),
    ],
)
async def test_no_replay_opens_what_is_erased(
    real: MongoLedger, keeping: MongoKeeping, database: mongo.Database, outcome: Outcome, left: tuple[str, str | None]
) -> None:
    await close(real, outcome=outcome)
    found = [each async for batch in keeping.addressed_to({"jane.smith@example.com"}) for each in batch]
    assert await keeping.erase(found, NOW) == 1
    assert await keeping.erase([await record(database)], NOW) == 1
    replayed = await real.take_over(
        "n1", "b", "e2", at=LATER, possible_duplicate=False, seen="a", was=outcome, replay="again"
    )
    assert replayed is Fence.LOST
    erased = await record(database)
    assert (erased["outcome"], erased.get("reason")) == left
    was = [summarize(outcome).outcome] if may_be_reopened(outcome) else []
    assert [past["outcome"] for past in erased.get("history", ())] == was
    assert "jane" not in json.dumps(erased, default=str)


async def test_facts_of_that_time_are_forgotten_with_their_records(real: MongoLedger, keeping: MongoKeeping) -> None:
    await real.first_report("payment:P1:refund", "R1")
    assert await keeping.forget_facts(datetime.now(UTC) - timedelta(minutes=1)) == 0
    assert await real.first_report("payment:P1:refund", "R2") == "R1"
    assert await keeping.forget_facts(datetime.now(UTC) + timedelta(minutes=1)) == 1
    assert await real.first_report("payment:P1:refund", "R2") == "R2"
