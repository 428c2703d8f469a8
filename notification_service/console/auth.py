"""Access to the console: one token, sessions, and a CSRF token for the forms of each session."""

import hashlib
import hmac
import re
import secrets

from notification_service.delivery.ports.sessions import Sessions

SESSION_SECONDS = 8 * 3600
KNOWN_BROWSER_SECONDS = 90 * 86400
"""How long a browser that signed in is recognized at the next sign-in."""
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class Access:
    """A session id is 32 random bytes, so a cookie reveals nothing about the token.

    The store holds its HMAC under the token: reading the store lets nobody in, and a new token ends every session.
    Coroutines raise `StoreUnavailableError`.
    """

    def __init__(self, token: str, sessions: Sessions) -> None:
        self._token = _digest(token)
        self._sessions = sessions

    def admits(self, offered: str) -> bool:
        """Compare in constant time, whatever is offered."""
        return hmac.compare_digest(_digest(offered), self._token)

    async def begin(self) -> str:
        """Begin a session, and return its id for the cookie."""
        return await self._new_id("session", SESSION_SECONDS)

    async def is_session(self, session: str) -> bool:
        return bool(await self._existing_key("session", session))

    async def end(self, session: str) -> None:
        await self._sessions.end(self._key("session", session))

    async def remember(self) -> str:
        """Returns an id for a browser that signed in. It opens nothing; attempts with it are counted separately."""
        return await self._new_id("browser", KNOWN_BROWSER_SECONDS)

    async def browser(self, known: str) -> str | None:
        """Returns the name under which the browser's attempts are counted; None if it never signed in."""
        return await self._existing_key("browser", known)

    def csrf_token(self, session: str) -> str:
        """Returns the token that every form of this session carries, against forms of other sites."""
        return hashlib.sha256(f"form\0{session}".encode("utf-8", "replace")).hexdigest()

    def is_csrf_token(self, offered: str, session: str) -> bool:
        return hmac.compare_digest(offered.encode("utf-8", "replace"), self.csrf_token(session).encode())

    async def _new_id(self, what: str, seconds: int) -> str:
        made = secrets.token_urlsafe(32)
        await self._sessions.begin(self._key(what, made), seconds)
        return made

    async def _existing_key(self, what: str, offered: str) -> str | None:
        """Returns its key if it exists. A malformed id costs no query."""
        key = self._key(what, offered)
        return key if _ID.fullmatch(offered) and await self._sessions.exists(key) else None

    def _key(self, what: str, text: str) -> str:
        return hmac.new(self._token, f"{what}\0{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
