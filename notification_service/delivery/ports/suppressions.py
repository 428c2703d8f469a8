"""What the delivery needs from the suppressions: what is known of an address, by its keyed digest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Entry, Evidence, Lift


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one address. `digest`: by which it goes on the list, under the current key.

    `changed_at`: when the last of it became known.
    """

    channel: ChannelKind
    digest: str
    entries: tuple[Entry, ...] = ()
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`following`: where the next page begins; None after the last."""

    addresses: Sequence[Known]
    following: datetime | None


class Suppressions(Protocol):
    """Addresses come in any spelling, and are kept as digests only. Every method raises `StoreUnavailableError`.

    All writes may be repeated. Evidence of one identity counts once, whatever is lifted meanwhile.
    """

    async def known(self, channel: ChannelKind, address: str) -> Known:
        """What is known of an address, under every key."""

    async def note(self, channel: ChannelKind, digest: str, cause: Cause, evidence: Evidence) -> bool:
        """Keep the evidence. Returns whether it is new."""

    async def lift(self, channel: ChannelKind, digest: str, cause: Cause, lift: Lift) -> None:
        """End what was said until then, also where that becomes known later. It stays, with who lifted it and when."""

    async def page(self, *, cause: Cause | None = None, before: datetime | None = None, limit: int) -> Page:
        """Addresses of which something became known before that time, the newest first, lifted ones too."""

    async def beginning_with(self, digest: str, limit: int) -> Sequence[Known]:
        """The addresses whose digest begins so, on any channel."""
