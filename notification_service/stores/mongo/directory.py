"""Looks up users in the booking system's own collections, read-only."""

from collections.abc import Callable, Mapping
from typing import Any

from notification_service.contract import devices, placeholders, values
from notification_service.delivery.ports.directory import Recipient
from notification_service.stores.mongo.client import Database, GroupedReads
from notification_service.stores.mongo.identities import as_text, spellings

_FIELDS = {"email": 1, "first_name": 1, "last_name": 1, "locale": 1, "phone_number": 1, "device_tokens": 1}


class MongoDirectory:
    """Finds an id in whatever type the database has it: text, ObjectId, number or UUID.

    `consent_field`: of a user, with dots between nested names; None where nobody's clicks are counted.
    """

    def __init__(self, database: Database, consent_field: str | None = None) -> None:
        reads = GroupedReads()
        self._consent_field = consent_field
        fields = _FIELDS | ({consent_field: 1} if consent_field else {})
        self._users = reads.of(database["users"], fields, spellings)
        self._bookings = reads.of(database["bookings"], {"user_id": 1}, spellings)

    async def user(self, user_id: str) -> Recipient | None:
        found = await self._users.find(user_id)
        return _recipient(found, self._consent_field) if found else None

    async def user_of_booking(self, booking_id: str) -> Recipient | None:
        booking = await self._bookings.find(booking_id)
        user_id = as_text(booking.get("user_id")) if booking else None
        return await self.user(user_id) if user_id else None


def _recipient(document: Mapping[str, Any], consent_field: str | None) -> Recipient:
    return Recipient(
        email=_read(values.address, document.get("email")),
        first_name=placeholders.name(document.get("first_name")),
        last_name=placeholders.name(document.get("last_name")),
        locale=placeholders.known(document.get("locale")),
        tracking_consent=_agrees(document, consent_field),
        # A number that is stored as a number has lost its plus sign or its first zero: the channel says so.
        phone=_read(values.exact, document.get("phone_number")),
        device_tokens=devices.read(document.get("device_tokens"))[0],
    )


def _agrees(document: Mapping[str, Any], field: str | None) -> bool:
    """Only a plain true is a consent: no other value, and no text."""
    value: object = document
    for name in field.split(".") if field else ():
        value = value.get(name) if isinstance(value, Mapping) else None
    return value is True


def _read(reader: Callable[[object], str | None], stored: object) -> str | None:
    try:
        return reader(stored)
    except values.UNREADABLE:
        return None
