"""In-memory directory: the twin of the one in MongoDB."""

from collections.abc import Mapping
from typing import Any, TypeVar

from notification_service.contract import placeholders
from notification_service.delivery.ports.directory import Recipient
from notification_service.stores.mongo.identities import as_text, spellings

T = TypeVar("T")


class MemoryDirectory:
    """`users` by id, and whose a booking is, with ids in whatever type a database may hold them."""

    def __init__(self, users: Mapping[Any, Recipient], users_of_bookings: Mapping[Any, Any]) -> None:
        self._users = users
        self._users_of_bookings = users_of_bookings

    async def user(self, user_id: str) -> Recipient | None:
        found = _of(self._users, user_id)
        return _readable(found) if found else None

    async def user_of_booking(self, booking_id: str) -> Recipient | None:
        user_id = as_text(_of(self._users_of_bookings, booking_id))
        return await self.user(user_id) if user_id else None


def _of(held: Mapping[Any, T], text: str) -> T | None:
    return next((held[key] for key in spellings(text) if key in held), None)


def _readable(person: Recipient) -> Recipient:
    return Recipient(
        email=placeholders.known(person.email),
        first_name=placeholders.name(person.first_name),
        last_name=placeholders.name(person.last_name),
        locale=placeholders.known(person.locale),
    )
