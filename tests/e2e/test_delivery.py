"""Events on a real broker become mails at a real SMTP server, with a record each."""

import email
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.samples import CONTRACT, FOLDER, fresh, sample
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp import SmtpServer


def test_eight_publishes_are_five_mails_and_five_records(place: Place) -> None:
    events = [sample(name) for name in (*CONTRACT, "booking.confirmed")]
    with place.service() as service:
        place.publish(*map(event, events))
        until(lambda: len(place.outcomes()) == 6 and set(place.outcomes().values()) == {"sent"})
        until(lambda: place.depth("notification.booking_events") == place.depth("notification.payment_events") == 0)
    assert len(place.mails()) == len(place.records()) == 5
    assert {mail.rcpt_to[0] for mail in place.mails()} == {"jane.smith@example.com"}
    assert not service.said("job.failed")
    assert [line["event_type"] for line in service.said("event.not_ours")] in ([], ["booking.pending_payment"])


def test_two_reports_of_one_refund_are_one_mail_and_a_second_refund_is_another(place: Place) -> None:
    first = fresh("payment.refunded", booking_id="7c9e6679-7425-40de-944b-e07fc1f90ae7")
    nameless = fresh("booking.refunded", transaction_id=first["original_transaction_id"])
    second = fresh(
        "payment.refunded",
        original_transaction_id=first["original_transaction_id"],
        booking_id=first["booking_id"],
        event_type="payment.refund",
    )
    with place.service():
        place.publish(event(nameless), event(first), event(second, "payment.refund"))
        until(lambda: len(place.outcomes()) == 3 and set(place.outcomes().values()) == {"sent"})
    assert len(place.mails()) == len(place.records()) == 2


def test_every_sample_is_a_mail_that_can_be_shown_to_anybody(place: Place) -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "booking.pending_payment")
    with place.service():
        events = [fresh(name, user_id="user456") for name in names]
        place.publish(*map(event, events))
        until(lambda: len(place.mails()) == len(names))
    for message in (mail.message() for mail in place.mails()):
        _check_headers(message)
        for part in ("plain", "html"):
            body = message.get_body((part,))
            assert body is not None
            text = body.get_content()
            assert not [word for word in ("None", "null", "Unknown", "$0.00", "{{") if word in text]


def _check_headers(message: EmailMessage) -> None:
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "X-Event-ID", "X-Notification-ID"):
        assert len(message.get_all(name, [])) == 1, name
    assert not message.defects
    assert message["To"].endswith(("@example.com", "@example.org"))
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == f"<{message['X-Notification-ID']}@cinema.example>"
    (alternative,) = [part for part in message.walk() if part.get_content_type() == "multipart/alternative"]
    text, html = (part.get_content_type() for part in alternative.iter_parts())
    assert (text, html) in [("text/plain", "text/html"), ("text/plain", "multipart/related")]


def test_a_thousand_mails_go_through_no_more_than_the_pool_s_connections(place: Place, own_smtp: SmtpServer) -> None:
    with own_smtp:
        place.smtp = own_smtp
        with place.service(SMTP_POOL_SIZE="5", LOG_LEVEL="INFO", SMTP_MAX_MAILS="100000"):
            place.publish(*(event(fresh("booking.confirmed")) for _ in range(1000)))
            until(lambda: own_smtp.stats().mails >= 1000, timeout=90)
        assert own_smtp.stats().mails == 1000
        assert own_smtp.stats().connections <= 5
        assert {(mail.tls, mail.auth) for mail in own_smtp.mails()} == {(True, "mailer")}


def test_a_mail_server_that_is_away_loses_nothing_and_blames_nothing(place: Place, own_smtp: SmtpServer) -> None:
    place.smtp = own_smtp
    own_smtp.start()
    own_smtp.wait_ready()
    own_smtp.stop()
    events = [fresh("booking.confirmed") for _ in range(30)]
    with place.service() as service:
        place.publish(*map(event, events))
        until(lambda: service.said("channel.breaker"))
        assert {record["outcome"] for record in place.records()} == {"pending"}
        own_smtp.start()
        own_smtp.wait_ready()
        until(lambda: len(own_smtp.mails()) == 30)
        until(lambda: set(place.outcomes().values()) == {"sent"})
        assert until(lambda: [line for line in service.said("channel.breaker") if line["state"] == "closed"])
    assert len({mail.message_id for mail in own_smtp.mails()}) == len(own_smtp.mails()) == 30
    assert place.depth("notification.parked") == 0


