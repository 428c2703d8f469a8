"""The console over HTTP: a page for each question, and a POST for each action. No GET changes anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route

from notification_service.broker.parking import ParkedEvent, age_in_hours
from notification_service.console import charts, pages, queries
from notification_service.console.auth import Access
from notification_service.console.middleware import ROOT, Door, Guard, html, refused
from notification_service.console.public_address import Front
from notification_service.console.queries import Choice, ConsoleQueries
from notification_service.console.reconstruction import NotMade
from notification_service.console.sign_in import Entrance
from notification_service.contract.facts import ChannelKind
from notification_service.foundation.errors import (
    ConfigurationError,
    DependencyError,
    EventRefusedError,
    StoreUnavailableError,
)
from notification_service.observability import serving as listener
from notification_service.preview import proofs
from notification_service.preview.gallery import server as gallery
from notification_service.records.reconciliation import OUTCOMES
from notification_service.records.timeline import moments
from notification_service.settings import Network, Settings
from notification_service.stores.mongo.search import Place, SearchQuery
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.sessions import RedisSessions

log = structlog.get_logger(__name__)

_ROWS, _SHOWN = 30, 50
_NAMED, _MAX_ID_LENGTH = 100, 200
"""Events that a log line names, and characters of their ids."""
_AUDIT_AT_ONCE = 0.15
_SPANS = {"day": (24, 1, "%H:%M"), "week": (24 * 7, 6, "%a %H:%M")}
_NOT_SENT = [name for name in charts.SERIES if name != "sent"]

_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""A mail runs nothing, loads nothing and leads nowhere, wherever it is opened."""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[None]:
    """The console on its own port: nothing without CONSOLE_TOKEN. Raises `ConfigurationError` where it is taken."""
    wanted = settings.console
    if wanted.token is None:
        yield
        return
    async with queries.opened(settings) as behind, redis.connect(settings.redis.url.get_secret_value()) as client:
        access = Access(wanted.token.get_secret_value(), RedisSessions(client))
        app = application(behind, access, Front(wanted.url), wanted.trusted_proxies)
        try:
            async with listener.serving(app, wanted.host, wanted.port):
                yield
        except OSError as problem:
            where = f"{wanted.host}:{wanted.port}"
            raise ConfigurationError(f"CONSOLE_PORT: {where} cannot be listened on: {problem}") from problem


