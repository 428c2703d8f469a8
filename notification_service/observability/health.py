"""The HTTP endpoints for liveness, readiness, health and metrics. All are read-only."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from notification_service import __version__

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Part:
    """The state of one dependency. `needed`: without it the service is not ready."""

    state: str
    ok: bool
    needed: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """`ready`: every needed part is up. `degraded`: some other part is not."""

    parts: dict[str, Part]
    mode: str

    @property
    def ready(self) -> bool:
        return all(part.ok for part in self.parts.values() if part.needed)

    @property
    def degraded(self) -> bool:
        return not all(part.ok for part in self.parts.values())

    @property
    def status(self) -> str:
        if not self.ready:
            return "DOWN"
        return "DEGRADED" if self.degraded else "UP"


Examine = Callable[[], Awaitable[Readiness]]


def application(examine: Examine, metrics: Callable[[], bytes]) -> Starlette:
    async def live(_: Request) -> Response:
        return JSONResponse({"status": "UP", "version": __version__})

    async def health(_: Request) -> Response:
        """Always 200, for a gateway that only needs to know that the service answers."""
        return JSONResponse(_page(await examine()))

    async def ready(_: Request) -> Response:
        readiness = await examine()
        return JSONResponse(_page(readiness), status_code=200 if readiness.ready else 503)

    async def scrape(_: Request) -> Response:
        return Response(metrics(), media_type=_METRICS_TYPE)

    app = Starlette(
        routes=[
            Route("/livez", live),
            Route("/health", health),
            Route("/actuator/health", health),
            Route("/readyz", ready),
            Route("/metrics", scrape),
        ]
    )
    # A redirect would repeat the host of the request, which the client chooses.
    app.router.redirect_slashes = False
    return app


def _page(readiness: Readiness) -> dict[str, object]:
    parts = {
        name: {key: value for key, value in asdict(part).items() if value is not None}
        for name, part in readiness.parts.items()
    }
    return {"status": readiness.status, "ready": readiness.ready, "mode": readiness.mode, "parts": parts}
