"""Calls back what bounced before it was known that the server refuses us and not these mails.

The order stands in the ledger until it is carried out, so that whoever gave it may die: every worker looks for orders,
and each bounce is called back under one token, however often it is published.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from notification_service.contract.facts import ChannelKind
from notification_service.delivery.ports.recalls import Order, Recalls, Record
from notification_service.foundation.errors import DependencyError, EventRefusedError, StoreUnavailableError
from notification_service.records.reconciliation import body_kept, channel_of

log = structlog.get_logger(__name__)

_LOOK_EVERY, _LOOK_SOON = 30.0, 3.0
"""Seconds between two looks; soon, where an order is open."""

BringIn = Callable[[bytes, str, str, str, ChannelKind], Awaitable[None]]
"""Publishes a body, its event type, its id and a replay token, confirmed, for one channel. Raises `DependencyError`."""


class ServerRefusals(Protocol):
    """What this worker's channel knows of the words that an order is about."""

    def hear(self, fingerprint: str) -> None:
        """Another worker found that they are about us."""

    def still_ours(self, fingerprint: str) -> bool:
        """Whether nothing was accepted since they were known to be about us."""


class Recaller:
    def __init__(self, recalls: Recalls, words: ServerRefusals, bring_in: BringIn) -> None:
        self._recalls = recalls
        self._words = words
        self._bring_in = bring_in
        self._given: list[Order] = []
        self._known: set[str] = set()
        self._wake = asyncio.Event()

    def alarm(self, fingerprint: str, since: datetime) -> None:
        """This worker found words to be about us."""
        now = datetime.now(UTC)
        self._given.append(Order(fingerprint, since, f"{now:%Y%m%dT%H%M%S.%f}"))
        log.warning("recall.ordered", fingerprint=fingerprint, since=since.isoformat())
        self._wake.set()

    async def forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = _LOOK_SOON if await self.look() else _LOOK_EVERY
            except (StoreUnavailableError, DependencyError) as problem:
                log.warning("recall.failed", problem=str(problem))
                pause = _LOOK_SOON
            await _first_of(self._wake, pause)

    async def look(self) -> int:
        """Carry out what can be; how many orders are left. Raises `StoreUnavailableError` and `DependencyError`."""
        while self._given:
            await self._recalls.order(self._given[0])
            del self._given[0]
        orders = await self._recalls.orders()
        left = [order for order in orders if not await self._carry_out(order)]
        self._known &= {order.opening for order in left}
        return len(left)

    async def _carry_out(self, order: Order) -> bool:
        """Once when it is new, since these mails may be the only ones that probe; and once when mail passes again.

        What another worker bounced meanwhile is among the latter.
        """
        if new := order.opening not in self._known:
            self._words.hear(order.fingerprint)
        over = not self._words.still_ours(order.fingerprint)
        if new or over:
            await self._call_back(order)
            self._known.add(order.opening)
        if over:
            await self._recalls.carried_out(order)
        return over

    async def _call_back(self, order: Order) -> None:
        published = lacking = refused = 0
        async for batch in self._recalls.bounced_by(order.fingerprint, order.since):
            for record in batch:
                body = body_kept(record)
                if body is None:
                    lacking += 1
                    continue
                event_id = str(record["event_id"])
                try:
                    token, channel = _token(record, order), channel_of(record)
                    await self._bring_in(body, str(record["event_type"]), event_id, token, channel)
                except EventRefusedError as problem:
                    # The others are called back all the same; this one a person may replay, as any bounce.
                    log.error("recall.refused", event_id=event_id, problem=str(problem))  # noqa: TRY400 - it says all
                    refused += 1
                else:
                    published += 1
        told = {"events": published, "not_kept": lacking, "refused": refused}
        log.info("recall.published", fingerprint=order.fingerprint, **told)


def _token(record: Record, order: Order) -> str:
    """Of this bounce of it, so that one which comes twice is granted once."""
    text = f"{record['_id']} {order.opening} {record['updated_at'].isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def _first_of(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
