"""Keeps the claims of the jobs that run here alive, in one call for all of them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from notification_service.delivery.ports.claims import Claims, Tenure
from notification_service.foundation.errors import StoreUnavailableError


@dataclass(slots=True)
class Lease:
    """`valid_until` is this process's own monotonic clock: a job that slept past it must not begin to send."""

    owner: str
    valid_until: float
    sending: bool = False
    again: bool = False
    """As in `ports.Tenure`."""

    @property
    def valid(self) -> bool:
        return time.monotonic() < self.valid_until


class Leases:
    def __init__(self, claims: Claims, seconds: float) -> None:
        self.seconds = seconds
        self._claims = claims
        self._held: dict[str, Lease] = {}

    @contextmanager
    def kept(self, notification_id: str, lease: Lease | None) -> Iterator[None]:
        if lease is None:
            yield
            return
        self._held[notification_id] = lease
        try:
            yield
        finally:
            del self._held[notification_id]

    async def renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.seconds / 3)
            with suppress(StoreUnavailableError):
                await self._renew()

    async def _renew(self) -> None:
        if not self._held:
            return
        asked = time.monotonic()
        held = {key: Tenure(lease.owner, lease.sending, lease.again) for key, lease in self._held.items()}
        for notification_id in await self._claims.renew(held):
            if notification_id in self._held:
                self._held[notification_id].valid_until = asked + self.seconds
