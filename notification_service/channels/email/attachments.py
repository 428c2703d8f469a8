"""What rides along with a mail: the code to scan, the calendar file, and what the mail tells machines."""

import uuid
from datetime import UTC, datetime

from notification_service.channels.email.ticket import calendar, qr, reservation
from notification_service.content.branding import Brand
from notification_service.content.formatting import listed, tickets
from notification_service.content.localization import Cinema, Localization
from notification_service.contract.events import BookingCancelled, BookingConfirmed, Event
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.ports.directory import Recipient

QR_ID = "ticket-qr"
"""The Content-ID of the code to scan (RFC 2392)."""

_BOOKINGS = uuid.UUID("5d0c5b1e-7d0a-5c0f-9c39-6a1d8f6b6f52")
"""The namespace of the ids that bookings have in calendars; another one would make every booking another event."""


def ticket_code(event: Event) -> qr.QrCode | None:
    """The ticket's token, else the booking's id, to be scanned at the entrance."""
    return qr.draw(code) if isinstance(event, BookingConfirmed) and (code := scanned(event)) else None


def scanned(event: Event) -> str | None:
    return event.ticket_token or event.booking_id


def begins(event: Event, style: Localization) -> datetime | None:
    """When the show begins, where that is known for certain, with its offset."""
    text = getattr(event, "showtime", None)
    when = parse_showtime(text, style.zone) if text else None
    return when if when and when.tzinfo else None


def calendar_id(booking_id: str) -> str:
    """The same for ever, so that a cancellation finds what the confirmation put in (RFC 5545 §3.8.4.7)."""
    return str(uuid.uuid5(_BOOKINGS, booking_id))


def calendar_file(
    event: BookingConfirmed | BookingCancelled,
    style: Localization,
    brand: Brand,
    cinema: Cinema,
    *,
    summary: str,
    alarm: str,
    minutes: int,
) -> bytes | None:
    """None where the event names no booking or no certain time. `minutes`: how long a show is taken to last."""
    when = begins(event, style)
    if not event.booking_id or when is None:
        return None
    stamp = event.timestamp or datetime.now(UTC)
    location = ", ".join(part for part in (event.cinema_name, cinema.address) if part) or None
    uid = calendar_id(event.booking_id)
    if isinstance(event, BookingCancelled):
        return calendar.cancel(
            uid,
            stamp=stamp,
            summary=summary,
            start=when,
            minutes=minutes,
            organizer_name=brand.name,
            organizer_email=brand.sender,
            location=location,
            sequence=1 if event.sequence is None else event.sequence,
        )
    showing = calendar.Showing(
        uid=uid,
        summary=summary,
        start=when,
        minutes=minutes,
        location=location,
        description=listed(event.seats) or None,
        organizer_name=brand.name,
        organizer_email=brand.sender,
    )
    first = 2 if event.changed_from else 0
    return calendar.publish(
        showing, stamp=stamp, alarm=alarm, sequence=first if event.sequence is None else event.sequence
    )


def json_ld(event: Event, style: Localization, person: Recipient, cinema: Cinema, url: str | None) -> str | None:
    """schema.org's EventReservation, where everything is known that it has to say."""
    if not isinstance(event, BookingConfirmed | BookingCancelled):
        return None
    return reservation.json_ld(
        number=event.booking_id,
        cancelled=isinstance(event, BookingCancelled),
        person=" ".join(name for name in (person.first_name, person.last_name) if name) or None,
        title=event.movie_title,
        start=begins(event, style),
        place_name=event.cinema_name,
        place_address=cinema.address,
        seats=event.seats if tickets(event.seats) else (),
        url=url,
    )
