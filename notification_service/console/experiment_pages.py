"""The page on tests of two variants: the result of one, in figures, in a picture and in words."""

from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notification_service.console import effect_chart
from notification_service.console.layout import Layout
from notification_service.console.queries import ConsoleQueries
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.records import experiment_sentences as sentences
from notification_service.records.experiment_statistics import DECISION

_CHANNELS = {ChannelKind.EMAIL: "E-mail", ChannelKind.SMS: "SMS", ChannelKind.PUSH: "Push"}


class ExperimentPages:
    def __init__(self, queries: ConsoleQueries, layout: Layout) -> None:
        self._queries = queries
        self._layout = layout

    async def experiment(self, request: Request) -> Response:
        now, tests = datetime.now(UTC), await self._queries.experiments()
        chosen = _chosen(tests, request.query_params.get("salt"))
        channel = _channel(request.query_params.get("channel", ChannelKind.EMAIL))
        shadow = await self._queries.shadow(channel, now)
        found = await self._queries.experiment(chosen, channel, now) if chosen else None
        return self._layout.page(
            request,
            "experiment",
            tests=[each.experiment.salt for each in reversed(tests)],
            salt=chosen.experiment.salt if chosen else None,
            channels=_CHANNELS,
            channel=channel,
            state=sentences.state(chosen) if chosen else "",
            ratio=sentences.ratio(found) if found else "",
            meaning=list(sentences.meaning(found)) if found else [],
            columns=sentences.COLUMNS,
            rows=sentences.rows(found) if found else [],
            chart=effect_chart.draw(found.looks, found.registered.experiment.wanted, DECISION) if found else None,
            shadow=sentences.shadowed(shadow) if shadow else None,
        )


def _chosen(tests: list[RegisteredExperiment], salt: str | None) -> RegisteredExperiment | None:
    """The test that is asked for, else the latest; None where there is none at all."""
    if salt is None:
        return tests[-1] if tests else None
    found = next((each for each in tests if each.experiment.salt == salt), None)
    if found is None:
        raise HTTPException(404, "There is no such test.")
    return found


def _channel(name: str) -> ChannelKind:
    try:
        return ChannelKind(name)
    except ValueError as problem:
        raise HTTPException(404, "There is no such channel.") from problem
