"""Recalls bounces: replays mails that bounced before it was known that the server refuses the service, not the mails.

An order is stored in the ledger until it is carried out, so it survives the worker that gave it. Every worker polls for
orders. Each bounce has one replay token, so that it is replayed once, however often it is published.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from notification_service.delivery.ports.ledger import Record
from notification_service.delivery.ports.recalls import Order, Recalls
from notification_service.foundation.errors import DependencyError, EventRefusedError, StoreUnavailableError
from notification_service.records.reconciliation import stored_body

log = structlog.get_logger(__name__)

_POLL_INTERVAL_S, _OPEN_ORDER_INTERVAL_S = 30.0, 3.0

BringIn = Callable[[bytes, str, str, str], Awaitable[None]]
"""Publishes a body with its event type, event id and replay token, confirmed. Raises `DependencyError`."""


class ServerRefusals(Protocol):
    """What this worker's breaker knows about the refusals with a fingerprint."""

    def hear(self, fingerprint: str) -> None:
        """Take over from another worker that these refusals are the service's fault."""

    def still_ours(self, fingerprint: str) -> bool:
        """Whether no mail was accepted since the refusals were known to be the service's fault."""


class Recaller:
    def __init__(self, recalls: Recalls, refusals: ServerRefusals, bring_in: BringIn) -> None:
        self._recalls = recalls
        self._refusals = refusals
        self._bring_in = bring_in
        self._new_orders: list[Order] = []
        self._known: set[str] = set()
        self._wake = asyncio.Event()

    def alarm(self, fingerprint: str, since: datetime) -> None:
        """Order a recall: this worker found that these refusals are the service's fault."""
        now = datetime.now(UTC)
        self._new_orders.append(Order(fingerprint, since, f"{now:%Y%m%dT%H%M%S.%f}"))
        log.warning("recall.ordered", fingerprint=fingerprint, since=since.isoformat())
        self._wake.set()

    async def forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = _OPEN_ORDER_INTERVAL_S if await self.carry_out_orders() else _POLL_INTERVAL_S
            except (StoreUnavailableError, DependencyError) as problem:
                log.warning("recall.failed", problem=str(problem))
                pause = _OPEN_ORDER_INTERVAL_S
            await _first_of(self._wake, pause)

    async def carry_out_orders(self) -> int:
        """Carry out the orders. Returns how many are left. Raises `StoreUnavailableError` and `DependencyError`."""
        while self._new_orders:
            await self._recalls.order(self._new_orders[0])
            del self._new_orders[0]
        orders = await self._recalls.orders()
        left = [order for order in orders if not await self._carry_out(order)]
        self._known &= {order.opening for order in left}
        return len(left)

    async def _carry_out(self, order: Order) -> bool:
        """Replay when the order is new, as these mails may be the only probes, and again once mail is accepted.

        The second time includes what other workers bounced meanwhile. Returns whether the order is done.
        """
        if new := order.opening not in self._known:
            self._refusals.hear(order.fingerprint)
        over = not self._refusals.still_ours(order.fingerprint)
        if new or over:
            await self._replay_bounces(order)
            self._known.add(order.opening)
        if over:
            await self._recalls.carried_out(order)
        return over

    async def _replay_bounces(self, order: Order) -> None:
        published = incomplete = refused = 0
        async for batch in self._recalls.bounced_by(order.fingerprint, order.since):
            for record in batch:
                body = stored_body(record)
                if body is None:
                    incomplete += 1
                    continue
                event_id = str(record["event_id"])
                try:
                    await self._bring_in(body, str(record["event_type"]), event_id, _token(record, order))
                except EventRefusedError as problem:
                    # The others go on; a person may replay this one, as any bounce.
                    log.error("recall.refused", event_id=event_id, problem=str(problem))  # noqa: TRY400 - the text is enough
                    refused += 1
                else:
                    published += 1
        log.info(
            "recall.published",
            fingerprint=order.fingerprint,
            events=published,
            not_kept=incomplete,
            refused=refused,
        )


def _token(record: Record, order: Order) -> str:
    """Returns the replay token of this bounce: the same in every worker, so that it is granted once."""
    text = f"{record['_id']} {order.opening} {record['updated_at'].isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def _first_of(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
