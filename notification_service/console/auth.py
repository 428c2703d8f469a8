"""Who may see the console: one token, a session that is kept apart from its id, and a word in each form of it."""

import hashlib
import hmac
import re
import secrets

from notification_service.delivery.ports.sessions import Sessions

SESSION_SECONDS = 8 * 3600
KNOWN_SECONDS = 90 * 86400
"""How long a browser that signed in is known again when it signs in the next time."""
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


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
        return await self._begun("session", SESSION_SECONDS)

    async def knows(self, session: str) -> bool:
        return bool(await self._standing("session", session))

    async def end(self, session: str) -> None:
        await self._sessions.end(self._key("session", session))

    async def remember(self) -> str:
        """The id of a browser that has signed in. It opens nothing; its attempts are counted apart from others'."""
        return await self._begun("browser", KNOWN_SECONDS)

    async def browser(self, known: str) -> str | None:
        """Under which name its attempts are counted; None for one that never signed in."""
        return await self._standing("browser", known)

    def word(self, session: str) -> str:
        """What every form of this session carries against forms that other sites send."""
        return hashlib.sha256(f"form\0{session}".encode("utf-8", "replace")).hexdigest()

    def is_word(self, offered: str, session: str) -> bool:
        return hmac.compare_digest(offered.encode("utf-8", "replace"), self.word(session).encode())

    async def _begun(self, what: str, seconds: int) -> str:
        made = secrets.token_urlsafe(32)
        await self._sessions.begin(self._key(what, made), seconds)
        return made

    async def _standing(self, what: str, offered: str) -> str | None:
        """Its key, where it stands. What has not the form of an id costs no question."""
        key = self._key(what, offered)
        return key if _ID.fullmatch(offered) and await self._sessions.exists(key) else None

    def _key(self, what: str, text: str) -> str:
        return hmac.new(self._token, f"{what}\0{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
