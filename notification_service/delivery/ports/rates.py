"""What the delivery needs from the rate limits: when a message to an address may go."""

from typing import Protocol

from notification_service.delivery.rate_limits import Reservation


class Rates(Protocol):
    async def reserve(
        self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False
    ) -> Reservation:
        """When a mail to this address may go, as the first limit says that has no place for it now.

        Each call takes places; with `only_now` none where the mail may not go at once. `taken`: what
        `Reservation.taken` said the last time. Raises `StoreUnavailableError`.
        """
