"""Parts of the service that a test scripts: they implement the ports, and remember what they were asked."""

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from notification_service.channels.email.mail import OutgoingEmail
from notification_service.contract import notification_ids
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery import planning
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    BeforeHandoverTo,
    Deferred,
    HandoverRefused,
    InDoubt,
    NothingSent,
    OutgoingMessage,
    Refused,
    Unavailable,
    Verdict,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.suppressions import Known
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.stores.memory.suppressions import MemorySuppressions

LARGEST = 256 * 1024
TEMPLATES = Path(__file__).parents[2] / "templates"


def attempt(result: str = "accepted", code: int | None = 250, reply: str | None = "2.0.0 Ok") -> Attempt:
    return Attempt(datetime(2026, 11, 24, 12, tzinfo=UTC), result, 1.5, code, reply, "1")


ACCEPTED = Accepted(attempt())
UNAVAILABLE = Unavailable(attempt("unavailable", 421, "4.3.2 closing"), "wait")
IN_DOUBT = InDoubt(attempt("in_doubt", None, "SMTPServerDisconnected: Connection lost"))


def deferred(wait: float | None = None, reply: str = "4.2.1 not now") -> Deferred:
    return Deferred(attempt("deferred", 450, reply), wait)


def refused(code: str = "5.1.1") -> Refused:
    return Refused(attempt("refused", 550, f"{code} no such user"), code)


def envelope(name: str = "n1") -> OutgoingEmail:
    return OutgoingEmail(
        notification_id=name,
        template="booking_confirmation",
        sender="from@cinema.example",
        recipient="to@guests.example",
        content=b"Subject: x\r\n\r\nx\r\n",
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every file in it by its path."""
    return {str(path): path.read_bytes() for path in folder.iterdir()}


async def held(relay: str | None = None) -> Fence:
    return Fence.HELD


async def unmarked() -> None:
    """Nothing was marked."""


def inbound(data: Any, routing_key: str | None = None, **more: Any) -> InboundMessage:  # noqa: ANN401 - JSON
    """Under the routing key that a producer gives it: the event's own type."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    named = data.get("event_type") if isinstance(data, dict) else None
    return InboundMessage(body, str(named or "booking.confirmed") if routing_key is None else routing_key, **more)


def notification(data: dict[str, Any], routing_key: str | None = None) -> Notification:
    planned = planning.plan(inbound(data, routing_key), max_bytes=LARGEST)
    assert isinstance(planned, Notification)
    return planned


class FirstReports:
    """Which named report stands for a fact: the first that came, as the ledger remembers it."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def notification_id(self, planned: Notification) -> str:
        fact = planned.fact
        first = self._first.setdefault(fact.key, fact.report) if fact.report else None
        return notification_ids.notification_id(fact, first, planned.template, ChannelKind.EMAIL)


Step = Verdict | Exception | Callable[[OutgoingMessage, BeforeHandoverTo], Awaitable[Verdict]]


class ScriptedChannel:
    """Gives the scripted answers in turn, then accepts; `handed_over` are the mails that passed the sending marker."""

    name = "scripted"

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.steps = list(steps)
        self.seen: list[OutgoingMessage] = []
        self.handed_over: list[OutgoingMessage] = []
        self.nothing_sent: NothingSent = unmarked

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandoverTo, nothing_sent: NothingSent
    ) -> Verdict:
        self.seen.append(message)
        self.nothing_sent = nothing_sent
        step = self.steps.pop(0) if self.steps else ACCEPTED
        if isinstance(step, Exception):
            raise step
        if callable(step):
            return await step(message, before_handover)
        return await self._to_the_end(step, message, before_handover)

    async def _to_the_end(self, verdict: Verdict, message: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        if await before_handover() is Fence.LOST:
            return HandoverRefused()
        self.handed_over.append(message)
        return verdict


class FixedKeys:
    """Signs as the keys of links do, with one key."""

    def __init__(self, secret: bytes = b"a key for the tests") -> None:
        self._secret = secret

    def sign(self, purpose: bytes, message: bytes, size: int) -> tuple[int, bytes]:
        return 1, hmac.digest(self._secret, purpose + b"\x1f" + message, "sha256")[:size]

    def verify(self, purpose: bytes, key_id: int, message: bytes, mac: bytes) -> bool:
        return key_id == 1 and hmac.compare_digest(self.sign(purpose, message, len(mac))[1], mac)


class FlakyList(MemorySuppressions):
    """The list of suppressions, which cannot be read while it is `down`."""

    down = False

    async def known(self, channel: ChannelKind, address: str) -> Known:
        if self.down:
            raise StoreUnavailableError("MongoDB", "down")
        return await super().known(channel, address)
