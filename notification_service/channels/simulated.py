"""The simulated transport: writes every message to the outbox, sends nothing, and logs a warning for each."""

import time
from datetime import UTC, datetime

import structlog

from notification_service.contract.outcomes import Simulated
from notification_service.delivery.ports.channel import (
    Attempt,
    BeforeHandover,
    HandoverRefused,
    Outbox,
    OutgoingMessage,
    SimulatedSend,
    Tried,
    Unavailable,
)
from notification_service.delivery.ports.claims import Fence

log = structlog.get_logger(__name__)


class SimulatedChannel:
    """`name`: for metrics and logs, that of the transport whose place it takes."""

    def __init__(self, outbox: Outbox, name: str = "simulated") -> None:
        self.name = name
        self._outbox = outbox

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        at, started = datetime.now(UTC), time.monotonic()
        if await before_handover() is Fence.LOST:
            return HandoverRefused()
        try:
            path = await self._outbox.keep(message)
        except OSError as problem:
            return Unavailable(
                Attempt(at, "unavailable", _since(started), reply=f"{type(problem).__name__}: {problem}"),
                "OUTBOX_DIR must be a folder that the service can write to, with room on its disk",
            )
        log.warning("mail.simulated", reason="nothing was sent: simulation", path=path)
        return SimulatedSend(Simulated(path), Attempt(at, "simulated", _since(started), reply="kept in the outbox"))

    async def close(self) -> None:
        """Nothing is open."""


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
