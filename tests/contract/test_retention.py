"""Records without their person, on the real server, under the deployed validator."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest

from notification_service.contract.outcomes import (
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
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.ledger import AlreadyThere
from notification_service.delivery.ports.retention_policy import ChangeResult, RetentionPolicy
from notification_service.records.retention_sweeper import Sweeper
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.mongo.search import MongoSearch, SearchQuery
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
async def keeping(real: MongoLedger, database: mongo.Database) -> MongoRetention:
    await real.open(intent(event_data=EVENT))
    return MongoRetention(database, "notification_logs")


async def record(database: mongo.Database, name: str = "n1") -> Any:  # noqa: ANN401 - a document
    return await database["notification_logs"].find_one({"_id": name})


async def old(keeping: MongoRetention, after: datetime | None = None) -> list[Any]:
    return [each async for batch in keeping.created_between(after, NOW) for each in batch]


async def test_a_record_without_its_person_says_what_became_of_it_and_nothing_of_anybody(
    real: MongoLedger, keeping: MongoRetention, database: mongo.Database
) -> None:
    await close(real)
    assert await keeping.strip(await old(keeping), NOW) == ChangeResult(1)
    left = await record(database)
    assert (left["outcome"], left["status"], left["recipient"], left["stripped_at"]) == ("sent", "sent", "", NOW)
    assert left["event_data"] == {"refund_transaction_id": "R1"}
    assert [each["result"] for each in left["attempts"]] == ["deferred"]
    said = json.dumps(left, default=str)
    for personal in ("jane", "Jane", "C7", "Booked", "a link is left out", "busy"):
        assert personal not in said


async def test_its_fact_is_not_done_again(real: MongoLedger, keeping: MongoRetention) -> None:
    await close(real)
    before = await real.open(intent(owner="b"))
    await keeping.strip(await old(keeping), NOW)
    assert isinstance(before, AlreadyThere)
    assert await real.open(intent(owner="c")) == AlreadyThere(replace(before.entry, recipient=""))


async def test_what_is_under_way_is_not_old(real: MongoLedger, keeping: MongoRetention) -> None:
    assert await old(keeping) == []
    await real.postpone("n1", "a", at=LATER, due_at=LATER, reason="later", attempt=None)
    assert await old(keeping) == []


async def test_what_others_wrote_into_the_collection_is_theirs(
    keeping: MongoRetention, database: mongo.Database
) -> None:
    theirs = {"event_id": "x", "notification_type": "sms", "recipient": "+1", "status": "sent", "created_at": AT}
    await database["notification_logs"].insert_one({"_id": "theirs", **theirs})
    assert await old(keeping) == []
    assert [batch async for batch in keeping.addressed_to("+1")] == []


async def test_a_record_that_was_changed_since_it_was_read_is_left_as_it_is(
    real: MongoLedger, keeping: MongoRetention, database: mongo.Database
) -> None:
    await close(real)
    read = await old(keeping)
    await database["notification_logs"].update_one({"_id": "n1"}, {"$set": {"updated_at": NOW}})
    assert await keeping.strip(read, NOW) == ChangeResult(0)
    assert await keeping.erase(read, NOW) == ChangeResult(0)
    assert await keeping.remove(read) == ChangeResult(0)
    assert (await record(database))["recipient"] == "jane.smith@example.com"


async def test_the_oldest_come_first_and_only_those_of_the_time(real: MongoLedger, keeping: MongoRetention) -> None:
    for days in (3, 1, 2):
        await real.open(intent(f"d{days}", created_at=AT - timedelta(days=days)))
        await close(real, name=f"d{days}")
    await close(real)
    assert [each["_id"] for each in await old(keeping)] == ["d3", "d2", "d1", "n1"]
    assert [each["_id"] for each in await old(keeping, AT - timedelta(days=2))] == ["d2", "d1", "n1"]
    assert await keeping.remove((await old(keeping))[:2]) == ChangeResult(2)
    assert [each["_id"] for each in await old(keeping)] == ["d1", "n1"]


async def test_what_waits_is_closed_when_it_is_erased(
    real: MongoLedger, keeping: MongoRetention, database: mongo.Database
) -> None:
    await real.postpone("n1", "a", at=LATER, due_at=LATER, reason="<jane.smith@example.com> later", attempt=None)
    found = [each async for batch in keeping.addressed_to("Jane.Smith@example.com") for each in batch]
    assert await keeping.erase(found, NOW) == ChangeResult(1)
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
    real: MongoLedger, keeping: MongoRetention, database: mongo.Database, outcome: Outcome, left: tuple[str, str | None]
) -> None:
    await close(real, outcome=outcome)
    found = [each async for batch in keeping.addressed_to("Jane.Smith@example.com") for each in batch]
    assert await keeping.erase(found, NOW) == ChangeResult(1)
    assert await keeping.erase([await record(database)], NOW) == ChangeResult(1)
    replayed = await real.take_over("n1", "b", "e2", at=LATER, resends=0, seen="a", was=outcome, replay="again")
    assert replayed is Fence.LOST
    erased = await record(database)
    assert (erased["outcome"], erased.get("reason")) == left
    was = [summarize(outcome).outcome] if may_be_reopened(outcome) else []
    assert [past["outcome"] for past in erased.get("history", ())] == was
    assert "jane" not in json.dumps(erased, default=str)


async def test_facts_of_that_time_are_forgotten_with_their_records(real: MongoLedger, keeping: MongoRetention) -> None:
    await real.first_report("payment:P1:refund", "R1")
    assert await keeping.forget_facts(datetime.now(UTC) - timedelta(minutes=1)) == 0
    assert await real.first_report("payment:P1:refund", "R2") == "R1"
    assert await keeping.forget_facts(datetime.now(UTC) + timedelta(minutes=1)) == 1
    assert await real.first_report("payment:P1:refund", "R2") == "R2"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Jane.Smith@Guests.example", "jane.smith@guests.example"),
        ("jane.smith@guests.example", "Jane.Smith@GUESTS.example"),
        ("JAN\u00c9@guests.example", "jan\u00e9@guests.example"),
        ("Jane@b\u00fccher.example", "jane@xn--bcher-kva.example"),
        ("jane@B\u00dcCHER.example", "jane@b\u00fccher.example"),
        ("jane..doe@docomo.example", "Jane..Doe@docomo.example"),
        ("o'brien+x@guests.example", "O'Brien+X@guests.example"),
    ],
)
@pytest.mark.parametrize("change", [{}, {"$unset": {"recipient_key": ""}}], ids=["with key", "older"])
async def test_a_person_is_found_in_any_case_of_letters(
    keeping: MongoRetention, database: mongo.Database, written: str, asked: str, change: dict[str, Any]
) -> None:
    real = MongoLedger(database, "notification_logs", full_recipients=True)
    others = ("janeXsmith@guests.example", "jane.smith@guests.example.org", "jane@bucher.example", "x" + written)
    for number, address in enumerate((written, *others)):
        await real.open(intent(f"p{number}", recipient=address))
        await close(real, name=f"p{number}")
    if change:
        await database["notification_logs"].update_many({}, change)
    found = [each async for batch in keeping.addressed_to(asked) for each in batch]
    assert [each["_id"] for each in found] == ["p0"]
    assert await keeping.erase(found, NOW) == ChangeResult(1)
    assert [batch async for batch in keeping.addressed_to(asked)] == []
    left = await record(database, "p0")
    assert (left["recipient"], left["recipient_key"]) == ("", "")
    search = MongoSearch(database, "notification_logs", full_recipients=True)
    again = await search.page(SearchQuery(address="X" + written), limit=9)
    assert [each["_id"] for each in again.records] == ["p4"]


async def test_a_masked_record_keeps_no_address_beside_it(database: mongo.Database) -> None:
    ledger = MongoLedger(database, "notification_logs", full_recipients=False)
    await ledger.open(intent())
    await close(ledger)
    left = await record(database)
    assert (left["recipient"], left["recipient_key"]) == ("j***@example.com", "")


@pytest.mark.parametrize("full", [True, False])
async def test_the_records_of_a_phone_number_are_found_and_erased_and_nobody_else_is(
    database: mongo.Database, *, full: bool
) -> None:
    keys = ["a key of the tests, of some length"]
    ledger = MongoLedger(database, "notification_logs", address_keys=keys, full_recipients=full)
    await ledger.prepare()
    theirs = {"phone": "+49 (0)151 1234-5678", "user_email": "jane.smith@example.com"}
    await ledger.open(intent("sms", channel="sms", recipient="+4915112345678", event_data={"phone": "0151 12345678"}))
    await ledger.open(intent("email", event_data=theirs))
    await ledger.open(intent("other", channel="sms", recipient="+4915112345679", event_data={"booking_id": "B1"}))
    for name in ("sms", "email", "other"):
        await close(ledger, name=name)
    keeping = MongoRetention(database, "notification_logs", keys, full_recipients=full)
    found = [each async for batch in keeping.addressed_to("+4915112345678") for each in batch]
    assert sorted(each["_id"] for each in found) == ["email", "sms"]
    await keeping.erase(found, NOW, "+4915112345678")
    assert [each async for batch in keeping.addressed_to("+4915112345678") for each in batch] == []
    left = json.dumps([await record(database, name) for name in ("sms", "email")], default=str)
    assert "15112345678" not in left
    assert "1234" not in left.replace("2026", "")
    assert "stripped_at" not in await record(database, "other")


# ── records that no version of ours has written ──────────────────────────────────────────────────────

ODD: list[Any] = [None, "odd", 7, 1.5, True, {"a": {"b": 1}}, [], [None], ["odd", 7], [[{}]], NOW]


def malformed(name: str, **fields: object) -> dict[str, object]:
    made: dict[str, object] = {"created_at": AT, "outcome": "sent", "fact": "f", "recipient": f"{name}@x.example"}
    return {"_id": name, **made, **fields}


@pytest.fixture
async def shelf(database: mongo.Database) -> MongoRetention:
    """A collection without a validator, as one may have been before ours."""
    await database.create_collection("old")
    return MongoRetention(database, "old")


async def test_whatever_a_field_of_an_old_record_holds_it_loses_its_person_and_the_others_do(
    shelf: MongoRetention, database: mongo.Database
) -> None:
    names = ("attempts", "history", "event_ids", "event_data", "replays", "outcome", "owner", "updated_at", "recipient")
    odd = [malformed(f"{name} {n}", **{name: value}) for name in names for n, value in enumerate(ODD)]
    lacking = [{k: v for k, v in malformed(f"no {name}").items() if k != name} for name in ("outcome", "recipient")]
    records = [*odd, *lacking, malformed("well", created_at=AT + timedelta(days=1))]
    await database["old"].insert_many(records)
    swept = await Sweeper(shelf, RetentionPolicy(7, 0), pause_s=0).sweep(NOW)
    assert (swept.stripped, swept.left) == (len(records), 0)
    assert await database["old"].count_documents({"recipient": "", "stripped_at": NOW}) == len(records)


@pytest.mark.parametrize("value", ["2020-01-01", 1577836800, None, True, {"at": AT}, [AT]], ids=repr)
async def test_a_record_whose_age_is_not_known_stays_and_the_others_are_swept(
    shelf: MongoRetention, database: mongo.Database, value: object
) -> None:
    await database["old"].insert_many([malformed("odd", created_at=value), malformed("well")])
    swept = await Sweeper(shelf, RetentionPolicy(7, 0), pause_s=0).sweep(NOW)
    # MongoDB compares a list by each of its elements, so that one has an age.
    assert (swept.stripped, swept.left) == ((2, 0) if isinstance(value, list) else (1, 1))
    assert (await shelf.undated() == ["odd"]) == (not isinstance(value, list))


async def test_what_the_server_refuses_is_left_and_the_others_are_changed(
    shelf: MongoRetention, database: mongo.Database
) -> None:
    await database["old"].insert_many([malformed(name) for name in ("a", "b", "c")])
    await database["old"].create_index("recipient", unique=True)  # once a second one says nobody, it refuses
    changed = await shelf.strip(await database["old"].find().to_list(None), NOW)
    assert changed == ChangeResult(1, dict.fromkeys(("b", "c"), "MongoDB refuses it: 11000"))


async def test_an_odd_record_is_erased_too(shelf: MongoRetention, database: mongo.Database) -> None:
    odd = [malformed(str(n), history=value, outcome="parked") for n, value in enumerate(ODD)]
    odd += [malformed(f"o{n}", outcome=value) for n, value in enumerate(ODD)]
    await database["old"].insert_many(odd)
    assert await shelf.erase(await database["old"].find().to_list(None), NOW) == ChangeResult(len(odd))
    assert "x.example" not in json.dumps(await database["old"].find().to_list(None), default=str)


@pytest.mark.parametrize("day", [10**15, -(10**15)])
def test_a_date_that_no_calendar_has_can_be_read(day: int) -> None:
    """SecantusDB does not store one, MongoDB does; the driver would refuse to read the batch that it is in."""
    client = mongo.connect("mongodb://127.0.0.1:1/")
    raw = bson.encode({"_id": "n1", "at": bson.DatetimeMS(day), "text": "x"}).replace(b"x\0", b"\xff\0")
    read = bson.decode(raw, client.delegate.codec_options)
    assert (int(read["at"]), read["text"]) == (day, "\ufffd")
    client.close()


async def test_a_further_event_that_comes_while_a_record_is_swept_is_not_forgotten(
    real: MongoLedger, keeping: MongoRetention, database: mongo.Database
) -> None:
    await close(real)
    read = [await record(database)]
    await real.note_event("n1", "e-meanwhile")
    for act in (keeping.strip, keeping.erase):
        assert (await act(read, NOW)).count == 0
    assert (await keeping.remove(read)).count == 0
    assert "e-meanwhile" in (await record(database))["event_ids"]


# ── what names an address without being its recipient ────────────────────────────────────────────────
SAM = "sam@guests.example"


async def naming(keeping: MongoRetention, address: str = SAM) -> list[str]:
    return sorted([each["_id"] async for batch in keeping.addressed_to(address) for each in batch])


async def test_a_record_is_found_by_whatever_names_an_address(real: MongoLedger, database: mongo.Database) -> None:
    await real.open(intent("deep", event_data={"a": [{"b": f"Sam <{SAM.upper()}>"}]}))
    await real.open(intent("id", event_id=f"order-{SAM}", event_data={}))
    await real.open(intent("other", event_data={"user_email": f"x{SAM}", "note": f"x+{SAM}"}))
    await real.open(intent("many", event_data={"all": [f"a{number}@x.example" for number in range(900)]}))
    await real.open(intent("too many", event_data={"all": [f"z{number}@x.example" for number in range(900)] + [SAM]}))
    await real.open(intent("said", event_data={}))
    await real.postpone("said", "a", at=LATER, due_at=LATER, reason=f"450 <{SAM}> later", attempt=None)
    keeping = MongoRetention(database, "notification_logs")
    assert await naming(keeping) == ["deep", "id", "said", "too many"]
    found = [each async for batch in keeping.addressed_to(SAM) for each in batch]
    assert await keeping.erase(found, NOW, SAM) == ChangeResult(4)
    assert await naming(keeping) == []
    assert [each async for each in keeping.traces(SAM)] == []
    again = await real.open(intent("id", owner="b", event_id=f"order-{SAM}", event_data={}))
    assert isinstance(again, AlreadyThere)
    assert again.entry.knows(f"order-{SAM}")
