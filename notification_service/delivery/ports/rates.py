"""What the delivery needs from the rate limits: when a message to an address may be sent."""

from collections.abc import Sequence
from typing import Protocol

from notification_service.delivery.rate_limits import Place, Reservation


class Rates(Protocol):
    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        """Take a place at each limit in order, up to the first that is exhausted, and return when that one is free.

        `only_now`: take no place at all unless the message may be sent at once. `taken`: `Reservation.taken` of the
        last call for this message. Raises `StoreUnavailableError`.
        """

    async def give_back(self, places: Sequence[Place]) -> None:
        """Free the places of a message that was not sent, as far as time has not freed them yet.

        Raises `StoreUnavailableError`.
        """
