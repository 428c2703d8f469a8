"""What became known after a message was sent: the in-memory twin and MongoDB answer alike."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.delivery_status import Delivery, DeliveryStatus
from notification_service.contract.outcomes import Sent
from notification_service.contract.signals import Signal, SignalKind
from notification_service.delivery.ports.channel import Attempt
from notification_service.delivery.ports.signals import SignalledRecord, Signals, StoredSignal
from notification_service.feedback import signal_messages
from notification_service.feedback.handling import SignalHandling
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.signals import MemorySignals
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.mongo.signals import MongoSignals
from tests.contract.test_ledger import AT, LATER, database, intent, real

__all__ = ["database", "real"]

JANE = "jane.smith@example.com"
ACCEPTED = Attempt(AT, "accepted", 1.0, 250, "Ok abc", "1", provider_message_id="abc-000000")
SECOND = timedelta(seconds=1)
BOUNCE = Signal(
    source="report",
    source_id="1",
    kind=SignalKind.BOUNCED,
    at=AT,
    notification_id="n1",
    address=JANE,
    code="5.1.1",
    detail="550 5.1.1 unknown",
)


@dataclass
class Kept:
    """A store with one record, `n1`, which the provider calls abc-000000."""

    store: Signals
    database: mongo.Database | None = None
    observed: list[StoredSignal] = field(default_factory=list)

    async def delivery(self) -> Delivery | None:
        if isinstance(self.store, MemorySignals):
            return self.store.deliveries.get("n1")
        assert self.database is not None
        found = (await self.database["notification_logs"].find_one({"_id": "n1"}) or {}).get("delivery")
        return Delivery(DeliveryStatus(found["status"]), found["at"], found["code"]) if found else None

    async def stored(self) -> int:
        if isinstance(self.store, MemorySignals):
            return len(self.store.stored)
        assert self.database is not None
        return int(await self.database["notification_signals"].count_documents({}))

    def handling(self, *handlers: Any) -> SignalHandling:  # noqa: ANN401 - any callable
        return SignalHandling(self.store, handlers, self.observed.append, settle_s=0.01)


@pytest.fixture
async def in_mongodb(real: MongoLedger, database: mongo.Database) -> Kept:
    await real.open(intent())
    await real.close("n1", "a", Sent(), at=LATER, attempt=ACCEPTED)
    store = MongoSignals(database, "notification_logs")
    await store.index()
    return Kept(store, database)


@pytest.fixture(params=["memory", "mongodb"])
def kept(request: pytest.FixtureRequest) -> Kept:
    if request.param == "memory":
        record = SignalledRecord("n1", "email", "booking_confirmation", JANE)
        return Kept(MemorySignals({"n1": record}, {"abc-000000": "n1"}))
    in_mongodb: Kept = request.getfixturevalue("in_mongodb")
    return in_mongodb


async def test_a_signal_is_stored_once_and_its_repetitions_do_nothing(kept: Kept) -> None:
    seen: list[str] = []

    async def handler(stored: StoredSignal) -> None:
        seen.append(stored.key)

    handling = kept.handling(handler)
    await asyncio.gather(*(handling.handle(BOUNCE) for _ in range(5)))
    await handling.handle(BOUNCE)
    assert await kept.stored() == 1
    assert len(seen) == 1
    assert len(kept.observed) == 1
    assert await kept.delivery() == Delivery(DeliveryStatus.FAILED, AT, "5.1.1")


async def test_what_a_crash_left_half_done_is_done_by_the_repetition(kept: Kept) -> None:
    async def breaks(_: StoredSignal) -> None:
        raise StoreUnavailableError("MongoDB", "gone")

    with pytest.raises(StoreUnavailableError):
        await kept.handling(breaks).handle(BOUNCE)
    seen: list[StoredSignal] = []

    async def handler(stored: StoredSignal) -> None:
        seen.append(stored)

    await kept.handling(handler).handle(BOUNCE)
    assert len(seen) == 1
    assert await kept.stored() == 1


async def test_the_handler_gets_what_the_record_knows(kept: Kept) -> None:
    seen: list[StoredSignal] = []

    async def handler(stored: StoredSignal) -> None:
        seen.append(stored)

    await kept.handling(handler).handle(
        replace(BOUNCE, notification_id=None, provider_message_id="abc-000000", address="Jane.Smith@EXAMPLE.com")
    )
    stored = seen[0]
    assert stored.signal.notification_id == "n1"
    assert stored.record is not None
    assert stored.record.channel == "email"
    assert stored.mailbox == "other"
    await kept.handling(handler).handle(replace(BOUNCE, source_id="forwarded", address="jane@gmail.com"))
    assert seen[-1].mailbox == "other"
    assert stored.address_digest == await kept.store.address_digest(JANE)


async def test_a_text_message_has_no_mailbox_provider() -> None:
    """The figures of mails by provider would count it."""
    seen: list[StoredSignal] = []
    record = SignalledRecord("n1", "sms", "booking_confirmation", "+49***78")
    failed = replace(BOUNCE, source="twilio", channel=ChannelKind.SMS, address="+4915112345678", code="30003")
    await SignalHandling(MemorySignals({"n1": record}), (), seen.append).handle(failed)
    assert [each.mailbox for each in seen] == [""]


async def test_a_report_counts_for_the_address_that_was_written_to_whatever_address_it_names(kept: Kept) -> None:
    seen: list[StoredSignal] = []

    async def handler(stored: StoredSignal) -> None:
        seen.append(stored)

    handling = kept.handling(handler)
    victim = "victim@example.org"
    await handling.handle(replace(BOUNCE, address=victim))
    await handling.handle(replace(BOUNCE, source_id="2", address=victim, kind=SignalKind.COMPLAINED))
    assert {each.signal.address for each in seen} == {JANE}
    assert {each.address_digest for each in seen} == {await kept.store.address_digest(JANE)}
    await handling.handle(replace(BOUNCE, source_id="3", address=victim, notification_id="f" * 32))
    assert (seen[-1].signal.address, seen[-1].address_digest) == (None, None), "its record is gone"
    await handling.handle(replace(BOUNCE, source="ses", source_id="4", address=victim))
    assert seen[-1].signal.address == victim, "a provider has signed what it says"


async def test_a_signal_about_what_others_sent_reaches_no_handler(kept: Kept) -> None:
    seen: list[StoredSignal] = []

    async def handler(stored: StoredSignal) -> None:
        seen.append(stored)

    handling = kept.handling(handler)
    await handling.handle(replace(BOUNCE, notification_id=None, provider_message_id="of-another-program"))
    assert seen == []
    # A record that is gone was one of ours: a complaint about it still counts.
    await handling.handle(replace(BOUNCE, source_id="2", notification_id="f" * 32, kind=SignalKind.COMPLAINED))
    assert len(seen) == 1
    assert await kept.delivery() is None


DELIVERED = replace(BOUNCE, source_id="d", kind=SignalKind.DELIVERED, code=None, at=AT + SECOND)
DEFERRED = replace(BOUNCE, source_id="w", kind=SignalKind.DEFERRED, code="4.2.2", at=AT + 9 * SECOND)
COMPLAINED = replace(BOUNCE, source_id="c", kind=SignalKind.COMPLAINED, code=None, at=AT + 2 * SECOND)
CLICKED = replace(BOUNCE, source_id="k", kind=SignalKind.CLICKED, code=None, at=AT + 8 * SECOND)


@pytest.mark.parametrize("order", list(permutations([BOUNCE, DELIVERED, DEFERRED])))
async def test_in_whatever_order_they_come_one_final_status_never_goes_back(
    kept: Kept, order: Sequence[Signal]
) -> None:
    handling = kept.handling()
    for signal in (CLICKED, *order, *order):
        await handling.handle(signal)
    assert await kept.delivery() == Delivery(DeliveryStatus.FAILED, AT, "5.1.1")
    await handling.handle(COMPLAINED)
    assert await kept.delivery() == Delivery(DeliveryStatus.COMPLAINED, AT + 2 * SECOND)


async def test_many_at_once_end_in_the_same_status(kept: Kept) -> None:
    signals = [replace(BOUNCE, source_id=f"{n}", at=AT + n * SECOND, kind=list(SignalKind)[n % 4]) for n in range(24)]
    await asyncio.gather(*map(kept.handling().handle, signals))
    assert await kept.delivery() == Delivery(DeliveryStatus.COMPLAINED, AT + 23 * SECOND, "5.1.1")
    assert await kept.stored() == 24


async def test_a_message_that_no_version_wrote_is_said_to_be_unreadable(kept: Kept) -> None:
    handling = kept.handling()
    bodies = [b"", b"[]", b"{}", b'{"kind":"bounced"}', b"\xff", b"[" * 100_000]
    newer = signal_messages.written(BOUNCE).replace(b'"bounced"', b'"teleported"')
    for body in (*bodies, newer):
        assert await handling.take(body) is False
    assert await handling.take(signal_messages.written(BOUNCE)) is True


@pytest.mark.parametrize("digests", [1, 2])
async def test_of_masked_records_a_report_counts_for_an_address_whose_digest_they_hold(digests: int) -> None:
    store = MemorySignals({})
    held = [str(await store.address_digest(each)) for each in (JANE, "bob@example.com")[:digests]]
    record = SignalledRecord("n1", "email", "booking_confirmation", "j***@example.com", tuple(held))
    kept = Kept(MemorySignals({"n1": record}))
    handling = kept.handling()
    for number, address in enumerate((JANE, "victim@example.org", None)):
        await handling.handle(replace(BOUNCE, source_id=str(number), address=address))
    named, other, none = kept.observed
    assert (named.signal.address, named.address_digest) == (JANE, held[0])
    # One address can only be the recipient's; of several nobody knows which it is.
    assert other.signal.address is None
    assert none.signal.address is None
    assert {other.address_digest, none.address_digest} == {held[0] if digests == 1 else None}


# ── in MongoDB alone ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_address_and_no_word_of_the_source_about_it_is_in_the_database(
    real: MongoLedger, database: mongo.Database
) -> None:
    await real.open(intent())
    store = MongoSignals(database, "notification_logs")
    await SignalHandling(store, (), lambda _: None).handle(replace(BOUNCE, source_id=f"{JANE}.1"))
    (found,) = await database["notification_signals"].find({}).to_list(10)
    assert "jane" not in str(found)
    assert found["address_digest"]


async def test_a_masked_record_has_the_digest_by_which_a_report_counts(database: mongo.Database) -> None:
    ledger = MongoLedger(database, "notification_logs", full_recipients=False, address_keys=["a key"])
    await ledger.open(intent())
    store = MongoSignals(database, "notification_logs", ["a key"], full_recipients=False)
    record = await store.record_of(BOUNCE)
    assert record is not None
    assert record.address_digests == (await store.address_digest(JANE),)


async def test_a_record_shows_what_was_learnt_of_it_by_either_id(real: MongoLedger, database: mongo.Database) -> None:
    await real.open(intent())
    store = MongoSignals(database, "notification_logs")
    handling = SignalHandling(store, (), lambda _: None, settle_s=0)
    early = replace(DELIVERED, notification_id=None, provider_message_id="abc-000000", at=datetime.now(UTC))
    await handling.handle(early)
    await real.close("n1", "a", Sent(), at=LATER, attempt=ACCEPTED)
    await handling.handle(BOUNCE)
    record = await database["notification_logs"].find_one({"_id": "n1"})
    assert record is not None
    assert record["provider_message_id"] == "abc-000000"
    assert record["outcome"] == "sent"
    assert [each["kind"] for each in await store.of_record(record)] == ["bounced", "delivered"]


async def test_retention_and_erasure_take_the_person_out_and_later_all_of_it(
    real: MongoLedger, database: mongo.Database
) -> None:
    await real.open(intent())
    await real.close("n1", "a", Sent(), at=LATER)
    handling = SignalHandling(MongoSignals(database, "notification_logs"), (), lambda _: None, settle_s=0)
    await handling.handle(BOUNCE)
    await handling.handle(replace(COMPLAINED, source="ses", notification_id="f" * 32))
    keeping, signals = MongoRetention(database, "notification_logs"), database["notification_signals"]
    records = await database["notification_logs"].find({}).to_list(10)
    await keeping.strip(records, LATER)
    stripped = await signals.find_one({"notification_id": "n1"})
    assert stripped is not None
    assert "address_digest" not in stripped
    assert "detail" not in stripped
    assert stripped["code"] == "5.1.1"
    assert await keeping.erase_signals(JANE) == 1
    assert await signals.count_documents({"address_digest": {"$exists": True}}) == 0
    left = await database["notification_logs"].find_one({"_id": "n1"})
    assert left is not None
    assert left["delivery"]["status"] == "failed"
    await keeping.remove(records)
    assert await signals.count_documents({"notification_id": "n1"}) == 0
    await keeping.forget_facts(datetime.now(UTC) + SECOND)
    assert await signals.count_documents({}) == 0
