"""What waits for a person, and its way back."""

import json

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule


def parked(place: Place, *arguments: str) -> str:
    return command(place, "parked", *arguments)


def command(place: Place, *arguments: str) -> str:
    ended = place.command(*arguments)
    return ended.stdout + ended.stderr


def test_a_rejected_event_is_mended_and_replayed(place: Place) -> None:
    data = fresh("payment.success", user_id="late-user", booking_id="BOOK-late")
    other = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    with place.service():
        place.publish(event(data), event(other))
        until(lambda: place.depth("notification.parked") == 2)
        assert data["event_id"] in parked(place, "list", "--reason", "no_recipient")
        assert '"late-user"' in parked(place, "show", data["event_id"])
        listed = json.loads(parked(place, "list", "--json"))["events"]
        assert {(each["event_id"], each["reason"]) for each in listed} == {
            (each["event_id"], "rejected(no_recipient)") for each in (data, other)
        }
        shown = json.loads(parked(place, "show", data["event_id"], "--json"))["events"][0]
        assert json.loads(shown["body"]) == data
        place.database["users"].insert_one({"_id": "late-user", "email": "late@example.com"})
        by_id = ("--event", data["event_id"])
        assert "1 would be published again" in parked(place, "replay", "--dry-run", *by_id)
        assert "add --yes" in parked(place, "replay", *by_id)
        assert place.depth("notification.parked") == 2
        assert "1 published again" in parked(place, "replay", "--yes", *by_id)
        until(lambda: place.outcomes().get(data["event_id"]) == "sent")
        assert "1 published again" in parked(place, "replay", "--yes")
        until(lambda: place.depth("notification.parked") == 1)
    assert [mail.rcpt_to for mail in place.mails()] == [["late@example.com"]]
    record = place.record(data["event_id"])
    assert record is not None
    assert [past["outcome"] for past in record["history"]] == ["rejected"]
    assert record["recipient"] == "late@example.com"


def test_what_gave_up_is_replayed_once_and_keeps_its_history(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="dot", reply="451 4.3.0 not now", times=1)])
    with place.service(MAX_RETRY_ATTEMPTS="0"):
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1)
        parked(place, "replay", "--yes", "--type", "booking.confirmed")
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
        place.publish(event(data))
        until(lambda: place.depth("notification.booking_events") == 0)
    record = place.record(data["event_id"])
    assert record is not None
    assert [past["outcome"] for past in record["history"]] == ["parked"]
    assert [made["result"] for made in record["attempts"]] == ["deferred", "accepted"]
    assert len(place.mails()) == 1


def test_what_was_sent_meanwhile_is_not_sent_twice_by_a_replay(place: Place) -> None:
    lost = fresh("payment.refunded", booking_id="BOOK-nobody")
    known = fresh("booking.refunded", transaction_id=lost["original_transaction_id"])
    with place.service():
        place.publish(event(lost))
        until(lambda: place.depth("notification.parked") == 1)
        place.publish(event(known))
        until(lambda: set(place.outcomes().values()) == {"sent"})
        parked(place, "replay", "--yes")
        until(lambda: place.depth("notification.parked") == place.depth("notification.again") == 0)
    assert place.outcomes() == {lost["event_id"]: "sent", known["event_id"]: "sent"}
    assert len(place.mails()) == 1


def test_an_unknown_mail_is_sent_once_more_when_a_person_says_so(place: Place) -> None:
    data = fresh("payment.failed")
    place.smtp.script([Rule(at="dot", action="drop_after_accept", times=1)])
    with place.service(LEASE_SECONDS="2", UNKNOWN_HOLD="payment_failed"):
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1, timeout=40)
        parked(place, "replay", "--yes", "--event", data["event_id"])
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
    record = place.record(data["event_id"])
    assert record is not None
    assert record["possible_duplicate"] is True
    assert len(place.mails()) == 2


def test_discarding_asks_which_and_keeps_the_record(place: Place) -> None:
    data = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    with place.service():
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1)
        assert "choose by" in parked(place, "discard")
        assert "1 discarded" in parked(place, "discard", "--yes", "--reason", "no_recipient")
    assert place.depth("notification.parked") == 0
    assert place.outcomes() == {data["event_id"]: "rejected"}