BAD = {
    "not json": (b"{'event_type': 'booking.confirmed'", "not_json", "not JSON"),
    "not utf-8": (b'{"event_type": "booking.confirmed", "movie_title": "\xff\xfe"}', "not_json", "not UTF-8"),
    "not an object": (b'["booking.confirmed"]', "schema", "object"),
    "NaN": (b'{"event_type": "booking.confirmed", "booking_id": "B", "total_amount": NaN}', "not_json", "NaN"),
    "deep": (b'{"a":' * 50_000, "not_json", "nested too deeply"),
    "a megabyte": (
        b'{"event_type": "booking.confirmed", "x": "' + b"x" * 2**20 + b'"}',
        "too_large",
        "MAX_EVENT_BYTES",
    ),
    "wrong types": (
        b'{"event_id": "bad-types", "event_type": "booking.confirmed", "booking_id": {"a": 1}, "seats": true}',
        "schema",
        "booking_id",
    ),
}


def test_bad_bytes_among_good_events_are_recorded_and_parked_and_stop_nothing(place: Place) -> None:
    good = [fresh("booking.confirmed") for _ in range(10)]
    publications = list(map(event, good))
    for position, (body, _, _) in enumerate(BAD.values()):
        publications.insert(position, type(publications[0])("booking.confirmed", body))
    with place.service() as service:
        place.publish(*publications)
        until(lambda: len(place.mails()) == len(good))
        until(lambda: len(place.records()) == len(good) + len(BAD))
        until(lambda: place.depth("notification.parked") == len(BAD))
    rejected = [record for record in place.records() if record["outcome"] == "rejected"]
    for name, (_, reason, said) in BAD.items():
        assert [r for r in rejected if r["reason"] == reason and said in r["detail"]], name
    assert all(record["status"] == "failed" and record["event_id"] for record in rejected)
    assert not service.said("job.failed")
    assert not service.said("delivery.failed")


def test_a_payload_in_every_field_is_inert(place: Place) -> None:
    payload = "<img src=x onerror=alert(1)>{{7*7}}\r\nBcc: evil@example.com"
    data = fresh("booking.confirmed", movie_title=payload, showtime=payload, cinema_name=payload, seats=[payload])
    with place.service():
        place.publish(event(data))
        until(place.mails)
    raw = place.mails()[0]
    message = raw.message()
    assert raw.rcpt_to == ["jane.smith@example.com"]
    assert "Bcc" not in message
    html = message.get_body(("html",))
    assert html is not None
    assert "<img src=x" not in html.get_content()
    assert "{{7*7}}" in html.get_content()


def test_nobody_to_write_to_is_a_recorded_rejection_in_the_parking_queue(place: Place) -> None:
    lost = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    wrong = fresh("booking.confirmed", user_email="not an address", user_id="")
    with place.service():
        place.publish(event(lost), event(wrong))
        until(lambda: place.depth("notification.parked") == 2)
    record, other = place.record(lost["event_id"]), place.record(wrong["event_id"])
    assert record is not None
    assert other is not None
    assert (record["outcome"], record["reason"], record["status"]) == ("rejected", "no_recipient", "failed")
    assert (other["outcome"], other["reason"], other["status"]) == ("rejected", "bad_address", "failed")
    assert not place.mails()


def test_an_address_is_looked_up_by_user_and_by_booking(place: Place) -> None:
    by_user = fresh("payment.success", booking_id="BOOK-nobody")
    by_booking = fresh("payment.refunded", booking_id="BOOK-789012")
    with place.service():
        place.publish(event(by_user), event(by_booking))
        until(lambda: len(place.mails()) == 2)
    assert {mail.rcpt_to[0] for mail in place.mails()} == {"jane.smith@example.com"}


@pytest.mark.parametrize("mode", ["simulate", "auto"])
def test_simulation_is_loud_and_keeps_every_mail(place: Place, mode: str) -> None:
    changes = {"simulate": {"DELIVERY_MODE": "simulate"}, "auto": {"SMTP_SERVER": ""}}[mode]
    data = fresh("booking.confirmed")
    with place.service(**changes) as service:
        place.publish(event(data))
        until(lambda: place.outcomes().get(data["event_id"]) == "simulated")
    record = place.record(data["event_id"])
    assert record is not None
    assert record["status"] == "pending"
    kept = email.message_from_bytes(Path(record["detail"]).read_bytes(), policy=policy.default)
    assert kept["To"] == "jane.smith@example.com"
    assert not place.mails()
    assert service.said("service.starting")[0]["level"] == "warning"
    assert service.said("mail.simulated")[0]["level"] == "warning"
