"""Who gets a mail: the in-memory twin and the booking system's own collections answer alike."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from bson import Binary, DBRef, Decimal128, Int64, ObjectId

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.delivery.ports.directory import NO_TEXT, Directory, Recipient
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.directory import MongoDirectory
from tests.stack.local import LocalStack
from tests.stack.processes import free_port

NUMBER_FOR_A_TOKEN = "has a number where its token should be, and a token is a text"
JANE = Recipient(
    "jane@guests.example",
    "Jane",
    "Smith",
    phone="+14155550132",
    device_tokens=(Device("t1", "ios"), Device("t2"), Device("", fault=NUMBER_FOR_A_TOKEN)),
)
NAMELESS = Recipient("ann@guests.example")
UNREACHABLE = Recipient(None, "Bob")
HEX, OTHER_HEX = "507f1f77bcf86cd799439011", "507f191e810c19729de860ea"
UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
TEXT_UUID = "b7b51ad2-98ae-4a86-bd14-1c1b8a4c6f0e"
LOUD_UUID = "0F8FAD5B-D9CB-469F-A165-70867728950E"
BARE_UUID = "16fd27068baf433b82eb8c7fada847da"
TYPED = Recipient("typed@guests.example", "Typed")
EXACT = Recipient("exact@guests.example", "Exact")
USERS = {
    ObjectId(HEX): TYPED,
    OTHER_HEX: EXACT,
    42: TYPED,
    Int64(2**40): TYPED,
    Binary(uuid.UUID(UUID).bytes, 4): TYPED,
    "7": EXACT,
    TEXT_UUID: EXACT,
    LOUD_UUID: EXACT,
    BARE_UUID: EXACT,
    7: TYPED,
}
"""By id, in the types that databases hold."""

BOOKINGS = {
    ObjectId(HEX): ObjectId(HEX),
    5: 42,
    "B-number": 42,
    "B-float": 42.0,
    "B-long": Int64(2**40),
    "B-hex": HEX,
    "B-uuid": Binary(uuid.UUID(UUID).bytes, 4),
    "B-ref": DBRef("users", ObjectId(HEX)),
    "B-decimal": Decimal128("42"),
    "B-true": True,
    "B-list": [HEX],
}
LISTED = Recipient("x@guests.example")
NAMES = {"Null": "null", "spam": "You won $500! Claim at https://evil.example/win", "long": "Jane " + "x" * 100}


@pytest.fixture(params=["memory", "mongodb"])
async def directory(request: pytest.FixtureRequest) -> AsyncIterator[Directory]:
    if request.param == "memory":
        people = {"u1": JANE, "u2": NAMELESS, "u3": UNREACHABLE, "u4": LISTED, "u5": Recipient(), **USERS}
        named = {key: Recipient("x@guests.example", name, name, "null") for key, name in NAMES.items()}
        yield MemoryDirectory({**people, **named}, {"b1": "u1", "b2": "nobody", "b3": "", **BOOKINGS})
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
                "phone_number": " +14155550132 ",
                "device_tokens": [{"token": "t1", "platform": "iOS"}, "t2", 7],
                "is_active": True,
            },
            {"_id": "u2", "email": "ann@guests.example", "first_name": "", "last_name": None},
            {"_id": "u3", "email": None, "first_name": "Bob"},
            {"_id": "u4", "email": [{"address": "x@guests.example", "verified": True}]},
            {"_id": "u5", "email": ["x@guests.example", "y@guests.example"]},
            *({"_id": key, "email": person.email, "first_name": person.first_name} for key, person in USERS.items()),
            *(
                {"_id": key, "email": "x@guests.example", "first_name": name, "last_name": name, "locale": "null"}
                for key, name in NAMES.items()
            ),
        ]
    )
    bookings = {"b1": "u1", "b2": "nobody", "b3": "", **BOOKINGS}
    await database["bookings"].insert_many([{"_id": key, "user_id": user} for key, user in bookings.items()])
    yield MongoDirectory(database)
    await client.drop_database(database.name)
    client.close()


@pytest.mark.parametrize(("user_id", "person"), [("u1", JANE), ("u2", NAMELESS), ("u3", UNREACHABLE), ("u9", None)])
async def test_a_user_is_found_by_id(directory: Directory, user_id: str, person: Recipient | None) -> None:
    assert await directory.user(user_id) == person


@pytest.mark.parametrize(("booking_id", "person"), [("b1", JANE), ("b2", None), ("b3", None), ("b9", None)])
async def test_the_user_of_a_booking_is_found(directory: Directory, booking_id: str, person: Recipient | None) -> None:
    assert await directory.user_of_booking(booking_id) == person


@pytest.mark.parametrize(
    ("user_id", "person"),
    [
        (HEX, TYPED),
        (HEX.upper(), TYPED),
        (OTHER_HEX, EXACT),
        ("42", TYPED),
        (str(2**40), TYPED),
        (UUID, TYPED),
        (UUID.upper(), TYPED),
        (UUID.replace("-", ""), TYPED),
        (f"{{{UUID.upper()}}}", TYPED),
        (OTHER_HEX.upper(), EXACT),
        (TEXT_UUID.upper(), EXACT),
        (LOUD_UUID.lower(), EXACT),
        (LOUD_UUID, EXACT),
        (str(uuid.UUID(BARE_UUID)), EXACT),
        ("7", EXACT),
        ("042", None),
        ("42.0", None),
        ("+42", None),
        ("9" * 19, None),
        ("9" * 400, None),
        (HEX + "0", None),
        ("true", None),
    ],
)
async def test_a_user_is_found_as_the_database_holds_the_id(
    directory: Directory, user_id: str, person: Recipient | None
) -> None:
    assert await directory.user(user_id) == person


@pytest.mark.parametrize(
    ("booking_id", "person"),
    [
        (HEX, TYPED),
        ("5", TYPED),
        *((name, TYPED) for name in ("B-number", "B-float", "B-decimal", "B-long", "B-hex", "B-uuid", "B-ref")),
        ("B-true", None),
        ("B-list", None),
    ],
)
async def test_a_booking_and_its_user_are_found_as_the_database_holds_their_ids(
    directory: Directory, booking_id: str, person: Recipient | None
) -> None:
    assert await directory.user_of_booking(booking_id) == person


async def test_only_a_plain_true_is_a_consent(stack: LocalStack) -> None:
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    said = {"yes": True, "text": "true", "one": 1, "no": False, "nothing": None, "more": {"clicks": True}}
    await database["users"].insert_many([{"_id": name, "consent": {"clicks": each}} for name, each in said.items()])
    await database["users"].insert_one({"_id": "flat", "consent": True})
    asking, silent = MongoDirectory(database, "consent.clicks"), MongoDirectory(database)
    found = {name: await asking.user(name) for name in (*said, "flat")}
    assert [name for name, each in found.items() if each and each.tracking_consent] == ["yes"]
    assert await silent.user("yes") == Recipient()
    await client.drop_database(database.name)
    client.close()


async def test_who_wants_a_channel_is_read_from_its_field_and_what_says_nothing_is_neither(stack: LocalStack) -> None:
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    nothing = {"text": "true", "one": 1, "null": None, "blank": " ", "unset": "null"}
    refusals = {
        "no": False,
        "zero": 0,
        "word": "No",
        "dot": "No.",
        "nein": "nein",
        "out": "opted_out",
        "more": {"x": 1},
    }
    refusals |= {
        "object": {"granted": False},
        "list": [False],
        "decimal": Decimal128("0"),
        "float": 0.0,
        "date": datetime(2026, 11, 29, tzinfo=UTC),
    }
    said = {"yes": True, **nothing, **refusals}
    await database["users"].insert_many([{"_id": name, "wants": {"sms": each}} for name, each in said.items()])
    # One field inside of another, which MongoDB refuses in one projection.
    fields = {ChannelKind.SMS: "wants.sms", ChannelKind.PUSH: "wants"}
    directory = MongoDirectory(database, "wants.sms.clicks", fields)
    found = {name: await directory.user(name) for name in said}
    wishes = {name: each.consents.get(ChannelKind.SMS) for name, each in found.items() if each}
    assert wishes == {"yes": True, **dict.fromkeys(nothing), **dict.fromkeys(refusals, False)}
    assert {each.consents.get(ChannelKind.PUSH) for each in found.values() if each} == {False}
    await client.drop_database(database.name)
    client.close()


@pytest.mark.parametrize("stored", [["+14155550132"], {"number": "+14155550132"}, True])
async def test_a_number_that_is_no_text_is_no_missing_one(stack: LocalStack, stored: object) -> None:
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    await database["users"].insert_one({"_id": "u", "phone_number": stored})
    assert await MongoDirectory(database).user("u") == Recipient(phone=NO_TEXT)
    await client.drop_database(database.name)
    client.close()


async def test_several_who_are_asked_for_at_once_are_each_found(directory: Directory) -> None:
    asked = [HEX, HEX.upper(), "42", "7", "u1", "nobody"]
    assert await asyncio.gather(*map(directory.user, asked)) == [TYPED, TYPED, TYPED, EXACT, JANE, None]


@pytest.mark.parametrize(("user_id", "email"), [("u4", "x@guests.example"), ("u5", None)])
async def test_one_address_in_a_list_is_that_of_the_user(directory: Directory, user_id: str, email: str | None) -> None:
    assert await directory.user(user_id) == Recipient(email)


@pytest.mark.parametrize(("user_id", "name"), [("Null", None), ("spam", None), ("long", "Jane")])
async def test_an_invalid_name_counts_as_unknown(directory: Directory, user_id: str, name: str | None) -> None:
    assert await directory.user(user_id) == Recipient("x@guests.example", name, name)


@pytest.mark.parametrize("odd", ["", "$where", "\0", "a.b", "x" * 10_000, '{"$gt": ""}'])
async def test_an_odd_id_finds_nobody(directory: Directory, odd: str) -> None:
    assert await directory.user(odd) is None
    assert await directory.user_of_booking(odd) is None


async def test_a_database_that_is_not_there_surfaces_within_five_seconds() -> None:
    client = mongo.connect(f"mongodb://127.0.0.1:{free_port()}/")
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="MongoDB cannot be reached"):
        await MongoDirectory(client["x"]).user("u1")
    seconds = time.monotonic() - began
    client.close()
    assert seconds < 5.5
