"""`make bench-records`: every page of the console and every query of `find`, beside a ledger of many records.

Each page is asked over ASGI in this process, so a figure is what the service itself takes, without a network and a
browser. Each query that a page asks MongoDB is caught and explained.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pymongo import monitoring
from pymongo.errors import PyMongoError

from benchmarks import results
from notification_service.cli import find
from notification_service.console import app as console_app, queries
from notification_service.console.auth import Access
from notification_service.console.public_address import PublicAddress
from notification_service.settings import Settings, load
from notification_service.stores.memory.sessions import MemorySessions
from notification_service.stores.mongo.search import Place as PageEnd, SearchQuery
from tests.console import scene
from tests.samples import sample
from tests.stack.local import LocalStack
from tests.stack.place import RECORDS, Document, Place

BUDGET_MS = 300
_AT_ONCE = 2000
_TIMES = 5
_DAYS = 90
_BUSY = "busy@example.com"
_OUTCOMES = ["sent"] * 940 + ["bounced"] * 25 + ["skipped"] * 20 + ["parked"] * 8 + ["rejected"] * 6 + ["unknown"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000, help="records in the ledger")
    count: int = parser.parse_args().count
    asked = DeliveryRequest()
    with tempfile.TemporaryDirectory() as name, LocalStack(Path(name)) as stack:
        place = Place(stack, Path(name))
        with place.service(**scene.SETTINGS):
            """Once, so that queues, collection and indexes stand."""
        seconds = fill(place, count)
        print(f"{count:,} records inserted in {seconds:.0f} s ({count / seconds:,.0f} a second)", flush=True)
        pages, queries = asyncio.run(measure(place, asked))
        place.close()
    results.show(f"pages and queries beside {count:,} records, in ms; the budget is {BUDGET_MS}", pages)
    results.show("what they ask MongoDB, the dearest query of each", queries)
    results.keep("records", pages, queries=queries, count=count, insert_seconds=seconds)
    late = [str(page["what"]) for page in pages if float(page["median"]) > BUDGET_MS]
    if late:
        raise SystemExit(f"over the budget of {BUDGET_MS} ms: {', '.join(late)}")


def fill(place: Place, count: int) -> float:
    """Records of the last days, the more the later, one address among them with a fiftieth of all."""
    drawn, now, event = random.Random(11), datetime.now(UTC), sample("booking.confirmed")  # noqa: S311 - a benchmark
    started = time.monotonic()
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        moments = (now - timedelta(days=_DAYS) * (1 - number / count) for number in numbers)
        batch = [_record(drawn, number, at, event) for number, at in zip(numbers, moments, strict=True)]
        place.database[RECORDS].insert_many(batch, ordered=False)
    return time.monotonic() - started


def _record(drawn: random.Random, number: int, at: datetime, event: Document) -> Document:
    outcome = drawn.choice(_OUTCOMES)
    own = f"{drawn.getrandbits(128):032x}"
    return {
        "_id": own,
        "event_id": f"evt-{number}",
        "event_ids": [f"evt-{number}"],
        "event_type": "booking.confirmed",
        "fact": f"booking:BOOK-{number}:confirmed",
        "notification_type": "email",
        "template": "booking_confirmation",
        "booking_id": f"BOOK-{number // 3}",
        "recipient": _BUSY if number % 50 == 0 else f"guest{number % 100_000}@example.com",
        "subject": "You're booked: Inception",
        "message_id": f"<{own}@cinema.example>",
        "status": "sent" if outcome == "sent" else "pending" if outcome == "unknown" else "failed",
        "outcome": outcome,
        "attempts": [{"at": at, "result": "accepted", "duration_ms": 30.0, "code": 250, "reply": "250 2.0.0 Ok"}],
        "created_at": at,
        "updated_at": at,
        "event_data": {**event, "event_id": f"evt-{number}"},
    }


@dataclass
class DeliveryRequest(monitoring.CommandListener):
    """The finds and aggregates of one page, as they were sent."""

    commands: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        monitoring.register(self)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate") and event.command[event.command_name] == RECORDS:
            kept = ("find", "aggregate", "filter", "pipeline", "sort", "limit", "cursor")
            self.commands.append({name: event.command[name] for name in kept if name in event.command})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


async def measure(place: Place, asked: DeliveryRequest) -> tuple[list[results.Row], list[results.Row]]:
    settings = _settings(place)
    one = place.database[RECORDS].find_one({"outcome": "parked"}) or {}
    rows: list[results.Row] = []
    dearest: list[results.Row] = []
    async with queries.opened(settings) as behind:
        await behind.prepare()
        app = console_app.application(behind, Access(scene.TOKEN, MemorySessions()), PublicAddress(None))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console.example")
        async with client:
            await client.post("/console/login", data={"token": scene.TOKEN})
            for what, ask in (*_pages(client, one), *_searches(settings, one)):
                row, sent = await _timed(what, ask, asked)
                rows.append(row)
                if sent:
                    told = [_explained(place, what, each) for each in sent]
                    dearest.append(max(told, key=lambda each: each["documents"]))
    return rows, dearest


def _pages(client: httpx.AsyncClient, one: Document) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    paths = {
        "the newest": "/",
        "by booking": f"/?q={one['booking_id']}",
        "by event": f"/?q={one['event_id']}",
        "by an address with few": "/?q=guest7@example.com",
        "by an address with a fiftieth": f"/?q={_BUSY}",
        "that find nothing": "/?q=nothing",
        "bounced": "/?outcome=bounced",
        "a page of a month ago": f"/?after={PageEnd(datetime.now(UTC) - timedelta(days=30), 'x')}",
        "a notification and its mail": f"/notifications/{one['_id']}",
        "the mail alone": f"/notifications/{one['_id']}/mail.html",
        "what is parked": "/waiting",
        "what is unknown": "/waiting?outcome=unknown",
        "what waits: nothing": "/waiting?outcome=waiting",
        "the books": "/books",
        "traffic, a day": "/traffic",
        "traffic, a week": "/traffic?span=week",
        "the gallery": "/gallery/samples/booking.confirmed",
    }
    for what, path in paths.items():
        yield f"page: {what}", lambda path=path: _get(client, path)  # type: ignore[misc]  # bound at once


async def _get(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/console{path}")
    if answer.status_code not in (200, 303):
        raise AssertionError(f"{path}: {answer.status_code}")


def _searches(settings: Settings, one: Document) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    now = datetime.now(UTC)
    wanted = {
        "TERM": SearchQuery(term=one["booking_id"]),
        "--booking": SearchQuery(booking=one["booking_id"]),
        "--event": SearchQuery(event=one["event_id"]),
        "--notification": SearchQuery(notification=one["_id"]),
        "--address": SearchQuery(address=_BUSY),
        "--outcome parked": SearchQuery(outcomes=("parked",)),
        "--outcome parked --outcome unknown": SearchQuery(outcomes=("parked", "unknown")),
        "--since a day ago": SearchQuery(since=now - timedelta(days=1)),
        "--until a month ago": SearchQuery(until=now - timedelta(days=30)),
    }
    for what, which in wanted.items():
        yield f"find {what}", lambda which=which: find.look(settings, which, 50, None)  # type: ignore[misc]  # likewise


async def _timed(
    what: str, ask: Callable[[], Awaitable[object]], asked: DeliveryRequest
) -> tuple[results.Row, list[Document]]:
    """The first time has whatever is read once; `longest` is of the others."""
    taken = []
    sent: list[Document] = []
    for _ in range(_TIMES + 1):
        asked.commands.clear()
        started = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - started) * 1000)
        sent = sent or list(asked.commands)
    first, *others = taken
    return {"what": what, "first": first, "median": statistics.median(others), "longest": max(others)}, sent


def _explained(place: Place, what: str, command: Document) -> dict[str, Any]:
    try:
        told: Document = place.database.command("explain", command, verbosity="executionStats")
    except PyMongoError as problem:
        return {"what": what, "plan": f"none: {type(problem).__name__}", "keys": 0, "documents": 0, "returned": 0}
    stats = told.get("executionStats", {})
    return {
        "what": what,
        "plan": " < ".join(_stages(told.get("queryPlanner", {}).get("winningPlan", {}))) or "not told",
        "keys": stats.get("totalKeysExamined", 0),
        "documents": stats.get("totalDocsExamined", 0),
        "returned": stats.get("nReturned", 0),
    }


def _stages(plan: Document) -> list[str]:
    own = [" ".join(str(plan[key]) for key in ("stage", "indexName") if key in plan)] if "stage" in plan else []
    return own + (_stages(plan["inputStage"]) if "inputStage" in plan else [])


def _settings(place: Place) -> Settings:
    os.environ.update(place.environment(**scene.SETTINGS))
    return load(env_file=None)


if __name__ == "__main__":
    main()
