"""The pages on all notifications together: reconciliation and traffic."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from notification_service.console import charts
from notification_service.console.layout import Layout
from notification_service.console.middleware import ROOT
from notification_service.console.queries import ConsoleQueries
from notification_service.console.sign_in import SignIn

_AUDIT_WAIT_S = 0.15
"""How long the request waits for a quick audit, so that its result is on the next page."""
_SPANS = {"day": (24, 1, "%H:%M"), "week": (24 * 7, 6, "%a %H:%M")}
"""Hours, hours for each bar, and the format of a time."""
_NOT_SENT = [name for name in charts.SERIES if name != "sent"]


class ReportPages:
    def __init__(self, queries: ConsoleQueries, layout: Layout, sign_in: SignIn) -> None:
        self._queries = queries
        self._layout = layout
        self._sign_in = sign_in

    async def reconciliation(self, request: Request) -> Response:
        if request.method == "POST":
            await self._sign_in.form(request)
            self._queries.audits.begin()
            await self._queries.audits.wait(_AUDIT_WAIT_S)
            return RedirectResponse(f"{ROOT}/books", 303)
        return self._layout.page(request, "reconciliation", audits=self._queries.audits)

    async def traffic(self, request: Request) -> Response:
        asked = request.query_params.get("span", "day")
        span = asked if asked in _SPANS else "day"
        hours, hours_per_span, time_format = _SPANS[span]
        spans = await self._queries.hours.spans(datetime.now(UTC), hours, hours_per_span)
        drawn = {
            "Throughput": charts.draw(spans, list(charts.SERIES), time_format),
            "What was not sent": charts.draw(spans, _NOT_SENT, time_format),
        }
        return self._layout.page(request, "traffic", span=span, spans=spans, charts=drawn, when=time_format)
