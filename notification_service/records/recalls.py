"""Publishes bounced events again, once their refusals are known to be about our service and not the messages.

The order is stored until it is carried out, so it survives the worker that gave it. Every worker looks for orders. Each
bounce has one token in an order, so that it is sent once, however often it is published.
"""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Protocol

import structlog

from notification_service.broker.parking import Republish
from notification_service.delivery.ports.ledger import Record
from notification_service.delivery.ports.recalls import Order, Recalls
from notification_service.foundation.errors import DependencyError, EventRefusedError, StoreUnavailableError
from notification_service.records.reconciliation import to_publish

log = structlog.get_logger(__name__)

_LOOK_INTERVAL_S, _OPEN_ORDER_INTERVAL_S = 30.0, 3.0
"""The time between two looks for orders; the second while one is open."""


class ServerRefusals(Protocol):
    """What this worker's channel has learned about a refusal, by its fingerprint."""

    def mark_about_us(self, fingerprint: str) -> None:
        """Note that another worker found this refusal to be about our service."""

    def is_about_us(self, fingerprint: str) -> bool:
        """Whether no message was accepted since the refusal was found to be about our service."""


class Recaller:
    def __init__(self, recalls: Recalls, refusals: ServerRefusals, republish: Republish) -> None:
        self._recalls = recalls
        self._refusals = refusals
        self._republish = republish
        self._new_orders: list[Order] = []
        self._known: set[str] = set()
        self._wake = asyncio.Event()

    def alarm(self, fingerprint: str, since: datetime) -> None:
        """Order a recall: this worker found a refusal to be about our service."""
        now = datetime.now(UTC)
        self._new_orders.append(Order(fingerprint, since, f"{now:%Y%m%dT%H%M%S.%f}"))
        log.warning("recall.ordered", fingerprint=fingerprint, since=since.isoformat())
        self._wake.set()

    async def forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = _OPEN_ORDER_INTERVAL_S if await self.carry_out_orders() else _LOOK_INTERVAL_S
            except (StoreUnavailableError, DependencyError) as problem:
                log.warning("recall.failed", problem=str(problem))
                pause = _OPEN_ORDER_INTERVAL_S
            await _wait_for(self._wake, pause)

    async def carry_out_orders(self) -> int:
        """Carry out orders, and return how many stay open. Raises `StoreUnavailableError` and `DependencyError`."""
        while self._new_orders:
            await self._recalls.order(self._new_orders[0])
            del self._new_orders[0]
        orders = await self._recalls.orders()
        left = [order for order in orders if not await self._carry_out(order)]
        self._known &= {order.opening for order in left}
        return len(left)

    async def _carry_out(self, order: Order) -> bool:
        """Publish the bounces of an order twice: when it is new, and when the server accepts messages again.

        The first time, since they may be the only messages that show whether it does; the second time, since more may
        have bounced meanwhile.
        """
        if new := order.opening not in self._known:
            self._refusals.mark_about_us(order.fingerprint)
        over = not self._refusals.is_about_us(order.fingerprint)
        if new or over:
            await self._publish(order)
            self._known.add(order.opening)
        if over:
            await self._recalls.carried_out(order)
        return over

    async def _publish(self, order: Order) -> None:
        published = lacking = refused = 0
        async for batch in self._recalls.bounced_by(order.fingerprint, order.since):
            for record in batch:
                event = to_publish(record, _token(record, order))
                if event is None:
                    lacking += 1
                    continue
                try:
                    await self._republish(event)
                except EventRefusedError as problem:
                    # The others are still published; a person can replay this one.
                    log.error("recall.refused", event_id=event.event_id, problem=str(problem))  # noqa: TRY400 - it says all
                    refused += 1
                else:
                    published += 1
        counts = {"events": published, "not_kept": lacking, "refused": refused}
        log.info("recall.published", fingerprint=order.fingerprint, **counts)


def _token(record: Record, order: Order) -> str:
    """A token of this bounce in this order, so that it is granted once."""
    text = f"{record['_id']} {order.opening} {record['updated_at'].isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def _wait_for(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
