"""The pages on who is not written to and which links were followed, and the adding and lifting of an address."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notification_service.console.layout import ROWS, Layout, with_query
from notification_service.console.middleware import ROOT
from notification_service.console.queries import ConsoleQueries
from notification_service.console.sign_in import SignIn
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause
from notification_service.delivery.ports.suppressions import Page, Suppressions
from notification_service.foundation.addresses import NotAnAddressError, read_mailbox
from notification_service.records import suppression_list
from notification_service.records.suppression_list import Line

log = structlog.get_logger(__name__)

_SPANS = {"day": 1, "week": 7, "month": 30}
_MAX_NAME_LENGTH, _MAX_REASON_LENGTH = 80, 300
_DIGEST_LENGTH = 32


class SuppressionPages:
    def __init__(self, queries: ConsoleQueries, layout: Layout, sign_in: SignIn) -> None:
        self._queries = queries
        self._layout = layout
        self._sign_in = sign_in
        self._time = queries.settings.tracking.suppression_time

    async def suppressions(self, request: Request) -> Response:
        asked, term = request.query_params.get("cause", ""), request.query_params.get("q", "").strip()
        cause = Cause(asked) if asked in set(Cause) else None
        page = await (self._of_address(term) if term else self._page(request, cause))
        lines = suppression_list.lines(page.addresses, self._time)
        return self._layout.page(
            request,
            "suppressions",
            lines=[each for each in lines if cause in (None, each.entry.cause)],
            causes=list(Cause),
            cause=asked,
            term=term,
            asked_before_sending=self._queries.settings.suppression,
            older=_older(request, page.following),
            first="after" not in request.query_params,
        )

    async def clicks(self, request: Request) -> Response:
        asked = request.query_params.get("span", "month")
        span = asked if asked in _SPANS else "month"
        report = await self._queries.clicks(datetime.now(UTC) - timedelta(days=_SPANS[span]))
        tracking = self._queries.settings.tracking.tracking
        return self._layout.page(request, "clicks", span=span, spans=_SPANS, report=report, tracking=tracking)

    async def act(self, request: Request) -> Response:
        """Add an address at once; lift one after a page that shows what would be lifted."""
        form = await self._sign_in.form(request)
        match form.get("do"):
            case "add":
                return await self._add(request, form)
            case "lift":
                return await self._lift(request, form)
        raise HTTPException(400, "Choose an action: add or lift.")

    async def _add(self, request: Request, form: Mapping[str, str]) -> Response:
        by, reason = _who(form), _reason(form)
        try:
            address = read_mailbox(form.get("address", ""))
        except NotAnAddressError as problem:
            raise HTTPException(400, f"Nothing was added: this is no mail address: {problem}.") from problem
        held = self._list
        await suppression_list.add(held, ChannelKind.EMAIL, address, by=by, reason=reason)
        known = await held.known(ChannelKind.EMAIL, address)
        self._log(request, "add", by, [known.digest])
        lines = suppression_list.liftable(suppression_list.lines([known], self._time), Cause.BY_HAND)
        return self._layout.page(request, "suppression_changed", lines=lines, done="added", form={})

    async def _lift(self, request: Request, form: Mapping[str, str]) -> Response:
        lines = await self._chosen(form)
        if form.get("confirmed") != "yes":
            kept = {name: form.get(name, "") for name in ("digest", "cause")}
            return self._layout.page(request, "suppression_changed", lines=lines, done="", form=kept)
        by = _who(form)
        await suppression_list.lift(self._list, lines, by=by, reason=_reason(form))
        self._log(request, "lift", by, [each.entry.digest for each in lines])
        return self._layout.page(request, "suppression_changed", lines=lines, done="lifted", form={})

    async def _chosen(self, form: Mapping[str, str]) -> list[Line]:
        """Raises `HTTPException`."""
        digest, cause = form.get("digest", ""), form.get("cause", "")
        if len(digest) != _DIGEST_LENGTH or cause not in set(Cause):
            raise HTTPException(400, "Nothing was lifted: choose an address and a cause from the list.")
        known = await self._list.beginning_with(digest, len(ChannelKind))
        return suppression_list.liftable(suppression_list.lines(known, self._time), Cause(cause))

    @property
    def _list(self) -> Suppressions:
        """Raises `HTTPException` where addresses have no digests."""
        if not self._queries.settings.has_digests:
            raise HTTPException(
                409, "RECORD_RECIPIENT=masked needs ADDRESS_KEYS: the list holds keyed digests of addresses."
            )
        return self._queries.suppressions

    async def _page(self, request: Request, cause: Cause | None) -> Page:
        try:
            after = request.query_params.get("after")
            before = datetime.fromisoformat(after).astimezone(UTC) if after else None
        except (ValueError, OverflowError) as problem:
            raise HTTPException(400, "There is no such page; begin with the newest.") from problem
        return await self._list.page(cause=cause, before=before, limit=ROWS)

    async def _of_address(self, term: str) -> Page:
        return Page([await self._list.known(kind, term) for kind in ChannelKind], None)

    def _log(self, request: Request, action: str, by: str, digests: Sequence[str]) -> None:
        log.warning(
            "console.suppression_changed",
            action=action,
            by=by,
            address=self._sign_in.sender(request),
            digests=list(digests),
        )


def _older(request: Request, following: datetime | None) -> str | None:
    if following is None:
        return None
    return with_query(f"{ROOT}/suppressions", request, ("cause",), after=following.isoformat())


def _who(form: Mapping[str, str]) -> str:
    """Raises `HTTPException`: the console knows no names of its own."""
    name = " ".join(form.get("by", "").split())[:_MAX_NAME_LENGTH]
    if not name:
        raise HTTPException(400, "Nothing was changed: give your name, which the list remembers.")
    return f"{name} (console)"


def _reason(form: Mapping[str, str]) -> str:
    return " ".join(form.get("reason", "").split())[:_MAX_REASON_LENGTH]
