"""In-memory signals: the twin of `stores/mongo/signals.py`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from notification_service.contract.delivery_status import Delivery, furthest
from notification_service.contract.signals import Signal
from notification_service.delivery.ports.signals import SignalledRecord, StoredSignal
from notification_service.foundation.address_digests import Digests


class MemorySignals:
    """`records`: by the id of their notification. `provider_ids`: the same by the provider's id."""

    def __init__(
        self, records: Mapping[str, SignalledRecord], provider_ids: Mapping[str, str] | None = None, key: str = "key"
    ) -> None:
        self._records = records
        self._provider_ids = provider_ids or {}
        self._digests = Digests([key])
        self._handled: set[str] = set()
        self.stored: dict[str, StoredSignal] = {}
        self.deliveries: dict[str, Delivery] = {}

    async def record_of(self, signal: Signal) -> SignalledRecord | None:
        by_provider = self._provider_ids.get(signal.provider_message_id or "", "")
        return self._records.get(signal.notification_id or "") or self._records.get(by_provider)

    async def address_digest(self, address: str) -> str | None:
        return next(iter(self._digests.of([address])), None)

    async def add(self, stored: StoredSignal, received_at: datetime) -> bool:  # noqa: ARG002 - the port's
        self.stored.setdefault(stored.key, replace(stored, signal=replace(stored.signal, address=None)))
        return stored.key not in self._handled

    async def advance(self, notification_id: str, delivery: Delivery) -> None:
        if notification_id in self._records:
            known = self.deliveries.get(notification_id, delivery)
            self.deliveries[notification_id] = furthest(known, delivery)

    async def mark_handled(self, key: str) -> None:
        self._handled.add(key)
