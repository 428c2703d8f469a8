"""Who may see the console: one token, a signed session in a cookie, and a word in each form that only it knows."""

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable

SESSION_SECONDS = 8 * 3600
_MOST_FAILURES, _FAILURE_SECONDS = 5, 60
_MOST_ADDRESSES = 10_000


class Access:
    """Nothing is kept of a session: its cookie is signed with the token, so a new token ends them all."""

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._token = _digest(token)
        self._clock = clock

    def admits(self, offered: str) -> bool:
        """In the same time, whatever is offered and however long it is."""
        return hmac.compare_digest(_digest(offered), self._token)

    def session(self) -> str:
        """The value of a new cookie."""
        claim = f"{int(self._clock()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{claim}.{self._signed('session', claim)}"

    def knows(self, session: str) -> bool:
        claim, _, signature = session.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed("session", claim).encode()):
            return False
        return int(claim.partition(".")[0]) > self._clock()

    def word(self, session: str) -> str:
        """What every form of this session carries (OWASP: an HMAC-based CSRF token)."""
        return self._signed("form", session)

    def is_word(self, offered: str, session: str) -> bool:
        return hmac.compare_digest(offered.encode(), self.word(session).encode())

    def _signed(self, purpose: str, text: str) -> str:
        return hmac.new(self._token, f"{purpose}\0{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


class Failures:
    """Logins that failed, by the address that they came from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def wait(self, address: str) -> float:
        """Seconds until this address may try again, 0 being now."""
        failed = self._failed.get(address)
        while failed and failed[0] <= self._clock() - _FAILURE_SECONDS:
            failed.popleft()
        if not failed or len(failed) < _MOST_FAILURES:
            return 0
        return failed[0] + _FAILURE_SECONDS - self._clock()

    def add(self, address: str) -> None:
        """Remember one more, and forget who failed longest ago where there are too many."""
        failed = self._failed.pop(address, deque(maxlen=_MOST_FAILURES))
        failed.append(self._clock())
        self._failed[address] = failed
        if len(self._failed) > _MOST_ADDRESSES:
            del self._failed[next(iter(self._failed))]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
