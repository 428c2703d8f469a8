"""The audit of the books: what stands still, what contradicts itself, what never arrived; and its repair."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path

from notification_service.broker import delivery_limits, parking
from notification_service.broker.delivery_limits import Fate
from notification_service.broker.parking import BringIn
from notification_service.broker.topology import PARKED, again_queue, fed_queue, retry_queue
from notification_service.contract.facts import ChannelKind
from notification_service.delivery.ports.claims import ClaimStatus
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.errors import (
    ConfigurationError,
    DependencyError,
    EventRefusedError,
    StoreUnavailableError,
)
from notification_service.records import reconciliation
from notification_service.records.reconciliation import FOR_A_PERSON, Confirmed, Finding, Record, Rules, named
from notification_service.settings import Settings, plain
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.audit import MongoAudit
from notification_service.stores.mongo.recalls import MongoRecalls
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claim_states import RedisClaimStates

_AT_ONCE = 500


@dataclass(slots=True)
class AuditReport:
    """`notes` are for a person to know; only a finding means that the books do not balance.

    `repairable`: how many findings a repair would publish again, where none was asked for.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    queues: dict[str, int] = field(default_factory=dict)
    confirmed: int = 0
    recorded: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repairable: int = 0
    published: int = 0

    @property
    def balanced(self) -> bool:
        return not self.findings


async def examine(
    settings: Settings,
    *,
    events: Path | None = None,
    repair: bool = False,
    others: Mapping[ChannelKind, Collection[str]] | None = None,
) -> AuditReport:
    """`others`: the types of the events that go out by further channels than e-mail.

    Raises `DependencyError` where MongoDB or RabbitMQ does not answer, `ConfigurationError` for a wrong file.
    """
    try:
        async with _audit(settings, repair=repair, others=others or {}) as audit:
            audit.report.queues = await parking.depths(audit.rabbitmq_url, _queues(settings, others or {}))
            await audit.look_at_records()
            await audit.look_at_verdicts()
            if events:
                await audit.look_for_events(events)
            audit.look_at_parked()
            await audit.look_at_limits(settings)
            await audit.look_at_recalls()
            return audit.report
    except StoreUnavailableError as problem:
        raise DependencyError(f"MONGODB_URI: {problem}") from problem


@asynccontextmanager
async def _audit(
    settings: Settings, *, repair: bool, others: Mapping[ChannelKind, Collection[str]]
) -> AsyncIterator["_Audit"]:
    service, url = settings.service, settings.rabbitmq.url.get_secret_value()
    client = mongo.connect(settings.mongodb.uri.get_secret_value())
    async with AsyncExitStack() as opened:
        opened.callback(client.close)
        claims = redis.connect(settings.redis.url.get_secret_value())
        opened.push_async_callback(claims.aclose)
        bring_in = await opened.enter_async_context(parking.bringing_in(url)) if repair else None
        books = MongoAudit(client[settings.mongodb.database], settings.mongodb.collection)
        retry_schedule = RetrySchedule(service.max_retry_attempts, service.retry_rungs)
        rules = Rules(datetime.now(UTC), service.lease_seconds, retry_schedule)
        recalls = MongoRecalls(client[settings.mongodb.database], settings.mongodb.collection)
        yield _Audit(books, recalls, RedisClaimStates(claims), rules, url, service.max_event_bytes, bring_in, others)


def _queues(settings: Settings, others: Iterable[ChannelKind]) -> list[str]:
    rabbit, delays = settings.rabbitmq, settings.service.retry_rungs
    channels = (ChannelKind.EMAIL, *others)
    own = [name for each in channels for name in (again_queue(each), *(retry_queue(each, delay) for delay in delays))]
    return [rabbit.booking_queue, rabbit.payment_queue, *map(fed_queue, others), *own, PARKED]


