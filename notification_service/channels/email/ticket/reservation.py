"""Writes a booking for mail programs: a schema.org EventReservation in JSON-LD.

It is no reservation of the rate limits (`delivery.rate_limits`).
"""

import json
from datetime import datetime

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
    url: str | None = None,
) -> str | None:
    """Returns the content of a `<script type="application/ld+json">` element, escaped so that it cannot end it.

    None where a value that Google requires is unknown: an incomplete one counts as an error.
    """
    if start is None or start.tzinfo is None:  # a time without an offset is not certain
        return None
    if not all(text and text.strip() for text in (number, person, title, place_name, place_address)):
        return None
    reservation: dict[str, object] = {
        "@context": "http://schema.org",
        "@type": "EventReservation",
        "reservationNumber": number,
        "reservationStatus": f"http://schema.org/Reservation{'Cancelled' if cancelled else 'Confirmed'}",
        "underName": {"@type": "Person", "name": person},
        "reservationFor": {
            # Not ScreeningEvent, which is not among the subtypes that Google supports.
            "@type": "Event",
            "name": title,
            "startDate": start.isoformat(timespec="seconds"),
            "location": {"@type": "Place", "name": place_name, "address": place_address},
        },
    }
    if 0 < len(seats) <= _MAX_SEATS:  # a part of the seats would be wrong data
        reservation["reservedTicket"] = [_ticket(seat) for seat in seats]
    if url:
        reservation["url"] = url
    # `json.dumps` writes ASCII, so U+2028, U+2029 and halves of surrogate pairs are escaped too.
    return json.dumps(reservation, separators=(",", ":")).translate(_INERT)


def _ticket(seat: str) -> dict[str, object]:
    return {"@type": "Ticket", "ticketedSeat": {"@type": "Seat", "seatNumber": seat}}