class _Console:
    def __init__(self, behind: ConsoleQueries, entrance: Entrance) -> None:
        self._desk = behind
        self._entrance = entrance

    # ── what happened ────────────────────────────────────────────────────────────────────────────────
    async def search(self, request: Request) -> Response:
        term = request.query_params.get("q", "").strip()
        asked = request.query_params.get("outcome", "")
        wanted = SearchQuery(term=term or None, outcomes=(asked,) if asked in OUTCOMES else ())
        after = _place(request)
        page = await self._desk.search.page(wanted, limit=_ROWS, after=after)
        if term and len(page.records) == 1 and after is None:
            return RedirectResponse(
                _with(f"{ROOT}/notifications/{page.records[0]['_id']}", request, ("addresses",)), 303
            )
        older = _older(f"{ROOT}/", request, ("q", "outcome", "addresses"), page.following)
        other = _with(f"{ROOT}/", request, ("q", "outcome"), addresses="" if _addresses(request) else "1")
        return self._page(
            request,
            "search",
            term=term,
            outcome=asked,
            records=page.records,
            older=older,
            other=other,
            first=after is None,
        )

    async def notification(self, request: Request) -> Response:
        record = await self._record(request)
        made = await self._desk.mail(record)
        here = f"{ROOT}/notifications/{record['_id']}"
        return self._page(
            request,
            "notification",
            record=record,
            moments=moments(record),
            made=None if isinstance(made, NotMade) else made,
            why=made.why if isinstance(made, NotMade) else "",
            event=pages.event_text(record),
            here=here,
            other=_with(here, request, (), addresses="" if _addresses(request) else "1"),
        )

    async def mail(self, request: Request) -> Response:
        """The html for the frame, the text, or the whole message as a file."""
        record = await self._record(request)
        made = await self._desk.mail(record)
        if isinstance(made, NotMade):
            raise HTTPException(404, made.why)
        policy = {"Content-Security-Policy": _MAIL_POLICY}
        match request.path_params["form"]:
            case "mail.html":
                return Response(proofs.with_images(made.mail), headers=policy, media_type="text/html")
            case "mail.txt":
                return Response(made.mail.text, headers=policy, media_type="text/plain")
            case "mail.eml":
                policy["Content-Disposition"] = f'attachment; filename="{record["_id"]}.eml"'
                return Response(made.message.content, headers=policy, media_type="message/rfc822")
        raise HTTPException(404)

    # ── what waits ───────────────────────────────────────────────────────────────────────────────────
    async def waiting(self, request: Request) -> Response:
        asked = request.query_params.get("outcome", "parked")
        which = asked if asked in ("parked", "rejected", "unknown", "waiting", "pending") else "parked"
        page, parked = await asyncio.gather(
            self._desk.search.page(SearchQuery(outcomes=(which,)), limit=_ROWS, after=_place(request)), self._parked()
        )
        older = _older(f"{ROOT}/waiting", request, ("outcome", "addresses"), page.following)
        other = _with(f"{ROOT}/waiting", request, ("outcome",), addresses="" if _addresses(request) else "1")
        return self._page(
            request,
            "waiting",
            outcome=which,
            records=page.records,
            parked=parked,
            older=older,
            other=other,
            first=_place(request) is None,
        )

    async def act(self, request: Request) -> Response:
        """Replay or discard: first what it would be, then, when that was confirmed, what it was."""
        form = await self._entrance.form(request)
        action = form.get("do", "")
        choice = _choice(form)
        if action not in ("replay", "discard"):
            raise HTTPException(400, "Say what is to be done: replay or discard.")
        if action == "discard" and not choice.narrow:
            raise HTTPException(400, "Say which events are to be discarded: by event, reason, type or age.")
        if form.get("confirmed") == "yes" and choice.until is not None:
            return await self._done(request, action, choice)
        until = datetime.now(UTC)
        found = await self._desk.look(choice)
        return self._page(
            request,
            "confirm",
            action=action,
            events=found[:_SHOWN],
            count=len(found),
            until=until,
            target="parked",
            form={**form, "until": until.isoformat()},
        )

    async def _done(self, request: Request, action: str, choice: Choice) -> Response:
        moved: list[ParkedEvent] = []
        refused_ones: list[EventRefusedError] = []
        try:
            if action == "replay":
                await self._desk.replay(choice, moved.append, refused_ones.append)
            else:
                await self._desk.discard(choice, moved.append)
        finally:
            # Also where it broke off: what was moved by then was moved.
            self._say(request, action, moved, refused=[each.event_id for each in refused_ones])
        return self._page(
            request, "acted", action=action, events=moved[:_SHOWN], count=len(moved), refused=refused_ones[:_SHOWN]
        )

    def _say(self, request: Request, action: str, events: Sequence[ParkedEvent], refused: Sequence[str] = ()) -> None:
        """Each event by its id, so many in a line."""
        address, ids = self._entrance.sender(request), [each.event_id[:_MAX_ID_LENGTH] for each in events]
        left = [each[:_MAX_ID_LENGTH] for each in refused]
        while True:
            now, ids = ids[:_NAMED], ids[_NAMED:]
            named, left = left[:_NAMED], left[_NAMED:]
            log.warning(
                "console.acted", action=action, address=address, events=len(events), event_ids=now, refused_ids=named
            )
            if not ids and not left:
                return

    async def bring_back(self, request: Request) -> Response:
        """Replay what bounced or could be parked nowhere: its event is in no queue, so its record says it again."""
        form = await self._entrance.form(request)
        event = await self._desk.bounced(form.get("notification", ""))
        events = [event] if event else []
        if event and form.get("confirmed") == "yes":
            await self._desk.bring_back(event)
            self._say(request, "replay", events)
            return self._page(request, "acted", action="replay", events=events, count=1, refused=[])
        return self._page(
            request,
            "confirm",
            action="replay",
            events=events,
            count=len(events),
            until=None,
            target="bounced",
            form=form,
        )

    async def _parked(self) -> int | None:
        """None where RabbitMQ cannot be asked; the records are shown all the same."""
        try:
            return await self._desk.parked()
        except DependencyError:
            return None

    # ── the books ────────────────────────────────────────────────────────────────────────────────────
    async def books(self, request: Request) -> Response:
        if request.method == "POST":
            await self._entrance.form(request)
            self._desk.audits.begin()
            await self._desk.audits.wait(_AUDIT_AT_ONCE)
            return RedirectResponse(f"{ROOT}/books", 303)
        return self._page(request, "books", audits=self._desk.audits)

    async def traffic(self, request: Request) -> Response:
        asked = request.query_params.get("span", "day")
        span = asked if asked in _SPANS else "day"
        hours, hours_a_span, when = _SPANS[span]
        spans = await self._desk.hours.spans(datetime.now(UTC), hours, hours_a_span)
        told = {
            "Throughput": charts.draw(spans, list(charts.SERIES), when),
            "What was not sent": charts.draw(spans, _NOT_SENT, when),
        }
        return self._page(request, "traffic", span=span, spans=spans, charts=told, when=when)

    # ── all pages ────────────────────────────────────────────────────────────────────────────────────
    async def style(self, _: Request) -> Response:
        return Response(pages.STYLE, media_type="text/css")

    async def failed(self, request: Request, problem: Exception) -> Response:
        match problem:
            case HTTPException(status_code=code, detail=detail, headers=headers):
                answer = self._page(request, "problem", code=code, number=code, problem=detail)
                answer.headers.update(headers or {})
                return answer
        return self._page(request, "problem", code=503, number=503, problem=str(problem))

    def _page(self, request: Request, view: str, *, code: int = 200, **values: Any) -> Response:  # noqa: ANN401
        return html(
            view,
            code=code,
            addresses=_addresses(request),
            path=request.scope["path"],
            word=self._entrance.word(request),
            simulated=None
            if self._desk.settings.live
            else self._desk.settings.unconfigured or "DELIVERY_MODE=simulate",
            **values,
        )

    async def _record(self, request: Request) -> Mapping[str, Any]:
        record = await self._desk.search.one(request.path_params["notification"])
        if record is None:
            raise HTTPException(404, "There is no record of this notification.")
        return record


