"""What is known of an address that is not to be written to: the in-memory twin and MongoDB answer alike."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Entry, Evidence, Lift
from notification_service.delivery.ports.suppressions import Suppressions
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.suppressions import MemorySuppressions
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.suppressions import SUPPRESSIONS, MongoSuppressions
from tests.contract.test_ledger import database
from tests.stack.processes import free_port

__all__ = ["database"]

EMAIL = ChannelKind.EMAIL
JANE = "jane.smith@guests.example"
NOON = datetime(2026, 11, 24, 12, 30, 15, 123000, tzinfo=UTC)
BOUNCE = Evidence(source="ses", source_id="1", at=NOON, code="5.1.1", detail="no such user", notification_id="a" * 32)
LIFT = Lift(NOON + timedelta(hours=1), "jane at the counter", "she cleaned up her mailbox")
KEY, OLD_KEY = "a key of sixteen characters", "an older key of some length"


@pytest.fixture(params=["memory", "mongodb"])
def store(request: pytest.FixtureRequest) -> Suppressions:
    if request.param == "memory":
        return MemorySuppressions()
    return MongoSuppressions(request.getfixturevalue("database"), [KEY], full_recipients=False)


async def digest(store: Suppressions, address: str = JANE) -> str:
    return (await store.known(EMAIL, address)).digest


async def entries(store: Suppressions, address: str = JANE) -> tuple[Entry, ...]:
    return (await store.known(EMAIL, address)).entries


async def test_nothing_is_known_of_an_address_at_first(store: Suppressions) -> None:
    found = await store.known(EMAIL, JANE)
    assert (found.entries, found.changed_at) == ((), None)
    assert len(found.digest) == 32
    assert "jane" not in found.digest


async def test_evidence_is_found_in_every_spelling_of_its_address_on_its_channel_alone(store: Suppressions) -> None:
    who = await digest(store)
    assert await store.note(EMAIL, who, Cause.GONE, BOUNCE)
    for spelling in (JANE, JANE.upper(), "Jane.Smith@GUESTS.example"):
        assert await entries(store, spelling) == (Entry(EMAIL, who, Cause.GONE, (BOUNCE,)),)
    assert await entries(store, "john@guests.example") == ()
    assert (await store.known(ChannelKind.SMS, JANE)).entries == ()


async def test_the_same_signal_five_times_is_one_piece_of_evidence(store: Suppressions) -> None:
    who = await digest(store)
    assert [await store.note(EMAIL, who, Cause.GONE, BOUNCE) for _ in range(5)] == [True, *[False] * 4]
    assert await asyncio.gather(*(store.note(EMAIL, who, Cause.COMPLAINED, BOUNCE) for _ in range(5))) != [False] * 5
    found = await entries(store)
    assert [(each.cause, each.evidence) for each in found] == [
        (Cause.GONE, (BOUNCE,)),
        (Cause.COMPLAINED, (BOUNCE,)),
    ]


async def test_what_was_lifted_stays_with_who_lifted_it_and_when(store: Suppressions) -> None:
    who = await digest(store)
    await store.note(EMAIL, who, Cause.GONE, BOUNCE)
    for _ in range(2):
        await store.lift(EMAIL, who, Cause.GONE, LIFT)
    again = replace(BOUNCE, source_id="2", at=NOON + timedelta(days=1))
    assert not await store.note(EMAIL, who, Cause.GONE, BOUNCE)
    assert await store.note(EMAIL, who, Cause.GONE, again)
    assert await entries(store) == (Entry(EMAIL, who, Cause.GONE, (BOUNCE, again), (LIFT,)),)


async def test_a_reader_may_come_back_before_it_is_known_that_they_went(store: Suppressions) -> None:
    who = await digest(store)
    await store.lift(EMAIL, who, Cause.UNSUBSCRIBED, LIFT)
    await store.note(EMAIL, who, Cause.UNSUBSCRIBED, BOUNCE)
    assert await entries(store) == (Entry(EMAIL, who, Cause.UNSUBSCRIBED, (BOUNCE,), (LIFT,)),)


async def test_the_newest_come_first_page_by_page_and_by_cause(store: Suppressions) -> None:
    for number in range(5):
        who = await digest(store, f"guest{number}@guests.example")
        await store.note(EMAIL, who, Cause.GONE if number % 2 else Cause.COMPLAINED, BOUNCE)
        await asyncio.sleep(0.002)
    first = await store.page(limit=3)
    second = await store.page(limit=3, before=first.following)
    listed = [each.digest for each in (*first.addresses, *second.addresses)]
    assert listed == [await digest(store, f"guest{number}@guests.example") for number in (4, 3, 2, 1, 0)]
    assert second.following is None
    gone = await store.page(cause=Cause.GONE, limit=3)
    assert [each.entries[0].cause for each in gone.addresses] == [Cause.GONE] * 2
    assert gone.following is None


async def test_an_address_is_found_by_the_beginning_of_its_digest(store: Suppressions) -> None:
    who = await digest(store)
    await store.note(EMAIL, who, Cause.GONE, BOUNCE)
    assert [each.digest for each in await store.beginning_with(who[:8], 2)] == [who]
    assert await store.beginning_with(f"{who[:7]}x", 2) == []
    assert await store.beginning_with(".*", 2) == []


async def test_what_an_older_key_wrote_is_found(database: mongo.Database) -> None:
    old, now, new = (
        MongoSuppressions(database, keys, full_recipients=False) for keys in ([OLD_KEY], [KEY, OLD_KEY], [KEY])
    )
    who = await digest(old)
    await old.note(EMAIL, who, Cause.GONE, BOUNCE)
    assert await entries(now) == (Entry(EMAIL, who, Cause.GONE, (BOUNCE,)),)
    assert await digest(now) == await digest(new) != who


async def test_mongodb_keeps_no_address_and_a_bounded_number_of_signals(database: mongo.Database) -> None:
    store = MongoSuppressions(database, [KEY], full_recipients=True)
    await store.index()
    who = await digest(store)
    for number in range(25):
        await store.note(EMAIL, who, Cause.GONE, replace(BOUNCE, source_id=str(number)))
    assert [each.source_id for each in (await entries(store))[0].evidence] == [str(number) for number in range(5, 25)]
    assert "jane" not in str(await database[SUPPRESSIONS].find_one({})).casefold()


async def test_a_store_that_is_away_says_so() -> None:
    client = mongo.connect(f"mongodb://127.0.0.1:{free_port()}")
    store = MongoSuppressions(client["any"], [KEY], full_recipients=True)
    for call in (store.known(EMAIL, JANE), store.note(EMAIL, "d", Cause.GONE, BOUNCE), store.page(limit=1)):
        with pytest.raises(StoreUnavailableError):
            await call
    client.close()
