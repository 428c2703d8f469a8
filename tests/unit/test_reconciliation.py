"""What one record, one event and one line of a publisher's list mean to an auditor."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage, body_id
from notification_service.contract.notification_ids import Fact, notification_id
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
)
from notification_service.delivery.planning import IgnoredEvent, plan
from notification_service.delivery.ports.claims import ClaimStatus
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.printable import shown
from notification_service.records.reconciliation import (
    OUTCOMES,
    Confirmed,
    Deadlines,
    Finding,
    describe,
    missing_record,
    not_recorded,
    read_line,
    shared_event,
    stored_body,
    stored_event,
    to_decide,
)
from notification_service.stores.mongo import documents
from tests.samples import CONTRACT, sample

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
RULES = Deadlines(NOW, lease_s=30, retry_schedule=RetrySchedule(5))
FACT, TEMPLATE = "booking:B1:confirmed", "booking_confirmation"
OWN_ID = notification_id(Fact(FACT), None, TEMPLATE, ChannelKind.EMAIL)
DECIDED = ClaimStatus(decided="sent")
BROKEN_CHARACTER = "\ufffd"


def record(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a record holds
    """A record of a mail that was sent, as the service leaves it."""
    return {
        "_id": OWN_ID,
        "event_id": "e1",
        "event_ids": ["e1"],
        "event_type": "booking.confirmed",
        "fact": FACT,
        "notification_type": "email",
        "template": TEMPLATE,
        "booking_id": "B1",
        "message_id": f"<{OWN_ID}@cinema.example>",
        "status": "sent",
        "outcome": "sent",
        "owner": "worker",
        "updated_at": NOW - timedelta(days=1),
        "sent_at": NOW - timedelta(days=1),
        "attempts": [{"result": "deferred"}, {"result": "accepted"}],
        "event_data": {},
        **changes,
    }


def pending(age: timedelta) -> dict[str, Any]:
    return record(status="pending", outcome="pending", updated_at=NOW - age)


def waiting(touched: timedelta, due: timedelta | None) -> dict[str, Any]:
    due_at = {"due_at": NOW - due} if due is not None else {}
    return record(status="pending", outcome="waiting", updated_at=NOW - touched, **due_at)


def texts(found: list[Finding]) -> str:
    return "\n".join(each.text for each in found)


ENDINGS: tuple[Outcome, ...] = (
    Sent(),
    Simulated("path"),
    *map(Skipped, SkipReason),
    Bounced("5.1.1", "no such user"),
    *(Rejected(reason, "") for reason in RejectReason),
    *(Parked(reason, "") for reason in ParkReason),
    Unknown("lost"),
)


@pytest.mark.parametrize("ending", ENDINGS, ids=str)
def test_every_ending_as_the_ledger_writes_it_is_in_order(ending: Outcome) -> None:
    written = documents.closed(ending, NOW, str)
    assert RULES.examine(record(**written), ClaimStatus(decided=written["outcome"])) == []
    assert written["outcome"] in OUTCOMES


@pytest.mark.parametrize(
    ("reason", "decided", "contradicts"),
    [
        (SkipReason.ERASED, "parked", False),
        (SkipReason.ERASED, "unknown", False),
        (SkipReason.ERASED, "sent", True),
        (SkipReason.EXPIRED, "parked", True),
    ],
)
def test_a_verdict_that_waits_for_a_person_may_be_older_than_an_erasure(
    reason: SkipReason, decided: str, *, contradicts: bool
) -> None:
    written = documents.closed(Skipped(reason), NOW, str)
    assert bool(RULES.examine(record(**written), ClaimStatus(decided=decided))) is contradicts


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outcome": "delivered"}, "the unknown outcome 'delivered'"),
        ({"outcome": None}, "has no readable outcome"),
        ({"outcome": ["sent"]}, "has no readable outcome"),
        ({"status": "failed"}, "has the status 'failed', which does not fit the outcome 'sent'"),
        ({"status": 1}, "has no readable status"),
        ({"fact": None}, "has no readable fact"),
        ({"event_ids": "e1"}, "has no readable event_ids"),
        ({"event_type": None}, "has no readable event_type"),
        ({"event_ids": ["other"]}, "does not list its own event"),
        ({"updated_at": "yesterday"}, "has no readable updated_at"),
        ({"attempts": None}, "has no readable attempts"),
        ({"attempts": [{"result": "deferred"}]}, "none of its attempts was accepted"),
        ({"attempts": ["accepted"]}, "none of its attempts was accepted"),
        ({"sent_at": None}, "is sent, but has no sent_at"),
        ({"sent_at": "yesterday"}, "is sent, but has no sent_at"),
        ({"outcome": "skipped", "status": "failed", "reason": "bored"}, "for the unknown reason 'bored'"),
        ({"outcome": "parked", "status": "failed", "reason": ["x"]}, "for the unknown reason ['x']"),
        ({"outcome": "rejected", "status": "failed"}, "for the unknown reason None"),
        ({"outcome": "bounced", "status": "failed"}, "is bounced, but the verdict in Redis is 'sent'"),
        ({"fact": "booking:B2:confirmed"}, "has an id that does not follow from its fact, 'booking:B2:confirmed'"),
        ({"template": "payment_failed"}, "has an id that does not follow from its fact"),
        ({"notification_type": "sms"}, "has an id that does not follow from its fact"),
        ({"message_id": "<other@cinema.example>"}, "which belongs to another"),
    ],
)
def test_what_was_changed_by_hand_is_named(changes: dict[str, Any], said: str) -> None:
    found = RULES.examine(record(**changes), DECIDED)
    assert said in texts(found)
    assert all(describe(record()) in each.text and "find out who changed it" in each.text for each in found)
    assert not any(each.is_stalled for each in found)


def test_no_finding_shows_an_address_or_moves_a_terminal() -> None:
    found = RULES.examine(record(outcome="jane.smith@example.com", booking_id="B1\x1b[2J"), DECIDED)
    assert "jane.smith" not in texts(found)
    assert texts(found).isprintable()
    assert shown("a\x07b") == r"a\x07b"


def test_a_sent_mail_that_only_the_verdict_knew_of_has_no_attempt() -> None:
    assert RULES.examine(record(attempts=[], repaired=True), DECIDED) == []


def test_a_second_refund_has_an_id_with_its_report() -> None:
    fact, data = Fact("payment:T1:refunded", "R2"), {"refund_transaction_id": " R2 "}
    own = notification_id(fact, "R1", "payment_refund", ChannelKind.EMAIL)
    refund = record(_id=own, fact=fact.key, template="payment_refund", message_id=f"<{own}@x>", event_data=data)
    assert RULES.examine(refund, DECIDED) == []
    assert "follow from its fact" in texts(
        RULES.examine({**refund, "event_data": {"refund_transaction_id": "R3"}}, DECIDED)
    )


def test_a_fact_with_a_character_that_no_database_holds_is_believed() -> None:
    assert RULES.examine(record(fact=f"booking:{BROKEN_CHARACTER}:confirmed"), DECIDED) == []


@pytest.mark.parametrize(("seconds", "late"), [(119, False), (121, True)])
def test_pending_is_stalled_after_two_leases_and_a_minute(seconds: int, *, late: bool) -> None:
    found = RULES.examine(pending(timedelta(seconds=seconds)), ClaimStatus())
    assert [each.is_stalled for each in found] == [True] * late
    assert "start the service if it is down" in texts(found) or not late


def test_what_a_worker_holds_does_not_stand_still() -> None:
    assert RULES.examine(pending(timedelta(days=1)), ClaimStatus(alive=True)) == []
    assert RULES.examine(waiting(timedelta(days=1), timedelta(hours=20)), ClaimStatus(alive=True)) == []


def test_a_verdict_without_its_outcome_is_stalled() -> None:
    """The next delivery of its event writes the outcome."""
    assert [each.is_stalled for each in RULES.examine(pending(timedelta(days=1)), DECIDED)] == [True]


@pytest.mark.parametrize(("seconds", "late"), [(30 + 59, False), (30 + 61, True)])
def test_waiting_is_stalled_a_delay_and_a_minute_past_its_time(seconds: int, *, late: bool) -> None:
    found = RULES.examine(waiting(timedelta(seconds=seconds + 20), timedelta(seconds=seconds)), ClaimStatus())
    assert [each.is_stalled for each in found] == [True] * late
    assert "waits for a retry that was due" in texts(found) or not late


def test_waiting_without_a_time_is_due_at_once() -> None:
    assert "waits for a retry" in texts(RULES.examine(waiting(timedelta(hours=1), None), ClaimStatus()))


def test_one_event_in_two_records_is_a_finding_and_two_facts_of_one_second_are_a_note() -> None:
    one, other = record(), record(_id="other")
    findings, notes = shared_event("e1", [one, other])
    assert f"event e1 is in 2 records of the same e-mail, {OWN_ID}, other" in texts(findings)
    assert notes == []
    findings, notes = shared_event("e1", [one, record(_id="other", template="booking_cancellation")])
    assert (findings, "the producer used one event id twice" in notes[0]) == ([], True)
    assert shared_event("e1", [record(template=None), record(_id="other", template=None), one])[0] == []


def test_one_event_id_for_two_bookings_is_the_producers_doing_and_no_error() -> None:
    one, two = record(booking_id="B1"), record(_id="other", booking_id="B2")
    findings, notes = shared_event("e1", [one, two])
    assert (findings, "the producer used one event id twice" in notes[0]) == ([], True)
    assert shared_event("e1", [one, record(_id="third", booking_id="B1"), two])[0] != []
    assert shared_event("e1", [record(booking_id=None), record(_id="other", booking_id=None)])[0] != []


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ({"user_email": "jane@example.com"}, True),
        ({"user": {"email": "j***@example.com"}}, False),
        ({"raw": "{broken"}, False),
        ({"raw": "{broken", "event_whole": True}, False),
        ({"booking_id": "0xffffffffffffffff"}, False),
        ({"booking_id": "-0x8000000000000001"}, False),
        ({"a": ["…"]}, False),
        ({"movie_title": "A \ufffd film"}, False),
        ({"amount": float("inf")}, False),
        ({"at": NOW}, False),
        ({"movie_title": "Avengers: Infinity War … 0xff"}, True),
        (None, False),
    ],
    ids=ascii,
)
def test_what_an_older_version_changed_is_not_kept_in_full(data: object, *, kept: bool) -> None:
    assert (stored_event({"event_data": data}) is not None) is kept


@pytest.mark.parametrize("data", [{"user": {"email": "j***@example.com"}}, {"raw": "{broken"}], ids=ascii)
def test_what_is_masked_or_unread_is_not_kept_whatever_its_record_says(data: object) -> None:
    assert stored_body({"event_data": data, "event_whole": True}) is None


def test_an_event_without_a_record_is_named_with_what_to_do() -> None:
    assert (
        "1 in a and 2 in b are waiting: start the service"
        in not_recorded("e", ChannelKind.EMAIL, None, {"a": 1, "b": 2}).text
    )
    assert "publish it again" in not_recorded("e", ChannelKind.EMAIL, None, {}).text
    assert (
        "it is parked, parked(internal_error): `parked show`"
        in not_recorded("e", ChannelKind.EMAIL, "parked(internal_error)", {}).text
    )
    assert "delete the key notification:n1" in missing_record("n1").text
    assert f"the mail server's log for <{OWN_ID}@cinema.example>" in to_decide(record())


@pytest.mark.parametrize("line", ["e1", " e1\n", '{"event_id": "e1"}', '{"event_id": " e1 "}'])
def test_a_line_names_an_event(line: str) -> None:
    assert read_line(line) == Confirmed("e1")


@pytest.mark.parametrize("name", CONTRACT)
def test_a_line_with_a_whole_event_is_read_as_the_service_reads_it(name: str) -> None:
    data = sample(name)
    line = json.dumps(data)
    told, inbound = read_line(line), InboundMessage(line.encode(), name)
    if isinstance(plan(inbound, max_bytes=10**6), IgnoredEvent):
        assert told is None
    else:
        assert told == Confirmed(data["event_id"], name, line.encode())


def test_an_id_that_no_log_could_hold_is_known_by_its_digest() -> None:
    told = read_line(json.dumps({"event_id": "x" * 300, "event_type": "payment.failed"}))
    assert told == Confirmed(body_id(b"x" * 300))


@pytest.mark.parametrize("line", ["{broken", '{"id": 1}'])
def test_a_line_that_names_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|without event_id"):
        read_line(line)


@pytest.mark.parametrize(
    ("said", "routing_key", "expected"),
    [
        ("BookingConfirmedEvent", None, "booking.confirmed"),
        ("booking.cancelled", "booking.confirmed", "booking.confirmed"),
        ("TicketSold", "booking.confirmed", "booking.confirmed"),
        ("booking.cancelled", "notification.booking_events", "booking.cancelled"),
    ],
)
def test_a_line_is_of_the_type_that_the_service_handles_it_as(
    said: str, routing_key: str | None, expected: str
) -> None:
    line = json.dumps({"event_id": "e1", "event_type": said, "booking_id": 2**70, "routing_key": routing_key})
    assert read_line(line) == Confirmed("e1", expected, line.encode())


@pytest.mark.parametrize("said", ["TicketSold", "booking.pending_payment"])
def test_a_line_with_another_services_type_is_skipped(said: str) -> None:
    assert read_line(json.dumps({"event_id": "e1", "event_type": said})) is None
