"""What the delivery needs from the user directory: who receives a message."""

from dataclasses import dataclass
from typing import Protocol

from notification_service.contract.devices import Device


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


class Directory(Protocol):
    """Looks up recipients; None if there is none. Both methods raise `StoreUnavailableError`."""

    async def user(self, user_id: str) -> Recipient | None: ...
    async def user_of_booking(self, booking_id: str) -> Recipient | None: ...
