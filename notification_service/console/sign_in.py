"""Sign-in and sign-out, the cookies, and the CSRF check of forms."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from notification_service.console import login_attempts
from notification_service.console.auth import KNOWN_BROWSER_SECONDS, SESSION_SECONDS, Access
from notification_service.console.login_attempts import AttemptLimit, LogLimit
from notification_service.console.middleware import ROOT, closed, html, read_form
from notification_service.console.public_address import PublicAddress
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.settings import Network

log = structlog.get_logger(__name__)


_CSRF_FIELD = "csrf_token"


class SignIn:
    """`proxies`: the networks whose `X-Forwarded-For` is trusted."""

    def __init__(self, access: Access, public_address: PublicAddress, proxies: Sequence[Network]) -> None:
        self._access = access
        self._public_address = public_address
        self._proxies = proxies
        self._attempts = AttemptLimit()
        self._log_limit = LogLimit()

    async def login(self, request: Request) -> Response:
        if request.method != "POST":
            return html("login", problem=None)
        # The form is read first, so that the client cannot delay the steps between count and comparison.
        offered, address = (await read_form(request)).get("token", ""), self.sender(request)
        browser = await self._browser(request)
        counted = browser or address
        if wait := self._attempts.take(counted):
            answer = html("login", code=429, problem=f"Too many attempts: wait {math.ceil(wait)} seconds.")
            answer.headers["Retry-After"] = str(math.ceil(wait))
            return answer
        await asyncio.sleep(self._attempts.delay_s)
        if not self._access.admits(offered):
            if (left_out := self._log_limit.take()) is not None:
                log.warning("console.refused", address=address, left_out=left_out)
            return html("login", code=401, problem="Wrong token: enter the value of the setting CONSOLE_TOKEN.")
        self._attempts.give_back(counted)
        return await self._let_in(request, address, known=browser is not None)

    async def logout(self, request: Request) -> Response:
        await self.form(request)
        try:
            await self._access.end(self._public_address.session(request))
        except StoreUnavailableError:
            return closed()
        answer = RedirectResponse(f"{ROOT}/login", 303)
        answer.delete_cookie(self._public_address.cookie(request), **self._cookie_options(request))
        return answer

    async def form(self, request: Request) -> dict[str, str]:
        """Returns the fields of a form of this session. Raises `HTTPException` if it is of another session."""
        form = await read_form(request)
        if not self._access.is_csrf_token(form.pop(_CSRF_FIELD, ""), self._public_address.session(request)):
            raise HTTPException(403, "This form is not from this session: go back, reload the page and try again.")
        return form

    def csrf_token(self, request: Request) -> str:
        """Returns what every form of this session carries."""
        return self._access.csrf_token(self._public_address.session(request))

    def sender(self, request: Request) -> str:
        """Returns the client's address, for the log and the limit."""
        peer = request.client.host if request.client else ""
        return login_attempts.sender(peer, request.headers.getlist("x-forwarded-for"), self._proxies)

    async def _browser(self, request: Request) -> str | None:
        """Identify a browser that signed in before: others who guess from its address do not lock it out."""
        try:
            return await self._access.browser(request.cookies.get(self._public_address.known_cookie(request), ""))
        except StoreUnavailableError:
            return None

    async def _let_in(self, request: Request, address: str, *, known: bool) -> Response:
        try:
            await self._access.end(self._public_address.session(request))
            session = await self._access.begin()
            browser = None if known else await self._access.remember()
        except StoreUnavailableError:
            return closed()
        log.info("console.entered", address=address)
        answer = RedirectResponse(f"{ROOT}/", 303)
        cookie_options = self._cookie_options(request)
        answer.set_cookie(self._public_address.cookie(request), session, max_age=SESSION_SECONDS, **cookie_options)
        if browser:
            answer.set_cookie(
                self._public_address.known_cookie(request), browser, max_age=KNOWN_BROWSER_SECONDS, **cookie_options
            )
        return answer

    def _cookie_options(self, request: Request) -> dict[str, Any]:
        """The prefix `__Host-` requires the path."""
        return {"path": "/", "secure": self._public_address.is_secure(request), "httponly": True, "samesite": "strict"}
