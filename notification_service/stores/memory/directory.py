"""In-memory directory: the twin of `stores/mongo/directory.py`."""

from collections.abc import Mapping
from typing import Any, TypeVar

from notification_service.contract import placeholders
from notification_service.delivery.ports.directory import Recipient
from notification_service.stores.mongo.identities import as_text, spellings

T = TypeVar("T")


class MemoryDirectory:
    """`users` by id, and the user id of each booking; ids have any type that a database may hold."""

    def __init__(self, users: Mapping[Any, Recipient], users_of_bookings: Mapping[Any, Any]) -> None:
        self._users = users
        self._users_of_bookings = users_of_bookings

    async def user(self, user_id: str) -> Recipient | None:
        found = _find(self._users, user_id)
        return _cleaned(found) if found else None

    async def user_of_booking(self, booking_id: str) -> Recipient | None:
        user_id = as_text(_find(self._users_of_bookings, booking_id))
        return await self.user(user_id) if user_id else None


def _find(documents: Mapping[Any, T], text: str) -> T | None:
    return next((documents[key] for key in spellings(text) if key in documents), None)


def _cleaned(recipient: Recipient) -> Recipient:
    return Recipient(
        email=placeholders.known(recipient.email),
        first_name=placeholders.name(recipient.first_name),
        last_name=placeholders.name(recipient.last_name),
        locale=placeholders.known(recipient.locale),
        tracking_consent=recipient.tracking_consent,
        phone=placeholders.known(recipient.phone),
        device_tokens=recipient.device_tokens,
        consents=recipient.consents,
    )
