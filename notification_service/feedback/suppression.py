"""Puts addresses on the list of suppressions, and takes readers off it who came back, as signals say."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from notification_service.contract.signals import REPORT, Signal
from notification_service.contract.suppressions import Cause, Effect, Evidence, Lift, effect
from notification_service.delivery.ports.signals import StoredSignal
from notification_service.delivery.ports.suppressions import Suppressions

log = structlog.get_logger(__name__)

OWN_LINKS = "link"
"""The source of what readers tell us by the links in their mails."""

ADDRESS_DIGEST = "address_digest"
"""In `Signal.extra` of that source: the keyed digest of the reader's address, which the link carries."""

_READER = "the reader"


@dataclass(frozen=True, slots=True)
class SuppressionHandler:
    """May be called again with the same signal, late or out of order. Raises `StoreUnavailableError`.

    `refused_by_policy`: called with the source of each refusal that is about us.
    """

    suppressions: Suppressions
    refused_by_policy: Callable[[str], None]

    async def __call__(self, stored: StoredSignal) -> None:
        signal = stored.signal
        found = effect(signal)
        if found is Effect.NOTHING:
            return
        if found is Effect.ALERT:
            self.refused_by_policy(signal.source)
            log.warning(
                "signal.about_us", source=signal.source, code=signal.code, notification_id=signal.notification_id
            )
            return
        digest = await self._digest(stored)
        if digest is None:
            log.info("signal.of_nobody", source=signal.source, kind=signal.kind, code=signal.code)
        elif found is Effect.RESUBSCRIBE:
            lift = Lift(signal.at, _READER)
            await self.suppressions.lift(signal.channel, digest, Cause.UNSUBSCRIBED, lift)
            log.info("address.lifted", cause=Cause.UNSUBSCRIBED, by=_READER)
        elif await self.suppressions.note(signal.channel, digest, found, _evidence(signal)):
            log.info("address.suppressed", cause=found, source=signal.source, code=signal.code)

    async def _digest(self, stored: StoredSignal) -> str | None:
        """Of the address that our own link names, else of the one that the source or the record names."""
        signal = stored.signal
        if signal.source == OWN_LINKS:
            return signal.extra.get(ADDRESS_DIGEST)
        if signal.address:
            return (await self.suppressions.known(signal.channel, signal.address)).digest or None
        return stored.address_digest


def _evidence(signal: Signal) -> Evidence:
    """All recipients that a report names are the one of its message, so they are one piece of evidence."""
    whole = signal.source_id.partition(".")[0] if signal.source == REPORT else signal.source_id
    return Evidence(
        source=signal.source,
        source_id=whole,
        at=signal.at,
        code=signal.code,
        detail=signal.detail,
        notification_id=signal.notification_id,
    )
