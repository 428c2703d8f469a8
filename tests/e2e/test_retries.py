"""Retries, the parking queue, and which messages are blamed."""

from pathlib import Path

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule


def test_a_temporary_refusal_is_retried_and_sent(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=1)])
    with place.service():
        place.publish(event(data))
        until(lambda: place.outcomes().get(data["event_id"]) == "waiting")
        assert not place.mails()
        until(lambda: place.outcomes().get(data["event_id"]) == "sent", timeout=50)
    record = place.record(data["event_id"])
    assert record is not None
    assert [(each["result"], each["code"]) for each in record["attempts"]] == [("deferred", 450), ("accepted", 250)]
    assert len(place.mails()) == 1


def test_a_wait_that_the_server_requests_is_kept_beyond_the_longest_delay_and_counts_once(place: Place) -> None:
    """Greylisting for longer than any delay; with one retry, a second try that came early would park it."""
    data = fresh("booking.confirmed")
    greylisted = "450 4.7.1 Recipient address rejected: Greylisted, please try again in 9 seconds"
    place.smtp.script([Rule(at="rcpt", reply=greylisted, times=1)])
    with place.service(MAX_RETRY_ATTEMPTS="1", RETRY_RUNGS="1,2") as service:
        place.publish(event(data))
        until(lambda: place.outcomes().get(data["event_id"]) == "sent", timeout=50)
    record = place.record(data["event_id"])
    assert record is not None
    first, second = record["attempts"]
    assert (first["result"], second["result"]) == ("deferred", "accepted")
    assert 9 <= (second["at"] - first["at"]).total_seconds() < 20
    waits = service.said("event.retry_scheduled")
    assert [line["counted"] for line in waits] == [True] + [False] * (len(waits) - 1)
    assert len(waits) > 2
    assert len(place.mails()) == 1


def test_after_the_last_retry_the_mail_is_kept_and_the_event_is_parked(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="dot", reply="451 4.3.0 not now")])
    with place.service(MAX_RETRY_ATTEMPTS="0") as service:
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1)
    record = place.record(data["event_id"])
    assert record is not None
    assert (record["outcome"], record["reason"], record["status"]) == ("parked", "retries_exhausted", "failed")
    assert "451 4.3.0 not now" in f"{record['attempts'][0]['code']} {record['detail']}"
    kept = service.said("mail.simulated")[0]["path"]
    assert data["booking_id"] in Path(kept).read_text()


def test_an_unknown_mailbox_bounces_at_once_and_the_next_mail_goes(place: Place) -> None:
    gone = fresh("booking.confirmed", user_email="gone@example.com")
    fine = fresh("booking.confirmed")
    place.smtp.script([Rule(at="rcpt", match="gone@", reply="550 5.1.1 no such user")])
    with place.service(SMTP_POOL_SIZE="1"):
        place.publish(event(gone), event(fine))
        until(lambda: place.outcomes() == {gone["event_id"]: "bounced", fine["event_id"]: "sent"})
    record = place.record(gone["event_id"])
    assert record is not None
    assert record["reason"] == "550 5.1.1"
    assert [mail.rcpt_to for mail in place.mails()] == [["jane.smith@example.com"]]


def test_a_wrong_password_blames_no_message(place: Place) -> None:
    events = [fresh("booking.confirmed") for _ in range(10)]
    with place.service(SMTP_PASSWORD="wrong") as service:
        place.publish(*map(event, events))
        opened = until(lambda: service.said("channel.breaker"))[0]
        assert "SMTP_PASSWORD" in opened["hint"]
        assert {record["outcome"] for record in place.records()} == {"pending"}
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=10)  # messages that wait for the channel do not delay it
    assert place.depth("notification.booking_events") == 10
    with place.service():
        until(lambda: list(place.outcomes().values()) == ["sent"] * 10)
    assert len(place.mails()) == 10


def test_a_mail_that_may_have_gone_out_is_sent_once_more_under_the_same_id_and_marked(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="dot", action="drop_after_accept", times=1)])
    with place.service(LEASE_SECONDS="2"):
        place.publish(event(data))
        until(lambda: place.outcomes().get(data["event_id"]) == "sent", timeout=50)
    record = place.record(data["event_id"])
    assert record is not None
    assert record["possible_duplicate"] is True
    assert [each["result"] for each in record["attempts"]] == ["in_doubt", "accepted"]
    assert [mail.message_id for mail in place.mails()] == [record["message_id"]] * 2


def test_a_mail_that_may_have_gone_out_twice_waits_for_a_person(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="dot", action="drop_after_accept")])
    with place.service(LEASE_SECONDS="2"):
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1, timeout=60)
    assert place.outcomes() == {data["event_id"]: "unknown"}
    assert len(place.mails()) == 2


def test_a_held_kind_of_mail_is_never_sent_again(place: Place) -> None:
    data = fresh("payment.failed")
    place.smtp.script([Rule(at="dot", action="drop_after_accept")])
    with place.service(LEASE_SECONDS="2", UNKNOWN_HOLD="payment_failed"):
        place.publish(event(data))
        until(lambda: place.depth("notification.parked") == 1, timeout=60)
    assert place.outcomes() == {data["event_id"]: "unknown"}
    assert len(place.mails()) == 1
