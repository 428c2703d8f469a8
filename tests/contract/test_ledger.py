"""What became of every notification: the in-memory twin and MongoDB answer alike, under the deployed validator."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo import InsertOne
from pymongo.errors import DocumentTooLarge, WriteError

from notification_service.contract.delivery_status import Delivery, DeliveryStatus
from notification_service.contract.outcomes import (
    Bounced,
    Outcome,
    Parked,
    ParkReason,
    Rejected,
    RejectReason,
    Sent,
    Simulated,
    Skipped,
    SkipReason,
    Unknown,
    may_be_reopened,
)
from notification_service.delivery.ports.channel import Attempt, OutgoingMessage
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.ledger import AlreadyThere, Entry, Intent, Ledger, Opened, Paid
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.ledger import MemoryLedger
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.client import WriteRefusedError
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.signals import MongoSignals
from tests.stack.local import LocalStack
from tests.stack.processes import free_port
from tests.stack.proxy import Proxy

HELD, LOST = Fence.HELD, Fence.LOST
AT = datetime(2026, 11, 24, 12, 30, 15, 123000, tzinfo=UTC)
LATER = AT + timedelta(seconds=30)
ATTEMPT = Attempt(AT, "deferred", 12.5, 450, "4.2.1 <jane.smith@example.com> busy", "7")
REJECTED = Rejected(RejectReason.NO_RECIPIENT, "nobody")
OUTCOMES: list[Outcome] = [
    Sent(),
    Sent(possible_duplicate=True),
    Simulated("outbox/x.eml"),
    *map(Skipped, SkipReason),
    Skipped(SkipReason.SUPPRESSED, "lift it"),
    Bounced("5.1.1", "no such user", "0123456789abcdef"),
    *(Rejected(reason, "why") for reason in RejectReason),
    *(Parked(reason, "why") for reason in ParkReason),
    Unknown("lost twice"),
]


@pytest.fixture
async def database(stack: LocalStack) -> AsyncIterator[mongo.Database]:
    """An empty database for one test."""
    client = mongo.connect(stack.mongodb_uri)
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    yield database
    await client.drop_database(database.name)
    client.close()


@pytest.fixture
async def real(database: mongo.Database) -> MongoLedger:
    return await prepared(database)


@pytest.fixture(params=["memory", "mongodb"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return MemoryLedger() if request.param == "memory" else request.getfixturevalue("real")


async def prepared(database: mongo.Database, *, full: bool = True) -> MongoLedger:
    ledger = MongoLedger(database, "notification_logs", full_recipients=full)
    await ledger.prepare()
    await ledger.index()
    return ledger


def intent(notification_id: str = "n1", owner: str = "a", **changes: Any) -> Intent:  # noqa: ANN401 - fields of an Intent
    made = Intent(
        notification_id=notification_id,
        owner=owner,
        event_id="e1",
        event_type="booking.confirmed",
        channel="email",
        template="booking_confirmation",
        template_digest="0123",
        recipient="jane.smith@example.com",
        created_at=AT,
        booking_id="B1",
        message_id="<n1@cinema.example>",
        fact="booking:B1:confirmed",
        event_data={"booking_id": "B1"},
    )
    return replace(made, **changes)


async def entry(ledger: Ledger, notification_id: str = "n1") -> Entry:
    """What another worker finds there."""
    found = await ledger.open(intent(notification_id, owner="somebody else"))
    assert isinstance(found, AlreadyThere)
    return found.entry


def message(subject: str) -> OutgoingMessage:
    return OutgoingMessage(
        notification_id="n1", template="booking_confirmation", recipient="a@b.example", content=b"x", subject=subject
    )


async def close(ledger: Ledger, owner: str | None = "a", outcome: Outcome | None = None, name: str = "n1") -> Fence:
    return await ledger.close(
        name,
        owner,
        outcome or Sent(),
        at=LATER,
        message=message("Booked"),
        remarks=["a link is left out"],
        attempt=ATTEMPT,
    )


async def postpone(ledger: Ledger, owner: str = "a") -> None:
    await ledger.postpone("n1", owner, at=AT, due_at=LATER, reason=ATTEMPT.reply or "", attempt=ATTEMPT)


async def document(database: mongo.Database, notification_id: str = "n1") -> Mapping[str, Any]:
    found = await database["notification_logs"].find_one({"_id": notification_id})
    assert found is not None
    return found


# ── open ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_intent_is_opened_and_the_next_finds_it(ledger: Ledger) -> None:
    assert await ledger.open(intent()) == Opened()
    there = Entry("n1", None, waiting=False, resends=0, event_ids=("e1",), created_at=AT, owner="a")
    found = await ledger.open(intent(owner="b", event_id="e2"))
    assert found == AlreadyThere(replace(there, recipient="jane.smith@example.com"))


async def test_what_ended_well_is_not_taken_over(ledger: Ledger) -> None:
    await ledger.open(intent())
    assert await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a") is Fence.HELD
    await ledger.close("n1", "b", Sent(), at=AT)
    assert await ledger.take_over("n1", "c", "e3", at=AT, resends=0, seen="b") is Fence.LOST


async def test_ones_own_write_whose_answer_was_lost_is_opened(ledger: Ledger) -> None:
    assert [await ledger.open(intent()) for _ in range(3)] == [Opened()] * 3


async def test_ones_own_entry_is_there_once_it_waits_or_is_closed(ledger: Ledger) -> None:
    await ledger.open(intent())
    await postpone(ledger)
    waiting = await ledger.open(intent())
    assert isinstance(waiting, AlreadyThere)
    assert waiting.entry.waiting
    await close(ledger)
    closed = await ledger.open(intent())
    assert isinstance(closed, AlreadyThere)
    assert closed.entry.outcome == Sent()


async def test_of_many_opens_at_once_each_notification_has_one_winner(ledger: Ledger) -> None:
    intents = [intent(f"n{number}", owner) for number in range(60) for owner in ("a", "b", "c")]
    answers = await asyncio.gather(*map(ledger.open, intents))
    for number in range(60):
        of_one = answers[number * 3 : number * 3 + 3]
        assert of_one.count(Opened()) == 1
        assert sum(isinstance(answer, AlreadyThere) for answer in of_one) == 2


# ── take over ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("waiting", [True, False])
async def test_whoever_takes_over_closes_and_the_one_before_does_not(ledger: Ledger, waiting: bool) -> None:  # noqa: FBT001 - parametrised
    await ledger.open(intent())
    if waiting:
        await postpone(ledger)
    await ledger.take_over("n1", "b", "e2", at=AT, resends=1, seen="a")
    taken = await entry(ledger)
    assert (taken.outcome, taken.waiting, taken.possible_duplicate) == (None, False, True)
    assert taken.event_ids == ("e1", "e2")
    assert await close(ledger, "a") is LOST
    assert (await entry(ledger)).outcome is None
    assert await close(ledger, "b", Sent(possible_duplicate=True)) is HELD


async def test_a_possible_duplicate_stays_one(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.take_over("n1", "b", "e1", at=AT, resends=1, seen="a")
    await ledger.take_over("n1", "c", "e1", at=AT, resends=0, seen="b")
    assert (await entry(ledger)).possible_duplicate


async def test_resends_are_counted_until_a_replay_begins_anew(ledger: Ledger) -> None:
    await ledger.open(intent())
    for owner, seen, resends in (("b", "a", 1), ("c", "b", 2), ("d", "c", 3)):
        for _ in range(2):  # the answer may be lost
            assert await ledger.take_over("n1", owner, "e1", at=AT, resends=resends, seen=seen) is HELD
        assert (await entry(ledger)).resends == resends
    unknown = Unknown("lost")
    await close(ledger, "d", unknown)
    assert (await entry(ledger)).resends == 3
    await ledger.take_over("n1", "e", "e1", at=AT, resends=1, seen="d", was=unknown, replay="wish")
    assert (await entry(ledger)).resends == 1


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
async def test_only_what_may_be_reopened_is_taken_over_once_it_has_ended(ledger: Ledger, outcome: Outcome) -> None:
    await ledger.open(intent())
    await close(ledger, "a", outcome)
    await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a", was=outcome)
    found = await entry(ledger)
    if may_be_reopened(outcome):
        assert (found.outcome, found.event_ids) == (None, ("e1", "e2"))
        assert await close(ledger, "b") is HELD
    else:
        assert (found.outcome, found.event_ids) == (outcome, ("e1",))
        assert await close(ledger, "b", REJECTED) is LOST


async def test_an_entry_names_its_recipient_and_whoever_takes_it_over_another(ledger: Ledger) -> None:
    bounced = Bounced("5.1.1", "no such user", "0123456789abcdef")
    await ledger.open(intent(recipient="jane@gmial.example"))
    await close(ledger, "a", bounced)
    assert ((await entry(ledger)).recipient, (await entry(ledger)).outcome) == ("jane@gmial.example", bounced)
    await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a", was=bounced)
    assert (await entry(ledger)).outcome is None
    await ledger.close("n1", "b", Sent(), at=LATER, recipient="jane@gmail.example")
    assert ((await entry(ledger)).recipient, (await entry(ledger)).outcome) == ("jane@gmail.example", Sent())


async def test_a_persons_wish_is_granted_once(ledger: Ledger) -> None:
    parked = Parked(ParkReason.RETRIES_EXHAUSTED, "gave up")
    await ledger.open(intent())
    await close(ledger, "a", parked)

    async def wish(owner: str, token: str, seen: str) -> Fence:
        return await ledger.take_over("n1", owner, "e1", at=AT, resends=0, seen=seen, was=parked, replay=token)

    assert [await wish("b", "first", "a"), await wish("b", "first", "a")] == [HELD, HELD]  # its answer was lost
    await close(ledger, "b", parked)
    assert await wish("c", "first", "b") is LOST
    assert (await entry(ledger)).replays == ("first",)
    assert await wish("c", "second", "b") is HELD
    assert (await entry(ledger)).replays == ("first", "second")


async def test_an_entry_tells_that_its_provider_reported_unless_it_had_ended_since(
    ledger: Ledger, request: pytest.FixtureRequest
) -> None:
    bounced = Bounced("30006", "no mobile")
    await ledger.open(intent())
    assert not (await entry(ledger)).reported
    if isinstance(ledger, MemoryLedger):
        ledger.records["n1"].reported = True
    else:
        signals = MongoSignals(request.getfixturevalue("database"), "notification_logs")
        await signals.advance("n1", Delivery(DeliveryStatus.DELIVERED, AT))
    assert (await entry(ledger)).reported
    await close(ledger, "a", bounced)
    await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a", was=bounced)
    assert not (await entry(ledger)).reported


async def test_what_somebody_else_took_over_since_is_left_alone(ledger: Ledger) -> None:
    """A worker that slept between its look and its write."""
    await ledger.open(intent())
    assert await ledger.take_over("n1", "b", "e1", at=AT, resends=1, seen="a") is HELD
    assert await ledger.take_over("n1", "c", "e1", at=AT, resends=0, seen="a") is LOST
    assert (await entry(ledger)).owner == "b"


async def test_what_is_not_there_cannot_be_taken_over(ledger: Ledger) -> None:
    await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a")
    assert await ledger.open(intent()) == Opened()


# ── close ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
async def test_an_outcome_is_read_back_as_it_was_written(ledger: Ledger, outcome: Outcome) -> None:
    await ledger.open(intent())
    assert await close(ledger, "a", outcome) is HELD
    found = await entry(ledger)
    assert (found.outcome, found.waiting) == (outcome, False)


async def test_a_repeated_close_has_no_further_effect(ledger: Ledger) -> None:
    await ledger.open(intent())
    assert [await close(ledger), await close(ledger)] == [HELD, HELD]


async def test_the_first_outcome_stays(ledger: Ledger) -> None:
    await ledger.open(intent())
    await close(ledger)
    assert await close(ledger, "a", REJECTED) is LOST
    assert await close(ledger, "b") is LOST
    assert await close(ledger, None, REJECTED) is LOST
    assert (await entry(ledger)).outcome == Sent()


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_repair_closes_whoever_owns_it(ledger: Ledger, waiting: bool) -> None:  # noqa: FBT001 - parametrised
    await ledger.open(intent())
    if waiting:
        await postpone(ledger)
    assert await close(ledger, None, Unknown("lost")) is HELD
    assert (await entry(ledger)).outcome == Unknown("lost")


@pytest.mark.parametrize("owner", ["a", None])
async def test_what_is_not_there_cannot_be_closed(ledger: Ledger, owner: str | None) -> None:
    assert await close(ledger, owner) is Fence.NO_ENTRY
    assert await ledger.open(intent()) == Opened()


async def test_of_many_closes_at_once_each_gets_its_own_answer(ledger: Ledger) -> None:
    for number in range(40):
        await ledger.open(intent(f"n{number}"))
    for number in range(0, 40, 4):
        await ledger.take_over(f"n{number}", "b", "e1", at=AT, resends=0, seen="a")
    answers = await asyncio.gather(*(close(ledger, "a", Sent(), f"n{number}") for number in range(45)))
    expected = [LOST if number % 4 == 0 else HELD for number in range(40)]
    assert answers == [*expected, *[Fence.NO_ENTRY] * 5]
    found = [await entry(ledger, f"n{number}") for number in range(40)]
    assert [each.outcome for each in found] == [None if number % 4 == 0 else Sent() for number in range(40)]


async def test_writes_of_every_kind_at_once_do_not_disturb_each_other(ledger: Ledger) -> None:
    for number in range(20):
        await ledger.open(intent(f"n{number}"))
    closes = [close(ledger, "a", Sent(), f"n{number}") for number in range(20)]
    opens = [ledger.open(intent(f"n{number}", "b")) for number in range(10, 30)]
    notes = [ledger.note_event(f"n{number}", "e2") for number in range(40)]
    closed, opened, _ = await asyncio.gather(asyncio.gather(*closes), asyncio.gather(*opens), asyncio.gather(*notes))
    assert closed == [HELD] * 20
    assert [isinstance(answer, Opened) for answer in opened] == [False] * 10 + [True] * 10
    assert [(await entry(ledger, f"n{number}")).event_ids for number in range(20)] == [("e1", "e2")] * 20


# ── postpone, notes, reports ─────────────────────────────────────────────────────────────────────────


async def test_what_is_put_off_waits(ledger: Ledger) -> None:
    await ledger.open(intent())
    await postpone(ledger)
    await postpone(ledger)
    found = await entry(ledger)
    assert (found.outcome, found.waiting) == (None, True)


async def test_a_stale_owner_puts_nothing_off(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.take_over("n1", "b", "e1", at=AT, resends=0, seen="a")
    await postpone(ledger, "a")
    assert not (await entry(ledger)).waiting


async def test_what_has_ended_is_not_put_off(ledger: Ledger) -> None:
    await ledger.open(intent())
    await close(ledger)
    await postpone(ledger)
    found = await entry(ledger)
    assert (found.outcome, found.waiting) == (Sent(), False)


async def test_a_further_event_is_noted_once(ledger: Ledger) -> None:
    await ledger.open(intent())
    await close(ledger)
    for event_id in ("e2", "e3", "e2", "e1"):
        await ledger.note_event("n1", event_id)
    await ledger.note_event("nobody", "e2")
    found = await entry(ledger)
    assert (found.event_ids, found.outcome) == (("e1", "e2", "e3"), Sent())


async def test_the_owner_of_a_pending_entry_marks_it_and_takes_the_mark_back(ledger: Ledger) -> None:
    await ledger.open(intent())
    assert [await ledger.mark_sending("n1", "a") for _ in range(2)] == [Fence.HELD, Fence.HELD]
    assert (await entry(ledger)).sending
    await ledger.unmark("n1", "b")
    assert (await entry(ledger)).sending
    await ledger.unmark("n1", "a")
    assert not (await entry(ledger)).sending


async def test_whoever_lost_the_entry_does_not_mark_it(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.take_over("n1", "b", "e1", at=AT, resends=0, seen="a")
    assert await ledger.mark_sending("n1", "a") is Fence.LOST
    await postpone(ledger, "b")
    assert await ledger.mark_sending("n1", "b") is Fence.LOST
    assert await ledger.mark_sending("nobody", "a") is Fence.NO_ENTRY


async def test_an_entry_that_was_marked_since_it_was_read_is_not_taken_over(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.mark_sending("n1", "a")
    assert await ledger.take_over("n1", "b", "e1", at=AT, resends=0, seen="a") is Fence.LOST
    assert await ledger.take_over("n1", "b", "e1", at=AT, resends=1, seen="a", sending=True) is Fence.HELD
    assert not (await entry(ledger)).sending


@pytest.mark.parametrize("ending", ["close", "postpone"])
async def test_a_mark_ends_with_what_it_marks(ledger: Ledger, ending: str) -> None:
    await ledger.open(intent())
    await ledger.mark_sending("n1", "a")
    await (close(ledger) if ending == "close" else postpone(ledger))
    assert not (await entry(ledger)).sending


async def test_a_broken_conversation_leaves_the_entry_pending(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.note_attempt("n1", ATTEMPT)
    await ledger.note_attempt("nobody", ATTEMPT)
    assert await ledger.open(intent()) == Opened()


async def test_the_relay_of_the_last_doubt_is_known_to_the_next_owner(ledger: Ledger) -> None:
    await ledger.open(intent())
    assert (await entry(ledger)).held_by is None
    for result, relay in (("in_doubt", "smtp"), ("in_doubt", "smtp-fallback"), ("unavailable", "smtp")):
        await ledger.note_attempt("n1", replace(ATTEMPT, result=result, relay=relay))
    assert (await entry(ledger)).held_by == "smtp-fallback"


async def test_a_mark_names_its_relay_until_it_is_taken_back(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.mark_sending("n1", "a")
    assert (await entry(ledger)).sending_by is None
    await ledger.mark_sending("n1", "a", "smtp")
    assert (await entry(ledger)).sending_by == "smtp"
    await ledger.unmark("n1", "a")
    assert (await entry(ledger)).sending_by is None


@pytest.mark.parametrize("ending", ["close", "postpone", "take_over"])
async def test_what_ends_a_mark_ends_its_relay(ledger: Ledger, ending: str) -> None:
    await ledger.open(intent())
    await ledger.mark_sending("n1", "a", "smtp")
    if ending == "take_over":
        await ledger.take_over("n1", "b", "e1", at=AT, resends=1, seen="a", sending=True)
    else:
        await (close(ledger) if ending == "close" else postpone(ledger))
    assert (await entry(ledger)).sending_by is None


async def test_whoever_takes_over_records_the_attempt_that_its_owner_could_not_once(ledger: Ledger) -> None:
    await ledger.open(intent())
    lost = replace(ATTEMPT, result="in_doubt", relay="smtp")
    for _ in range(2):
        took = ledger.take_over("n1", "b", "e1", at=AT, resends=1, seen="a", lost=lost)
        assert await took is Fence.HELD
    assert (await entry(ledger)).held_by == "smtp"


async def test_a_doubt_without_a_relay_names_none(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.note_attempt("n1", replace(ATTEMPT, result="in_doubt"))
    assert (await entry(ledger)).held_by is None


async def test_an_entry_knows_which_devices_need_no_further_attempt(ledger: Ledger) -> None:
    await ledger.open(intent())
    for device, result in (
        ("a", "accepted"),
        ("b", "in_doubt"),
        ("c", "refused"),
        ("d", "deferred"),
        (None, "accepted"),
    ):
        await ledger.note_attempt("n1", replace(ATTEMPT, result=result, device=device))
    assert (await entry(ledger)).settled == {"a": "accepted", "c": "refused"}


async def test_of_many_first_reports_at_once_one_stands_for_the_fact(ledger: Ledger) -> None:
    answers = await asyncio.gather(*(ledger.first_report("payment:T:refunded", f"R{number}") for number in range(20)))
    assert len(set(answers)) == 1
    assert await ledger.first_report("payment:T:refunded", "another") == answers[0]
    assert await ledger.first_report("payment:T2:refunded", "another") == "another"


async def test_ones_own_report_whose_answer_was_lost_is_still_the_first(ledger: Ledger) -> None:
    assert [await ledger.first_report("payment:T:refunded", report) for report in ("R1", "R1", "R2")] == ["R1"] * 3


# ── what was told, what came later, what was paid ────────────────────────────────────────────────────


async def test_existing_entries_are_returned_in_the_order_of_the_ids(ledger: Ledger) -> None:
    await ledger.open(intent())
    await ledger.open(intent("n2", event_type="booking.cancelled", event_data={"reason": "ill"}, created_at=LATER))
    await close(ledger, "a", Sent(possible_duplicate=True))
    assert await ledger.event_data_of([]) == []
    two, one = await ledger.event_data_of(["n2", "nobody", "n1"])
    assert (two.notification_id, two.event_type, two.data) == ("n2", "booking.cancelled", {"reason": "ill"})
    assert (two.outcome, two.waiting, two.created_at, two.later) == (None, False, LATER, ())
    assert (one.notification_id, one.outcome, one.updated_at) == ("n1", Sent(possible_duplicate=True), LATER)


async def test_a_waiting_entry_is_returned_as_waiting(ledger: Ledger) -> None:
    await ledger.open(intent())
    await postpone(ledger)
    (told,) = await ledger.event_data_of(["n1"])
    assert (told.outcome, told.waiting) == (None, True)


async def test_what_came_later_is_noted_once(ledger: Ledger) -> None:
    await ledger.open(intent())
    for later in ("n2", "n3", "n2"):
        await ledger.note_later("n1", later)
    await ledger.note_later("nobody", "n2")
    (told,) = await ledger.event_data_of(["n1"])
    assert told.later == ("n2", "n3")
    assert (await entry(ledger)).later == ("n2", "n3")


async def test_an_entry_that_another_event_takes_over_is_that_event_s(ledger: Ledger) -> None:
    await ledger.open(intent())
    await postpone(ledger)
    newer = intent(
        owner="b", event_id="e2", event_type="booking.confirmed", event_data={"booking_id": "B1", "seats": ["C1"]}
    )
    assert await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a", intent=newer) is HELD
    (told,) = await ledger.event_data_of(["n1"])
    found = await entry(ledger)
    assert (told.data["seats"], found.event_id, found.event_ids, found.created_at) == (["C1"], "e2", ("e1", "e2"), AT)


async def test_a_booking_was_paid_when_its_last_payment_was(ledger: Ledger) -> None:
    assert await ledger.paid("B1") is None
    await ledger.note_paid("B1", None)
    assert await ledger.paid("B1") == Paid(None)
    for moment in (AT, LATER, None, AT):
        await ledger.note_paid("B1", moment)
    assert await ledger.paid("B1") == Paid(LATER)
    assert await ledger.paid("B2") is None
    await asyncio.gather(*(ledger.note_paid("B3", AT + timedelta(seconds=n)) for n in range(20)))
    assert await ledger.paid("B3") == Paid(AT + timedelta(seconds=19))


# ── MongoDB alone: the documents ─────────────────────────────────────────────────────────────────────


async def test_the_deployed_validator_is_in_force(real: MongoLedger, database: mongo.Database) -> None:
    with pytest.raises(WriteError):
        await database["notification_logs"].insert_one({"_id": "x", "event_id": 7})


async def test_a_record_has_the_words_of_the_deployed_collection(real: MongoLedger, database: mongo.Database) -> None:
    await real.open(intent())
    pending = await document(database)
    assert {key: pending[key] for key in ("event_id", "notification_type", "recipient", "status", "outcome")} == {
        "event_id": "e1",
        "notification_type": "email",
        "recipient": "jane.smith@example.com",
        "status": "pending",
        "outcome": "pending",
    }
    assert pending["created_at"] == AT
    assert "sent_at" not in pending
    await close(real)
    sent = await document(database)
    assert (sent["status"], sent["outcome"], sent["sent_at"], sent["subject"]) == ("sent", "sent", LATER, "Booked")
    assert sent["remarks"] == ["a link is left out"]
    assert [made["code"] for made in sent["attempts"]] == [450]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
async def test_every_outcome_passes_the_validator(
    real: MongoLedger, database: mongo.Database, outcome: Outcome
) -> None:
    await real.open(intent())
    await postpone(real)
    await real.take_over("n1", "b", "e2", at=AT, resends=1, seen="a")
    assert await close(real, "b", outcome) is HELD
    closed = await document(database)
    assert closed["status"] in ("sent", "failed", "pending")
    assert ("sent_at" in closed) == isinstance(outcome, Sent)
    assert "due_at" not in closed


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"bottom": True}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "data",
    [
        {"huge": 10**400, "negative": -(10**40), "edge": 2**63, "fits": 2**63 - 1},
        {"text": "\ud800 half", "nul": "a\0b", "\udfff": 1, "key\0": 2},
        {"$where": 1, "a.b": {"$set": {"c.d": 1}}, "": "", "$": "$"},
        {"list": [[[[]]], {}, None, True, 1.5, "x" * 100_000]},
        nested(500),
        {"n": [nested(60)] * 3},
        {"float": 1e308, "infinity": float("inf"), "zero": -0.0},
        {"_id": "x", "event_id": ["not a text"], "created_at": "never"},
        {str(number): number for number in range(5000)},
    ],
    ids=["integers", "texts", "keys", "lists", "deep", "deep lists", "floats", "names", "many"],
)
async def test_awkward_event_data_is_stored(real: MongoLedger, database: mongo.Database, data: dict[str, Any]) -> None:
    assert await real.open(intent(event_data=data)) == Opened()
    stored = (await document(database))["event_data"]
    assert len(stored) == len(data)
    assert await close(real) is HELD


async def test_awkward_ids_are_stored_and_found_again(real: MongoLedger, database: mongo.Database) -> None:
    awkward = {"event_id": "\ud800\0$x.y", "booking_id": "\udfff\0", "fact": "booking:\ud800\0:confirmed"}
    assert await real.open(intent(**awkward)) == Opened()
    await real.note_event("n1", awkward["event_id"])
    assert len((await document(database))["event_ids"]) == 1
    assert await real.first_report("fact\ud800\0", "report") == "report"


async def test_what_is_written_twice_after_a_lost_answer_stands_there_once(
    real: MongoLedger, database: mongo.Database
) -> None:
    await real.open(intent())
    for _ in range(2):
        await real.note_attempt("n1", ATTEMPT)
    await close(real, "a", REJECTED)
    for _ in range(2):
        await real.take_over("n1", "b", "e1", at=AT, resends=0, seen="a", was=REJECTED)
    record = await document(database)
    assert [len(record[name]) for name in ("attempts", "history", "event_ids")] == [1, 1, 1]


async def test_one_record_that_is_refused_does_not_disturb_its_group(real: MongoLedger) -> None:
    wrong = intent("wrong", channel="carrier pigeon")
    answers = await asyncio.gather(
        *(real.open(made) for made in (intent("n1"), wrong, intent("n2"), intent("n1", "b"))), return_exceptions=True
    )
    assert (answers[0], answers[2]) == (Opened(), Opened())
    assert isinstance(answers[1], WriteRefusedError)
    assert isinstance(answers[3], AlreadyThere)


class StrictDriver:
    """A collection of which the driver refuses whole groups, as it does for documents of more than 16 MB."""

    def __init__(self) -> None:
        self.written: list[str] = []

    async def bulk_write(self, operations: Sequence[Any], *, ordered: bool) -> Any:  # noqa: ANN401 - as Motor's
        assert not ordered
        ids = [each._doc["_id"] for each in operations]
        for each in ids:
            each.encode()
        if "large" in ids:
            raise DocumentTooLarge("BSON document too large (17000000 bytes)")
        self.written += ids
        return SimpleNamespace(bulk_api_result={"nMatched": 0, "writeErrors": []})


@pytest.mark.parametrize("odd", ["large", "\ud800"])
async def test_one_document_that_the_driver_refuses_does_not_disturb_its_group(odd: str) -> None:
    driver = StrictDriver()
    writes = mongo.GroupedWrites(driver)  # type: ignore[arg-type]  # as much of it as is used
    asked = [writes.write(InsertOne({"_id": name})) for name in ("a", "b", odd, "c")]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in answers] == [mongo.Written, mongo.Written, WriteRefusedError, mongo.Written]
    assert driver.written == ["a", "b", "c"]


async def test_a_unique_index_of_others_refuses_a_record_and_is_no_outage(
    real: MongoLedger, database: mongo.Database
) -> None:
    """Taken for an outage, the second mail of an event would be waited for without end, and the queue with it."""
    await database["notification_logs"].create_index("event_type", unique=True)
    assert await real.open(intent("n1")) == Opened()
    with pytest.raises(WriteRefusedError, match="event_type"):
        await real.open(intent("n2"))
    assert isinstance(await real.open(intent("n1", "b")), AlreadyThere)


async def test_masked_no_address_stands_anywhere_in_a_record(database: mongo.Database) -> None:
    ledger = await prepared(database, full=False)
    address = "jane.smith@example.com"
    data = {"user_email": address, "deep": [{"to": f"<{address}>"}], address: address, "note": f"write to {address}."}
    await ledger.open(intent(event_data=data))
    await ledger.note_attempt("n1", ATTEMPT)
    await postpone(ledger)
    assert "jane.smith" not in repr(await document(database))
    await ledger.take_over("n1", "b", "e2", at=AT, resends=0, seen="a")
    for owner, outcome in (("b", Bounced("5.1.1", f"<{address}>: unknown")),):
        await ledger.close(
            "n1", owner, outcome, at=AT, recipient=address, message=message(f"For {address}"), attempt=replace(ATTEMPT)
        )
    closed = await document(database)
    assert "jane.smith" not in repr(closed)
    assert closed["recipient"] == "j***@example.com"


async def test_preparing_twice_and_over_a_collection_that_stands_touches_nothing(database: mongo.Database) -> None:
    await database["notification_logs"].insert_one({"_id": "old", "status": "sent"})
    await prepared(database)
    await prepared(database)
    assert await database["notification_logs"].count_documents({}) == 1
    indexes = await database["notification_logs"].index_information()
    keys = {index["key"][0][0] for index in indexes.values()}
    # Every event pays for each index, so there are no others until somebody searches by something else.
    assert keys == {"_id", "event_id", "recipient", "notification_type", "created_at"}
    assert set(await database["notification_facts"].index_information()) <= {"_id_"}
    await database["notification_logs"].insert_one({"_id": "theirs", "anything": True})


# ── MongoDB alone: it is down ────────────────────────────────────────────────────────────────────────


async def test_a_database_that_is_not_there_surfaces_within_five_seconds() -> None:
    client = mongo.connect(f"mongodb://127.0.0.1:{free_port()}/")
    ledger = MongoLedger(client["x"], "notification_logs", full_recipients=True)
    began = time.monotonic()
    calls = [
        ledger.open(intent()),
        ledger.first_report("f", "r"),
        ledger.prepare(),
        ledger.ping(),
        close(ledger),
    ]
    told = await asyncio.gather(*calls, return_exceptions=True)
    seconds = time.monotonic() - began
    client.close()
    assert [type(each) for each in told] == [StoreUnavailableError] * 5
    assert {each.store for each in told if isinstance(each, StoreUnavailableError)} == {"MongoDB"}
    # Calls of one group end together; the one that came while it was under way is the next group.
    assert seconds < 10.5


async def test_a_database_that_hangs_surfaces_and_the_write_may_be_repeated(
    stack: LocalStack, database: mongo.Database
) -> None:
    await prepared(database)
    with Proxy(stack.mongo.port) as proxy:
        client = mongo.connect(f"mongodb://127.0.0.1:{proxy.port}/")
        ledger = MongoLedger(client[database.name], "notification_logs", full_recipients=True)
        await ledger.ping()
        proxy.black_hole()
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await ledger.open(intent())
        assert 1 < time.monotonic() - began < 5.5
        proxy.flow()
        assert await ledger.open(intent()) == Opened()
        client.close()
    assert await database["notification_logs"].count_documents({}) == 1


async def test_a_cancelled_writer_does_not_take_its_group_along(real: MongoLedger, database: mongo.Database) -> None:
    tasks = [asyncio.create_task(real.open(intent(f"n{number}"))) for number in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [Opened()] * 9
    assert await database["notification_logs"].count_documents({}) == 10


async def test_a_fact_that_is_reported_without_end_does_not_fill_its_record(
    real: MongoLedger, database: mongo.Database
) -> None:
    await real.open(intent())
    await close(real)
    long = {
        "event_ids": ["e1", *(f"x{number}" for number in range(3000))],
        "attempts": [{"at": AT, "result": "deferred", "duration_ms": 1.0, "code": number} for number in range(500)],
        "history": [{"status": "failed", "outcome": "parked", "updated_at": AT, "n": number} for number in range(500)],
        "replays": [f"{number:x}" for number in range(500)],
    }
    await database["notification_logs"].update_one({"_id": "n1"}, {"$set": long})
    await entry(real)
    left = await document(database)
    assert {name: len(left[name]) for name in long} == {
        "event_ids": 1000,
        "attempts": 200,
        "history": 200,
        "replays": 200,
    }
    assert (left["event_ids"][0], left["event_ids"][-1]) == ("e1", "x2999")
    assert left["attempts"][-1]["code"] == 499


@pytest.mark.parametrize(
    "code",
    [
        *(365, 462, 46),
        *(13, 18, 64, 100, 8000, 16500),  # rights, write concern, quota
        *(237, 281, 290, 355, 11601, 46841),  # an operation was interrupted
        *(402, 407, 412, 433, 449, 450, 453, 50915, 91331, 10045600),  # retriable, overloaded
        *(145, 146, 149, 249, 250, 264, 272, 319, 56846),  # connections, memory, files, moving shards
    ],
)
def test_a_server_that_is_busy_blames_no_document(code: int) -> None:
    assert isinstance(mongo._error({"code": code, "errmsg": "busy"}), StoreUnavailableError)
    assert isinstance(mongo._error({"code": 121, "errmsg": "validation"}), mongo.WriteRefusedError)


@pytest.mark.parametrize(
    ("said", "duplicate"),
    [
        ({"keyPattern": {"_id": 1}}, True),
        ({"keyPattern": {"event_id": 1}}, False),
        ({"errmsg": 'E11000 duplicate key error collection: x.y index: _id_ dup key: { : "n1" }'}, True),
        ({"errmsg": "E11000 duplicate key error collection: x.y index: event_id_1 dup key: { : 7 }"}, False),
        ({}, True),
    ],
)
def test_only_the_index_of_ids_says_that_a_record_exists(said: dict[str, Any], *, duplicate: bool) -> None:
    """Servers before 4.2 name the index in their text alone."""
    answer = mongo._error({"code": 11000, "errmsg": "dup", **said})
    assert answer is mongo.Written.DUPLICATE if duplicate else isinstance(answer, WriteRefusedError)
