"""`reconcile`: balances the books, finds what stands still, and with `--repair` publishes it again."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from notification_service.broker import parking
from notification_service.broker.topology import AGAIN, PARKED, rung_queue
from notification_service.events import EVENT_TYPES
from notification_service.outcomes import ConfigurationError, DependencyError, StoreUnavailableError
from notification_service.ports import Standing
from notification_service.reconciling import FOR_A_PERSON, OUTCOMES, Finding, Record, Rules, named
from notification_service.retries import Ladder
from notification_service.settings import Settings
from notification_service.stores import mongo, redis
from notification_service.stores.mongo_books import MongoBooks
from notification_service.stores.redis_standings import RedisStandings

_AT_ONCE = 500
_MASKED = "***@"


@dataclass(slots=True)
class Report:
    """`notes` are for a person to know; only a finding means that the books do not balance."""

    outcomes: Counter[str] = field(default_factory=Counter)
    queues: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    published: int = 0

    @property
    def balanced(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True)
class _Stores:
    books: MongoBooks
    standings: RedisStandings


async def examine(settings: Settings, *, events: Path | None = None, repair: bool = False) -> Report:
    """Raises `DependencyError` where MongoDB or RabbitMQ does not answer, `ConfigurationError` for a wrong file."""
    report, confirmed = Report(), _read(events) if events else {}
    url = settings.rabbitmq.url.get_secret_value()
    try:
        async with _opened(settings) as stores:
            still = await _look_at_records(settings, stores, report)
            await _look_at_verdicts(stores, report)
            missing = await _look_for_events(stores.books, confirmed, report)
            report.queues = await parking.depths(url, _queues(settings))
            if repair:
                await _publish_still(url, stores.books, still, report)
                missing = [each for each in missing if not await _publish_missing(url, confirmed[each], report)]
            _explain(missing, report)
            _look_at_parked(report)
    except StoreUnavailableError as problem:
        raise DependencyError(f"MONGODB_URI: {problem}") from problem
    return report


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Stores]:
    client = mongo.connect(settings.mongodb.uri.get_secret_value())
    claims = redis.connect(settings.redis.url.get_secret_value())
    try:
        books = MongoBooks(client[settings.mongodb.database], settings.mongodb.collection)
        yield _Stores(books, RedisStandings(claims))
    finally:
        client.close()
        await claims.aclose()


def _queues(settings: Settings) -> list[str]:
    rungs = [rung_queue(rung) for rung in settings.service.retry_rungs]
    return [settings.rabbitmq.booking_queue, settings.rabbitmq.payment_queue, AGAIN, *rungs, PARKED]


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """What the publisher knows to be confirmed, by event id: a line each, an id or an object with `event_id`."""
    try:
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"--events {path} cannot be read: {problem}") from problem
    told = {}
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line) if line.lstrip().startswith("{") else {"event_id": line.strip()}
            event_id = str(event["event_id"])
        except (ValueError, KeyError) as problem:
            raise ConfigurationError(
                f"--events {path}, line {number}: neither an id nor an object with one"
            ) from problem
        if event.get("event_type", EVENT_TYPES[0]) in EVENT_TYPES:
            told[event_id] = event
    return told


async def _look_at_records(settings: Settings, stores: _Stores, report: Report) -> list[Record]:
    """Those that stand still; what contradicts itself goes into the report."""
    service = settings.service
    rules = Rules(datetime.now(UTC), service.lease_seconds, Ladder(service.max_retry_attempts, service.retry_rungs))
    still: list[Record] = []
    async for batch in stores.books.batches():
        standings = await _standings(stores.standings, [str(record["_id"]) for record in batch], report)
        for record in batch:
            report.outcomes[str(record["outcome"])] += 1
            found = rules.examine(record, standings.get(str(record["_id"]), Standing()))
            report.findings += found
            if any(each.stands_still for each in found):
                still.append(record)
            if record["outcome"] == "unknown":
                report.notes.append(
                    f"{named(record)} may have gone out: ask the mail server's log for {record['message_id']}, "
                    "then `parked replay` or `parked discard` it"
                )
    return still


async def _standings(standings: RedisStandings, ids: Sequence[str], report: Report) -> dict[str, Standing]:
    try:
        return await standings.of(ids)
    except StoreUnavailableError as problem:
        note = f"{problem}; who works on what, and the verdicts, were not looked at"
        report.notes += [] if note in report.notes else [note]
        return {}


async def _look_at_verdicts(stores: _Stores, report: Report) -> None:
    """Every verdict has a record: it was written before anything was handed to a mail server."""
    try:
        async for ids in stores.standings.batches():
            decided = {each for each, standing in (await stores.standings.of(ids)).items() if standing.decided}
            for lost in sorted(decided - await stores.books.known(decided)):
                text = (
                    f"notification {lost} has a verdict in Redis and no record: who removed it? "
                    f"Restore it from a backup, or delete the key notification:{lost} if it is not missed"
                )
                report.findings.append(Finding(lost, text))
    except StoreUnavailableError as problem:
        if problem.store != "Redis":
            raise


async def _look_for_events(books: MongoBooks, confirmed: Mapping[str, Any], report: Report) -> list[str]:
    """Each event has exactly one record. Those that have none."""
    missing, ids = [], list(confirmed)
    for start in range(0, len(ids), _AT_ONCE):
        group = ids[start : start + _AT_ONCE]
        found = await books.records_of(group)
        missing += [each for each in group if each not in found]
        for event_id, records in found.items():
            if len(records) > 1:
                text = f"event {event_id} is in {len(records)} records, {', '.join(records)}: which one is true?"
                report.findings.append(Finding(records[0], text))
    return missing


def _explain(missing: Sequence[str], report: Report) -> None:
    waiting = [f"{depth} in {name}" for name, depth in report.queues.items() if depth and name != PARKED]
    where = (
        f"{' and '.join(waiting)} wait: is the service running?" if waiting else "no queue holds any: publish it again"
    )
    for event_id in missing:
        report.findings.append(Finding("", f"event {event_id} was confirmed and has no record; {where}"))


def _look_at_parked(report: Report) -> None:
    for_a_person = sum(report.outcomes[outcome] for outcome in FOR_A_PERSON)
    if for_a_person > report.queues.get(PARKED, 0):
        report.notes.append(
            f"{for_a_person} records wait for a person, {report.queues.get(PARKED, 0)} events are parked: "
            "the others were discarded, are older than PARKING_DAYS, or are being replayed"
        )


async def _publish_still(url: str, books: MongoBooks, still: Sequence[Record], report: Report) -> None:
    """Publish again what stands still. What the two memories say then decides, as with any delivery."""
    for record in still:
        event = record["event_data"]
        if _MASKED in json.dumps(event, default=str) or "raw" in event:
            report.notes.append(f"{named(record)} is not kept in full: its producer has to publish it again")
        elif await books.touch(record, datetime.now(UTC)):
            await _publish(url, {**event, "event_id": record["event_id"]}, record["event_type"], report)
            report.findings = [each for each in report.findings if each.notification_id != record["_id"]]


async def _publish_missing(url: str, event: Mapping[str, Any], report: Report) -> bool:
    """Whether the file held the whole event, and not only its name."""
    if "event_type" not in event or len(event) <= len({"event_id", "event_type"}):
        return False
    await _publish(url, event, event["event_type"], report)
    return True


async def _publish(url: str, event: Mapping[str, Any], event_type: str, report: Report) -> None:
    await parking.publish_again(url, json.dumps(event, default=str).encode(), event_type)
    report.published += 1


def show(report: Report) -> None:
    console = Console(highlight=False)
    books, queues = Table("outcome", "records", title="The books"), Table("queue", "events", title="The queues")
    for outcome in (*OUTCOMES, *sorted(set(report.outcomes) - set(OUTCOMES))):
        if report.outcomes[outcome]:
            books.add_row(outcome, str(report.outcomes[outcome]))
    for name, depth in report.queues.items():
        queues.add_row(name, str(depth))
    console.print(books, queues)
    for line in (*(each.text for each in report.findings), *report.notes):
        typer.echo(f"- {line}")
    if report.published:
        typer.echo(f"{report.published} published again; look once more when they had time to end")
    total = report.outcomes.total()
    typer.echo(f"{total} records: " + ("they balance" if report.balanced else f"{len(report.findings)} findings"))


def as_json(report: Report) -> str:
    told = {"balanced": report.balanced, "outcomes": report.outcomes, "queues": report.queues}
    return json.dumps(
        {
            **told,
            "findings": [asdict(each) for each in report.findings],
            "notes": report.notes,
            "published": report.published,
        }
    )
