"""The pages on what waits for a person or a retry, and the replay or discard of events."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notification_service.broker.parked_events import ParkedEvent, ParkedFilter, age_in_hours
from notification_service.console.layout import ROWS, Layout, older_page, place_of, shows_addresses, with_query
from notification_service.console.middleware import ROOT
from notification_service.console.queries import ConsoleQueries
from notification_service.console.sign_in import SignIn
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.foundation.errors import DependencyError, EventRefusedError
from notification_service.stores.mongo.search import SearchQuery

log = structlog.get_logger(__name__)

_MAX_SHOWN = 50
_MAX_LOGGED, _MAX_LOGGED_ID_LENGTH = 100, 200
"""Events in one log line, and characters of their ids."""


class WaitingPages:
    def __init__(self, queries: ConsoleQueries, layout: Layout, sign_in: SignIn) -> None:
        self._queries = queries
        self._layout = layout
        self._sign_in = sign_in

    async def waiting(self, request: Request) -> Response:
        asked = request.query_params.get("outcome", "parked")
        which = asked if asked in ("parked", "rejected", "unknown", "waiting", "pending") else "parked"
        page, parked = await asyncio.gather(
            self._queries.search.page(SearchQuery(outcomes=(which,)), limit=ROWS, after=place_of(request)),
            self._parked(),
        )
        older = older_page(f"{ROOT}/waiting", request, ("outcome", "addresses"), page.following)
        other = with_query(f"{ROOT}/waiting", request, ("outcome",), addresses="" if shows_addresses(request) else "1")
        return self._layout.page(
            request,
            "waiting",
            outcome=which,
            records=page.records,
            parked=parked,
            older=older,
            other=other,
            first=place_of(request) is None,
        )

    async def act(self, request: Request) -> Response:
        """Replay or discard events: first ask for confirmation with a preview, then act and show the result."""
        form = await self._sign_in.form(request)
        action = form.get("do", "")
        choice = _choice(form)
        if action not in ("replay", "discard"):
            raise HTTPException(400, "Choose an action: replay or discard.")
        if action == "discard" and not choice.is_limited:
            raise HTTPException(400, "Choose which events to discard: by event, reason, type or age.")
        if form.get("confirmed") == "yes" and choice.until is not None:
            return await self._done(request, action, choice)
        until = datetime.now(UTC)
        found = await self._queries.look(choice)
        return self._layout.page(
            request,
            "confirm",
            action=action,
            events=found[:_MAX_SHOWN],
            count=len(found),
            until=until,
            target="parked",
            form={**form, "until": until.isoformat()},
        )

    async def _done(self, request: Request, action: str, choice: ParkedFilter) -> Response:
        moved: list[ParkedEvent] = []
        refused: list[EventRefusedError] = []
        try:
            if action == "replay":
                await self._queries.replay(choice, moved.append, refused.append)
            else:
                await self._queries.discard(choice, moved.append)
        finally:
            # Also after an error: some events may have been moved by then.
            self._log(request, action, moved, refused=[each.event_id for each in refused])
        return self._layout.page(
            request,
            "acted",
            action=action,
            events=moved[:_MAX_SHOWN],
            count=len(moved),
            refused=refused[:_MAX_SHOWN],
        )

    def _log(self, request: Request, action: str, events: Sequence[ParkedEvent], refused: Sequence[str] = ()) -> None:
        """Log the ids of the events, 100 in a line."""
        address, ids = self._sign_in.sender(request), [each.event_id[:_MAX_LOGGED_ID_LENGTH] for each in events]
        left = [each[:_MAX_LOGGED_ID_LENGTH] for each in refused]
        while True:
            logged, ids = ids[:_MAX_LOGGED], ids[_MAX_LOGGED:]
            logged_refused, left = left[:_MAX_LOGGED], left[_MAX_LOGGED:]
            log.warning(
                "console.acted",
                action=action,
                address=address,
                events=len(events),
                event_ids=logged,
                refused_ids=logged_refused,
            )
            if not ids and not left:
                return

    async def replay_bounced(self, request: Request) -> Response:
        """Replay a bounced or unmovable event: it is in no queue, so it is published from its record."""
        form = await self._sign_in.form(request)
        event = await self._queries.bounced(form.get("notification", ""))
        events = [event] if event else []
        if event and form.get("confirmed") == "yes":
            await self._queries.replay_bounced(event)
            self._log(request, "replay", events)
            return self._layout.page(request, "acted", action="replay", events=events, count=1, refused=[])
        return self._layout.page(
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
        """The depth of the parking queue; None if RabbitMQ does not answer, since the records can still be shown."""
        try:
            return await self._queries.parked()
        except DependencyError:
            return None


def _choice(form: Mapping[str, str]) -> ParkedFilter:
    """Raises `HTTPException`."""
    until = form.get("until")
    try:
        return ParkedFilter(
            event_ids=frozenset(form.get("events", "").splitlines()),
            reason=form.get("reason") or None,
            event_type=form.get("type") or None,
            older_than=age_in_hours(form["older"]) if form.get("older") else None,
            channel=ChannelKind(form["channel"]) if form.get("channel") else None,
            until=datetime.fromisoformat(until).astimezone(UTC) if until else None,
        )
    except (ValueError, OverflowError) as problem:
        raise HTTPException(400, f"Nothing was done: {problem}.") from problem
