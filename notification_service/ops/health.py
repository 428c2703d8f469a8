"""The HTTP side: is it alive, is it ready, what does it count. Nothing here changes anything."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notification_service import __version__
from notification_service.settings import Settings

log = structlog.get_logger(__name__)

_GOODBYE = 2
"""Seconds that clients have to finish when the service ends; uvicorn by itself waits for ever for half a request."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the service stands on. `needed`: without it the service is not ready."""

    state: str
    ok: bool
    needed: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """`ready`: it takes deliveries. `degraded`: it does, but not everything is as it should be."""

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
Rooms = Callable[[Settings], AbstractAsyncContextManager[Sequence[BaseRoute]]]
"""Opens what else is served, for as long as it is."""


def application(examine: Examine, metrics: Callable[[], bytes], rooms: Sequence[BaseRoute] = ()) -> Starlette:
    """`rooms`: what others serve on the same port."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "UP", "version": __version__})

    async def health(_: Request) -> Response:
        """For the gateway in front: the service answers, and this is how it is."""
        return JSONResponse(_page(await examine()))

    async def ready(_: Request) -> Response:
        readiness = await examine()
        return JSONResponse(_page(readiness), status_code=200 if readiness.ready else 503)

    async def counted(_: Request) -> Response:
        return Response(metrics(), media_type=_METRICS_TYPE)

    return Starlette(
        routes=[
            Route("/livez", live),
            Route("/health", health),
            Route("/actuator/health", health),
            Route("/readyz", ready),
            Route("/metrics", counted),
            *rooms,
        ]
    )


def _page(readiness: Readiness) -> dict[str, object]:
    parts = {
        name: {key: value for key, value in asdict(part).items() if value is not None}
        for name, part in readiness.parts.items()
    }
    return {"status": readiness.status, "ready": readiness.ready, "mode": readiness.mode, "parts": parts}


def _interruptible(app: ASGIApp) -> ASGIApp:
    """What is cut off when the service ends is answered; uvicorn would write it down as an error of ours."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, sent)
        except asyncio.CancelledError:
            if started:
                raise
            await JSONResponse({"status": "DOWN"}, status_code=503)(scope, receive, send)

    return run


class _Server(uvicorn.Server):
    """Leaves the signals to the service, which drains before it goes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[None]:
    """Serve while the block runs, and end soon after it. Raises `OSError` where the port is taken."""
    listening = socket.create_server((host, port))
    server = _Server(
        uvicorn.Config(
            _interruptible(app),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GOODBYE,
        )
    )
    task = asyncio.create_task(server.serve([listening]))
    log.info("http.serving", host=host, port=port)
    try:
        yield
    finally:
        server.should_exit = True
        await task
        listening.close()
