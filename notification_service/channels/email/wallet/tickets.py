"""A ticket as wallets show it, and what makes it one of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.content.branding import Brand


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletTicket:
    """Texts are in the reader's language, without isolates. `code`: what the QR code says.

    `labels`: the words for `when`, `where`, `seats`, `code` and `address`. `start`: with its offset.
    `coordinates`: latitude and longitude of the cinema, in degrees.
    """

    booking_id: str
    code: str
    title: str
    labels: Mapping[str, str]
    language: str
    when: str | None = None
    start: datetime | None = None
    place: str | None = None
    address: str | None = None
    seats: str | None = None
    coordinates: tuple[float, float] | None = None


class PassFiles(Protocol):
    """Makes passes for Apple Wallet."""

    def pass_file(self, ticket: WalletTicket, brand: Brand) -> bytes | None:
        """Returns the `.pkpass` file; None where the certificate has expired since the start."""
        ...


class SaveLinks(Protocol):
    """Makes links to Google Wallet."""

    def link(self, ticket: WalletTicket, brand: Brand) -> str | None:
        """Returns the link; None where it would be too long for a link."""
        ...


@dataclass(frozen=True, slots=True)
class Wallets:
    """The wallets that are set up; None for one that is not."""

    apple: PassFiles | None = None
    google: SaveLinks | None = None
