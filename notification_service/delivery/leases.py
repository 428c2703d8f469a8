"""Renews the claims of all jobs of this process, in one call."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from notification_service.delivery.ports.claims import Claims, Tenure
from notification_service.foundation.errors import StoreUnavailableError


@dataclass(slots=True)
class Lease:
    """`valid_until`: monotonic clock of this process. A job that is suspended beyond it must not begin to send."""

    owner: str
    valid_until: float
    sending: bool = False
    again: bool = False
    relay: str | None = None
    """As in `ports.claims.Tenure`."""

    @property
    def valid(self) -> bool:
        return time.monotonic() < self.valid_until

    @property
    def tenure(self) -> Tenure:
        return Tenure(self.owner, self.sending, self.again, self.relay)


class Leases:
    def __init__(self, claims: Claims, seconds: float) -> None:
        self.seconds = seconds
        self._claims = claims
        self._leases: dict[str, Lease] = {}

    @contextmanager
    def renewed(self, notification_id: str, lease: Lease | None) -> Iterator[None]:
        if lease is None:
            yield
            return
        self._leases[notification_id] = lease
        try:
            yield
        finally:
            del self._leases[notification_id]

    async def renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.seconds / 3)
            with suppress(StoreUnavailableError):
                await self._renew()

    async def _renew(self) -> None:
        if not self._leases:
            return
        asked = time.monotonic()
        tenures = {key: each.tenure for key, each in self._leases.items()}
        for notification_id in await self._claims.renew(tenures):
            if notification_id in self._leases:
                self._leases[notification_id].valid_until = asked + self.seconds
