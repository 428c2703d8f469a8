"""Serves the gallery over HTTP, read-only."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from notification_service.foundation.errors import ConfigurationError
from notification_service.observability import serving
from notification_service.preview.gallery import page
from notification_service.preview.gallery.page import SCHEMES, TABS, WIDTHS, View
from notification_service.preview.gallery.template_reloader import Fault, LoadedTemplates, TemplateReloader
from notification_service.preview.proofs import Proof
from notification_service.settings import Settings

_HERE = Path(__file__).parent
_LOOPBACK = ["localhost", "127.0.0.1"]
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin"
)
"""A mail runs no script and loads nothing, wherever it is opened. The page may measure its height."""


def application(reloader: TemplateReloader, host: str, root: str = "") -> Starlette:
    """Returns the gallery. `root`: the path under which another application mounts it."""

    # No coroutines, so that Starlette runs them in threads: loading the templates takes a moment.
    def start(_: Request) -> Response:
        loaded = reloader.current()
        if not loaded.samples:
            fault = loaded.renderer if isinstance(loaded.renderer, Fault) else None
            return _html(page.nothing(loaded, "There is no sample to show", fault, root))
        return RedirectResponse(View(min(loaded.samples), root=root).url)

    def sample(request: Request) -> Response:
        loaded, view = _asked(reloader, request)
        return _html(page.shown(loaded, replace(view, root=root), reloader.proof(loaded, view.sample, view.language)))

    def frame(request: Request) -> Response:
        made = _proof(reloader, request)
        return _html(page.framed(made.mail, request.path_params["scheme"]), policy=_MAIL_POLICY)

    def message(request: Request) -> Response:
        made = _proof(reloader, request)
        named = {"Content-Disposition": f'attachment; filename="{made.name}.eml"'}
        return _answer(made.message, "message/rfc822", policy=_MAIL_POLICY, more=named)

    def version(_: Request) -> Response:
        return _answer(reloader.version(), "text/plain")

    def missing(request: Request, problem: Exception) -> Response:
        code = problem.status_code if isinstance(problem, HTTPException) else 404
        return _html(page.nothing(reloader.current(), f"There is no {request.scope['path']}", root=root), code=code)

    app = Starlette(
        routes=[
            Route("/", start),
            Route("/samples/{sample}", sample),
            Route("/frames/{sample}/{language}/{scheme}", frame),
            Route("/messages/{sample}/{language}", message),
            Route("/version", version),
            Route("/gallery.css", _file("gallery.css", "text/css")),
            Route("/gallery.js", _file("gallery.js", "text/javascript")),
        ],
        exception_handlers={HTTPException: missing},
        # Against DNS rebinding: a page elsewhere could reach this one under a name of its own.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_LOOPBACK if _is_loopback(host) else ["*"])],
    )
    # A redirect would repeat the host name of the request.
    app.router.redirect_slashes = False
    return app


def _is_loopback(host: str) -> bool:
    return host == "localhost" or ip_address(host).is_loopback


def _asked(reloader: TemplateReloader, request: Request) -> tuple[LoadedTemplates, View]:
    """The request's view. Raises `HTTPException` where it names something unknown."""
    loaded, asked = reloader.current(), {**request.query_params, **request.path_params}
    known = {"sample": loaded.samples, "language": loaded.languages, "scheme": SCHEMES, "width": WIDTHS, "tab": TABS}
    wanted = {name: value for name, value in asked.items() if name in known}
    if any(value not in known[name] for name, value in wanted.items()):
        raise HTTPException(404)
    return loaded, View(**wanted)


def _proof(reloader: TemplateReloader, request: Request) -> Proof:
    loaded, view = _asked(reloader, request)
    made = reloader.proof(loaded, view.sample, view.language)
    if isinstance(made, Fault):
        raise HTTPException(404)
    return made


def _file(name: str, media_type: str) -> Callable[[Request], Response]:
    content = (_HERE / name).read_bytes()
    return lambda _: _answer(content, media_type)


def _html(content: str, *, code: int = 200, policy: str = _PAGE_POLICY) -> Response:
    return _answer(content, "text/html", code=code, policy=policy)


def _answer(
    content: str | bytes,
    media_type: str,
    *,
    code: int = 200,
    policy: str = _PAGE_POLICY,
    more: dict[str, str] | None = None,
) -> Response:
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        **(more or {}),
    }
    return Response(content, code, headers, media_type)


def serve(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; `announce` gets the address. Raises `ConfigurationError` where the port is taken."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, host, port, announce))


async def _serve(settings: Settings, host: str, port: int, announce: Callable[[str], None]) -> None:
    try:
        async with serving.serving(application(TemplateReloader(settings), host), host, port):
            announce(f"http://{host}:{port}/")
            await asyncio.Event().wait()
    except (OSError, ValueError) as problem:
        raise ConfigurationError(f"--host {host} --port {port} cannot be listened on: {problem}") from problem
