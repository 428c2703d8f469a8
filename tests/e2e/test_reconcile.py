"""`reconcile` finds nothing after an ordinary run, and reports each fault in a plain sentence.

One place is arranged for all tests: each leaves it as it found it, or with one more mail that was sent.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from notification_service.cli.reconcile import show
from notification_service.foundation.errors import ConfigurationError, DependencyError
from notification_service.records.audit import AuditReport, examine
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Document, Place, until
from tests.stack.smtp_rules import Rule
from tests.stack.warm import Warm, warm_place

LONG_AGO = datetime.now(UTC) - timedelta(hours=3)
OUTCOMES = {
    "sent": 8,
    "simulated": 1,
    "waiting": 1,
    "skipped": 1,
    "bounced": 1,
    "rejected": 2,
    "parked": 1,
    "unknown": 1,
}


@pytest.fixture(scope="module")
def place(stack: LocalStack, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place in which a record has each of the outcomes, and no service runs."""
    stack.smtp.clear()
    place = warm_place(stack, tmp_path_factory.mktemp("reconcile"), warm)
    try:
        _run_some_of_each(place)
        _simulate_some(place)
        yield place
    finally:
        stack.smtp.clear()
        place.close()


def _run_some_of_each(place: Place) -> None:
    place.smtp.script(
        [
            Rule(at="rcpt", match="nobody@", reply="550 5.1.1 no such user"),
            Rule(at="dot", match="busy@", reply="451 4.3.0 not now"),
            Rule(at="dot", match="cut@", action="drop_after_accept"),
        ]
    )
    refund = fresh("payment.refunded", booking_id="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    events = [
        *(fresh("booking.confirmed") for _ in range(6)),
        refund,
        {**refund, "event_id": "second", "refund_transaction_id": "a second refund"},
        fresh("booking.confirmed", showtime="2020-01-01 08:00 PM"),
        fresh("booking.confirmed", user_email="nobody@example.com"),
        fresh("booking.confirmed", user_email="busy@example.com"),
        fresh("payment.failed", user_email="cut@example.com"),
        fresh("payment.success", user_id="nobody knows"),
        fresh("booking.confirmed", booking_id="", event_id="no fact"),
        fresh("booking.pending_payment"),
    ]
    with place.service(MAX_RETRY_ATTEMPTS="0", UNKNOWN_HOLD="payment_failed", LEASE_SECONDS="2"):
        Judge(place).publish(*events)
        until(lambda: _ended(place) == len(events) - 1, timeout=60)
        until(lambda: place.depth("notification.parked") == 4, timeout=60)
    place.smtp.clear()


def _simulate_some(place: Place) -> None:
    with place.service(DELIVERY_MODE="simulate", RECIPIENT_MAILS_PER_HOUR="1"):
        before = len(place.records())
        Judge(place).publish(*(fresh("booking.confirmed", user_email="one@example.com") for _ in range(2)))
        until(lambda: len(place.records()) == before + 2, timeout=60)
        until(lambda: "pending" not in place.outcomes().values(), timeout=60)


def _ended(place: Place) -> int:
    return sum(outcome not in ("pending", "waiting") for outcome in place.outcomes().values())


@pytest.fixture
def judge(place: Place) -> Judge:
    return Judge(place)


@pytest.fixture
def redis(place: Place) -> Iterator[Redis]:
    with Redis.from_url(place.stack.redis_url, decode_responses=True) as client:
        yield client


@contextmanager
def changed(place: Place, record: Document, change: Document) -> Iterator[None]:
    """The record, changed by hand for a while."""
    place.database[RECORDS].update_one({"_id": record["_id"]}, change)
    try:
        yield
    finally:
        place.database[RECORDS].replace_one({"_id": record["_id"]}, record)


def texts(report: AuditReport) -> str:
    return "\n".join(finding.text for finding in report.findings)


def tickets(place: Place) -> list[Document]:
    """The records of tickets that were sent."""
    return [each for each in place.records() if (each["outcome"], each["event_type"]) == ("sent", "booking.confirmed")]


