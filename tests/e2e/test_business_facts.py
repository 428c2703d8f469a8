"""Facts of the business that decide whether a mail is still of use."""

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule


def test_a_confirmation_after_its_cancellation_is_superseded(place: Place) -> None:
    cancelled = fresh("booking.cancelled")
    confirmed = fresh("booking.confirmed", booking_id=cancelled["booking_id"])
    with place.service():
        place.publish(event(cancelled))
        until(lambda: place.outcomes() == {cancelled["event_id"]: "sent"})
        place.publish(event(confirmed))
        until(lambda: place.outcomes().get(confirmed["event_id"]) == "skipped")
    record = place.record(confirmed["event_id"])
    assert record is not None
    assert (record["reason"], record["status"]) == ("superseded", "failed")
    assert len(place.mails()) == 1


def test_a_confirmation_that_waits_for_a_retry_is_superseded_too(place: Place) -> None:
    confirmed = fresh("booking.confirmed")
    cancelled = fresh("booking.cancelled", booking_id=confirmed["booking_id"])
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 busy", times=1)])
    with place.service(RETRY_RUNGS="3"):
        place.publish(event(confirmed))
        until(lambda: place.outcomes() == {confirmed["event_id"]: "waiting"})
        place.publish(event(cancelled))
        until(lambda: place.outcomes() == {confirmed["event_id"]: "skipped", cancelled["event_id"]: "sent"})
    assert len(place.mails()) == 1


def test_nobody_is_mailed_about_a_show_that_has_begun(place: Place) -> None:
    begun = fresh("booking.confirmed", showtime="2026-11-20 08:00 PM")
    to_come = fresh("booking.confirmed", showtime="2999-11-20 08:00 PM")
    unreadable = fresh("booking.confirmed", showtime="some evening")
    with place.service():
        place.publish(event(begun), event(to_come), event(unreadable))
        until(lambda: len(place.outcomes()) == 3 and "pending" not in place.outcomes().values())
    assert place.outcomes() == {
        begun["event_id"]: "skipped",
        to_come["event_id"]: "sent",
        unreadable["event_id"]: "sent",
    }
    record = place.record(begun["event_id"])
    assert record is not None
    assert record["reason"] == "expired"


def test_a_cancellation_names_the_show_that_its_confirmation_named_in_the_reader_s_language(place: Place) -> None:
    place.database["users"].update_one({"_id": "user456"}, {"$set": {"locale": "es-MX"}})
    confirmed = fresh("booking.confirmed", user_email="", movie_title="La ciénaga", time_zone="America/Mexico_City")
    cancelled = fresh("booking.cancelled", user_email="", booking_id=confirmed["booking_id"])
    assert not cancelled.get("movie_title")
    with place.service():
        place.publish(event(confirmed))
        until(lambda: place.outcomes() == {confirmed["event_id"]: "sent"})
        place.publish(event(cancelled))
        until(lambda: place.outcomes().get(cancelled["event_id"]) == "sent")
    mail = place.mails()[-1].message()
    assert mail["Subject"].startswith("Reserva cancelada: La ciénaga")
    (calendar,) = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    assert "STATUS:CANCELLED" in calendar.get_content()
    assert mail["References"] == place.mails()[0].message()["References"]


def test_a_link_that_leads_elsewhere_is_left_out_and_the_record_says_why(place: Place) -> None:
    failed = fresh("payment.failed", retry_url="https://evil.example/pay", locale="pt-BR")
    with place.service(LINK_HOSTS="pay.example", RETRY_URL="https://pay.example/{booking_id}") as service:
        place.publish(event(failed))
        until(lambda: place.outcomes() == {failed["event_id"]: "sent"})
    record = place.record(failed["event_id"])
    assert record is not None
    assert record["remarks"] == [
        "retry_url is left out: LINK_HOSTS does not name its host",
        "locale 'pt-BR' has no catalogue: the mail is written in en_US",
    ]
    assert [said["remark"] for said in service.said("mail.warning")] == record["remarks"]
    html = place.mails()[0].message().get_body(("html",))
    assert html is not None
    assert f"https://pay.example/{failed['booking_id']}" in html.get_content()
    assert "evil.example" not in html.get_content()
