"""What is kept of a test: the in-memory twins and MongoDB answer alike."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import Outcome, Sent, Simulated
from notification_service.contract.variants import Assignment, Experiment, Variant
from notification_service.delivery.experiments import RunningExperiment
from notification_service.delivery.ports.experiments import (
    ExperimentRegister,
    RegisteredExperiment,
    UnreadableRegisterError,
)
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.foundation.errors import DependencyError
from notification_service.records import experiments
from notification_service.records.experiment_statistics import Arm
from notification_service.stores.memory.experiments import MemoryExperiments
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.experiments import MongoExperiments
from notification_service.stores.mongo.ledger import MongoLedger
from notification_service.stores.mongo.retention import MongoRetention
from tests.contract.test_ledger import AT, LATER, database, document, entry, intent, ledger, real

__all__ = ["database", "ledger", "real"]

TESTED = Experiment("payment_failed", 0.5, "2026-12", 0.05)
ASSIGNED = Assignment("2026-12", "da9aab4f32c6c3a15730a3ff5f7ed21a", Variant.B)


@pytest.fixture(params=["memory", "mongodb"])
def register(request: pytest.FixtureRequest) -> ExperimentRegister:
    if request.param == "memory":
        return MemoryExperiments()
    return MongoExperiments(request.getfixturevalue("database"))


# ── the register ─────────────────────────────────────────────────────────────────────────────────────
async def test_a_test_is_entered_once_and_its_first_definition_is_kept(register: ExperimentRegister) -> None:
    assert await register.read("2026-12") is None
    first = RegisteredExperiment(TESTED, AT)
    assert await register.enter(TESTED, AT) == first
    assert await register.enter(replace(TESTED, share=0.4), LATER) == first
    assert await register.read("2026-12") == first


async def test_every_test_is_listed_the_oldest_first(register: ExperimentRegister) -> None:
    assert await register.all() == []
    other = replace(TESTED, salt="2026-11", template="payment_success")
    await register.enter(TESTED, LATER)
    await register.enter(other, AT)
    assert [each.experiment for each in await register.all()] == [other, TESTED]


async def test_a_stop_keeps_its_first_reason(register: ExperimentRegister) -> None:
    await register.stop("unknown", "no such test", AT)
    assert await register.all() == []
    await register.enter(TESTED, AT)
    await register.stop("2026-12", "broken", LATER)
    await register.stop("2026-12", "again", LATER)
    assert await register.read("2026-12") == RegisteredExperiment(TESTED, AT, LATER, "broken")
    assert await register.enter(TESTED, LATER) == RegisteredExperiment(TESTED, AT, LATER, "broken")


BAD: list[Any] = [7, ["x"], {"2026-12": 7}, {"2026-12": {"template": "payment_failed", "share": "0.5"}}]


@pytest.mark.parametrize("tests", BAD, ids=str)
async def test_a_document_that_was_damaged_is_told_and_leaves_the_test_off(
    database: mongo.Database, tests: object
) -> None:
    await database["notification_facts"].insert_one({"_id": "experiments", "tests": tests})
    register = MongoExperiments(database)
    with pytest.raises(UnreadableRegisterError):
        await register.read("2026-12")
    running = RunningExperiment(TESTED, register)
    await running.start()
    assert not running.running


async def test_retention_leaves_the_register_alone(database: mongo.Database) -> None:
    register = MongoExperiments(database)
    await register.enter(TESTED, AT)
    await MongoRetention(database, "notification_logs").forget_facts(datetime.now(UTC))
    assert await register.read("2026-12")


# ── the record ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("assigned", [None, ASSIGNED, replace(ASSIGNED, variant=Variant.A)])
async def test_an_entry_keeps_its_assignment(ledger: Ledger, assigned: Assignment | None) -> None:
    await ledger.open(intent(assignment=assigned))
    assert (await entry(ledger)).assignment == assigned


async def test_another_event_that_takes_the_entry_over_keeps_its_assignment(ledger: Ledger) -> None:
    await ledger.open(intent(assignment=ASSIGNED))
    await ledger.postpone("n1", "a", at=AT, due_at=LATER, reason="later", attempt=None)
    other = intent(owner="b", event_id="e2", assignment=replace(ASSIGNED, variant=Variant.A))
    await ledger.take_over("n1", "b", "e2", at=LATER, resends=0, seen="a", intent=other)
    assert (await entry(ledger)).assignment == ASSIGNED


async def test_a_fallback_is_noted_by_the_owner_alone(ledger: Ledger) -> None:
    await ledger.open(intent(assignment=ASSIGNED))
    await ledger.note_fallback("n1", "somebody else", "4567")
    assert (await entry(ledger)).assignment == ASSIGNED
    await ledger.note_fallback("n1", "a", "4567")
    assert (await entry(ledger)).assignment == replace(ASSIGNED, fell_back=True)


async def test_a_record_says_what_was_sent_and_what_a_shadow_was(real: MongoLedger, database: mongo.Database) -> None:
    await real.open(intent(assignment=ASSIGNED))
    await real.note_fallback("n1", "a", "4567")
    await real.close("n1", "a", Sent(), at=LATER, shadow=ShadowResult("payment_failed@b", None, 900, differs=True))
    found = await document(database)
    kept = {name: found[name] for name in ("experiment", "unit", "variant", "fell_back", "template_digest", "shadow")}
    assert kept == {
        "experiment": "2026-12",
        "unit": ASSIGNED.unit,
        "variant": "a",
        "fell_back": True,
        "template_digest": "4567",
        "shadow": {"name": "payment_failed@b", "size": None, "live_size": 900, "differs": True},
    }


async def test_a_record_without_a_test_has_none_of_its_fields(real: MongoLedger, database: mongo.Database) -> None:
    await real.open(intent())
    await real.close("n1", "a", Sent(), at=LATER)
    assert not {"experiment", "unit", "variant", "fell_back", "shadow"} & (await document(database)).keys()


async def test_erasing_a_person_takes_the_unit_and_leaves_the_variant(
    real: MongoLedger, database: mongo.Database
) -> None:
    await real.open(intent(assignment=ASSIGNED))
    await real.close("n1", "a", Sent(), at=LATER)
    await MongoRetention(database, "notification_logs").erase([await document(database)], LATER)
    found = await document(database)
    assert "unit" not in found
    assert (found["experiment"], found["variant"], found["outcome"]) == ("2026-12", "b", "sent")


# ── what the report reads ────────────────────────────────────────────────────────────────────────────
async def failed_payment(real: MongoLedger, number: int, variant: Variant, outcome: Outcome) -> None:
    at = AT + timedelta(minutes=number)
    booking = {"booking_id": f"B{number}", "user_id": f"U{number}"}
    unit = replace(ASSIGNED, unit=f"u{number}", variant=variant)
    made = intent(f"n{number}", event_id=f"e{number}", event_type="payment.failed", template="payment_failed")
    await real.open(replace(made, created_at=at, booking_id=f"B{number}", event_data=booking, assignment=unit))
    await real.close(f"n{number}", "a", outcome, at=at)


async def payment(real: MongoLedger, number: int, at: datetime) -> None:
    made = intent(f"p{number}", event_id=f"pe{number}", event_type="payment.success", template="payment_success")
    await real.open(replace(made, created_at=at, booking_id=f"B{number}"))


async def test_the_report_reads_exposures_and_payments_from_the_records(
    real: MongoLedger, database: mongo.Database
) -> None:
    for number, variant in enumerate((Variant.A, Variant.A, Variant.B, Variant.B, Variant.B)):
        await failed_payment(real, number, variant, Simulated("x.eml") if number == 4 else Sent())
    for number in (1, 2, 3, 4):
        await payment(real, number, AT + timedelta(hours=50 if number == 3 else 1))
    await MongoExperiments(database).enter(TESTED, AT)
    (known,) = await experiments.registered(database)
    now = AT + timedelta(days=3)
    found = await experiments.analysis(database, "notification_logs", known, ChannelKind.EMAIL, now)
    assert (found.now.a, found.now.b) == (Arm(2, 1), Arm(2, 1))
    assert (found.assigned, found.sent) == ({"a": 2, "b": 3}, {"a": 2, "b": 2})
    planned = await experiments.plan(database, "notification_logs", TESTED, ChannelKind.EMAIL, now)
    assert planned
    assert planned.rate == 0.5
    other = await experiments.analysis(database, "notification_logs", known, ChannelKind.SMS, now)
    assert other.assigned == {"a": 0, "b": 0}


async def test_the_report_counts_what_a_shadow_composed(real: MongoLedger, database: mongo.Database) -> None:
    results = (
        ShadowResult("payment_failed@b", None, 900, differs=True),
        ShadowResult("payment_failed@b", 1100, 1000, differs=True),
        ShadowResult("payment_failed@b", 1000, 1000, differs=False),
        None,
    )
    for number, result in enumerate(results):
        await real.open(intent(f"n{number}", event_id=f"e{number}"))
        await real.close(f"n{number}", "a", Sent(), at=LATER, shadow=result)
    report = await experiments.shadow(database, "notification_logs", "payment_failed@b", ChannelKind.EMAIL, LATER)
    assert (report.renders, report.failed, report.differs, report.largest) == (3, 1, 2, 1100)
    assert report.growth == pytest.approx(0.05)


async def test_a_damaged_register_ends_the_report_with_its_place(database: mongo.Database) -> None:
    await database["notification_facts"].insert_one({"_id": "experiments", "tests": 7})
    with pytest.raises(DependencyError, match="notification_facts"):
        await experiments.registered(database)
