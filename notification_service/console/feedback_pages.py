"""The page on what became of mails after they were sent: bounces by reason, and rates by mailbox provider."""

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from notification_service.console.layout import Layout
from notification_service.console.queries import ConsoleQueries
from notification_service.feedback.advice import advice
from notification_service.feedback.rates import COMPLAINTS_ALLOWED, COMPLAINTS_ASKED, rates

_DAYS = 7


class FeedbackPages:
    def __init__(self, queries: ConsoleQueries, layout: Layout) -> None:
        self._queries = queries
        self._layout = layout

    async def feedback(self, request: Request) -> Response:
        since = datetime.now(UTC) - timedelta(days=_DAYS)
        reports = self._queries.signal_reports
        failures = await reports.failures(since)
        return self._layout.page(
            request,
            "feedback",
            days=_DAYS,
            failures=[(each, advice(each.code)) for each in failures],
            rates=rates(await reports.accepted(since), await reports.by_mailbox(since)),
            asked=COMPLAINTS_ASKED,
            allowed=COMPLAINTS_ALLOWED,
        )
