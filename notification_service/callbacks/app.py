"""The application of the public listener: the webhooks of providers, and the links in mails. Nothing else."""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from notification_service.feedback import signal_messages
from notification_service.feedback.providers.webhooks import (
    CallbackRefusedError,
    CannotVerifyError,
    Heard,
    Provider,
    Webhook,
)
from notification_service.foundation.errors import DependencyError
from notification_service.observability.callback_metrics import CallbackMetrics

log = structlog.get_logger(__name__)

_TYPES = ("application/json", "text/plain", "application/x-amz-json-1.0", "")
"""SNS says text/plain of its JSON."""
_FORM = "application/x-www-form-urlencoded"
_SEND_FORMS = frozenset({"twilio"})
_NO_REPLY = "<Response/>"
"""TwiML that sends nothing. Twilio counts an answer without a type as an error, and asks the fallback address."""
_READ_ONCE = re.compile(r"authorization|content-(?:type|encoding)|x-(?:twilio|amz-sns)-.*")
"""Headers that decide something: of two, a gateway may have judged the other one."""
_HALF_SENT = 408
_RETRY_AFTER_S = "30"
_MAX_LINES_PER_MINUTE = 20

Publish = Callable[[Sequence[bytes]], Awaitable[None]]
"""Stores signals in the queue, and returns when the broker has confirmed them. Raises `DependencyError`."""


def application(
    providers: Mapping[str, Provider], publish: Publish, metrics: CallbackMetrics, links: Sequence[BaseRoute] = ()
) -> Starlette:
    """`links`: the routes of what stands in mails."""

    async def failed(_: Request, problem: Exception) -> Response:
        status = problem.status_code if isinstance(problem, HTTPException) else 400
        metrics.answered("", status)
        return _line("There is nothing here.", status, problem.headers if isinstance(problem, HTTPException) else None)

    callbacks = Callbacks(providers, publish, metrics)
    app = Starlette(
        routes=[
            Route("/cb/{provider}", callbacks.hear, methods=["POST"]),
            Route("/cb/{provider}/{about}", callbacks.hear, methods=["POST"]),
            Route("/livez", _alive),
            *links,
        ],
        exception_handlers={HTTPException: failed},
    )
    # A redirect would repeat the host of the request, which the client chooses.
    app.router.redirect_slashes = False
    return app


class Callbacks:
    """Answers 200 when everything that a request says is stored, and the same for known and unknown messages."""

    def __init__(self, providers: Mapping[str, Provider], publish: Publish, metrics: CallbackMetrics) -> None:
        self._providers = providers
        self._publish = publish
        self._metrics = metrics
        self._lines = _LineLimit(_MAX_LINES_PER_MINUTE)

    async def hear(self, request: Request) -> Response:
        name = request.path_params["provider"]
        provider = self._providers.get(name)
        if provider is None or ("about" in request.path_params) != (name in _SEND_FORMS):
            raise HTTPException(404)
        try:
            heard = await self._read(provider, request)
            now = datetime.now(UTC)
            # A clock that is ahead would make what it tells the latest for ever.
            told = (replace(each, at=min(each.at, now)) for each in heard.signals)
            await self._publish([signal_messages.written(each) for each in told])
        except CallbackRefusedError as problem:
            return self._refused(name, problem.status, str(problem))
        except (CannotVerifyError, DependencyError) as problem:
            return self._put_off(name, problem)
        except ClientDisconnect:
            self._metrics.answered(name, _HALF_SENT)
            raise
        self._metrics.answered(name, 200, len(heard.signals), heard.unreadable)
        if heard.unreadable and self._lines.free():
            log.warning("callbacks.unreadable", provider=name, events=heard.unreadable)
        return Response(_NO_REPLY, media_type="text/xml") if name in _SEND_FORMS else Response(status_code=200)

    async def _read(self, provider: Provider, request: Request) -> Heard:
        """Raises `CallbackRefusedError` and `CannotVerifyError`."""
        headers = request.headers
        types = (_FORM,) if provider.name in _SEND_FORMS else _TYPES
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in types:
            raise CallbackRefusedError(415, f"Only {'a form' if types == (_FORM,) else 'JSON'} is read here.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise CallbackRefusedError(415, "Only what is not compressed is read here.")
        if twice := [name for name, times in Counter(headers.keys()).items() if times > 1 and _READ_ONCE.match(name)]:
            raise CallbackRefusedError(400, f"The header {twice[0]} stands there twice.")
        body = await _bounded(request, provider.max_bytes)
        named = dict(headers)
        return await provider.read(Webhook(named, body, datetime.now(UTC), request.url.path, request.url.query))

    def _refused(self, provider: str, status: int, why: str) -> Response:
        self._metrics.answered(provider, status)
        if self._lines.free():
            log.warning("callbacks.refused", provider=provider, status=status, why=why)
        return _line(why, status)

    def _put_off(self, provider: str, problem: Exception) -> Response:
        """The provider repeats its request later."""
        self._metrics.answered(provider, 503)
        if self._lines.free():
            log.error("callbacks.not_stored", provider=provider, problem=str(problem))
        return _line("This cannot be stored just now: send it again.", 503, {"Retry-After": _RETRY_AFTER_S})


async def _bounded(request: Request, max_bytes: int) -> bytes:
    """The body. Raises `CallbackRefusedError` as soon as it is known to be too large."""
    announced = request.headers.get("content-length", "0")
    body = b""
    if not (announced.isdigit() and int(announced[:20]) > max_bytes):
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                break
        else:
            return body
    raise CallbackRefusedError(413, f"The body has more than {max_bytes} bytes.")


async def _alive(_: Request) -> Response:
    return PlainTextResponse("UP")


def _line(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers)


class _LineLimit:
    """Strangers cannot fill the log: so many lines a minute, and the rest is counted in the metrics alone."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0
        self._written = 0

    def free(self) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._written = minute, 0
        self._written += 1
        return self._written <= self._per_minute
