"""The envelope sender that names its notification, so that a report about the mail leads back to it (RFC 5321 §4.4)."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Protocol

_PURPOSE = b"return-path"
_MAC_SIZE = 10
"""Bytes: 16 characters in base32, so that the local part has 55 of the 64 that RFC 5321 §4.5.3.1.1 allows."""
_ID = re.compile(r"[0-9a-f]{32}")
_MARKED = re.compile(r"\bb(?:\+|%2b|=2b)([0-9a-f]{32})\.([0-9a-f]{2})([a-z2-7]{16})(?![a-z0-9.])", re.IGNORECASE)
_MAX_KEY_ID = 255
_MAX_MARKS = 20


class Keys(Protocol):
    """Signs with the newest key, and verifies with each that is still known."""

    def sign(self, purpose: bytes, message: bytes, size: int) -> tuple[int, bytes]: ...
    def verify(self, purpose: bytes, key_id: int, message: bytes, mac: bytes) -> bool: ...


class ReturnPath:
    """Writes and reads `b+<notification id>.<key id><MAC>@domain`.

    Everything in it is read in any case of letters: some servers fold it.
    """

    def __init__(self, keys: Keys, domain: str) -> None:
        self._keys = keys
        self._domain = domain

    def of(self, notification_id: str) -> str:
        """The envelope sender of a notification's mail. Raises `ValueError` for what is no notification's id."""
        if not _ID.fullmatch(notification_id):
            raise ValueError("a notification's id has 32 hexadecimal digits")
        key_id, mac = self._keys.sign(_PURPOSE, notification_id.encode(), _MAC_SIZE)
        if not 0 <= key_id <= _MAX_KEY_ID:
            raise ValueError(f"key id {key_id} does not fit into one byte")
        return f"b+{notification_id}.{key_id:02x}{base64.b32encode(mac).decode().lower()}@{self._domain}"

    def notification_in(self, texts: Iterable[str]) -> str | None:
        """The notification of the first address of ours in these texts whose MAC is right; None where there is none.

        The domain is not compared: forwarders write their own around the local part (SRS, BATV), and the MAC decides.
        """
        marks = (found for text in texts for found in list(_MARKED.finditer(text))[:_MAX_MARKS])
        return next((mark[1].lower() for mark in marks if self._is_ours(mark)), None)

    def _is_ours(self, mark: re.Match[str]) -> bool:
        try:
            mac = base64.b32decode(mark[3].upper())
        except binascii.Error:
            return False
        return self._keys.verify(_PURPOSE, int(mark[2], 16), mark[1].lower().encode(), mac)
