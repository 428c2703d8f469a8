"""Looks up users in the booking system's own collections, read-only."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from notification_service.contract import devices, placeholders, values
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.ports.directory import NO_TEXT, Recipient
from notification_service.foundation.batching import CallTurns
from notification_service.stores.mongo.client import Database, GroupedReads
from notification_service.stores.mongo.identities import as_text, spellings

_FIELDS = ("email", "first_name", "last_name", "locale", "phone_number", "device_tokens")


class MongoDirectory:
    """Finds an id in whatever type the database has it: text, ObjectId, number or UUID.

    `consent_field`: of a user, with dots between nested names; None where nobody's clicks are counted. `consents`: the
    fields that say whether they want messages by a channel. `turns`: those of the other stores' groups.
    """

    def __init__(
        self,
        database: Database,
        consent_field: str | None = None,
        consents: Mapping[ChannelKind, str] | None = None,
        turns: CallTurns | None = None,
    ) -> None:
        reads = GroupedReads(turns)
        self._consent_field = consent_field
        self._consents = consents or {}
        asked = filter(None, (consent_field, *self._consents.values()))
        fields = dict.fromkeys(_apart({*_FIELDS, *asked}), 1)
        self._users = reads.of(database["users"], fields, spellings)
        self._bookings = reads.of(database["bookings"], {"user_id": 1}, spellings)

    async def user(self, user_id: str) -> Recipient | None:
        found = await self._users.find(user_id)
        return _recipient(found, self._consent_field, self._consents) if found else None

    async def user_of_booking(self, booking_id: str) -> Recipient | None:
        booking = await self._bookings.find(booking_id)
        user_id = as_text(booking.get("user_id")) if booking else None
        return await self.user(user_id) if user_id else None


def _apart(names: Collection[str]) -> list[str]:
    """Without those that lie inside of another one, which MongoDB refuses in one projection."""
    return sorted(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def _recipient(
    document: Mapping[str, Any], consent_field: str | None, consents: Mapping[ChannelKind, str]
) -> Recipient:
    return Recipient(
        email=_read(values.address, document.get("email")),
        first_name=placeholders.name(document.get("first_name")),
        last_name=placeholders.name(document.get("last_name")),
        locale=placeholders.known(document.get("locale")),
        tracking_consent=_agrees(document, consent_field),
        # A number that is stored as a number has lost its plus sign or its first zero: the channel says so.
        phone=_read(values.exact, document.get("phone_number"), unreadable=NO_TEXT),
        device_tokens=devices.read(document.get("device_tokens")),
        consents={kind: wish for kind, name in consents.items() if (wish := _wish(document, name)) is not None},
    )


def _agrees(document: Mapping[str, Any], field: str | None) -> bool:
    """Only a plain true is a consent: no other value, and no text."""
    return field is not None and _value(document, field) is True


def _wish(document: Mapping[str, Any], field: str) -> bool | None:
    """True is a consent as in `_agrees`. A no is one in any spelling, so whatever cannot be read counts as one.

    A yes in another form, and nothing at all, say nothing.
    """
    value = _value(document, field)
    if value is True:
        return True
    try:
        return False if values.flag(value) is False else None
    except values.UNREADABLE:
        return False


def _value(document: Mapping[str, Any], field: str) -> object:
    value: object = document
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _read(reader: Callable[[object], str | None], stored: object, *, unreadable: str | None = None) -> str | None:
    try:
        return reader(stored)
    except values.UNREADABLE:
        return unreadable
