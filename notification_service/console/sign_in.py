"""Signing in and out: who may try, what a browser is given, and which forms are of a session."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from notification_service.console import login_attempts
from notification_service.console.auth import KNOWN_SECONDS, SESSION_SECONDS, Access
from notification_service.console.login_attempts import Lines, Transport
from notification_service.console.middleware import ROOT, closed, html, read_form
from notification_service.console.public_address import Front
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.settings import Network

log = structlog.get_logger(__name__)


class Entrance:
    """`proxies`: who may say whom they speak for."""

    def __init__(self, access: Access, front: Front, proxies: Sequence[Network]) -> None:
        self._access = access
        self._front = front
        self._proxies = proxies
        self._attempts = Transport()
        self._lines = Lines()

    async def login(self, request: Request) -> Response:
        if request.method != "POST":
            return html("login", problem=None)
        # The form is read first: from the count to the comparison, nothing waits for the client.
        offered, address = (await read_form(request)).get("token", ""), self.sender(request)
        browser = await self._browser(request)
        counted = browser or address
        if wait := self._attempts.take(counted):
            answer = html("login", code=429, problem=f"Too many attempts: wait {math.ceil(wait)} seconds.")
            answer.headers["Retry-After"] = str(math.ceil(wait))
            return answer
        await asyncio.sleep(self._attempts.slowness)
        if not self._access.admits(offered):
            if (left_out := self._lines.take()) is not None:
                log.warning("console.refused", address=address, left_out=left_out)
            return html("login", code=401, problem="That is not the token: it is CONSOLE_TOKEN of this service.")
        self._attempts.give_back(counted)
        return await self._let_in(request, address, known=browser is not None)

    async def logout(self, request: Request) -> Response:
        await self.form(request)
        try:
            await self._access.end(self._front.session(request))
        except StoreUnavailableError:
            return closed()
        answer = RedirectResponse(f"{ROOT}/login", 303)
        answer.delete_cookie(self._front.cookie(request), **self._kept_to(request))
        return answer

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form of this session. Raises `HTTPException` where it is none."""
        form = await read_form(request)
        if not self._access.is_word(form.pop("word", ""), self._front.session(request)):
            raise HTTPException(403, "This form is not from this session: go back, reload the page and try again.")
        return form

    def word(self, request: Request) -> str:
        """What every form of this session carries."""
        return self._access.word(self._front.session(request))

    def sender(self, request: Request) -> str:
        """The address that a request comes from, for the log and the count."""
        peer = request.client.host if request.client else ""
        return login_attempts.sender(peer, request.headers.getlist("x-forwarded-for"), self._proxies)

    async def _browser(self, request: Request) -> str | None:
        """One that signed in before waits for its own attempts alone, whoever else guesses from its address."""
        try:
            return await self._access.browser(request.cookies.get(self._front.known_cookie(request), ""))
        except StoreUnavailableError:
            return None

    async def _let_in(self, request: Request, address: str, *, known: bool) -> Response:
        try:
            await self._access.end(self._front.session(request))
            session = await self._access.begin()
            browser = None if known else await self._access.remember()
        except StoreUnavailableError:
            return closed()
        log.info("console.entered", address=address)
        answer = RedirectResponse(f"{ROOT}/", 303)
        kept_to = self._kept_to(request)
        answer.set_cookie(self._front.cookie(request), session, max_age=SESSION_SECONDS, **kept_to)
        if browser:
            answer.set_cookie(self._front.known_cookie(request), browser, max_age=KNOWN_SECONDS, **kept_to)
        return answer

    def _kept_to(self, request: Request) -> dict[str, Any]:
        """`__Host-` demands the path."""
        return {"path": "/", "secure": self._front.is_secure(request), "httponly": True, "samesite": "strict"}
