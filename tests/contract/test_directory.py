"""Who gets a mail: the in-memory twin and the booking system's own collections answer alike."""

import time
import uuid
from collections.abc import AsyncIterator

import pytest

from notification_service.outcomes import StoreUnavailableError
from notification_service.ports import Directory, Person
from notification_service.stores import mongo
from notification_service.stores.memory import MemoryDirectory
from notification_service.stores.mongo_directory import MongoDirectory
from tests.stack.local import LocalStack
from tests.stack.processes import free_port

JANE = Person("jane@guests.example", "Jane", "Smith")
NAMELESS = Person("ann@guests.example")
UNREACHABLE = Person(None, "Bob")


@pytest.fixture(params=["memory", "mongodb"])
async def directory(request: pytest.FixtureRequest) -> AsyncIterator[Directory]:
    if request.param == "memory":
        people = {"u1": JANE, "u2": NAMELESS, "u3": UNREACHABLE}
        yield MemoryDirectory(people, {"b1": "u1", "b2": "nobody", "b3": ""})
        return
    stack: LocalStack = request.getfixturevalue("stack")
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    await database["users"].insert_many(
        [
            {
                "_id": "u1",
                "email": " jane@guests.example ",
                "first_name": "Jane",
                "last_name": "Smith",
                "phone_number": "+1",
                "is_active": True,
            },
            {"_id": "u2", "email": "ann@guests.example", "first_name": "", "last_name": None},
            {"_id": "u3", "email": None, "first_name": "Bob"},
        ]
    )
    await database["bookings"].insert_many(
        [{"_id": "b1", "user_id": "u1"}, {"_id": "b2", "user_id": "nobody"}, {"_id": "b3", "user_id": ""}]
    )
    yield MongoDirectory(database)
    await client.drop_database(database.name)
    client.close()


@pytest.mark.parametrize(("user_id", "person"), [("u1", JANE), ("u2", NAMELESS), ("u3", UNREACHABLE), ("u9", None)])
async def test_a_user_is_found_by_id(directory: Directory, user_id: str, person: Person | None) -> None:
    assert await directory.user(user_id) == person


@pytest.mark.parametrize(("booking_id", "person"), [("b1", JANE), ("b2", None), ("b3", None), ("b9", None)])
async def test_the_user_of_a_booking_is_found(directory: Directory, booking_id: str, person: Person | None) -> None:
    assert await directory.user_of_booking(booking_id) == person


@pytest.mark.parametrize("odd", ["", "$where", "\0", "a.b", "x" * 10_000, '{"$gt": ""}'])
async def test_an_odd_id_finds_nobody(directory: Directory, odd: str) -> None:
    assert await directory.user(odd) is None
    assert await directory.user_of_booking(odd) is None


async def test_trap_23_a_database_that_is_not_there_surfaces_within_five_seconds() -> None:
    client = mongo.connect(f"mongodb://127.0.0.1:{free_port()}/")
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="MongoDB cannot be reached"):
        await MongoDirectory(client["x"]).user("u1")
    seconds = time.monotonic() - began
    client.close()
    assert seconds < 5.5
