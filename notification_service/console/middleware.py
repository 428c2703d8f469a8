"""Middleware of the console: checks of host and origin, security headers, and the session that every page needs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notification_service.console import pages
from notification_service.console.auth import Access
from notification_service.console.public_address import PublicAddress
from notification_service.foundation.errors import StoreUnavailableError

ROOT = "/console"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
_MAX_FORM_SIZE = 16 * 1024
_RETRY_AFTER_S = 5

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers send `Origin: null` for the console's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class RequestChecks:
    """Refuses requests for another host and forms from other sites, and sets the security headers."""

    def __init__(self, app: ASGIApp, public_address: PublicAddress) -> None:
        self._app = app
        self._public_address = public_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        if not self._public_address.is_addressed(request.headers):
            answer: ASGIApp = refused("This is not the address of the console: CONSOLE_URL names another host.", 421)
        elif request.method not in _SAFE_METHODS and not self._public_address.is_from_here(request.headers):
            answer = refused("This form was not sent from the console: open the console and send it from there.", 403)
        else:
            answer = self._app
        await answer(scope, receive, with_headers)


class SessionRequired:
    """Answers a request without a session with the login page. Public routes are outside of it."""

    def __init__(self, app: ASGIApp, access: Access, public_address: PublicAddress) -> None:
        self._app = app
        self._access = access
        self._public_address = public_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            known = await self._access.is_session(self._public_address.session(Request(scope)))
        except StoreUnavailableError:
            answer: ASGIApp = closed()
        else:
            answer = self._app if known else html("login", code=401, problem=None)
        await answer(scope, receive, send)


async def read_form(request: Request) -> dict[str, str]:
    """Returns the fields of a form, the last of each name. Raises `HTTPException` if it is too large or not a form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_SIZE:
            raise HTTPException(413, "This form is too large.")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=40)
    except ValueError as problem:
        raise HTTPException(400, "This is not a form.") from problem
    return {name: values[-1].strip() for name, values in fields.items()}


def html(view: str, *, code: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever a page shows
    return Response(pages.page(view, **values), code, media_type="text/html")


def closed() -> Response:
    """The page for when sessions cannot be read, since Redis does not answer. It is shown without a session."""
    answer = html("closed", code=503, seconds=_RETRY_AFTER_S)
    answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return answer


def refused(why: str, code: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(why, code, headers, media_type="text/plain")
