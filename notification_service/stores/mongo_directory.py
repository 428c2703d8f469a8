"""Who a user is, from the booking system's own collections. Read only."""

from collections.abc import Mapping
from typing import Any

from notification_service.ports import Person
from notification_service.stores.mongo import Database, GroupedReads

_FIELDS = {"email": 1, "first_name": 1, "last_name": 1, "locale": 1}


class MongoDirectory:
    def __init__(self, database: Database) -> None:
        reads = GroupedReads()
        self._users = reads.of(database["users"], _FIELDS)
        self._bookings = reads.of(database["bookings"], {"user_id": 1})

    async def user(self, user_id: str) -> Person | None:
        found = await self._users.find(user_id)
        return _person(found) if found else None

    async def user_of_booking(self, booking_id: str) -> Person | None:
        booking = await self._bookings.find(booking_id)
        user_id = _text(booking, "user_id") if booking else None
        return await self.user(user_id) if user_id else None


def _person(document: Mapping[str, Any]) -> Person:
    return Person(
        email=_text(document, "email"),
        first_name=_text(document, "first_name"),
        last_name=_text(document, "last_name"),
        locale=_text(document, "locale"),
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value.strip() or None if isinstance(value, str) else None