def reconcile(place: Place, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return place.command("reconcile", *arguments, **changes)


def set_to(**fields: Any) -> Document:  # noqa: ANN401 - whatever a record holds
    return {"$set": fields}


def test_with_every_outcome_reconcile_finds_nothing(place: Place, judge: Judge) -> None:
    report = judge.balance()
    assert texts(report) == ""
    assert report.outcomes == OUTCOMES
    assert (report.confirmed, report.recorded) == (len(place.records()), len(place.records()))
    assert report.queues["notification.parked"] == 4
    assert len(report.notes) == 1
    assert "may have gone out: search the mail server's log" in report.notes[0]


def test_each_way_to_end_has_its_exit_code(place: Place, tmp_path: Path) -> None:
    held_back = tmp_path / "held-back"
    held_back.write_text("an event that never came\n")
    with ThreadPoolExecutor() as pool:
        well = pool.submit(reconcile, place, "--events", str(place.folder / "confirmed.jsonl"))
        badly = pool.submit(reconcile, place, "--events", str(held_back), "--json")
        not_at_all = pool.submit(reconcile, place, MONGODB_URI="mongodb://127.0.0.1:1")
    assert (well.result().returncode, well.result().stderr) == (0, "")
    assert "16 events confirmed, 16 of them have a record\n16 records: they balance\n" in well.result().stdout
    assert (badly.result().returncode, badly.result().stderr) == (1, "")
    told = json.loads(badly.result().stdout)
    assert (told["balanced"], told["confirmed"], told["recorded"]) == (False, 1, 0)
    assert "an event that never came was confirmed and has no record" in told["findings"][0]["text"]
    assert not_at_all.result().returncode == 69
    assert "MONGODB_URI" in not_at_all.result().stderr


def test_without_redis_it_looks_at_the_rest_and_says_so(place: Place) -> None:
    report = Judge(place, "redis://127.0.0.1:1/0").balance()
    assert (report.balanced, report.outcomes) == (True, OUTCOMES)
    assert "were not checked" in report.notes[0]


def test_without_a_broker_it_does_not_begin(place: Place, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:1/")
    with pytest.raises(DependencyError, match="RABBITMQ_URL"):
        judge.balance()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_to(status="failed"), "which does not fit"),
        (set_to(outcome="delivered"), "the unknown outcome 'delivered'"),
        ({"$unset": {"outcome": ""}}, "has no readable outcome"),
        ({"$unset": {"fact": ""}}, "has no readable fact"),
        (set_to(updated_at="yesterday"), "has no readable updated_at"),
        (set_to(attempts=[]), "none of its attempts was accepted"),
        (set_to(attempts=None), "has no readable attempts"),
        (set_to(outcome="skipped", status="failed", reason="because"), "for the unknown reason 'because'"),
        (set_to(outcome="bounced", status="failed"), "is bounced, but the verdict in Redis is 'sent'"),
        (set_to(message_id="<x@y>"), "which belongs to another"),
        (set_to(fact="booking:other:confirmed"), "has an id that does not follow from its fact"),
        ({"$unset": {"sent_at": ""}}, "is sent, but has no sent_at"),
    ],
    ids=str,
)
def test_a_record_that_was_changed_by_hand_is_found(
    place: Place, judge: Judge, capsys: pytest.CaptureFixture[str], change: Document, said: str
) -> None:
    record = tickets(place)[0]
    with changed(place, record, change):
        report = judge.balance()
    assert said in texts(report)
    assert {finding.notification_id for finding in report.findings} == {record["_id"]}
    show(report)
    assert "@example.com" not in capsys.readouterr().out


def test_a_record_that_was_removed_is_missed_by_its_verdict_and_its_event(place: Place, judge: Judge) -> None:
    record = tickets(place)[0]
    place.database[RECORDS].delete_one({"_id": record["_id"]})
    try:
        found = texts(judge.balance())
    finally:
        place.database[RECORDS].insert_one(record)
    assert f"notification {record['_id']} has a verdict in Redis and no record" in found
    assert f"event {record['event_id']} was confirmed and has no record" in found


def test_an_event_in_two_records_of_one_kind_is_found(place: Place, judge: Judge) -> None:
    first, second, *_ = tickets(place)
    change = {"$push": {"event_ids": second["event_id"]}, "$set": {"booking_id": second["booking_id"]}}
    with changed(place, first, change):
        report = judge.balance()
    assert f"event {second['event_id']} is in 2 records of the same e-mail" in texts(report)
    assert len(report.findings) == 1


def test_a_verdict_that_cannot_be_read_is_found_and_what_is_no_claim_is_not(
    place: Place, judge: Judge, redis: Redis
) -> None:
    key = f"notification:{tickets(place)[0]['_id']}"
    verdict = redis.hget(key, "verdict")
    redis.hset(key, "verdict", "nonsense")
    redis.set("notification:somebody else's", "text")
    try:
        report = judge.balance()
    finally:
        redis.hset(key, "verdict", str(verdict))
        redis.delete("notification:somebody else's")
    assert "is sent, but the verdict in Redis is 'nonsense'" in texts(report)
    assert len(report.findings) == 1
    assert "were not checked" not in "".join(report.notes)


def test_what_others_wrote_into_the_collection_is_not_ours_to_judge(place: Place, judge: Judge) -> None:
    told = {"event_id": "old", "notification_type": "email", "recipient": "", "status": "sent", "created_at": LONG_AGO}
    place.database[RECORDS].insert_one({"_id": "not ours", **told})
    try:
        assert judge.balance().outcomes == OUTCOMES
    finally:
        place.database[RECORDS].delete_one({"_id": "not ours"})


