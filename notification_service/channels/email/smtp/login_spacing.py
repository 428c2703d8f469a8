"""Spaces the logins that replace sessions which were given up, so that a fault does not become a storm of logins."""

_AT_ONCE_FOR_EACH_SESSION = 2
_LOGINS_PER_SECOND = 2.0


class LoginSpacing:
    """So many replacements at once, then two a second. `sessions`: of the pool."""

    def __init__(self, sessions: int, now: float) -> None:
        self._most = self._left = float(sessions * _AT_ONCE_FOR_EACH_SESSION)
        self._counted_at = now
        self._to_replace = 0

    def given_up(self) -> None:
        """A session ended that was not worn out."""
        self._to_replace += 1

    def next_login(self, now: float) -> float:
        """Count a login, and return the seconds to wait before it."""
        if not self._to_replace:
            return 0.0
        self._to_replace -= 1
        self._left = min(self._most, self._left + (now - self._counted_at) * _LOGINS_PER_SECOND) - 1
        self._counted_at = now
        return max(0.0, -self._left / _LOGINS_PER_SECOND)
