"""Message authentication codes for what a stranger hands back: a link that was clicked, an address that bounced.

Each purpose has codes of its own, so that a token of one cannot stand in for a token of another.
"""

import hmac
from collections.abc import Mapping

MIN_SIZE, _MAX_SIZE = 8, 32
"""Bytes of a code. 64 bits cannot be tried out over a network."""


class TokenKeys:
    """HMAC-SHA256 under several keys, cut to a few bytes (RFC 2104).

    `secrets`: by the id of the key (0 to 255). The first makes the codes, all verify them, so that a token outlives
    the key that made it.
    """

    def __init__(self, secrets: Mapping[int, str]) -> None:
        self._secrets = {key_id: secret.encode() for key_id, secret in secrets.items()}

    @property
    def current(self) -> int:
        """The id of the key that signs. Raises `ValueError` without any key."""
        for key_id in self._secrets:
            return key_id
        raise ValueError("there is no key to sign with: set LINK_KEYS")

    def sign(self, purpose: bytes, message: bytes, size: int) -> tuple[int, bytes]:
        """Returns the id of the key, and a code of `size` bytes (8 to 32). Raises `ValueError` without any key."""
        if not MIN_SIZE <= size <= _MAX_SIZE:
            raise ValueError(f"a code has {MIN_SIZE} to {_MAX_SIZE} bytes, not {size}")
        return self.current, self._code(self.current, purpose, message, size)

    def verify(self, purpose: bytes, key_id: int, message: bytes, mac: bytes) -> bool:
        """Whether `sign` made this code for this purpose and message. The time does not depend on where it differs."""
        if key_id not in self._secrets or len(mac) < MIN_SIZE:
            return False
        return hmac.compare_digest(self._code(key_id, purpose, message, len(mac)), mac)

    def _code(self, key_id: int, purpose: bytes, message: bytes, size: int) -> bytes:
        # The size is signed too: else the first bytes of a longer code would be a code.
        head = bytes((len(purpose),)) + purpose + bytes((size,))
        return hmac.digest(self._secrets[key_id], head + message, "sha256")[:size]
