"""What the delivery needs from the user directory: who receives a message."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Recipient:
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    locale: str | None = None
    tracking_consent: bool = False
    """Whether the user agrees that clicks are counted; False where nobody asked."""


class Directory(Protocol):
    """Looks up recipients; None if there is none. Both methods raise `StoreUnavailableError`."""

    async def user(self, user_id: str) -> Recipient | None: ...
    async def user_of_booking(self, booking_id: str) -> Recipient | None: ...
