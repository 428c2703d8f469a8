"""A booking as mail programs read it: a schema.org EventReservation in JSON-LD."""

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
    """What goes between `<script type="application/ld+json">` and its end, as it is: nothing in it can end the script.

    None where anything is unknown that Google asks for: half of it is worth nothing, and counts as an error.
    """
    if start is None or start.tzinfo is None:  # a moment without an offset is none
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
            # Not ScreeningEvent: Google lists the subtypes that it takes, and that one, being younger, is none of them.
            "@type": "Event",
            "name": title,
            "startDate": start.isoformat(timespec="seconds"),
            "location": {"@type": "Place", "name": place_name, "address": place_address},
        },
    }
    if 0 < len(seats) <= _MAX_SEATS:  # some of the seats would be a lie to a program
        reservation["reservedTicket"] = [_ticket(seat) for seat in seats]
    if url:
        reservation["url"] = url
    # As ASCII, U+2028, U+2029 and halves of surrogate pairs are escapes too.
    return json.dumps(reservation, separators=(",", ":")).translate(_INERT)


def _ticket(seat: str) -> dict[str, object]:
    return {"@type": "Ticket", "ticketedSeat": {"@type": "Seat", "seatNumber": seat}}
