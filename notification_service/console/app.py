"""The console over HTTP: its routes, and the server on its own port. No GET changes anything."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route

from notification_service.console import pages, queries
from notification_service.console.auth import Access
from notification_service.console.experiment_pages import ExperimentPages
from notification_service.console.layout import Layout
from notification_service.console.middleware import ROOT, RequestChecks, SessionRequired, refused
from notification_service.console.public_address import PublicAddress
from notification_service.console.queries import ConsoleQueries
from notification_service.console.record_pages import RecordPages
from notification_service.console.report_pages import ReportPages
from notification_service.console.sign_in import SignIn
from notification_service.console.suppression_pages import SuppressionPages
from notification_service.console.waiting_pages import WaitingPages
from notification_service.foundation.errors import ConfigurationError, DependencyError, StoreUnavailableError
from notification_service.observability import serving as listener
from notification_service.preview.gallery import server as gallery
from notification_service.settings import Network, Settings
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.sessions import RedisSessions


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[None]:
    """Serve the console on its port; do nothing without CONSOLE_TOKEN.

    Raises `ConfigurationError` if the port is taken.
    """
    console = settings.console
    if console.token is None:
        yield
        return
    async with queries.opened(settings) as data, redis.connect(settings.redis.url.get_secret_value()) as client:
        access = Access(console.token.get_secret_value(), RedisSessions(client))
        app = application(data, access, PublicAddress(console.url), console.trusted_proxies)
        try:
            async with listener.serving(app, console.host, console.port):
                yield
        except OSError as problem:
            where = f"{console.host}:{console.port}"
            raise ConfigurationError(f"CONSOLE_HOST, CONSOLE_PORT: cannot listen on {where}: {problem}") from problem


def application(
    data: ConsoleQueries, access: Access, public_address: PublicAddress, proxies: Sequence[Network] = ()
) -> Starlette:
    """Everything that the console's port answers. Without a session: only sign-in, its style sheet and redirects."""
    sign_in = SignIn(access, public_address, proxies)
    layout = Layout(data.settings, sign_in)
    inside = _behind_sign_in(data, access, public_address, sign_in, layout)
    outside = Starlette(
        routes=[
            Route("/", _redirect_to(f"{ROOT}/")),
            Route(ROOT, _redirect_to(f"{ROOT}/")),
            Route(f"{ROOT}/login", sign_in.login, methods=["GET", "POST"]),
            Route(f"{ROOT}/console.css", _style),
            Mount(ROOT, inside),
        ],
        exception_handlers={HTTPException: _refuse},
        middleware=[Middleware(RequestChecks, public_address=public_address)],
    )
    # A redirect would repeat the host of the request, which the client chooses.
    outside.router.redirect_slashes = inside.router.redirect_slashes = False
    return outside


def _behind_sign_in(
    data: ConsoleQueries, access: Access, public_address: PublicAddress, sign_in: SignIn, layout: Layout
) -> Starlette:
    records = RecordPages(data, layout)
    waiting = WaitingPages(data, layout, sign_in)
    reports = ReportPages(data, layout, sign_in)
    suppressed = SuppressionPages(data, layout, sign_in)
    tests = ExperimentPages(data, layout)
    failures = (HTTPException, StoreUnavailableError, DependencyError)
    return Starlette(
        routes=[
            Route("/", records.search),
            Route("/logout", sign_in.logout, methods=["POST"]),
            Route("/notifications/{notification}", records.notification),
            Route("/notifications/{notification}/{form}", records.mail),
            Route("/waiting", waiting.waiting),
            Route("/parked", waiting.act, methods=["POST"]),
            Route("/bounced", waiting.replay_bounced, methods=["POST"]),
            Route("/books", reports.reconciliation, methods=["GET", "POST"]),
            Route("/traffic", reports.traffic),
            Route("/suppressions", suppressed.suppressions),
            Route("/suppressions", suppressed.act, methods=["POST"]),
            Route("/clicks", suppressed.clicks),
            *_feedback_routes(data, layout),
            Route("/experiment", tests.experiment),
            Route("/gallery", _redirect_to(f"{ROOT}/gallery/")),
            Mount("/gallery", gallery.application(data.templates, "0.0.0.0", f"{ROOT}/gallery")),  # noqa: S104 - it does not listen
        ],
        exception_handlers=dict.fromkeys(failures, layout.failed),
        middleware=[Middleware(SessionRequired, access=access, public_address=public_address)],
    )


def _feedback_routes(data: ConsoleQueries, layout: Layout) -> list[Route]:
    if not data.settings.feedback.enabled:
        return []
    # Imported here: a console without feedback does not need it.
    from notification_service.console.feedback_pages import FeedbackPages  # noqa: PLC0415

    return [Route("/feedback", FeedbackPages(data, layout).feedback)]


def _redirect_to(path: str) -> Callable[[Request], Awaitable[Response]]:
    async def redirect(_: Request) -> Response:
        return RedirectResponse(path)

    return redirect


async def _style(_: Request) -> Response:
    return Response(pages.STYLE, media_type="text/css")


async def _refuse(_: Request, problem: Exception) -> Response:
    """The errors of requests without a session, in plain text."""
    match problem:
        case HTTPException(status_code=code, detail=detail, headers=headers):
            return refused(detail, code, headers)
    return refused("This is not possible.", 400)
