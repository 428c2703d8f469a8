"""What the delivery needs from the user directory: who receives a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device

NO_TEXT = "(no text)"
"""In place of an address that is stored as a list or an object: the channel refuses it, and says why."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """`phone`: the number as it is stored. `device_tokens`: of the devices that the person gets push messages on."""

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    locale: str | None = None
    tracking_consent: bool = False
    """Whether the user agrees that clicks are counted; False where nobody asked."""
    phone: str | None = None
    device_tokens: tuple[Device, ...] = ()
    consents: Mapping[ChannelKind, bool] = field(default_factory=dict, hash=False)
    """Whether the user wants messages by a channel; without an entry, nobody knows."""


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """Who refused a channel gets nothing by it. `required`: nor does anybody whose consent is not known.

    `setting`: the beginning of the names of its settings.
    """

    setting: str
    required: bool = True


class Directory(Protocol):
    """Looks up recipients; None if there is none. Both methods raise `StoreUnavailableError`."""

    async def user(self, user_id: str) -> Recipient | None: ...
    async def user_of_booking(self, booking_id: str) -> Recipient | None: ...
