"""The frame of every page, and the addresses of pages."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notification_service.console.middleware import html
from notification_service.console.sign_in import SignIn
from notification_service.settings import Settings
from notification_service.stores.mongo.search import Place

ROWS = 30
"""Records on a page."""


class Layout:
    def __init__(self, settings: Settings, sign_in: SignIn) -> None:
        self._settings = settings
        self._sign_in = sign_in

    def page(self, request: Request, view: str, *, code: int = 200, **values: Any) -> Response:  # noqa: ANN401
        """Render a view with what every page shows."""
        settings = self._settings
        return html(
            view,
            code=code,
            addresses=shows_addresses(request),
            path=request.scope["path"],
            csrf_token=self._sign_in.csrf_token(request),
            feedback=settings.feedback.enabled,
            suppression=settings.suppression,
            clicks=settings.tracking.consent_field is not None,
            tested=bool(settings.service.experiment or settings.service.shadow_variant),
            simulated=None if settings.live else settings.unconfigured or "DELIVERY_MODE=simulate",
            **values,
        )

    async def failed(self, request: Request, problem: Exception) -> Response:
        """Show an error; one that is no `HTTPException` means that a server does not answer."""
        match problem:
            case HTTPException(status_code=code, detail=detail, headers=headers):
                answer = self.page(request, "problem", code=code, number=code, problem=detail)
                answer.headers.update(headers or {})
                return answer
        return self.page(request, "problem", code=503, number=503, problem=str(problem))


def shows_addresses(request: Request) -> bool:
    return request.query_params.get("addresses") == "1"


def place_of(request: Request) -> Place | None:
    """Where the requested page begins; None for the first. Raises `HTTPException`."""
    try:
        return Place.read(after) if (after := request.query_params.get("after")) else None
    except ValueError as problem:
        raise HTTPException(400, "There is no such page; begin with the newest.") from problem


def with_query(path: str, request: Request, kept: Sequence[str], **more: object) -> str:
    """Returns the path with the `kept` parameters of this page's query, and more."""
    query = {name: request.query_params.get(name) for name in kept} | more
    encoded = urlencode({name: str(value) for name, value in query.items() if value})
    return f"{path}?{encoded}" if encoded else path


def older_page(path: str, request: Request, kept: Sequence[str], following: Place | None) -> str | None:
    return with_query(path, request, kept, after=following) if following else None
