"""The books balance after an ordinary run, and say in a plain sentence what does not."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from notification_service.commands.reconcile import Report
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.place import RECORDS, Document, Place, until
from tests.stack.smtp_rules import Rule

LONG_AGO = datetime.now(UTC) - timedelta(hours=3)


@pytest.fixture
def judge(place: Place) -> Judge:
    return Judge(place)


def texts(report: Report) -> str:
    return "\n".join(finding.text for finding in report.findings)


def reconcile(place: Place, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "notification_service.cli", "reconcile", *arguments],
        env={"PATH": "/usr/bin:/bin", **place.environment(**changes)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place.folder,
    )


def run_some(place: Place, judge: Judge, *events: Document) -> None:
    with place.service() as service:
        judge.publish(*events)
        until(judge.at_rest, timeout=60)
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=60)


def change(place: Place, record: Document, **fields: Any) -> None:  # noqa: ANN401 - whatever a record holds
    place.database[RECORDS].update_one({"_id": record["_id"]}, {"$set": fields})


def test_after_an_ordinary_run_of_every_kind_the_books_balance(place: Place, judge: Judge) -> None:
    bounced = fresh("booking.confirmed", user_email="nobody@example.com")
    place.smtp.script([Rule(at="rcpt", match="nobody@", reply="550 5.1.1 no such user")])
    nameless = fresh("payment.success", user_id="nobody knows")
    begun = fresh("booking.confirmed", showtime="2020-01-01 08:00 PM")
    refund = fresh("payment.refunded", booking_id="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    second = {**refund, "event_id": "second", "refund_transaction_id": "a second refund"}
    run_some(place, judge, fresh("booking.confirmed"), bounced, nameless, begun, refund, second)
    report = judge.balance()
    assert texts(report) == ""
    assert report.outcomes == {"sent": 3, "bounced": 1, "rejected": 1, "skipped": 1}
    assert report.queues["notification.parked"] == 1
    done = reconcile(place, "--events", str(place.folder / "confirmed.jsonl"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 records: they balance" in done.stdout


def set_to(**fields: Any) -> Document:  # noqa: ANN401 - whatever a record holds
    return {"$set": fields}


TAMPERED: list[tuple[Document | None, str]] = [
    (set_to(status="failed"), "which do not fit"),
    (set_to(outcome="delivered"), "the outcome 'delivered', which is none"),
    (set_to(attempts=[]), "no attempt of it was accepted"),
    (set_to(outcome="skipped", status="failed", reason="because"), "for the reason 'because', which is none"),
    (set_to(outcome="bounced", status="failed", reason="5.1.1"), "says bounced, and Redis remembers sent"),
    (set_to(message_id="<x@y>"), "which belongs to another"),
    (set_to(fact="booking:other:confirmed"), "does not have the id of its own fact"),
    ({"$unset": {"sent_at": ""}}, "says sent, and not when"),
    (None, "has a verdict in Redis and no record"),
]


def test_records_that_were_tampered_with_are_found(place: Place, judge: Judge) -> None:
    run_some(place, judge, *(fresh("booking.confirmed") for _ in TAMPERED))
    for record, (change_to, _) in zip(records := place.records(), TAMPERED, strict=True):
        if change_to is None:
            place.database[RECORDS].delete_one({"_id": record["_id"]})
        else:
            place.database[RECORDS].update_one({"_id": record["_id"]}, change_to)
    report = judge.balance()
    for record, (_, said) in zip(records, TAMPERED, strict=True):
        told = [finding.text for finding in report.findings if finding.notification_id == record["_id"]]
        assert [text for text in told if said in text], (said, told)
    assert f"event {records[-1]['event_id']} was confirmed and has no record" in texts(report)
    done = reconcile(place)
    assert done.returncode == 1
    assert "findings" in done.stdout
    assert "@example.com" not in done.stdout


def test_an_event_that_is_held_back_is_found_and_published_again(place: Place, judge: Judge) -> None:
    run_some(place, judge, fresh("booking.confirmed"))
    held_back = fresh("booking.confirmed")
    with (place.folder / "confirmed.jsonl").open("a") as file:
        file.write(json.dumps(held_back) + "\n")
    report = judge.balance()
    assert f"event {held_back['event_id']} was confirmed and has no record; no queue holds any" in texts(report)
    judge.publish(fresh("booking.confirmed"))
    assert "1 in notification.booking_events wait: is the service running?" in texts(judge.balance())
    assert judge.balance(repair=True).published == 2
    run_some(place, judge)
    assert set(judge.verdict()) == judge.confirmed


@pytest.mark.parametrize("waits", [False, True], ids=["pending", "waiting"])
def test_what_stands_still_is_published_once_by_several_copies(place: Place, judge: Judge, *, waits: bool) -> None:
    data = fresh("booking.confirmed")
    run_some(place, judge, data)
    (record,) = place.records()
    fields: Document = {"outcome": "waiting", "due_at": LONG_AGO} if waits else {"outcome": "pending"}
    change(place, record, status="pending", updated_at=LONG_AGO, attempts=[], **fields)
    with Redis.from_url(place.stack.redis_url) as redis:
        redis.flushall()
    before = len(place.mails())
    assert ("waits for a retry that was due" if waits else "is pending since") in texts(judge.balance())
    reports = [judge.balance(repair=True) for _ in range(2)]
    assert [report.published for report in reports] == [1, 0]
    assert all(report.balanced for report in reports)
    with place.service(LEASE_SECONDS="1") as service:
        until(judge.at_rest, timeout=60)
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=60)
    (record,) = place.records()
    # What was pending may have gone out; what waited surely had not.
    assert (record["outcome"], bool(record.get("possible_duplicate"))) == ("sent", not waits)
    assert len(place.mails()) == before + 1
    assert texts(judge.balance()) == ""


def test_what_is_not_kept_in_full_has_to_be_published_by_its_producer(place: Place, judge: Judge) -> None:
    data = fresh("booking.confirmed")
    run_some(place, judge, data)
    (record,) = place.records()
    masked = {**record["event_data"], "user_email": "j***@example.com"}
    change(place, record, status="pending", outcome="pending", updated_at=LONG_AGO, attempts=[], event_data=masked)
    with Redis.from_url(place.stack.redis_url) as redis:
        redis.flushall()
    report = judge.balance(repair=True)
    assert (report.published, report.balanced) == (0, False)
    assert "its producer has to publish it again" in "\n".join(report.notes)


def test_a_live_worker_s_jobs_are_no_finding(place: Place, judge: Judge) -> None:
    place.smtp.script([Rule(at="rcpt", action="late", seconds=3)])
    with place.service():
        judge.publish(*(fresh("booking.confirmed") for _ in range(3)))
        until(lambda: len(place.records()) == 3)
        change(place, place.records()[0], updated_at=LONG_AGO)
        assert judge.balance(repair=True).published == 0
        until(lambda: set(place.outcomes().values()) == {"sent"})


def test_without_redis_it_looks_at_the_rest_and_says_so(place: Place, judge: Judge) -> None:
    run_some(place, judge, fresh("booking.confirmed"))
    done = reconcile(place, "--json", REDIS_URL="redis://127.0.0.1:1/0")
    told = json.loads(done.stdout)
    assert (done.returncode, told["balanced"], told["outcomes"]) == (0, True, {"sent": 1})
    assert "were not looked at" in told["notes"][0]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("MONGODB_URI", "mongodb://127.0.0.1:1"), ("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:1/")],
)
def test_a_dependency_that_is_away_exits_69(place: Place, setting: str, value: str) -> None:
    done = reconcile(place, **{setting: value})
    assert done.returncode == 69
    assert setting in done.stderr


@pytest.mark.parametrize(
    ("content", "said"), [("{broken", "line 1"), ('{"id": 1}', "line 1"), (None, "cannot be read")]
)
def test_a_wrong_file_exits_78(place: Place, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "events"
    if content:
        path.write_text(content)
    done = reconcile(place, "--events", str(path))
    assert done.returncode == 78
    assert said in done.stderr


def test_what_is_not_ours_is_not_missed(place: Place, judge: Judge) -> None:
    run_some(place, judge, fresh("booking.confirmed"))
    with (place.folder / "confirmed.jsonl").open("a") as file:
        file.write(json.dumps({"event_id": "x", "event_type": "booking.pending_payment"}) + "\n")
    assert judge.balance().balanced
