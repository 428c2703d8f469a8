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


def test_a_confirmation_that_waits_on_the_ladder_is_superseded_too(place: Place) -> None:
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
