"""Links that a reader hands back to us: clicks that are counted, and the way to unsubscribe. Pure.

A token says which message it is from, and nothing about the reader that anybody could read. It has no time in it: it
is good as long as its key is kept. The listener reads it without asking any store.
"""

import base64
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

from notification_service.content.links import Links
from notification_service.foundation.keyed_tokens import TokenKeys

CLICK_PATH, UNSUBSCRIBE_PATH = "/c", "/u"
_CLICK, _UNSUBSCRIBE = b"click", b"unsubscribe"
"""The purposes of the codes."""
_MAC_SIZE = 12
_ID = re.compile(r"[0-9a-f]{32}")
_CLICK_TOKEN, _UNSUBSCRIBE_TOKEN = re.compile(r"[A-Za-z0-9_-]{40}"), re.compile(r"[A-Za-z0-9_-]{64}")
"""Multiples of four characters, so that each token has one spelling."""
_LANGUAGE_SIZE = 3
_MAX_LENGTH = 2000


class LinkRole(StrEnum):
    """What a link of a mail is for. Only these are counted."""

    RETRY = "retry"
    BOOKING = "booking"
    SUPPORT = "support"


_NUMBERS = {LinkRole.RETRY: 1, LinkRole.BOOKING: 2, LinkRole.SUPPORT: 3}
"""As they stand in tokens; a number is never used again for another role."""
_ROLES = {number: role for role, number in _NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Click:
    notification_id: str
    role: LinkRole


@dataclass(frozen=True, slots=True)
class Subscription:
    """`address_digest`: 32 hexadecimal digits, of the reader's address, keyed. `language`: of the message."""

    notification_id: str
    address_digest: str
    language: str


def click_token(keys: TokenKeys, click: Click, target: str) -> str:
    """40 characters: key id (1 byte), notification id (16), link (1), and the code of both and the target (12)."""
    message = bytes.fromhex(click.notification_id) + bytes((_NUMBERS[click.role],))
    return _encoded(*keys.sign(_CLICK, message + target.encode(), _MAC_SIZE), message)


def read_click(keys: TokenKeys, token: str, target: str) -> Click | None:
    """The click that a token of ours stands for; None where we did not make it for this target."""
    if not _CLICK_TOKEN.fullmatch(token):
        return None
    key_id, message, mac = _decoded(token)
    role = _ROLES.get(message[-1])
    # A lone surrogate stands in no target of ours.
    if role is None or not keys.verify(_CLICK, key_id, message + target.encode("utf-8", "replace"), mac):
        return None
    return Click(message[:-1].hex(), role)


def unsubscribe_token(keys: TokenKeys, subscription: Subscription) -> str:
    """64 characters: key id (1 byte), notification id (16), digest (16), language (3), and the code of these (12)."""
    language = subscription.language.encode()[:_LANGUAGE_SIZE].ljust(_LANGUAGE_SIZE)
    message = bytes.fromhex(subscription.notification_id + subscription.address_digest) + language
    return _encoded(*keys.sign(_UNSUBSCRIBE, message, _MAC_SIZE), message)


def read_unsubscribe(keys: TokenKeys, token: str) -> Subscription | None:
    """None where we did not make the token."""
    if not _UNSUBSCRIBE_TOKEN.fullmatch(token):
        return None
    key_id, message, mac = _decoded(token)
    if not keys.verify(_UNSUBSCRIBE, key_id, message, mac):
        return None
    return Subscription(message[:16].hex(), message[16:32].hex(), message[32:].decode("ascii", "replace").strip())


def _encoded(key_id: int, mac: bytes, message: bytes) -> str:
    return base64.urlsafe_b64encode(bytes((key_id,)) + message + mac).decode()


def _decoded(token: str) -> tuple[int, bytes, bytes]:
    whole = base64.urlsafe_b64decode(token)
    return whole[0], whole[1:-_MAC_SIZE], whole[-_MAC_SIZE:]


@dataclass(frozen=True, slots=True)
class ReaderLinks:
    """Makes such links. `base`: scheme and host of the public listener. `clicks`: whether they are counted at all."""

    keys: TokenKeys
    base: str
    clicks: bool = False

    def of(self, notification_id: str, address_digest: str, *, consent: bool) -> "LinksOfMessage | None":
        """Those of one message; None where its id is none of ours. `consent`: the reader agrees to be counted."""
        if not _ID.fullmatch(notification_id):
            return None
        return LinksOfMessage(self, notification_id, address_digest, counted=self.clicks and consent)


@dataclass(frozen=True, slots=True)
class LinksOfMessage:
    maker: ReaderLinks
    notification_id: str
    address_digest: str
    counted: bool

    def tracked(self, links: Links) -> Links:
        """The links, where clicks are counted by way of our redirect."""
        if not self.counted:
            return links
        found = {role: getattr(links, role) for role in LinkRole}
        return replace(links, **{str(role): self._tracked(role, link) for role, link in found.items() if link})

    def unsubscribe(self, language: str) -> str | None:
        """The link by which the reader unsubscribes; None where their digest is not known."""
        if not _ID.fullmatch(self.address_digest):
            return None
        subscription = Subscription(self.notification_id, self.address_digest, language)
        return f"{self.maker.base}{UNSUBSCRIBE_PATH}/{unsubscribe_token(self.maker.keys, subscription)}"

    def _tracked(self, role: LinkRole, target: str) -> str:
        token = click_token(self.maker.keys, Click(self.notification_id, role), target)
        link = f"{self.maker.base}{CLICK_PATH}/{token}?u={quote(target, safe='')}"
        # Some programs cut longer ones: better uncounted than broken.
        return link if len(link) <= _MAX_LENGTH else target
