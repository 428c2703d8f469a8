"""The door of the console: who is let in, which forms are taken, and what every answer says of itself."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notification_service.console import pages
from notification_service.console.access import Access

ROOT = "/console"
COOKIE = "notification_console"
_OPEN = (f"{ROOT}/login", f"{ROOT}/console.css")
_LARGEST_FORM = 16 * 1024

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Under no-referrer a browser would say of our own forms that they come from nowhere.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets nobody in without a session, takes no form from elsewhere, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        if request.method == "POST" and not _is_from_here(request):
            answer: ASGIApp = _refused("This form was not sent from the console.", 403)
        elif request.url.path in _OPEN or self._access.knows(request.cookies.get(COOKIE, "")):
            answer = self._app
        else:
            answer = html("login", code=401, problem=None)
        await answer(scope, receive, with_headers)


def _is_from_here(request: Request) -> bool:
    """By what the browser itself says of where a form comes from (Fetch Metadata, else RFC 6454)."""
    if site := request.headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises `HTTPException` where it is too large or none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise HTTPException(413, "This form is too large.")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=40)
    except ValueError as problem:
        raise HTTPException(400, "This is no form.") from problem
    return {name: values[-1].strip() for name, values in fields.items()}


def html(view: str, *, code: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever a page shows
    return Response(pages.page(view, **values), code, media_type="text/html")


def _refused(why: str, code: int) -> Response:
    return Response(why, code, media_type="text/plain")
