"""Makes the parts of a mail beside its text: QR code, calendar file, and JSON-LD for programs."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from notification_service.channels.email.ticket import calendar, qr, reservation
from notification_service.channels.email.wallet.tickets import WalletTicket
from notification_service.content.branding import Brand
from notification_service.content.formatting import listed, show_text, tickets
from notification_service.content.localization import Cinema, Localization
from notification_service.contract.events import BookingCancelled, BookingConfirmed, Event
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.ports.directory import Recipient

QR_ID = "ticket-qr"
"""The Content-ID of the QR code (RFC 2392)."""

_CALENDAR_IDS = uuid.UUID("5d0c5b1e-7d0a-5c0f-9c39-6a1d8f6b6f52")
"""The namespace of calendar ids. It must never change: updates would no longer find their calendar entries."""


def ticket_code(event: Event) -> qr.QrCode | None:
    """Returns the QR code that is scanned at the entrance: the ticket's token, else the booking's id."""
    return qr.draw(code) if isinstance(event, BookingConfirmed) and (code := scanned(event)) else None


def scanned(event: Event) -> str | None:
    return event.ticket_token or event.booking_id


def begins(event: Event, localization: Localization) -> datetime | None:
    """Returns the start of the show with its UTC offset; None where it is not certain."""
    text = event.__dict__.get("showtime")
    when = parse_showtime(text, localization.zone) if text else None
    return when if when and when.tzinfo else None


def calendar_id(booking_id: str) -> str:
    """Returns the UID (RFC 5545 §3.8.4.7), which never changes, so that a cancellation finds the entry to remove."""
    return str(uuid.uuid5(_CALENDAR_IDS, booking_id))


def calendar_file(
    event: BookingConfirmed | BookingCancelled,
    localization: Localization,
    brand: Brand,
    cinema: Cinema,
    *,
    summary: str,
    alarm: str,
    minutes: int,
) -> bytes | None:
    """Returns the calendar file; None where booking or start are unknown. `minutes`: the length of a show."""
    when = begins(event, localization)
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


_LABELS = ("when", "where", "seats", "code", "address")


def wallet_ticket(
    event: Event, localization: Localization, cinema: Cinema, label: Callable[[str], str]
) -> WalletTicket | None:
    """Returns what a wallet shows; None where booking or title are unknown. `label`: the word for a name of _LABELS."""
    if not isinstance(event, BookingConfirmed) or not event.booking_id or not event.movie_title:
        return None
    place = None if cinema.latitude is None or cinema.longitude is None else (cinema.latitude, cinema.longitude)
    return WalletTicket(
        booking_id=event.booking_id,
        code=scanned(event) or event.booking_id,
        title=event.movie_title,
        labels={name: label(name) for name in _LABELS},
        language=localization.lang,
        when=show_text(event.showtime, localization),
        start=begins(event, localization),
        place=event.cinema_name,
        address=cinema.address,
        seats=listed(event.seats) or None,
        coordinates=place,
    )


def json_ld(
    event: Event,
    localization: Localization,
    person: Recipient,
    cinema: Cinema,
    *,
    url: str | None,
    minutes: int | None,
) -> str | None:
    """Returns a schema.org EventReservation; None where one of its required values is unknown.

    `minutes`: the length of a show, where it is known.
    """
    if not isinstance(event, BookingConfirmed | BookingCancelled):
        return None
    return reservation.json_ld(
        number=event.booking_id,
        cancelled=isinstance(event, BookingCancelled),
        person=" ".join(name for name in (person.first_name, person.last_name) if name) or None,
        title=event.movie_title,
        start=begins(event, localization),
        place_name=event.cinema_name,
        place_address=cinema.address,
        seats=event.seats if tickets(event.seats) else (),
        code=scanned(event),
        minutes=minutes,
        url=url,
    )
