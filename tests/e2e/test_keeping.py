"""What an operator does with old records, and with those of a person who wants to be forgotten."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from tests.e2e.test_schemas import check
from tests.samples import fresh
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

JANE = "jane.forgets@guests.example"


def cli(place: Place, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "notification_service.cli", *arguments],
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", **place.environment(**settings)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
    )


def test_a_person_is_erased_and_what_was_sent_is_not_sent_again(place: Place) -> None:
    sent, waits, other = (fresh("booking.confirmed", user_email=address) for address in (JANE, JANE, "joe@x.example"))
    with place.service(RETRY_RUNGS="8") as service:
        place.publish(event(sent), event(other))
        until(lambda: list(place.outcomes().values()) == ["sent"] * 2)
        place.smtp.script([Rule(at="dot", reply="451 4.3.0 not now", times=1)])
        place.publish(event(waits))
        until(lambda: place.outcomes().get(waits["event_id"]) == "waiting")
        looked = json.loads(cli(place, "erase", "--address", JANE, "--dry-run", "--json").stdout)
        assert (looked["records"], looked["changed"], looked["dry_run"]) == (2, 0, True)
        refused = cli(place, "erase", "--address", JANE)
        assert refused.returncode == 78
        assert "--yes" in refused.stderr
        erased = json.loads(cli(place, "erase", "--address", JANE, "--yes", "--json").stdout)
        assert (erased["records"], erased["changed"], erased["under_way"]) == (2, 2, [])
        assert JANE not in json.dumps(erased)
        # The retry comes back, and the event is published a second time: neither is a mail.
        place.publish(event(sent))
        until(lambda: len(service.said("event.duplicate")) == 2, timeout=30)
    assert [mail.rcpt_to for mail in place.mails()] == [[JANE], ["joe@x.example"]]
    assert place.outcomes()[waits["event_id"]] == "skipped"
    assert JANE not in json.dumps(list(place.database[RECORDS].find()), default=str)
    check(cli(place, "schema", "record").stdout, list(place.database[RECORDS].find()))
    balance = cli(place, "reconcile", "--json")
    assert json.loads(balance.stdout)["findings"] == []


def test_old_records_lose_their_person_and_older_ones_go(place: Place) -> None:
    events = [fresh("payment.refunded"), fresh("booking.confirmed"), fresh("booking.confirmed")]
    with place.service():
        place.publish(*map(event, events))
        until(lambda: len([each for each in place.outcomes().values() if each in ("sent", "rejected")]) == 3)
    for each, days in zip(events, (40, 400, 1), strict=True):
        made = datetime.now(UTC) - timedelta(days=days)
        place.database[RECORDS].update_one({"event_id": each["event_id"]}, {"$set": {"created_at": made}})
    ages = {"RECORD_DAYS_FULL": "30", "RECORD_DAYS": "365"}
    removed = place.record(events[1]["event_id"])
    assert removed is not None
    looked = cli(place, "retention", "--dry-run", **ages)
    assert "1 records without their person, 1 removed: a dry run" in looked.stdout
    # The service does by itself what the command does.
    with place.service(**ages) as service:
        until(lambda: service.said("retention.swept"))
    swept = service.said("retention.swept")[0]
    assert (swept["stripped"], swept["removed"]) == (1, 1)
    assert set(place.outcomes()) == {events[0]["event_id"], events[2]["event_id"]}
    stripped = place.record(events[0]["event_id"])
    assert stripped is not None
    assert stripped["recipient"] == ""
    findings = json.loads(cli(place, "reconcile", "--json").stdout)["findings"]
    # Its verdict in Redis is as young as this test, and not as old as the record was made to be.
    assert [each["notification_id"] for each in findings] == [removed["_id"]]
    assert "stay for ever" in cli(place, "retention").stderr
