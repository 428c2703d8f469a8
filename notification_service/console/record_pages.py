"""The pages on single notifications: search, one notification, and its mail."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from notification_service.console import pages
from notification_service.console.layout import ROWS, Layout, older_page, place_of, shows_addresses, with_query
from notification_service.console.middleware import ROOT
from notification_service.console.queries import ConsoleQueries
from notification_service.console.reconstruction import NotMade
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.delivery_status import DeliveryStatus
from notification_service.delivery.ports.ledger import Record
from notification_service.preview import proofs
from notification_service.records.reconciliation import OUTCOMES, channel_of
from notification_service.records.timeline import moments
from notification_service.stores.mongo.search import SearchQuery

_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""The content security policy of a mail: no scripts, no remote content, no links, wherever it is opened."""


class RecordPages:
    def __init__(self, queries: ConsoleQueries, layout: Layout) -> None:
        self._queries = queries
        self._layout = layout

    async def search(self, request: Request) -> Response:
        term = request.query_params.get("q", "").strip()
        asked = request.query_params.get("outcome", "")
        channel = request.query_params.get("channel", "")
        became = request.query_params.get("delivery", "")
        wanted = SearchQuery(
            term=term or None,
            channel=ChannelKind(channel) if channel in set(ChannelKind) else None,
            outcomes=(asked,) if asked in OUTCOMES else (),
            delivery=became if became in set(DeliveryStatus) else None,
        )
        after = place_of(request)
        page = await self._queries.search.page(wanted, limit=ROWS, after=after)
        if term and len(page.records) == 1 and after is None:
            return RedirectResponse(
                with_query(f"{ROOT}/notifications/{page.records[0]['_id']}", request, ("addresses",)), 303
            )
        older = older_page(f"{ROOT}/", request, ("q", "outcome", "delivery", "channel", "addresses"), page.following)
        other = with_query(
            f"{ROOT}/",
            request,
            ("q", "outcome", "delivery", "channel"),
            addresses="" if shows_addresses(request) else "1",
        )
        return self._layout.page(
            request,
            "search",
            term=term,
            outcome=asked,
            delivery=wanted.delivery or "",
            channel=wanted.channel or "",
            records=page.records,
            older=older,
            other=other,
            first=after is None,
        )

    async def notification(self, request: Request) -> Response:
        record = await self._record(request)
        by_email = channel_of(record) is ChannelKind.EMAIL
        made = await (self._queries.mail(record) if by_email else self._queries.phone_message(record))
        learnt = {**record, "signals": await self._queries.signals.of_record(dict(record))}
        here = f"{ROOT}/notifications/{record['_id']}"
        return self._layout.page(
            request,
            "notification",
            record=record,
            by_email=by_email,
            moments=moments(learnt),
            made=None if isinstance(made, NotMade) else made,
            why=made.why if isinstance(made, NotMade) else "",
            event=pages.event_text(record, addresses=shows_addresses(request)),
            here=here,
            other=with_query(here, request, (), addresses="" if shows_addresses(request) else "1"),
        )

    async def mail(self, request: Request) -> Response:
        """Returns the HTML part for the frame, the text part, or the whole message as a file."""
        record = await self._record(request)
        made = await self._queries.mail(record)
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

    async def _record(self, request: Request) -> Record:
        record = await self._queries.search.find(request.path_params["notification"])
        if record is None:
            raise HTTPException(404, "There is no record of this notification.")
        return record
