"""Writes a booking for mail programs: a schema.org EventReservation in JSON-LD.

It is no reservation of the rate limits (`delivery.rate_limits`).
"""

import json
from datetime import UTC, datetime, timedelta

_MAX_SEATS = 30
_INERT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def json_ld(
    *,
    number: str | None,
    cancelled: bool,
    person: str | None,
    title: str | None,
    start: datetime | None,
    place_name: str | None,
    place_address: str | None,
    seats: tuple[str, ...] = (),
    code: str | None = None,
    minutes: int | None = None,
    url: str | None = None,
) -> str | None:
    """Returns the content of a `<script type="application/ld+json">` element, escaped so that it cannot end it.

    None where a value that Google requires is unknown: an incomplete one counts as an error.
    `code`: what the ticket's QR code says. `minutes`: how long the show lasts, where this is known.
    """
    if start is None or start.tzinfo is None:  # a time without an offset is not certain
        return None
    if not all(text and text.strip() for text in (number, person, title, place_name, place_address)):
        return None
    show: dict[str, object] = {
        # Not ScreeningEvent, which is not among the subtypes that Google supports.
        "@type": "Event",
        "name": title,
        "startDate": start.isoformat(timespec="seconds"),
        "location": {"@type": "Place", "name": place_name, "address": _address(place_address)},
    }
    if minutes:
        show["endDate"] = _later(start, minutes).isoformat(timespec="seconds")
    reservation: dict[str, object] = {
        "@context": "http://schema.org",
        "@type": "EventReservation",
        "reservationNumber": number,
        "reservationStatus": f"http://schema.org/Reservation{'Cancelled' if cancelled else 'Confirmed'}",
        "underName": {"@type": "Person", "name": person},
        "reservationFor": show,
    }
    if ticket := _ticket(seats, code):
        reservation["reservedTicket"] = ticket
    if url:
        reservation["url"] = url
    # `json.dumps` writes ASCII, so U+2028, U+2029 and halves of surrogate pairs are escaped too.
    return json.dumps(reservation, separators=(",", ":")).translate(_INERT)


def _later(start: datetime, minutes: int) -> datetime:
    """Counted in UTC, so that a night in which the clock changes is as long as any other."""
    return (start.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(start.tzinfo)


def _address(text: str | None) -> dict[str, object]:
    """KDE Itinerary reads no address that is a bare text."""
    return {"@type": "PostalAddress", "streetAddress": text}


def _ticket(seats: tuple[str, ...], code: str | None) -> dict[str, object]:
    """One ticket for all seats, as the mail has one code for them. A part of the seats would be wrong data."""
    ticket: dict[str, object] = {}
    if 0 < len(seats) <= _MAX_SEATS:
        ticket["ticketedSeat"] = {"@type": "Seat", "seatNumber": ", ".join(seats)}
    if code:
        ticket["ticketToken"] = f"qrCode:{code}"
    return {"@type": "Ticket", **ticket} if ticket else {}
