"""What KDE Itinerary, khal, w3m and lynx make of one booking's mails: new, changed, cancelled."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notification_service.channels.email import mime
from notification_service.channels.email.mime import SenderIdentity
from notification_service.delivery.ports.composer import MessageIds
from tests.mails import programs, terminal
from tests.mails.mail import Mail
from tests.unit import test_attachments
from tests.unit.test_attachments import attached

PLACE = "AMC Theater, 1 Main Street, Springfield"
STORY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("booking.confirmed", {"ticket_token": "TKT-8F3A"}),
    (
        "booking.confirmed",
        {
            "ticket_token": "TKT-8F3A",
            "showtime": "2026-12-17 09:00 PM",
            "changed_from": {"showtime": "2026-12-15 20:00"},
        },
    ),
    ("booking.cancelled", {"ticket_token": "TKT-8F3A", "showtime": "2026-12-17 09:00 PM"}),
)


def told() -> Iterator[tuple[bytes, bytes]]:
    """Each mail of the story, as it goes out, and its calendar file."""
    for at, (event_type, fields) in enumerate(STORY):
        sent = test_attachments.mail(event_type, **fields)
        ids = MessageIds(f"{at:032x}", "e1", "booking_confirmation", "BOOK-1", datetime(2026, 11, 24, tzinfo=UTC))
        sender = SenderIdentity("tickets@lumen.example", "Lumen")
        whole = mime.compose(sent, "jane.smith@example.com", sender, ids, max_attachment_bytes=10**6)
        (file,) = attached(sent, "text/calendar")
        sequence = f"SEQUENCE:{at}".encode()  # which the service counts
        yield (
            whole.content,
            b"\r\n".join(sequence if b"SEQUENCE:" in line else line for line in file.content.split(b"\r\n")),
        )


@pytest.mark.skipif(programs.EXTRACTOR is None, reason=f"needs {programs.INSTALL_EXTRACTOR}")
def test_kde_itinerary_reads_seats_address_and_code_of_a_new_a_changed_and_a_cancelled_booking(tmp_path: Path) -> None:
    reservations = []
    for at, (mail, _) in enumerate(told()):
        file = tmp_path / f"{at}.eml"
        file.write_bytes(mail)
        reservations += programs.extracted(file)
    said = [
        [programs.value(one, path) for path in ("reservationFor.startDate", "reservationStatus")]
        for one in reservations
    ]
    assert said == [
        ["2026-12-15T20:00:00-05:00", "http://schema.org/ReservationConfirmed"],
        ["2026-12-17T21:00:00-05:00", "http://schema.org/ReservationConfirmed"],
        ["2026-12-17T21:00:00-05:00", "http://schema.org/ReservationCancelled"],
    ]
    for one in reservations:
        assert programs.value(one, "reservedTicket.ticketToken") == "qrCode:TKT-8F3A"
        assert programs.value(one, "reservedTicket.ticketedSeat.seatNumber") == "B5, B6"
        assert programs.value(one, "reservationFor.location.address.streetAddress") == "1 Main Street, Springfield"


@pytest.mark.skipif(programs.KHAL is None, reason=f"needs {programs.INSTALL_KHAL}")
def test_khal_has_one_entry_that_moves_and_is_cancelled(tmp_path: Path) -> None:
    calendar = programs.Khal(tmp_path, "America/New_York")
    seen = []
    for _, file in told():
        calendar.take(file)
        seen.append(calendar.entries("2026-12-01"))
    assert [[" ".join(line.split()) for line in entries] for entries in seen] == [
        [f"2026-12-15 20:00 22:30 Inception|{PLACE}|CONFIRMED"],
        [f"2026-12-17 21:00 23:30 Inception|{PLACE}|CONFIRMED"],
        [f"2026-12-17 21:00 23:30 Inception|{PLACE}|CANCELLED"],
    ]


@pytest.mark.skipif(not terminal.programs(), reason=f"needs {terminal.INSTALL}")
def test_the_browsers_of_terminals_show_every_fact_of_the_html() -> None:
    for raw, _ in told():
        mail = Mail("booking", raw)
        for program in terminal.programs():
            text = terminal.shown(mail, program)
            assert list(terminal.lost(mail, program, text)) == []
            assert [each.what for each in terminal.lost(mail, program, text.replace("AMC", ""))] == [
                "is not shown: AMC"
            ]
