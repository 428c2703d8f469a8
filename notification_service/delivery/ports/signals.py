"""What the handling of signals needs from their store, and what it hands on to those who act on them."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.delivery_status import Delivery
from notification_service.contract.signals import Signal, SignalKind


@dataclass(frozen=True, slots=True)
class SignalledRecord:
    """What a record says to a signal about it. `recipient`: in full or masked, as records are configured.

    `address_digests`: keyed digests of all addresses that its event names, the recipient's among them.
    """

    notification_id: str
    channel: str
    template: str | None = None
    recipient: str = ""
    address_digests: Sequence[str] = ()


_SAID_TO_US = (SignalKind.UNSUBSCRIBED, SignalKind.RESUBSCRIBED)


@dataclass(frozen=True, slots=True)
class StoredSignal:
    """A signal with what is known of its message.

    `signal` has the notification's id and the address where either is known by now; the address is in memory only.
    `record` is None where there is none (any more). `address_digest`: a keyed digest, None without a key or address.
    `mailbox`: the class of the mailbox provider.
    """

    signal: Signal
    record: SignalledRecord | None = None
    address_digest: str | None = None
    mailbox: str = ""

    @property
    def key(self) -> str:
        """32 hexadecimal digits, the same for every repetition of the signal."""
        return key_of(self.signal)

    @property
    def template(self) -> str | None:
        return self.record.template if self.record else None

    @property
    def is_ours(self) -> bool:
        """Whether it is about a notification, or was said to our own number.

        A provider also reports on what others send by the same account. STOP and START name no message of ours.
        """
        about_one = self.record is not None or self.signal.notification_id is not None
        return about_one or (self.signal.channel is ChannelKind.SMS and self.signal.kind in _SAID_TO_US)


SignalHandler = Callable[[StoredSignal], Awaitable[None]]
"""Called for each signal about one of ours; after a crash a second time, so it has to know signals by their key."""


def key_of(signal: Signal) -> str:
    name = f"{signal.source}\x1f{signal.source_id}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(name).hexdigest()[:32]


class Signals(Protocol):
    """Every method raises `StoreUnavailableError`."""

    async def record_of(self, signal: Signal) -> SignalledRecord | None:
        """The record by the notification's id, else by the id that the provider gave in its 250."""

    async def address_digest(self, address: str) -> str | None:
        """None where the settings have no key for digests."""

    async def add(self, stored: StoredSignal, received_at: datetime) -> bool:
        """Store a signal once. Returns False where it was stored and handled before."""

    async def advance(self, notification_id: str, delivery: Delivery) -> None:
        """Set what became of the message, unless its record says something further already."""

    async def mark_handled(self, key: str) -> None:
        """Everything that follows from the signal is done: its repetition says nothing new."""
