"""Events as producers write them: each becomes its mail, which says what the event says and nothing else."""

from email.message import EmailMessage
from typing import Any

from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event

EVENING = "2999-12-15 19:30"
HOUSE = {"DEFAULT_CURRENCY": "USD", "DEFAULT_TIME_ZONE": "America/New_York"}

FIELDS: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "seats as a text": ({"seats": "B5, B6"}, ["Seats: B5, B6", "Number of tickets: 2"], []),
    "seats as a list in a text": ({"seats": '["B5","B6"]'}, ["Seats: B5, B6"], []),
    "seats as objects": ({"seats": [{"row": "B", "number": 5}, {"seat": "B6"}]}, ["Seats: B5, B6"], []),
    "seats as a flag": ({"seats": True}, [], ["seats"]),
    "an amount in euro": ({"total_amount": "30.00 EUR"}, ["Total: €30.00"], []),
    "an amount in dollars": ({"total_amount": "$25.50"}, ["Total: $25.50"], []),
    "an amount as the Dutch write it": ({"total_amount": "25,50"}, ["Total: 25,50"], ["total_amount"]),
    "an amount that may be two": ({"total_amount": "1.234,56"}, ["Total: 1.234,56"], ["total_amount"]),
    "an amount as the reader writes it": ({"total_amount": "25,50", "locale": "de"}, ["25,50 $"], []),
    "an amount that contradicts": ({"total_amount": "30 EUR", "currency": "USD"}, ["Total: 30 EUR"], ["total_amount"]),
    "less than nothing": ({"total_amount": -30}, [], ["total_amount"]),
    "a sign for the currency": ({"total_amount": 500, "currency": "₹"}, ["Total: ₹500.00"], []),
    "a name for the currency": ({"total_amount": 500, "currency": "euro"}, ["Total: €500.00"], []),
    "a currency that is none": ({"total_amount": 500, "currency": "Bitcoin"}, ["Total: 500 Bitcoin"], ["currency"]),
    "seconds": ({"showtime": 4102444800}, ["December 31, 2099, 7:00 PM\r\n", "calendar"], []),
    "milliseconds in a text": ({"showtime": "4102444800000"}, ["December 31, 2099, 7:00 PM\r\n", "calendar"], []),
    "an array of Java": ({"showtime": [2999, 12, 15, 19, 30]}, ["December 15, 2999, 7:30 PM\r\n", "calendar"], []),
    "a range": ({"showtime": "2026-11-15 19:30-22:00"}, ["When: 2026-11-15 19:30-22:00"], ["showtime"]),
    "a range of the morning": ({"showtime": "2026-11-15 10:00-12:00"}, ["When: 2026-11-15 10:00-12:00"], ["showtime"]),
    "either month": ({"showtime": "05/06/2026 19:30"}, ["When: 05/06/2026 19:30"], ["showtime"]),
    "Windows' zone": (
        {"time_zone": "Pacific Standard Time", "showtime": EVENING},
        ["December 15, 2999, 7:30 PM\r\n", "calendar"],
        [],
    ),
    "a zone that is none": (
        {"time_zone": "Mars/Base", "showtime": EVENING},
        ["When: Sunday, December 15, 2999, 7:30 PM\r\n"],
        ["time_zone"],
    ),
    "a title from a web page": (
        {"movie_title": "Ocean&#8217;s Eleven &amp; Friends"},
        ["Ocean\u2019s Eleven & Friends"],
        [],
    ),
    "every field a list": (
        {name: [{}] for name in ("movie_title", "cinema_name", "showtime", "total_amount", "timestamp", "locale")},
        ["Booking confirmed"],
        ["movie_title", "cinema_name", "showtime", "total_amount", "timestamp", "locale"],
    ),
}
"""What is said of a confirmed booking, what its mail shows, and which fields are remarked on."""

NEVER = {
    "a currency that is none": ["$"],
    "an amount in euro": ["$"],
    "a zone that is none": ["EST", "Eastern", "BEGIN:VCALENDAR"],
    "a range": ["12:30", "BEGIN:VCALENDAR"],
}
"""What would be a setting, or a guess, in the place of what was said."""


def shown(message: EmailMessage) -> str:
    """The subject, the text and the calendar file."""
    parts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    named = "calendar" if any(part.get_content_type() == "text/calendar" for part in message.walk()) else ""
    plain = "\n".join([str(message["Subject"]), *parts[:1], *(part for part in parts if "VCALENDAR" in part), named])
    return plain.replace("\u00a0", " ").replace("\u202f", " ").replace("\r\n", "\n").replace("\n", "\r\n")


def test_each_odd_fact_becomes_a_mail_that_says_no_more_than_was_said(place: Place) -> None:
    said = {
        name: fresh("booking.confirmed", **{"showtime": EVENING, **fields}) for name, (fields, _, _) in FIELDS.items()
    }
    paid = fresh("payment.success", gateway_response="APPROVED", user_id="user456")
    failed = fresh("payment.failed", retry_possible="yes", user_id="user456", amount={"amount": 30, "currency": "EUR"})
    big = fresh("booking.confirmed", booking_id=18446744073709551615)
    with place.service(**HOUSE) as service:
        place.publish(*map(event, (*said.values(), paid, failed, big)))
        until(lambda: len(place.outcomes()) == len(FIELDS) + 3 and set(place.outcomes().values()) == {"sent"})
        until(lambda: len(place.mails()) == len(FIELDS) + 3)
        remarked = {(line["event_id"], line["field"]) for line in service.said("mail.warning")}
    mails = {str(mail.message()["X-Event-ID"]): mail.message() for mail in place.mails()}
    for name, (_, words, remarks) in FIELDS.items():
        event_id = said[name]["event_id"]
        text, record = shown(mails[event_id]), place.record(event_id)
        assert [word for word in words if word not in text] == [], name
        assert [word for word in NEVER.get(name, []) if word in text] == [], name
        assert record is not None
        assert sorted(remark.split()[0] for remark in record.get("remarks", [])) == sorted(remarks), name
        assert {field for where, field in remarked if where == event_id} == set(remarks), name
    assert place.record(paid["event_id"])["remarks"] == ["gateway_response is left out: it cannot be read"]  # type: ignore[index]
    assert "€30.00" in shown(mails[failed["event_id"]])
    assert "18446744073709551615" in shown(mails[big["event_id"]])


def test_what_names_no_booking_is_rejected_and_says_why(place: Place) -> None:
    nameless = fresh("booking.confirmed", booking_id=["B1"], transaction_id=None)
    with place.service():
        place.publish(event(nameless))
        until(lambda: place.outcomes() == {nameless["event_id"]: "rejected"})
    record = place.record(nameless["event_id"])
    assert record is not None
    assert record["reason"] == "schema"
    assert "booking_id is left out" in record["detail"]


def test_a_range_that_lies_behind_us_skips_no_mail(place: Place) -> None:
    late = fresh("booking.confirmed", showtime="2026-11-01 19:30-22:00")
    begun = fresh("booking.confirmed", showtime="2026-11-01 19:30")
    with place.service(**HOUSE):
        place.publish(event(late), event(begun))
        until(lambda: place.outcomes() == {late["event_id"]: "sent", begun["event_id"]: "skipped"})
