"""Events of one booking or payment in every order: obsolete mails are not sent, and changes are sent once."""

import re
import time
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

import pytest

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

BUSY = "451 4.7.1 Greylisted, please try again later"


def booking(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    facts = {
        "movie_title": "Dune",
        "showtime": "2999-12-15 07:30 PM",
        "seats": ["B5", "B6"],
        "cinema_name": "AMC Theater",
        "time_zone": "America/New_York",
        "timestamp": "2026-11-24T10:00:00Z",
    }
    return fresh("booking.confirmed", **{**facts, **changes})


def again(data: Mapping[str, Any], at: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """A further event about the same booking, so many hours and minutes on the same day."""
    return {**data, "event_id": f"{data['event_id']}-{at}", "timestamp": f"2026-11-24T{at}:00Z", **changes}


def cancelled(data: Mapping[str, Any], at: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    told = {"booking_id": data["booking_id"], "event_id": f"{data['event_id']}-off-{at}"}
    return fresh("booking.cancelled", **{**told, "timestamp": f"2026-11-24T{at}:00Z", **changes})


def tell(place: Place, data: Mapping[str, Any], outcome: str = "sent") -> None:
    """Publish it, and wait until it ended so."""
    place.publish(event(dict(data)))
    until(lambda: place.outcomes().get(data["event_id"]) == outcome)


def subjects(place: Place) -> list[str]:
    return [str(mail.message()["Subject"]) for mail in place.mails()]


def calendar(mail: EmailMessage) -> str:
    (found,) = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    return str(found.get_content()).replace("\r\n ", "")


def sequence(mail: EmailMessage) -> int:
    found = re.search(r"^SEQUENCE:(\d+)", calendar(mail), re.MULTILINE)
    assert found
    return int(found[1])


def text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def reason(place: Place, event_id: str) -> str:
    record = place.record(event_id)
    assert record is not None
    return str(record["reason"])


# ── a payment that failed ────────────────────────────────────────────────────────────────────────────


def test_a_waiting_failed_payment_is_not_sent_after_a_newer_event(place: Place) -> None:
    refusals = (Rule(at="rcpt", reply=BUSY, times=1), Rule(at="dot", reply=BUSY, times=1))
    tries = [(refusal, kind) for refusal in refusals for kind in ("payment.success", "booking.confirmed")]
    with place.service(RETRY_RUNGS="2"):
        for refusal, kind in tries:
            failed = fresh("payment.failed")
            place.smtp.script([refusal])
            tell(place, failed, "waiting")
            tell(place, fresh(kind, booking_id=failed["booking_id"]))
            until(lambda failed=failed: place.outcomes()[failed["event_id"]] == "skipped")  # type: ignore[misc]
            assert reason(place, failed["event_id"]) == "superseded"
    assert len(place.mails()) == len(tries)


@pytest.mark.parametrize("success", ["sent", "bounced"])
def test_a_failed_payment_after_the_success_is_not_sent_whatever_happened_to_the_receipt(
    place: Place, success: str
) -> None:
    paid = fresh("payment.success", user_email="paid@mail.example", timestamp="2026-11-24T10:00:00Z")
    failed = fresh("payment.failed", booking_id=paid["booking_id"], timestamp="2026-11-24T11:00:00Z")
    if success == "bounced":
        place.smtp.script([Rule(at="rcpt", match="paid@", reply="550 5.1.1 no such user")])
    with place.service():
        tell(place, paid, success)
        tell(place, failed, "skipped")
    assert reason(place, failed["event_id"]) == "superseded"


def test_a_failed_payment_without_a_newer_event_is_sent(place: Place) -> None:
    failed, other = fresh("payment.failed"), fresh("payment.success")
    with place.service():
        tell(place, other)
        tell(place, failed)


def test_a_failed_payment_after_the_booking_was_cancelled_is_sent(place: Place) -> None:
    booked = booking()
    with place.service():
        tell(place, booked)
        tell(place, cancelled(booked, "11:00"))
        late = fresh("payment.failed", booking_id=booked["booking_id"], timestamp="2026-11-24T10:30:00Z")
        tell(place, late, "skipped")
        tell(place, fresh("payment.failed", booking_id=booked["booking_id"], timestamp="2026-11-24T12:00:00Z"))


def test_what_waited_in_the_breaker_is_asked_again_before_its_first_byte(place: Place) -> None:
    """The server closes on everybody; meanwhile the booking is cancelled, and the other is paid."""
    # The third refusal is that of the first probe: a busy machine has two seconds to publish what comes meanwhile.
    place.smtp.script([Rule(at="mail", reply="421 4.3.2 service not available", times=3)])
    booked, failed = booking(), fresh("payment.failed")
    with place.service() as service:
        place.publish(event(booked), event(failed))
        until(lambda: service.said("channel.breaker"))
        off = cancelled(booked, "11:00")
        paid = fresh("payment.success", booking_id=failed["booking_id"])
        place.publish(event(off), event(paid))
        until(lambda: set(place.outcomes().values()) == {"sent", "skipped"} and len(place.outcomes()) == 4)
    assert [reason(place, each["event_id"]) for each in (booked, failed)] == ["superseded"] * 2
    assert len(place.mails()) == 2


def test_a_show_that_begins_while_its_ticket_waits_is_not_announced(place: Place) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 4))
    soon = booking(showtime=f"{at}+00:00")
    place.smtp.script([Rule(at="mail", reply="421 4.3.2 service not available", times=4)])
    with place.service():
        place.publish(event(soon))
        until(lambda: place.outcomes().get(soon["event_id"]) == "skipped")
    assert reason(place, soon["event_id"]) == "expired"
    assert place.mails() == []


# ── a booking that changes ───────────────────────────────────────────────────────────────────────────

CHANGES: list[dict[str, Any]] = [
    {"showtime": "2999-12-17 09:00 PM"},
    {"showtime": "2999-12-15 19:45"},
    {"cinema_name": "Odeon"},
    {"seats": ["C1", "C2"]},
    {"seats": ["B5"]},
    {"showtime": "2999-12-17T21:00:00-05:00", "cinema_name": "Odeon", "seats": ["C1", "C2"]},
    {"showtime": "2999-12-17 09:00 PM", "seats": [], "cinema_name": None, "movie_title": ""},
]


def test_a_change_is_sent_with_old_and_new_details_and_its_calendar_file(place: Place) -> None:
    bookings = [booking(user_email=f"guest{number}@mail.example") for number in range(len(CHANGES))]
    with place.service():
        for booked, change in zip(bookings, CHANGES, strict=True):
            changed = again(booked, "11:00", **change)
            tell(place, booked)
            tell(place, changed)
            tell(place, again(changed, "12:00"))  # under another id once more
            place.publish(event(changed))  # and the same once more
            tell(place, cancelled(booked, "13:00", user_email=booked["user_email"]))
    for booked, change in zip(bookings, CHANGES, strict=True):
        check_change([mail.message() for mail in place.mails() if mail.rcpt_to == [booked["user_email"]]], change)


def check_change(mails: list[EmailMessage], change: Mapping[str, Any]) -> None:
    first, second, off = mails
    assert second["Subject"].startswith("Booking changed: Dune \u2013 ")
    assert first["References"] == second["References"] == off["References"]
    assert first["Message-ID"] != second["Message-ID"]
    assert len({line for mail in mails for line in calendar(mail).splitlines() if line.startswith("UID:")}) == 1
    assert sequence(first) < sequence(second) < sequence(off)
    said = " ".join(text(second).split())
    assert "instead of" in said
    if change.get("seats"):
        assert f"{', '.join(change['seats'])} instead of B5, B6" in said
    if not change.get("cinema_name"):
        assert "AMC Theater" in said, "what the change does not say is still so"
    if change.get("showtime") == "2999-12-17 09:00 PM":
        assert "DTSTART:29991218T020000Z" in calendar(second)
        assert "DTSTART:29991218T020000Z" in calendar(off), "the cancellation names the show as it was told last"


SAME: list[dict[str, Any]] = [
    {},
    {"showtime": "2999-12-15 19:30"},
    {"showtime": "2999-12-15T19:30:00-05:00"},
    {"showtime": "2999-12-16T00:30:00Z"},
    {"seats": ["B6", "B5"]},
    {"seats": ["b 5", "B-06"]},
    {"cinema_name": " amc  THEATER "},
    {"showtime": None, "seats": [], "cinema_name": ""},
    {"showtime": "Unknown Time"},
    {"total_amount": 99, "movie_title": "DUNE"},
    {"time_zone": None},
]


def test_the_same_in_another_spelling_or_with_less_said_is_no_change(place: Place) -> None:
    with place.service():
        for spelling in SAME:
            booked = booking()
            tell(place, booked)
            tell(place, again(booked, "11:00", **spelling))
    assert subjects(place) == ["Booking confirmed: Dune \u2013 Dec 15, 2999"] * len(SAME)


def test_only_a_newer_event_announces_a_change(place: Place) -> None:
    booked = booking()
    with place.service():
        tell(place, booked)
        for number, at in enumerate(("2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z", None, "yesterday")):
            tell(place, {**booked, "event_id": f"other {number}", "timestamp": at, "seats": ["Z9"]})
    assert len(place.mails()) == 1


def test_there_and_back_again_is_two_changes(place: Place) -> None:
    booked = booking()
    there = again(booked, "11:00", seats=["C1"])
    back = again(booked, "12:00")
    with place.service(RABBITMQ_EXPRESS_LANE="true"):
        for each in (booked, there, back, there, booked):
            tell(place, each)
        place.publish(event(again(booked, "11:30", seats=["D1"])))
        until(lambda: place.outcomes().get(f"{booked['event_id']}-11:30") == "sent")
    assert len(place.mails()) == 3
    assert "B5, B6 instead of C1" in " ".join(text(place.mails()[-1].message()).split())
    assert [sequence(mail.message()) for mail in place.mails()] == [0, 2, 4]


def test_a_change_that_arrives_while_the_first_waits_goes_out_as_the_confirmation(place: Place) -> None:
    booked = booking(showtime="2999-12-15 07:30 PM")
    place.smtp.script([Rule(at="rcpt", reply=BUSY, times=1)])
    with place.service(RETRY_RUNGS="4"):
        tell(place, booked, "waiting")
        tell(place, again(booked, "11:00", seats=["C1"]))
        until(lambda: place.depth("notification.retry.4s") == 0)
        time.sleep(0.5)
    (mail,) = place.mails()
    assert mail.message()["Subject"].startswith("Booking confirmed: Dune")
    assert "Seats: C1" in text(mail.message())
    assert place.records()[0]["event_data"]["seats"] == ["C1"]


def test_an_older_event_does_not_take_the_place_of_a_newer_one_that_waits(place: Place) -> None:
    newer = booking(timestamp="2026-11-24T12:00:00Z", seats=["C1"])
    place.smtp.script([Rule(at="rcpt", reply=BUSY, times=1)])
    with place.service(RETRY_RUNGS="3"):
        tell(place, newer, "waiting")
        place.publish(event(again(newer, "10:00", seats=["B5"])))
        until(lambda: place.outcomes().get(newer["event_id"]) == "sent")
    (mail,) = place.mails()
    assert "Seats: C1" in text(mail.message())


@pytest.mark.parametrize(("reply", "ended"), [("550 5.1.1 no such user", "bounced"), (BUSY, "parked")])
def test_after_a_confirmation_that_never_went_out_the_newest_facts_are_a_plain_one(
    place: Place, reply: str, ended: str
) -> None:
    booked = booking()
    place.smtp.script([Rule(at="rcpt", reply=reply, times=1)])
    with place.service(MAX_RETRY_ATTEMPTS="0"):
        tell(place, booked, ended)
        tell(place, again(booked, "11:00", seats=["C1"]))
    (mail,) = place.mails()
    assert mail.message()["Subject"].startswith("Booking confirmed: Dune")
    assert "Seats: C1" in text(mail.message())


def test_a_change_that_became_obsolete_while_it_waited_is_not_sent(place: Place) -> None:
    booked = booking()
    there, further = again(booked, "11:00", seats=["C1"]), again(booked, "12:00", seats=["D1"])
    with place.service(RETRY_RUNGS="3"):
        tell(place, booked)
        place.smtp.script([Rule(at="rcpt", reply=BUSY, times=1)])
        tell(place, there, "waiting")
        tell(place, further)
        until(lambda: place.outcomes()[there["event_id"]] == "skipped")
    assert reason(place, there["event_id"]) == "superseded"
    assert "D1 instead of B5, B6" in " ".join(text(place.mails()[-1].message()).split())


def test_a_change_to_a_show_that_has_begun_is_expired(place: Place) -> None:
    booked = booking()
    with place.service():
        tell(place, booked)
        tell(place, again(booked, "11:00", showtime="2026-11-20 08:00 PM"), "skipped")
    assert reason(place, f"{booked['event_id']}-11:00") == "expired"


def test_changes_that_race_in_two_workers_end_with_the_newest(place: Place) -> None:
    booked = booking()
    racing = [again(booked, f"{hour}:00", seats=[f"R{hour}"]) for hour in range(11, 19)]
    with place.service(), place.service():
        tell(place, booked)
        place.publish(*map(event, racing))
        until(lambda: {*place.outcomes().values()} <= {"sent", "skipped"} and len(place.outcomes()) == 9)
    assert place.outcomes()[racing[-1]["event_id"]] == "sent"
    assert "R18 instead of" in text(place.mails()[-1].message())
    sequences = [sequence(mail.message()) for mail in place.mails()]
    assert sequences == sorted(set(sequences))


# ── cancelled, and booked again ──────────────────────────────────────────────────────────────────────


def test_a_confirmation_that_is_newer_than_the_cancellation_is_sent(place: Place) -> None:
    booked = booking(timestamp="2026-11-24T11:00:00Z")
    with place.service():
        tell(place, cancelled(booked, "10:00", showtime="2999-12-15 07:30 PM", time_zone="America/New_York"))
        tell(place, booked)
        tell(place, again(booked, "09:00"))
    off, on = (mail.message() for mail in place.mails())
    assert on["Subject"].startswith("Booking confirmed: Dune")
    assert sequence(off) < sequence(on)


def test_one_that_is_older_or_of_the_same_moment_stays_superseded(place: Place) -> None:
    with place.service():
        for off in ("11:00", "12:00"):
            booked = booking(timestamp="2026-11-24T11:00:00Z")
            tell(place, cancelled(booked, off))
            tell(place, booked, "skipped")
            assert reason(place, booked["event_id"]) == "superseded"
            tell(place, again(booked, "13:00"))
            assert subjects(place)[-1].startswith("Booking confirmed")


def test_one_of_unknown_age_stays_superseded(place: Place) -> None:
    with place.service():
        for on, off in ((None, "2026-11-24T11:00:00Z"), ("2026-11-24T11:00:00Z", None)):
            booked = booking(timestamp=on)
            tell(place, cancelled(booked, "10:00", timestamp=off))
            tell(place, booked, "skipped")
    assert len(place.mails()) == 2


def test_booked_cancelled_booked_again_and_cancelled_again_are_four_mails(place: Place) -> None:
    booked = booking()
    with place.service():
        for each in (
            booked,
            cancelled(booked, "11:00"),
            again(booked, "12:00"),
            again(booked, "11:30", seats=["Z1"]),
            cancelled(booked, "13:00"),
            cancelled(booked, "13:30"),
            again(booked, "12:30", seats=["Z2"]),
        ):
            tell(place, each)
    kinds = [subject.partition(":")[0] for subject in subjects(place)]
    assert kinds == ["Booking confirmed", "Booking cancelled", "Booking confirmed", "Booking cancelled"]
    sequences = [sequence(mail.message()) for mail in place.mails()]
    assert sequences == sorted(set(sequences))


def test_a_cancellation_that_waited_is_not_sent_after_the_new_booking(place: Place) -> None:
    booked = booking()
    off = cancelled(booked, "11:00")
    with place.service(RETRY_RUNGS="3"):
        tell(place, booked)
        place.smtp.script([Rule(at="rcpt", reply=BUSY, times=1)])
        tell(place, off, "waiting")
        tell(place, again(booked, "12:00"))
        until(lambda: place.outcomes()[off["event_id"]] == "skipped")
    assert [subject.partition(":")[0] for subject in subjects(place)] == ["Booking confirmed"] * 2


# ── one payment, one receipt ─────────────────────────────────────────────────────────────────────────


def paid(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    own = fresh("payment.success")
    return {**own, "event_id": f"{own['event_id']}-{changes.get('transaction_id')}", **changes}


ANSWERS: list[dict[str, Any]] = [
    {"gateway_transaction_id": "gtw_1"},
    {"gatewayTransactionId": "gtw_1"},
    {"payment_intent": "pi_1"},
    {"payment_intent": {"id": "pi_1", "object": "payment_intent"}},
    {"charge_id": "ch_1"},
    {"txn_id": 4711},
    {"id": "PAY-1"},
]


def test_two_reports_of_one_payment_without_our_own_id_are_one_receipt(place: Place) -> None:
    with place.service():
        for answer in ANSWERS:
            one = paid(transaction_id=None, gateway_response=answer)
            tell(place, one)
            for number, unknown in enumerate(("", "N/A", " ")):
                tell(place, {**one, "event_id": f"{one['event_id']}-{number}", "transaction_id": unknown})
        assert len(place.mails()) == len(ANSWERS)
        one = paid(transaction_id=None)
        for name in ("this", "that"):
            tell(place, {**one, "event_id": name, "gateway_response": {"gateway_transaction_id": name}})
    assert len(place.mails()) == len(ANSWERS) + 2


def test_the_webhook_and_the_browser_report_one_payment_in_either_order(place: Place) -> None:
    webhooks = [paid(), paid()]
    browsers = [{**each, "event_id": f"browser {n}", "transaction_id": None} for n, each in enumerate(webhooks)]
    second = {**webhooks[0], "event_id": "second", "transaction_id": "T2", "gateway_response": {"id": "T2"}}
    with place.service():
        for each in (webhooks[0], browsers[0], browsers[1], webhooks[1]):
            tell(place, each)
        assert len(place.mails()) == 2
        tell(place, second)
    assert len(place.mails()) == 3
