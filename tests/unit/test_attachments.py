"""The parts of a mail beside its text: QR code, calendar file and its updates, JSON-LD."""

import json
import re
from datetime import timedelta
from io import BytesIO
from typing import Any

import icalendar
import pytest
import qrfast
from PIL import Image

from notification_service.channels.email.attachments import QR_ID, calendar_id
from notification_service.channels.email.mail import Attachment, Mail
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.localization import Cinema, Defaults
from notification_service.content.profile import SenderProfile
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.directory import Recipient
from tests.unit.test_templates import RICH, TEMPLATES, Page, event, squeezed, text

CINEMAS = {"amc theater": Cinema("1 Main Street, Springfield", "America/New_York")}
RENDERER = load(TEMPLATES, SenderProfile(Brand("Lumen", sender="tickets@lumen.example"), Defaults(cinemas=CINEMAS)))
JANE = Recipient("jane.smith@example.com", "Jane", "Smith")


def mail(event_type: str, person: Recipient = JANE, **fields: Any) -> Mail:  # noqa: ANN401 - whatever JSON holds
    of = event(event_type, **{**RICH[event_type], "timestamp": "2026-11-24T10:30:00Z", **fields})
    return RENDERER.render(RULES[type(of)].template, of, person)


def attached(sent: Mail, media_type: str) -> list[Attachment]:
    return [attachment for attachment in sent.attachments if attachment.media_type.startswith(media_type)]


def calendar(sent: Mail) -> Any:  # noqa: ANN401 - icalendar gives each property any of thirty types
    (file,) = attached(sent, "text/calendar")
    read = icalendar.Calendar.from_ical(file.content)
    assert f"method={read['method']};" in file.media_type
    (found,) = read.walk("VEVENT")
    return found


def scanned(sent: Mail) -> str:
    (image,) = attached(sent, "image/png")
    assert image.content_id == QR_ID
    picture = Image.open(BytesIO(image.content)).convert("L")
    (code,) = qrfast.decode_qrs_bytes(picture.tobytes(), *picture.size, try_harder=False)
    return code


def test_the_code_reads_as_the_ticket_else_the_booking() -> None:
    assert scanned(mail("booking.confirmed")) == "BOOK-1"
    ticket = mail("booking.confirmed", ticket_token="TKT-8F3A")
    assert scanned(ticket) == "TKT-8F3A"
    assert "TKT-8F3A" in ticket.text
    assert attached(mail("booking.confirmed", booking_id=None), "image/png") == []
    assert attached(mail("booking.cancelled"), "image/png") == []


def test_a_booking_has_one_entry_in_a_calendar_from_confirmation_to_cancellation() -> None:
    confirmed, cancelled = calendar(mail("booking.confirmed")), calendar(mail("booking.cancelled"))
    assert confirmed["uid"] == cancelled["uid"] == calendar_id("BOOK-1")
    assert (confirmed["status"], cancelled["status"]) == ("CONFIRMED", "CANCELLED")
    assert (confirmed["sequence"], cancelled["sequence"]) == (0, 1)
    assert confirmed["summary"] == "Inception"
    assert confirmed["location"] == "AMC Theater, 1 Main Street, Springfield"
    assert confirmed["organizer"] == "mailto:tickets@lumen.example"
    assert confirmed["dtstart"].dt.isoformat() == "2026-12-16T01:00:00+00:00"
    assert confirmed["dtend"].dt - confirmed["dtstart"].dt == timedelta(minutes=150)
    (alarm,) = confirmed.walk("VALARM")
    assert alarm["description"] == "Inception begins in two hours"


@pytest.mark.parametrize(
    "fields",
    [
        {"showtime": "Friday night"},
        {"showtime": None},
        {"showtime": "2026-11-01 01:30"},  # the hour that comes twice: nobody knows which was meant
        {"cinema_name": "Elsewhere"},  # whose zone nobody knows
        {"booking_id": None},
    ],
)
def test_without_a_certain_time_there_is_no_calendar_file_and_no_data_for_machines(fields: dict[str, Any]) -> None:
    sent = mail("booking.confirmed", **fields)
    assert attached(sent, "text/calendar") == []
    assert "calendar" not in sent.text
    assert "ld+json" not in sent.html


def test_the_mail_speaks_of_the_file_that_rides_along() -> None:
    assert "attached file to add this to your calendar." in squeezed(mail("booking.confirmed").text)
    assert "attached file to remove this from your calendar." in squeezed(mail("booking.cancelled").text)


def told(sent: Mail) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', sent.html, re.DOTALL)
    data: dict[str, Any] = json.loads(found)
    return data


def test_machines_are_told_what_google_asks_for() -> None:
    data = told(mail("booking.confirmed"))
    assert data["reservationNumber"] == "BOOK-1"
    assert data["reservationStatus"].endswith("/ReservationConfirmed")
    assert data["underName"]["name"] == "Jane Smith"
    assert data["reservationFor"]["startDate"] == "2026-12-15T20:00:00-05:00"
    assert data["reservationFor"]["location"]["address"]["streetAddress"] == "1 Main Street, Springfield"
    assert data["reservedTicket"]["ticketToken"] == "qrCode:BOOK-1"
    assert data["reservedTicket"]["ticketedSeat"]["seatNumber"] == "B5, B6"
    assert "endDate" not in data["reservationFor"], "how long a show lasts is not set"
    assert told(mail("booking.cancelled"))["reservationStatus"].endswith("/ReservationCancelled")


def test_machines_are_told_nothing_by_halves() -> None:
    assert "ld+json" not in mail("booking.confirmed", Recipient("jane.smith@example.com")).html
    assert "ld+json" not in mail("payment.success").html


def test_no_title_ends_the_script_it_stands_in() -> None:
    payload = "</script><script>alert(1)</script>"
    sent = mail("booking.confirmed", movie_title=payload)
    assert told(sent)["reservationFor"]["name"] == payload
    assert "<script>" not in sent.html


def test_ten_thousand_seats_make_no_heavy_mail() -> None:
    sent = mail("booking.confirmed", seats=[f"A{number}" for number in range(10_000)])
    assert sum(len(attachment.content) for attachment in sent.attachments) < 20_000
    assert len(sent.html) < 40_000


@pytest.mark.parametrize("event_type", RICH)
def test_with_images_off_or_as_text_alone_a_mail_tells_every_fact(event_type: str) -> None:
    sent = mail(event_type)
    without_images = squeezed(text(Page(re.sub(r"<img[^>]*>", "", sent.html)).all("body")[0]))
    unsaid = {
        "timestamp",
        "retry_url",
        "error_code",
        "refund_eligible",
        "retry_possible",
        "showtime",
        "payment_method",
        "failure_reason",
        "reason",
        "refund_reason",
    }
    told = [str(value) for name, value in RICH[event_type].items() if name not in {*unsaid, "seats", "cancelled_at"}]
    told += ["B5, B6"] if "seats" in RICH[event_type] else []
    told += ["Tuesday, December 15, 8:00 PM"] if "showtime" in RICH[event_type] else []
    told += ["Credit card"] if "payment_method" in RICH[event_type] else []
    for value in told:
        shown = f"${float(value):.2f}" if value.endswith(".0") else value
        assert shown in squeezed(sent.text)
        assert shown in without_images