def application(behind: ConsoleQueries, access: Access, front: Front, proxies: Sequence[Network] = ()) -> Starlette:
    """All that the console's port answers. Only what stands before the guard is open to everybody."""
    entrance = Entrance(access, front, proxies)
    console = _Console(behind, entrance)
    failures = (HTTPException, StoreUnavailableError, DependencyError)
    inside = Starlette(
        routes=[
            Route("/", console.search),
            Route("/logout", entrance.logout, methods=["POST"]),
            Route("/notifications/{notification}", console.notification),
            Route("/notifications/{notification}/{form}", console.mail),
            Route("/waiting", console.waiting),
            Route("/parked", console.act, methods=["POST"]),
            Route("/bounced", console.bring_back, methods=["POST"]),
            Route("/books", console.books, methods=["GET", "POST"]),
            Route("/traffic", console.traffic),
            Route("/gallery", _leads_to(f"{ROOT}/gallery/")),
            Mount("/gallery", gallery.application(behind.stage, "0.0.0.0", f"{ROOT}/gallery")),  # noqa: S104 - no address is listened on
        ],
        exception_handlers=dict.fromkeys(failures, console.failed),
        middleware=[Middleware(Guard, access=access, front=front)],
    )
    door = Starlette(
        routes=[
            Route("/", _leads_to(f"{ROOT}/")),
            Route(ROOT, _leads_to(f"{ROOT}/")),
            Route(f"{ROOT}/login", entrance.login, methods=["GET", "POST"]),
            Route(f"{ROOT}/console.css", console.style),
            Mount(ROOT, inside),
        ],
        exception_handlers={HTTPException: _not_so},
        middleware=[Middleware(Door, front=front)],
    )
    # The redirect would name the host that the request named.
    door.router.redirect_slashes = inside.router.redirect_slashes = False
    return door


def _leads_to(path: str) -> Callable[[Request], Awaitable[Response]]:
    async def lead(_: Request) -> Response:
        return RedirectResponse(path)

    return lead


async def _not_so(_: Request, problem: Exception) -> Response:
    """To whoever has not signed in."""
    match problem:
        case HTTPException(status_code=code, detail=detail, headers=headers):
            return refused(detail, code, headers)
    return refused("This is not possible.", 400)


def _choice(form: Mapping[str, str]) -> Choice:
    """Raises `HTTPException`."""
    until = form.get("until")
    try:
        return Choice(
            event_ids=frozenset(form.get("events", "").splitlines()),
            reason=form.get("reason") or None,
            event_type=form.get("type") or None,
            older_than=age_in_hours(form["older"]) if form.get("older") else None,
            channel=ChannelKind(form["channel"]) if form.get("channel") else None,
            until=datetime.fromisoformat(until).astimezone(UTC) if until else None,
        )
    except (ValueError, OverflowError) as problem:
        raise HTTPException(400, f"Nothing was done: {problem}.") from problem


def _place(request: Request) -> Place | None:
    try:
        return Place.read(after) if (after := request.query_params.get("after")) else None
    except ValueError as problem:
        raise HTTPException(400, "There is no such page; begin with the newest.") from problem


def _addresses(request: Request) -> bool:
    return request.query_params.get("addresses") == "1"


def _with(path: str, request: Request, kept: Sequence[str], **more: object) -> str:
    """The path, with what is kept of the query of this page, and more."""
    query = {name: request.query_params.get(name) for name in kept} | more
    told = urlencode({name: str(value) for name, value in query.items() if value})
    return f"{path}?{told}" if told else path


def _older(path: str, request: Request, kept: Sequence[str], following: Place | None) -> str | None:
    return _with(path, request, kept, after=following) if following else None
