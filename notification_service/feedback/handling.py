"""Takes a signal from our queue: stores it once, brings the record up to date, and hands it to those who act on it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

import structlog

from notification_service.contract import delivery_status
from notification_service.contract.signals import REPORT, Signal
from notification_service.delivery.ports.signals import SignalHandler, SignalledRecord, Signals, StoredSignal, key_of
from notification_service.feedback import signal_messages
from notification_service.foundation.addresses import mask
from notification_service.foundation.mailbox_classes import mailbox_class

log = structlog.get_logger(__name__)

_SETTLE_S = 2.0
_FRESH = timedelta(minutes=1)
_HIDDEN = "***@"

Observe = Callable[[StoredSignal], None]


class SignalHandling:
    """`observe` counts each signal that is new. `handlers` act on each about a message of ours, one after the other.

    `settle_s`: how long a provider may be faster than the record, which gets the provider's id with its outcome.
    """

    def __init__(
        self, store: Signals, handlers: Sequence[SignalHandler], observe: Observe, *, settle_s: float = _SETTLE_S
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._observe = observe
        self._settle_s = settle_s
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, body: bytes) -> bool:
        """Returns False for a message that cannot be read. Raises `StoreUnavailableError`: it may be taken again."""
        try:
            signal = signal_messages.read(body)
        except ValueError as problem:
            log.error("signal.unreadable", problem=str(problem), bytes=len(body))  # noqa: TRY400 - the text is enough
            return False
        await self.handle(signal)
        return True

    async def handle(self, signal: Signal) -> None:
        """Raises `StoreUnavailableError`, and what a handler raises.

        A signal and its repetitions are handled one after the other, so that the first is done when the next is read.
        """
        lock = self._locks.setdefault(key_of(signal), asyncio.Lock())
        async with lock:
            await self._handle(signal)

    async def _handle(self, signal: Signal) -> None:
        record = await self._record(signal)
        stored = await self._known(signal, record)
        if not await self._store.add(stored, datetime.now(UTC)):
            log.debug("signal.repeated", source=signal.source, kind=signal.kind)
            return
        delivery = delivery_status.of_signal(signal.kind, signal.at, signal.code)
        if record and delivery:
            await self._store.advance(record.notification_id, delivery)
        for handler in self._handlers if stored.is_ours else ():
            await handler(stored)
        await self._store.mark_handled(stored.key)
        self._observe(stored)
        _log(stored)

    async def _record(self, signal: Signal) -> SignalledRecord | None:
        record = await self._store.record_of(signal)
        by_provider_alone = signal.provider_message_id and not signal.notification_id
        if record is None and by_provider_alone and datetime.now(UTC) - signal.at < _FRESH:
            await asyncio.sleep(self._settle_s)
            record = await self._store.record_of(signal)
        return record

    async def _known(self, signal: Signal, record: SignalledRecord | None) -> StoredSignal:
        recipient = record.recipient if record else ""
        shown = recipient if "@" in recipient and _HIDDEN not in recipient else None
        if signal.source == REPORT:
            address, digest = await self._written_to(signal, record, shown)
        else:
            address = signal.address or shown
            digest = await self._store.address_digest(address) if address else None
        written_to = recipient or address or ""
        return StoredSignal(
            replace(
                signal, address=address, notification_id=record.notification_id if record else signal.notification_id
            ),
            record,
            digest,
            # By the address that was written to, as mails are counted, though another one may have bounced behind it.
            mailbox_class(written_to) if "@" in written_to else "",
        )

    async def _written_to(
        self, signal: Signal, record: SignalledRecord | None, shown: str | None
    ) -> tuple[str | None, str | None]:
        """The address that the record's message went to, and its digest, as far as the record tells.

        A reader can write a report on a mail of their own, and name anybody in it.
        """
        if shown:
            return shown, await self._store.address_digest(shown)
        held = record.address_digests if record else ()
        digest = await self._store.address_digest(signal.address) if signal.address else None
        if digest in held:
            return signal.address, digest
        return None, held[0] if len(held) == 1 else None


def _log(stored: StoredSignal) -> None:
    signal = stored.signal
    log.info(
        "signal.handled",
        source=signal.source,
        kind=signal.kind,
        notification_id=signal.notification_id,
        code=signal.code,
        recipient=mask(signal.address) if signal.address else None,
        known=stored.record is not None,
    )
