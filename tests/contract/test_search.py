"""A person finds a record by what they know of it, the newest first, page by page, on the real server."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.search import MongoSearch, Place, SearchQuery
from tests.stack.local import LocalStack
from tests.stack.place import Document

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OLDEST = 130


@pytest.fixture(scope="module")
async def database(stack: LocalStack) -> AsyncIterator[mongo.Database]:
    """A record a minute, and in between what an earlier service wrote under ids of its own."""
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    await MongoLedger(database, "notification_logs", full_recipients=True).prepare()
    await MongoSearch(database, "notification_logs", full_recipients=True).prepare()
    await database["notification_logs"].insert_many([record(number) for number in range(OLDEST)])
    strange = [record(number) for number in range(3)]
    for each in strange:
        del each["_id"]
    await database["notification_logs"].insert_many(strange)
    yield database
    await client.drop_database(database.name)
    client.close()


@pytest.fixture
def search(database: mongo.Database) -> MongoSearch:
    return MongoSearch(database, "notification_logs", full_recipients=True)


def record(number: int) -> Document:
    """`number` 0 is the newest. Three of a booking; ten of them at one moment."""
    moment = NOW - timedelta(minutes=number - number % 10)
    return {
        "_id": f"n{number:03}",
        "event_id": f"e{number}",
        "event_ids": [f"e{number}", f"again{number // 3}"],
        "event_type": "booking.confirmed",
        "notification_type": "email",
        "booking_id": f"b{number // 3}",
        "recipient": f"Person{number % 7}@example.com",
        # The older half was written before records had a key.
        **({"recipient_key": f"person{number % 7}@example.com"} if number < OLDEST // 2 else {}),
        "status": "failed" if number % 4 == 0 else "sent",
        "outcome": "parked" if number % 4 == 0 else "sent",
        "created_at": moment,
        "event_data": {"movie_title": "Inception"},
    }


async def ids(search: MongoSearch, limit: int = 200, **wanted: Any) -> list[str]:  # noqa: ANN401 - fields of Wanted
    return [each["_id"] for each in (await search.page(SearchQuery(**wanted), limit=limit)).records]


def newest_first(*numbers: int) -> list[str]:
    made = sorted((record(number) for number in numbers), key=lambda each: (each["created_at"], each["_id"]))
    return [each["_id"] for each in reversed(made)]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("0123456789abcdef0123456789abcdef", 1),
        ("01234567", 2),
        ("01234567…", 2),
        ("0123456789abc", 1),
        ("0123456789abc...", 1),
        ("<0123456789abcdef0123456789abcdef@cinema.example>", 1),
        ("0123456789abcdef0123456789abcdef@cinema.example", 1),
        ("0123456", 0),
        ("0123456789ABC", 0),
        ("89abcdef", 0),
        ("someone@0123456789abcdef0123456789abcdef", 0),
    ],
)
async def test_a_notification_is_found_by_its_beginning_and_by_its_message_id(
    search: MongoSearch, named: None, term: str, found: int
) -> None:
    assert len(await ids(search, term=term)) == found
    assert len(await ids(search, notification=term)) == found
    first = await search.page(SearchQuery(term=term), limit=1)
    assert len(first.records) == min(found, 1)
    if found > 1:
        rest = await search.page(SearchQuery(term=term), limit=found, after=first.following)
        assert len({each["_id"] for each in (*first.records, *rest.records)}) == found


@pytest.fixture
async def named(database: mongo.Database) -> AsyncIterator[None]:
    """Two with ids as they are made, beginning alike."""
    names = ["0123456789abcdef0123456789abcdef", "01234567ffffffffffffffffffffffff"]
    records = [{**record(number), "_id": name} for number, name in enumerate(names)]
    await database["notification_logs"].insert_many(records)
    yield
    await database["notification_logs"].delete_many({"_id": {"$in": names}})


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"term": "n042"}, [42]),
        ({"term": "b14"}, [42, 43, 44]),
        ({"term": "e42"}, [42]),
        ({"term": "again14"}, [42, 43, 44]),
        ({"term": "Person3@EXAMPLE.com"}, range(3, OLDEST, 7)),
        ({"term": "nothing"}, []),
        ({"term": ""}, []),
        ({"term": "n042", "outcomes": ("parked",)}, []),
        ({"notification": "n042"}, [42]),
        ({"booking": "n042"}, []),
        ({"booking": "b14"}, [42, 43, 44]),
        ({"event": "again14", "outcomes": ("parked",)}, [44]),
        ({"address": "Person3@example.com"}, range(3, OLDEST, 7)),
        ({"address": "person3@EXAMPLE.com"}, range(3, OLDEST, 7)),
        ({"address": "Someone <PERSON3@example.com>", "outcomes": ("parked",)}, range(24, OLDEST, 28)),
        ({"address": "person@example.com"}, []),
        ({"outcomes": ("parked",)}, range(0, OLDEST, 4)),
        ({"outcomes": ("parked", "sent")}, range(OLDEST)),
        ({"since": NOW - timedelta(minutes=20)}, range(30)),
        ({"until": NOW - timedelta(minutes=100)}, range(110, OLDEST)),
        ({"outcomes": ("parked",), "since": NOW - timedelta(minutes=10), "until": NOW}, [12, 16]),
        ({}, range(OLDEST)),
    ],
    ids=str,
)
async def test_a_record_is_found_by_what_a_person_knows(
    search: MongoSearch, wanted: Document, numbers: list[int]
) -> None:
    assert await ids(search, **wanted) == newest_first(*numbers)


@pytest.mark.parametrize("limit", [1, 7, 10, 64])
@pytest.mark.parametrize("wanted", [SearchQuery(), SearchQuery(outcomes=("parked",)), SearchQuery(term="b14")], ids=str)
async def test_pages_follow_each_other_without_a_gap(search: MongoSearch, wanted: SearchQuery, limit: int) -> None:
    whole = (await search.page(wanted, limit=200)).records
    read: list[Any] = []
    after: Place | None = None
    while True:
        page = await search.page(wanted, limit=limit, after=after)
        assert 0 < len(page.records) <= limit
        read += page.records
        if page.following is None:
            break
        after = Place.read(str(page.following))
    assert read == whole


async def test_a_list_holds_no_events_and_one_record_is_whole(search: MongoSearch) -> None:
    listed = (await search.page(SearchQuery(term="n042"), limit=1)).records[0]
    whole = await search.find("n042")
    assert "event_data" not in listed
    assert whole is not None
    assert whole["event_data"] == {"movie_title": "Inception"}
    assert await search.find("nothing") is None


async def test_what_is_created_ahead_of_our_clock_is_found(database: mongo.Database, search: MongoSearch) -> None:
    ahead = {**record(0), "_id": "ahead", "outcome": "waiting", "created_at": datetime.now(UTC) + timedelta(seconds=90)}
    await database["notification_logs"].insert_one(ahead)
    try:
        assert await ids(search, outcomes=("waiting",)) == ["ahead"]
    finally:
        await database["notification_logs"].delete_one({"_id": "ahead"})


async def test_masked_records_are_found_by_the_address_itself(database: mongo.Database) -> None:
    masked = {**record(0), "_id": "masked", "recipient": "j***@example.com"}
    await database["notification_logs"].insert_one(masked)
    try:
        search = MongoSearch(database, "notification_logs", full_recipients=False)
        assert await ids(search, term="jane@example.com") == ["masked"]
        assert await ids(search, address="Jane@example.com") == ["masked"]
    finally:
        await database["notification_logs"].delete_one({"_id": "masked"})


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    "spelling", ["+4915112345678", "+49 (0)151 1234-5678", "0049 151 12345678", "tel:+4915112345678"]
)
async def test_an_sms_is_found_by_its_number_in_any_spelling(
    database: mongo.Database, spelling: str, *, full: bool
) -> None:
    shown = "+4915112345678" if full else "+49***78"
    theirs = {"recipient": shown, "recipient_key": shown if full else "", "notification_type": "sms"}
    await database["notification_logs"].insert_one({**record(0), "_id": "sms", **theirs})
    try:
        search = MongoSearch(database, "notification_logs", full_recipients=full)
        assert await ids(search, term=spelling) == ["sms"]
        assert await ids(search, address=spelling) == ["sms"]
    finally:
        await database["notification_logs"].delete_one({"_id": "sms"})


async def test_outcomes_are_counted_in_their_time(search: MongoSearch) -> None:
    counted = await search.tally(NOW - timedelta(minutes=20), NOW)
    assert counted == {"parked": 5, "sent": 15}
    assert await search.tally(NOW, NOW) == {}


@pytest.mark.parametrize("name", ["booking_id", "event_ids", "recipient", "recipient_key", "outcome", "created_at"])
async def test_there_is_an_index_that_begins_with_each_thing_to_look_for(database: mongo.Database, name: str) -> None:
    indexes = await database["notification_logs"].index_information()
    assert name in {index["key"][0][0] for index in indexes.values()}


async def test_to_prepare_twice_changes_nothing(database: mongo.Database, search: MongoSearch) -> None:
    before = await database["notification_logs"].index_information()
    await search.prepare()
    assert await database["notification_logs"].index_information() == before