@dataclass(slots=True)
class _Audit:
    """One look at the books. `standings`: None from the moment that Redis does not answer.

    `bring_in`: only where it was asked to repair.
    """

    books: MongoAudit
    recalls: MongoRecalls
    standings: RedisClaimStates | None
    rules: Rules
    rabbitmq_url: str
    largest: int
    bring_in: BringIn | None
    others: Mapping[ChannelKind, Collection[str]]
    report: AuditReport = field(default_factory=AuditReport)

    async def look_at_records(self) -> None:
        async for batch in self.books.batches():
            suspects = [record["_id"] for record, found in await self._examine(batch) if found]
            # Once more: beside a live service, a record and its claim may have been read at two moments of a change.
            for record, found in await self._examine(await self.books.again(suspects)):
                if not (any(each.stands_still for each in found) and await self._repair(record)):
                    self.report.findings += found
            for record in batch:
                self._count(record)
            await self._look_for_shared(batch)

    async def _examine(self, records: Sequence[Record]) -> list[tuple[Record, list[Finding]]]:
        standings = await self._standings_of([str(record["_id"]) for record in records])
        return [
            (record, self.rules.examine(record, standings.get(str(record["_id"]), ClaimStatus()))) for record in records
        ]

    def _count(self, record: Record) -> None:
        self.report.outcomes[str(record.get("outcome"))] += 1
        if record.get("outcome") == "unknown":
            self.report.notes.append(reconciliation.to_decide(record))

    async def _standings_of(self, ids: Collection[str]) -> dict[str, ClaimStatus]:
        if self.standings is None or not ids:
            return {}
        try:
            return await self.standings.of(list(ids))
        except StoreUnavailableError as problem:
            self._without_redis(problem)
            return {}

    def _without_redis(self, problem: StoreUnavailableError) -> None:
        self.standings = None
        self.report.notes.append(f"{problem}; who works on what, and the verdicts, were not looked at")

    async def _look_for_shared(self, batch: Sequence[Record]) -> None:
        """What an event id in two records means is told once, with the first of them."""
        here = {record["_id"] for record in batch}
        listed = [record["event_ids"] for record in batch if isinstance(record.get("event_ids"), list)]
        event_ids = [str(each) for each in chain.from_iterable(listed)]
        for event_id, records in (await self.books.records_of(event_ids)).items():
            if len(records) > 1 and records[0]["_id"] in here:
                findings, notes = reconciliation.told_twice(event_id, records)
                self.report.findings += findings
                self.report.notes += notes

    async def look_at_verdicts(self) -> None:
        """Every verdict has a record: it was written before anything was handed to a mail server."""
        if self.standings is None:
            return
        try:
            async for ids in self.standings.batches():
                decided = {each for each, standing in (await self._standings_of(ids)).items() if standing.decided}
                self.report.findings += map(reconciliation.lost, sorted(decided - await self.books.known(decided)))
        except StoreUnavailableError as problem:
            if problem.store != "Redis":
                raise
            self._without_redis(problem)

    async def look_for_events(self, path: Path) -> None:
        """Each event that was confirmed has a record. What has none, and is known in full, can be published again."""
        told, missing, lines = set[str](), dict[tuple[str, ChannelKind], Confirmed](), _read(path)
        while group := {each.event_id: each for each in islice(lines, _AT_ONCE)}:
            found = await self.books.records_of(group)
            told |= group.keys()
            for event_id, each in group.items():
                by = {str(record.get("notification_type")) for record in found.get(event_id, ())}
                missing |= {(event_id, channel): each for channel in self._channels_of(each) if channel not in by}
        unrecorded = {event_id for event_id, _ in missing}
        self.report.confirmed, self.report.recorded = len(told), len(told) - len(unrecorded)
        parked = await self._parked(unrecorded)
        waiting = {name: depth for name, depth in self.report.queues.items() if depth and name != PARKED}
        for (event_id, channel), each in missing.items():
            reason = parked.get((event_id, channel))
            whole = reason is None and each.event_type
            if not (whole and await self._publish(each.body, whole, event_id, channel)):
                self.report.repairable += bool(whole and not self.bring_in)
                self.report.findings.append(reconciliation.not_recorded(event_id, channel, reason, waiting))

    def _channels_of(self, confirmed: Confirmed) -> list[ChannelKind]:
        """Those that owe a record to the event. Of an event that is known by its id alone, e-mail is sure."""
        others = [channel for channel, types in self.others.items() if confirmed.event_type in types]
        return [ChannelKind.EMAIL, *others]

    async def _parked(self, missing: Collection[str]) -> dict[tuple[str, ChannelKind], str]:
        """Those of them that wait for a person, and why."""
        if not missing or not self.report.queues[PARKED]:
            return {}
        wait = await parking.look(self.rabbitmq_url, lambda each: each.event_id in missing, largest=self.largest)
        return {(each.event_id, each.channel): each.reason for each in wait}

    def look_at_parked(self) -> None:
        for_a_person = sum(self.report.outcomes[outcome] for outcome in FOR_A_PERSON)
        if for_a_person > (parked := self.report.queues[PARKED]):
            self.report.notes.append(
                f"{for_a_person} records wait for a person, {parked} events are parked: "
                "the others were discarded, are older than PARKING_DAYS, or are being replayed"
            )

    async def look_at_limits(self, settings: Settings) -> None:
        """A queue that drops events is a finding; one that may do so is for a person to look at."""
        rabbit = settings.rabbitmq
        queues = (rabbit.booking_queue, rabbit.payment_queue, *map(fed_queue, self.others))
        for each in await delivery_limits.examine(self.rabbitmq_url, queues, plain(rabbit.management_url)):
            if each.fate is Fate.DROPPED:
                self.report.findings.append(Finding("", each.text))
            else:
                self.report.notes.append(each.text)

    async def look_at_recalls(self) -> None:
        """What is ordered and not carried out is a worker's to do, when mail passes again."""
        self.report.notes += [reconciliation.ordered(order) for order in await self.recalls.orders()]

    async def _repair(self, record: Record) -> bool:
        """Whether its event is on its way again. What the two memories say then decides, as with any delivery."""
        if self.bring_in is None:
            self.report.repairable += 1
            return False
        body = reconciliation.body_kept(await self.books.event_of(record))
        if body is None:
            self.report.notes.append(f"{named(record)} is not kept in full: its producer has to publish it again")
            return False
        if not await self.books.touch(record, datetime.now(UTC)):
            return True
        event_type, event_id = str(record["event_type"]), str(record["event_id"])
        return await self._publish(body, event_type, event_id, reconciliation.channel_of(record))

    async def _publish(self, body: bytes, event_type: str, event_id: str, channel: ChannelKind) -> bool:
        """Whether the broker took it; one that it refuses is told, and the others go on."""
        if self.bring_in is None:
            return False
        try:
            await self.bring_in(body, event_type, event_id, channel=channel)
        except EventRefusedError as problem:
            self.report.notes.append(str(problem))
            return False
        self.report.published += 1
        return True


def _read(path: Path) -> Iterator[Confirmed]:
    """What the publisher knows to be confirmed, and is ours."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield from _told(line, f"--events {path}, line {number}")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"--events {path} cannot be read: {problem}") from problem


def _told(line: str, where: str) -> Iterator[Confirmed]:
    try:
        told = reconciliation.read_line(line) if line.strip() else None
    except (ValueError, RecursionError) as problem:
        raise ConfigurationError(f"{where}: neither an id nor an object with one") from problem
    if told is not None:
        yield told
