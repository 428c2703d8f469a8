"""What an operator does with old records, and with those of a person who wants to be forgotten."""

import base64
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.test_schemas import check
from tests.samples import fresh
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import Publication, event
from tests.stack.smtp_rules import Rule

JANE = "jane.forgets@guests.example"


def cli(place: Place, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return place.command(*arguments, **settings)


def answering(place: Place, answer: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command on a terminal, where somebody answers its question."""
    master, slave = pty.openpty()
    try:
        os.write(master, f"{answer}\n".encode())
        return place.command(*arguments, stdin=os.ttyname(slave), **settings)
    finally:
        os.close(slave)
        os.close(master)


def test_a_person_is_erased_and_what_was_sent_is_not_sent_again(place: Place) -> None:
    sent, waits, other = (fresh("booking.confirmed", user_email=address) for address in (JANE, JANE, "joe@x.example"))
    with place.service(RETRY_RUNGS="12") as service:
        place.publish(event(sent), event(other))
        until(lambda: list(place.outcomes().values()) == ["sent"] * 2)
        looked = json.loads(cli(place, "erase", "--address", JANE, "--dry-run", "--json").stdout)
        assert (looked["records"], looked["changed"], looked["dry_run"]) == (1, 0, True)
        refused = cli(place, "erase", "--address", JANE)
        assert refused.returncode == 78
        assert "--yes" in refused.stderr
        place.smtp.script([Rule(at="dot", reply="451 4.3.0 not now", times=1)])
        place.publish(event(waits))
        until(lambda: place.outcomes().get(waits["event_id"]) == "waiting")
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


@pytest.mark.parametrize(
    ("data", "rule", "settings", "was"),
    [
        (
            fresh("booking.confirmed", user_email=JANE),
            Rule(at="dot", reply="451 4.3.0 not now", times=1),
            {"MAX_RETRY_ATTEMPTS": "0"},
            "parked",
        ),
        (
            fresh("payment.failed", user_email=JANE),
            Rule(at="dot", action="drop_after_accept", times=1),
            {"UNKNOWN_HOLD": "payment_failed", "LEASE_SECONDS": "2"},
            "unknown",
        ),
    ],
    ids=["parked", "unknown"],
)
def test_what_waits_for_a_person_is_not_sent_once_its_person_is_erased(
    place: Place, data: dict[str, object], rule: Rule, settings: dict[str, str], was: str
) -> None:
    place.smtp.script([rule])
    with place.service(**settings) as service:
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1, timeout=40)
        before = len(place.mails())
        erased = json.loads(cli(place, "erase", "--address", JANE, "--yes", "--json").stdout)
        assert (erased["changed"], erased["parked"]) == (1, [data["event_id"]])
        # `reconcile` finds nothing, although Redis still holds the verdict.
        assert json.loads(cli(place, "reconcile", "--json").stdout)["findings"] == []
        assert "1 published again" in cli(place, "parked", "replay", "--yes").stdout
        place.publish(event({**data, "event_id": "again"}))
        until(lambda: len(service.said("event.duplicate")) == 2, timeout=30)
        until(lambda: place.depth("notification.parked") == place.depth("notification.again") == 0)
    assert len(place.mails()) == before
    record = place.records()[0]
    assert (record["status"], record["outcome"], record["reason"]) == ("failed", "skipped", "erased")
    assert [past["outcome"] for past in record["history"]] == [was]
    assert JANE not in json.dumps(record, default=str)
    check(cli(place, "schema", "record").stdout, place.records())
    assert json.loads(cli(place, "reconcile", "--json").stdout)["findings"] == []


def test_answering_no_changes_nothing_and_reports_so(place: Place) -> None:
    data = fresh("booking.confirmed", user_email=JANE)
    with place.service():
        place.publish(event(data))
        until(lambda: list(place.outcomes().values()) == ["sent"])
    made = datetime.now(UTC) - timedelta(days=40)
    place.database[RECORDS].update_one({}, {"$set": {"created_at": made}})
    before = place.records()
    swept = answering(place, "n", "retention", RECORD_DAYS_FULL="30")
    assert "nothing was changed" in swept.stdout
    assert "Remove the personal data of 1 records, and 0 whole records?" in swept.stderr
    erased = answering(place, "n", "erase", "--address", JANE, "--json")
    assert (json.loads(erased.stdout)["changed"], json.loads(erased.stdout)["dry_run"]) == (0, True)
    assert place.records() == before
    assert json.loads(answering(place, "y", "erase", "--address", JANE, "--json").stdout)["changed"] == 1


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
    assert "1 records without their personal data, 1 removed: a dry run" in looked.stdout
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
    assert "are kept for ever" in cli(place, "retention").stderr


def test_old_records_that_are_odd_end_no_worker(place: Place) -> None:
    """In a collection from before the validator, each start met them, and none survived it."""
    old = datetime.now(UTC) - timedelta(days=40)
    made = {"created_at": old, "outcome": "sent", "fact": "f", "recipient": JANE, "event_ids": []}
    odd: dict[str, dict[str, object]] = {
        "attempts": {"attempts": None},
        "history": {"history": None},
        "event_ids": {"event_ids": None},
        "lists": {"attempts": [None], "history": ["odd"]},
        "undated": {"created_at": "2020-01-01"},
        "no outcome": {"outcome": None},
        "well": {},
    }
    place.database[RECORDS].insert_many([{"_id": name, **made, **fields} for name, fields in odd.items()])
    with place.service(RECORD_DAYS_FULL="30") as service:
        swept = until(lambda: service.said("retention.swept"))[0]
        assert service.consumes
        assert (swept["stripped"], swept["left"]) == (6, 1)
        left = [(line["notification_id"], line["level"]) for line in service.said("retention.left")]
        assert left == [("undated", "warning")]
        data = fresh("booking.confirmed")
        place.publish(event(data))
        until(lambda: (place.record(data["event_id"]) or {}).get("outcome") == "sent")
    assert [each["_id"] for each in place.database[RECORDS].find({"recipient": JANE})] == ["undated"]
    ended = cli(place, "erase", "--address", JANE, "--yes")
    assert "1 records contain" in ended.stdout
    assert place.database[RECORDS].count_documents({"recipient": JANE}) == 0


def named_by_an_event() -> Iterator[Publication]:
    """In each way in which an event may name somebody who is no recipient of its mail."""
    other = "joe@x.example"
    packed = base64.b64encode(f"customer={JANE}".encode()).decode()
    nested = {"guests": [{"contact": f"Jane <{JANE.upper()}>"}]}
    ways: dict[str, dict[str, object]] = {
        "of two addresses": {"user_email": f"{JANE}, {other}"},
        "of a bad one": {"user_email": f"{JANE} {other}"},
        "nested": {"user_email": other, "extra": nested},
        "the name of a field": {"user_email": other, "by_address": {JANE: 7}},
        "percent-encoded": {"user_email": other, "retry_url": f"https://shop.example/?u={JANE.replace('@', '%40')}"},
        "packed": {"user_email": other, "token": packed},
        "full width": {"user_email": other, "note": JANE.replace("@", "\uff20")},
        "its booking": {"user_email": other, "booking_id": f"BOOK-{JANE}"},
        "its id": {"user_email": other, "event_id": f"order {JANE}"},
        "its title": {"user_email": other, "movie_title": f"A film for {JANE}"},
    }
    for data in ways.values():
        yield event(fresh("booking.confirmed", **data))
    yield event(fresh("payment.success", user_email=other, transaction_id=f"PAY-{JANE}", booking_id="B-1"))
    yield event(fresh("payment.refunded", user_email=other, refund_transaction_id=f"REF-{JANE}"))
    yield event({"event_type": "payment.success", "event_id": "of no schema", "customer": f"<{JANE}>"})
    yield Publication("payment.success", f'{{"user_email": "{JANE}"'.encode(), message_id="no json")
    yield Publication("payment.success", JANE.replace("@", "\\u0040").encode(), message_id="no json either")
    yield Publication("payment.success", f"no JSON{'.' * 2000} {JANE}".encode(), message_id="behind what is kept")
    yield Publication("payment.success", f'"{JANE}"'.encode("utf-16"), message_id=f"id of {JANE}")


@pytest.mark.timeout(300)
def test_no_trace_is_left_wherever_an_event_names_somebody_and_none_comes_back(place: Place) -> None:
    published = [*named_by_an_event()]
    bystander = fresh("booking.confirmed", user_email=f"x+{JANE}", note=f"not{JANE}")
    place.smtp.script([Rule(at="rcpt", match="joe@x.example", reply=f"550 5.1.1 <{JANE}> is unknown", times=1)])
    with place.service() as service:
        place.publish(event(bystander), *published)

        def ended() -> int:
            return len(service.said("notification.closed")) + len(service.said("event.rejected"))

        until(lambda: ended() > len(published), timeout=60)
        found = cli(place, "erase", "--address", JANE.title(), "--verify")
        assert found.returncode == 1
        assert JANE not in found.stdout.lower()
        parked = place.depth("notification.parked")
        assert parked
        kept = cli(place, "erase", "--address", JANE.title(), "--yes")
        assert (kept.returncode, kept.stdout.count("a parked event contains it")) == (1, parked), kept.stdout
        assert "--discard-parked" in kept.stdout
        ended_well = cli(place, "erase", "--address", JANE, "--yes", "--discard-parked", "--json")
        assert (ended_well.returncode, json.loads(ended_well.stdout)["discarded"]) == (0, parked), ended_well.stdout
        verified = cli(place, "erase", "--address", JANE, "--verify")
        assert (verified.returncode, verified.stdout) == (0, "0 traces of j***@guests.example\n")
        assert traces(place) == []
        before, mails = len(service.said("event.duplicate")), len(place.mails())
        place.publish(event(bystander), *published)
        until(lambda: len(service.said("event.duplicate")) >= before + len(published) + 1, timeout=60)
        assert len(place.mails()) == mails
        assert traces(place) == []
        until(lambda: place.depth("notification.parked") == 0)
    assert cli(place, "erase", "--address", JANE, "--verify").returncode == 0
    spared = place.record(str(bystander["event_id"]))
    assert spared is not None
    assert (spared["recipient"], "erased_at" in spared) == (f"x+{JANE}", False)
    check(cli(place, "schema", "record").stdout, place.records())
    assert json.loads(cli(place, "reconcile", "--json").stdout)["findings"] == []


def traces(place: Place) -> list[str]:
    """What a plain search of the database finds, but for those of another mailbox."""
    documents = [each for name in (RECORDS, "notification_facts") for each in place.database[name].find()]
    said = [json.dumps(each, default=str, ensure_ascii=False) for each in documents]
    others = (f"x+{JANE}", f"not{JANE}")
    return [text for text in said if JANE in re.sub("|".join(map(re.escape, others)), "", text.lower())]


def test_records_of_an_earlier_version_are_read_once_and_then_found_by_their_digests(place: Place) -> None:
    data = fresh("booking.confirmed", user_email="joe@x.example", note=f"for {JANE}")
    with place.service():
        place.publish(event(data), event(fresh("booking.confirmed", user_email="joe@x.example")))
        until(lambda: list(place.outcomes().values()) == ["sent"] * 2)
    place.database[RECORDS].update_many({}, {"$unset": {"address_digests": ""}})
    looked = json.loads(cli(place, "erase", "--address", JANE, "--dry-run", "--json").stdout)
    assert (looked["records"], looked["older"]) == (1, 0)
    erased = json.loads(cli(place, "erase", "--address", JANE, "--yes", "--json").stdout)
    assert (erased["changed"], erased["older"]) == (1, 2)
    assert traces(place) == []
    assert place.database[RECORDS].count_documents({"address_digests": {"$exists": True}}) == 1


def test_a_masked_record_is_found_by_its_digest_under_any_key_of_the_settings(place: Place) -> None:
    old, new = "the key of last year", "the key of this year"
    masked = {"RECORD_RECIPIENT": "masked"}
    with place.service(**masked, ADDRESS_KEYS=old):
        place.publish(event(fresh("booking.confirmed", user_email=JANE)))
        until(lambda: list(place.outcomes().values()) == ["sent"])
    lost = cli(place, "erase", "--address", JANE, "--dry-run", "--json", **masked, ADDRESS_KEYS=new)
    assert json.loads(lost.stdout)["records"] == 0
    assert "a key that is no longer in ADDRESS_KEYS" in json.loads(lost.stdout)["unsearched"][0]
    erased = cli(place, "erase", "--address", JANE, "--yes", "--json", **masked, ADDRESS_KEYS=f"{new}, {old}")
    assert (json.loads(erased.stdout)["changed"], json.loads(erased.stdout)["unsearched"]) == (1, [])
    without = cli(place, "erase", "--address", JANE, "--dry-run", "--json", **masked)
    assert any("cannot be found" in each for each in json.loads(without.stdout)["unsearched"])


def test_kept_mails_are_removed_with_their_records(place: Place) -> None:
    with place.service(DELIVERY_MODE="simulate"):
        place.publish(*(event(fresh("booking.confirmed", user_email=each)) for each in (JANE, "joe@x.example")))
        until(lambda: list(place.outcomes().values()) == ["simulated"] * 2)
    looked = cli(place, "erase", "--address", JANE, "--dry-run")
    assert "a message in the outbox is to it or contains it, to be removed" in looked.stdout
    assert len(list(place.outbox.iterdir())) == 2
    assert cli(place, "erase", "--address", JANE, "--yes").returncode == 0
    assert [JANE.encode() in each.read_bytes() for each in place.outbox.iterdir()] == [False]


def test_records_are_erased_while_the_broker_is_away_and_that_is_said(place: Place) -> None:
    with place.service():
        place.publish(event(fresh("booking.confirmed", user_email=JANE)))
        until(lambda: list(place.outcomes().values()) == ["sent"])
    away = cli(place, "erase", "--address", JANE, "--yes", RABBITMQ_URL="amqp://guest:guest@127.0.0.1:1/")
    assert away.returncode == 1
    assert "not searched: the parking queue" in away.stdout
    assert traces(place) == []
