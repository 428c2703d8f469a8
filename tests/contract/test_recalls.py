"""The orders to call back what bounced: the in-memory twin and MongoDB answer alike."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from notification_service.contract.outcomes import Bounced, Outcome, Parked, ParkReason, Sent, Unknown
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.ports.recalls import Order, Recalls
from notification_service.stores.memory.ledger import MemoryLedger, MemoryRecalls
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.recalls import Bounces, MongoRecalls
from tests.contract.test_ledger import AT, LATER, database, intent, real

__all__ = ["database", "real"]

WORDS = "0123456789abcdef"
ORDER = Order(WORDS, AT, "first")


@dataclass
class Place:
    ledger: Ledger
    recalls: Recalls

    async def closed(self, name: str, outcome: Outcome, **fields: str) -> None:
        made = intent(name, event_data={"booking_id": name}, event_id=f"e-{name}")
        await self.ledger.open(replace(made, recipient=fields.get("recipient", made.recipient)))
        await self.ledger.close(name, "a", outcome, at=LATER)

    async def bounced(self, since: timedelta = timedelta()) -> list[str]:
        found = [each async for batch in self.recalls.bounced_by(WORDS, LATER + since) for each in batch]
        return sorted(str(each["_id"]) for each in found)


@pytest.fixture(params=["memory", "mongodb"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        ledger = MemoryLedger()
        return Place(ledger, MemoryRecalls(ledger))
    records: mongo.Database = request.getfixturevalue("database")
    return Place(request.getfixturevalue("real"), MongoRecalls(records, "notification_logs"))


async def test_an_order_stands_until_it_is_carried_out(place: Place) -> None:
    assert list(await place.recalls.orders()) == []
    for _ in range(2):
        await place.recalls.order(ORDER)
    assert list(await place.recalls.orders()) == [ORDER]
    await place.recalls.carried_out(ORDER)
    assert list(await place.recalls.orders()) == []
    await place.recalls.carried_out(ORDER)


async def test_a_further_order_for_the_same_words_is_the_first_and_reaches_as_far_back_as_either(place: Place) -> None:
    await place.recalls.order(ORDER)
    await place.recalls.order(Order(WORDS, AT - timedelta(hours=1), "second"))
    await place.recalls.order(Order(WORDS, AT + timedelta(hours=1), "third"))
    assert list(await place.recalls.orders()) == [Order(WORDS, AT - timedelta(hours=1), "first")]
    await place.recalls.carried_out(Order(WORDS, AT, "second"))
    assert len(await place.recalls.orders()) == 1


async def test_it_is_about_what_bounced_by_these_words_since_then(place: Place) -> None:
    await place.closed("n1", Bounced("550", "no", WORDS))
    await place.closed("n2", Bounced("550", "no", "fedcba9876543210"))
    await place.closed("n3", Bounced("550", "no"))
    await place.closed("n4", Parked(ParkReason.RETRIES_EXHAUSTED, "no"))
    await place.closed("n5", Sent())
    await place.closed("n6", Bounced("550", "no", WORDS))
    assert await place.bounced() == ["n1", "n6"]
    assert await place.bounced(timedelta(seconds=1)) == []


async def test_its_records_have_what_it_takes_to_publish_them_again(place: Place) -> None:
    await place.closed("n1", Bounced("550", "no", WORDS))
    ((found,),) = [batch async for batch in place.recalls.bounced_by(WORDS, AT)]
    told = {name: found[name] for name in ("_id", "event_id", "event_type", "updated_at", "event_data")}
    assert told == {
        "_id": "n1",
        "event_id": "e-n1",
        "event_type": "booking.confirmed",
        "updated_at": LATER,
        "event_data": {"booking_id": "n1"},
    }


async def test_what_was_opened_again_is_about_the_event_that_opened_it(place: Place) -> None:
    bounced = Bounced("550", "no", WORDS)
    await place.closed("n1", bounced)
    other = replace(intent("n1"), event_id="e2", event_data={"booking_id": "n1", "x": 1})
    await place.ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a", was=bounced, intent=other)
    assert await place.bounced() == []
    await place.ledger.close("n1", "b", bounced, at=LATER)
    ((found,),) = [batch async for batch in place.recalls.bounced_by(WORDS, AT)]
    assert (found["event_id"], found["event_data"]) == ("e2", {"booking_id": "n1", "x": 1})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Bounces(), ["n1", "n2", "n3", "n5"]),
        (Bounces(notification="n2"), ["n2"]),
        (Bounces(event="e-n3"), ["n3"]),
        (Bounces(notification="n4"), []),
        (Bounces(notification="n6"), ["n6"]),
        (Bounces(event="e-n7"), ["n7"]),
        (Bounces(code="unmovable"), ["n5"]),
        (Bounces(code="retries_exhausted"), []),
        (Bounces(code="550"), ["n1", "n3"]),
        (Bounces(code="5.4.5"), ["n1", "n2"]),
        (Bounces(code="4.5"), []),
        (Bounces(fingerprint=WORDS), ["n1"]),
        (Bounces(domain="TWO.example"), ["n2"]),
        (Bounces(template="booking_confirmation", code="550"), ["n1", "n3"]),
        (Bounces(template="payment_failed"), []),
        (Bounces(since=LATER), ["n1", "n2", "n3", "n5"]),
        (Bounces(since=LATER + timedelta(seconds=1)), []),
    ],
    ids=str,
)
async def test_a_person_may_choose_among_them(
    real: MongoLedger, database: mongo.Database, wanted: Bounces, found: list[str]
) -> None:
    place = Place(real, MongoRecalls(database, "notification_logs"))
    await place.closed("n1", Bounced("550 5.4.5", "no", WORDS), recipient="a@one.example")
    await place.closed("n2", Bounced("5.4.5", "no"), recipient="a@two.example")
    await place.closed("n3", Bounced("550", "no"), recipient="a@three.example")
    await place.closed("n4", Sent())
    await place.closed("n5", Parked(ParkReason.UNMOVABLE, "message size"))
    await place.closed("n6", Parked(ParkReason.RETRIES_EXHAUSTED, "busy"))
    await place.closed("n7", Unknown("it may have gone out"))
    recalls = MongoRecalls(database, "notification_logs")
    assert sorted([each["_id"] async for batch in recalls.bounced(wanted) for each in batch]) == found
