"""Who may see the console: one token, a session that is kept apart from its id, and a word in each form of it."""

import hashlib
import hmac
import re
import secrets

from notification_service.ports import Sessions

SESSION_SECONDS = 8 * 3600
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


class Access:
    """A session is 32 random bytes, so nothing that a browser holds says anything of the token.

    What is kept of it is a digest under the token: who can read the store cannot be anybody, and a new token ends
    every session. Methods that wait raise `StoreUnavailableError`.
    """

    def __init__(self, token: str, sessions: Sessions) -> None:
        self._token = _digest(token)
        self._sessions = sessions

    def admits(self, offered: str) -> bool:
        """In the same time, whatever is offered and however long it is."""
        return hmac.compare_digest(_digest(offered), self._token)

    async def begin(self) -> str:
        """The id of a new session, for its cookie."""
        session = secrets.token_urlsafe(32)
        await self._sessions.begin(self._key(session), SESSION_SECONDS)
        return session

    async def knows(self, session: str) -> bool:
        return bool(_SESSION.fullmatch(session)) and await self._sessions.stands(self._key(session))

    async def end(self, session: str) -> None:
        await self._sessions.end(self._key(session))

    def word(self, session: str) -> str:
        """What every form of this session carries against forms that other sites send."""
        return hashlib.sha256(f"form\0{session}".encode("utf-8", "replace")).hexdigest()

    def is_word(self, offered: str, session: str) -> bool:
        return hmac.compare_digest(offered.encode("utf-8", "replace"), self.word(session).encode())

    def _key(self, session: str) -> str:
        return hmac.new(self._token, session.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
