"""Looks up users in the booking system's own collections, read-only."""

from collections.abc import Mapping
from typing import Any

from notification_service.contract import placeholders
from notification_service.delivery.ports.directory import Recipient
from notification_service.stores.mongo.client import Database, GroupedReads
from notification_service.stores.mongo.identities import as_text, spellings

_FIELDS = {"email": 1, "first_name": 1, "last_name": 1, "locale": 1}


class MongoDirectory:
    """Finds an id in whatever type the database has it: text, ObjectId, number or UUID."""

    def __init__(self, database: Database) -> None:
        reads = GroupedReads()
        self._users = reads.of(database["users"], _FIELDS, spellings)
        self._bookings = reads.of(database["bookings"], {"user_id": 1}, spellings)

    async def user(self, user_id: str) -> Recipient | None:
        found = await self._users.find(user_id)
        return _recipient(found) if found else None

    async def user_of_booking(self, booking_id: str) -> Recipient | None:
        booking = await self._bookings.find(booking_id)
        user_id = as_text(booking.get("user_id")) if booking else None
        return await self.user(user_id) if user_id else None


def _recipient(document: Mapping[str, Any]) -> Recipient:
    return Recipient(
        email=placeholders.known(document.get("email")),
        first_name=placeholders.name(document.get("first_name")),
        last_name=placeholders.name(document.get("last_name")),
        locale=placeholders.known(document.get("locale")),
    )