def test_a_missing_event_that_is_parked_is_not_published_again(place: Place, judge: Judge) -> None:
    (record,) = (each for each in place.records() if each["outcome"] == "parked")
    place.database[RECORDS].delete_one({"_id": record["_id"]})
    try:
        report = judge.balance(repair=True)
    finally:
        place.database[RECORDS].insert_one(record)
    assert f"{record['event_id']} was confirmed and has no record; it is parked, parked(retries_exhausted)" in texts(
        report
    )
    assert report.published == 0


@pytest.mark.parametrize(("content", "said"), [("ok\n{broken", "line 2"), ('{"id": 1}', "line 1"), (b"\xff", "read")])
def test_a_wrong_file_is_refused(judge: Judge, tmp_path: Path, content: str | bytes, said: str) -> None:
    path = tmp_path / "events"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=said):
        judge.balance(events=path)


def test_what_is_not_kept_in_full_has_to_be_published_by_its_producer(place: Place, judge: Judge, redis: Redis) -> None:
    record = tickets(place)[0]
    masked = {**record["event_data"], "user_email": "j***@example.com"}
    key = f"notification:{record['_id']}"
    redis.rename(key, "aside")
    still = set_to(status="pending", outcome="pending", updated_at=LONG_AGO, attempts=[], event_data=masked)
    with changed(place, record, still):
        report = judge.balance(repair=True)
    redis.rename("aside", key)
    assert (report.published, report.balanced) == (0, False)
    assert "the producer has to publish it again" in "\n".join(report.notes)


def test_a_stalled_event_is_published_by_one_of_several_copies_and_ends(
    place: Place, judge: Judge, redis: Redis, tmp_path: Path
) -> None:
    held_back = fresh("booking.confirmed")
    told = tmp_path / "told"
    told.write_text(json.dumps(held_back))
    pending, waiting = tickets(place)[:2], tickets(place)[2:4]
    for record in pending:
        _stand_still(place, redis, record, outcome="pending")
    for record in waiting:
        _stand_still(place, redis, record, outcome="waiting", due_at=LONG_AGO)
    # The one that waits for its time is in a retry queue.
    until(lambda: place.depth("notification.again") == 1, timeout=60)
    before, found = len(place.mails()), judge.balance(events=told)
    assert (texts(found).count("has been pending since"), texts(found).count("that was due")) == (2, 2)
    assert f"event {held_back['event_id']} was confirmed and has no record" in texts(found)
    asked = reconcile(place, "--events", str(told), "--repair")
    assert (asked.returncode, asked.stdout) == (78, "")
    assert "Publish 5 events again" in asked.stderr
    looked = json.loads(reconcile(place, "--events", str(told), "--repair", "--dry-run", "--json").stdout)
    assert (looked["repairable"], looked["published"]) == (5, 0)
    assert place.depth("notification.again") == 1

    reports = asyncio.run(_by_two(judge))
    assert sum(report.published for report in reports) == 4
    assert judge.balance(repair=True).published == 0
    assert place.depth("notification.again") == 1 + 4
    # Events have no entry of which one copy could take hold: each copy publishes them, and one mail comes of it.
    assert [judge.balance(events=told, repair=True).published for _ in range(2)] == [1, 1]

    with place.service(LEASE_SECONDS="1"):
        until(lambda: place.outcomes().get(held_back["event_id"]) == "sent", timeout=60)
        until(lambda: len(tickets(place)) == 7, timeout=60)
        until(lambda: place.depth("notification.again") == 0, timeout=60)
    assert len(place.mails()) == before + 5
    ended = {each["_id"]: each for each in tickets(place)}
    # What was pending may have gone out; what waited surely had not.
    assert all(ended[record["_id"]].get("possible_duplicate") for record in pending)
    assert not any(ended[record["_id"]].get("possible_duplicate") for record in waiting)
    assert texts(judge.balance(events=told)) == ""


def _stand_still(place: Place, redis: Redis, record: Document, **fields: object) -> None:
    change = {"status": "pending", "updated_at": LONG_AGO, "attempts": [], **fields}
    place.database[RECORDS].update_one({"_id": record["_id"]}, {"$set": change, "$unset": {"sent_at": ""}})
    redis.delete(f"notification:{record['_id']}")


async def _by_two(judge: Judge) -> list[AuditReport]:
    settings = judge.settings()
    return await asyncio.gather(*(examine(settings, repair=True) for _ in range(2)))


def test_what_a_live_worker_holds_is_left_to_it(place: Place, judge: Judge) -> None:
    place.smtp.script([Rule(at="rcpt", action="late", seconds=5)])
    data = fresh("booking.confirmed")
    with place.service():
        judge.publish(data)
        until(lambda: data["event_id"] in place.outcomes(), timeout=60)
        place.database[RECORDS].update_one({"event_ids": data["event_id"]}, {"$set": {"updated_at": LONG_AGO}})
        report = judge.balance(repair=True)
        assert (report.published, texts(report)) == (0, "")
        place.smtp.clear()
        until(lambda: place.outcomes()[data["event_id"]] == "sent", timeout=60)
