"""Google Wallet: a link that carries the ticket in a signed token (JWT, RFC 7519)."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain

import jwt

from notification_service.channels.email.wallet.tickets import WalletTicket
from notification_service.channels.service_keys import ServiceKey
from notification_service.content.branding import Brand

_SAVE = "https://pay.google.com/gp/v/save/"
MAX_LINK_LENGTH = 1800
"""Google's limit, above which browsers may cut a link."""

_MAX_TEXT_LENGTH = 60

Json = dict[str, object]


class GoogleWallet:
    """`issuer`: the id of the house's account in the Google Pay and Wallet console."""

    def __init__(self, key: ServiceKey, issuer: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._key = key
        self._issuer = issuer
        self._clock = clock

    def link(self, ticket: WalletTicket, brand: Brand) -> str | None:
        """Returns the link. Where it would be too long, it has less beside the code; None where that is not enough."""
        links = (self._signed(self._payload(ticket, brand, shorter)) for shorter in (False, True))
        return next((link for link in links if len(link) <= MAX_LINK_LENGTH), None)

    def _payload(self, ticket: WalletTicket, brand: Brand, shorter: bool) -> Json:  # noqa: FBT001 - one of two forms
        show = _digest(ticket.title, str(ticket.start or ticket.when), ticket.place or "")
        kind = f"{self._issuer}.{show}"
        colour = {"hexBackgroundColor": brand.palette.accent}
        event: Json = {
            "id": kind,
            "issuerName": brand.name[:_MAX_TEXT_LENGTH],
            "reviewStatus": "UNDER_REVIEW",
            "eventName": _text(ticket.title, ticket.language),
            **colour,
            **dict(() if shorter else _particulars(ticket)),
        }
        seats = {"seatInfo": {"seat": _text(ticket.seats, ticket.language)}} if ticket.seats else {}
        owned: Json = {
            # Google keeps what it has under an id, so a changed booking has another one.
            "id": f"{self._issuer}.{_digest(ticket.booking_id, show, ticket.seats or '')}",
            "classId": kind,
            "state": "ACTIVE",
            "barcode": {"type": "QR_CODE", "value": ticket.code},
            **seats,
        }
        return {"eventTicketClasses": [event], "eventTicketObjects": [owned]}

    def _signed(self, payload: Json) -> str:
        claims = {
            "iss": self._key.email,
            "aud": "google",
            "typ": "savetowallet",
            "iat": int(self._clock().timestamp()),
            "payload": payload,
        }
        # As UTF-8 and without spaces: `jwt.encode` would write six characters for each letter that is not ASCII.
        content = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return _SAVE + jwt.PyJWS().encode(content, self._key.key, algorithm="RS256")


def _particulars(ticket: WalletTicket) -> Iterator[tuple[str, object]]:
    """Time and place of the show. Google requires name and address of a venue together."""
    if ticket.start:
        yield "dateTime", {"start": ticket.start.isoformat(timespec="minutes")}
    if ticket.place and ticket.address:
        name, address = (_text(text, ticket.language) for text in (ticket.place, ticket.address))
        yield "venue", {"name": name, "address": address}


def _text(text: str, language: str) -> Json:
    return {"defaultValue": {"language": language, "value": text}}


def _digest(*texts: str) -> str:
    """An id of these texts: Google allows letters, digits, `.`, `_` and `-`."""
    parts = chain.from_iterable((text.encode("utf-8", "replace"), b"\0") for text in texts)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:24]
