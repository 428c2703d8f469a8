"""`reconcile`: finds stalled and contradictory records and events without a record, and can publish them again."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path

from notification_service.broker import delivery_limits, parking
from notification_service.broker.delivery_limits import Fate
from notification_service.broker.parking import EventToPublish, Republish
from notification_service.broker.topology import PARKED, again_queue, fed_queue, retry_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import FOR_A_PERSON
from notification_service.delivery.ports.claims import ClaimStatus
from notification_service.delivery.ports.ledger import Record
from notification_service.delivery.retries import RetrySchedule
from notification_service.foundation.errors import ConfigurationError, EventRefusedError, StoreUnavailableError
from notification_service.records import database, reconciliation
from notification_service.records.reconciliation import Confirmed, Deadlines, Finding, describe
from notification_service.settings import Settings, plain
from notification_service.stores.mongo.audit import MongoAudit
from notification_service.stores.mongo.recalls import MongoRecalls
from notification_service.stores.redis import client as redis
from notification_service.stores.redis.claim_states import RedisClaimStates

_MAX_EVENTS_AT_ONCE = 500


@dataclass(slots=True)
class AuditReport:
    """`findings`: inconsistencies; without any, the records are consistent. `notes`: what a person should know.

    `repairable`: without `--repair`, how many events it would publish again.
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
    on_records: Callable[[int], object] = lambda _: None,
) -> AuditReport:
    """`others`: the event types that also go out by further channels than e-mail.

    Raises `DependencyError` if MongoDB or RabbitMQ does not answer, `ConfigurationError` for an unreadable file.
    """
    async with _audit(settings, repair=repair, others=others or {}) as audit:
        audit.report.queues = await parking.depths(audit.rabbitmq_url, _queues(settings, others or {}))
        await audit.check_records(on_records)
        await audit.check_verdicts()
        if events:
            await audit.check_events(events)
        audit.check_parked()
        await audit.check_delivery_limits(settings)
        await audit.list_recalls()
        return audit.report


@asynccontextmanager
async def _audit(
    settings: Settings, *, repair: bool, others: Mapping[ChannelKind, Collection[str]]
) -> AsyncIterator["_Audit"]:
    service, url = settings.service, settings.rabbitmq.url.get_secret_value()
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(database.opened(settings))
        claims = redis.connect(settings.redis.url.get_secret_value())
        stack.push_async_callback(claims.aclose)
        republish = await stack.enter_async_context(parking.republishing(url)) if repair else None
        records = MongoAudit(db, settings.mongodb.collection)
        await records.prepare()
        retry_schedule = RetrySchedule(service.max_retry_attempts, service.retry_rungs)
        rules = Deadlines(datetime.now(UTC), service.lease_seconds, retry_schedule)
        recalls = MongoRecalls(db, settings.mongodb.collection)
        yield _Audit(records, recalls, RedisClaimStates(claims), rules, url, service.max_event_bytes, republish, others)


def _queues(settings: Settings, others: Iterable[ChannelKind]) -> list[str]:
    rabbit, delays = settings.rabbitmq, settings.service.retry_rungs
    channels = (ChannelKind.EMAIL, *others)
    own = [name for each in channels for name in (again_queue(each), *(retry_queue(each, delay) for delay in delays))]
    return [rabbit.booking_queue, rabbit.payment_queue, *map(fed_queue, others), *own, PARKED]


@dataclass(slots=True)
class _Audit:
    """One run of the audit. `claims`: None once Redis has failed to answer. `republish`: None without `--repair`."""

    records: MongoAudit
    recalls: MongoRecalls
    claims: RedisClaimStates | None
    rules: Deadlines
    rabbitmq_url: str
    max_event_bytes: int
    republish: Republish | None
    others: Mapping[ChannelKind, Collection[str]]
    report: AuditReport = field(default_factory=AuditReport)

    async def check_records(self, on_records: Callable[[int], object]) -> None:
        async for batch in self.records.batches():
            suspects = [record["_id"] for record, found in await self._examine(batch) if found]
            # Read again: while the service runs, a record and its claim may have been read before and after a change.
            for record, found in await self._examine(await self.records.read(suspects)):
                if not (any(each.is_stalled for each in found) and await self._repair(record)):
                    self.report.findings += found
            for record in batch:
                self._count(record)
            await self._check_shared_events(batch)
            on_records(len(batch))

    async def _examine(self, records: Sequence[Record]) -> list[tuple[Record, list[Finding]]]:
        statuses = await self._claim_statuses([str(record["_id"]) for record in records])
        return [
            (record, self.rules.examine(record, statuses.get(str(record["_id"]), ClaimStatus()))) for record in records
        ]

    def _count(self, record: Record) -> None:
        self.report.outcomes[str(record.get("outcome"))] += 1
        if record.get("outcome") == "unknown":
            self.report.notes.append(reconciliation.to_decide(record))

    async def _claim_statuses(self, ids: Collection[str]) -> dict[str, ClaimStatus]:
        if self.claims is None or not ids:
            return {}
        try:
            return await self.claims.of(list(ids))
        except StoreUnavailableError as problem:
            self._without_redis(problem)
            return {}

    def _without_redis(self, problem: StoreUnavailableError) -> None:
        self.claims = None
        self.report.notes.append(f"{problem}; claims and verdicts were not checked")

    async def _check_shared_events(self, batch: Sequence[Record]) -> None:
        """Report an event id in several records once, with the first of them."""
        here = {record["_id"] for record in batch}
        listed = [record["event_ids"] for record in batch if isinstance(record.get("event_ids"), list)]
        event_ids = [str(each) for each in chain.from_iterable(listed)]
        for event_id, records in (await self.records.records_of(event_ids)).items():
            if len(records) > 1 and records[0]["_id"] in here:
                findings, notes = reconciliation.shared_event(event_id, records)
                self.report.findings += findings
                self.report.notes += notes

    async def check_verdicts(self) -> None:
        """Every verdict needs a record, as the record is written before anything is handed to a mail server."""
        if self.claims is None:
            return
        try:
            async for ids in self.claims.batches():
                decided = {each for each, status in (await self._claim_statuses(ids)).items() if status.decided}
                self.report.findings += map(
                    reconciliation.missing_record, sorted(decided - await self.records.existing(decided))
                )
        except StoreUnavailableError as problem:
            if problem.store != "Redis":
                raise
            self._without_redis(problem)

    async def check_events(self, path: Path) -> None:
        """Every confirmed event needs a record. One without, whose whole body is known, can be published again."""
        confirmed, missing, lines = set[str](), dict[tuple[str, ChannelKind], Confirmed](), _read(path)
        while group := {each.event_id: each for each in islice(lines, _MAX_EVENTS_AT_ONCE)}:
            found = await self.records.records_of(group)
            confirmed |= group.keys()
            for event_id, each in group.items():
                channels = {str(record.get("notification_type")) for record in found.get(event_id, ())}
                missing |= {(event_id, channel): each for channel in self._channels_of(each) if channel not in channels}
        unrecorded = {event_id for event_id, _ in missing}
        self.report.confirmed, self.report.recorded = len(confirmed), len(confirmed) - len(unrecorded)
        parked = await self._parked(unrecorded)
        waiting = {name: depth for name, depth in self.report.queues.items() if depth and name != PARKED}
        for (event_id, channel), each in missing.items():
            reason = parked.get((event_id, channel))
            whole = reason is None and each.event_type
            if not (whole and await self._publish(EventToPublish(each.body, whole, event_id, channel=channel))):
                self.report.repairable += bool(whole and not self.republish)
                self.report.findings.append(reconciliation.not_recorded(event_id, channel, reason, waiting))

    def _channels_of(self, confirmed: Confirmed) -> list[ChannelKind]:
        """The channels on which an event needs a record: e-mail alone if only its id is known."""
        others = [channel for channel, types in self.others.items() if confirmed.event_type in types]
        return [ChannelKind.EMAIL, *others]

    async def _parked(self, missing: Collection[str]) -> dict[tuple[str, ChannelKind], str]:
        """Returns those of the missing events that are parked, with the reason."""
        if not missing or not self.report.queues[PARKED]:
            return {}
        found = await parking.look(
            self.rabbitmq_url, lambda each: each.event_id in missing, max_bytes=self.max_event_bytes
        )
        return {(each.event_id, each.channel): each.reason for each in found}

    def check_parked(self) -> None:
        for_a_person = sum(self.report.outcomes[outcome] for outcome in FOR_A_PERSON)
        if for_a_person > (parked := self.report.queues[PARKED]):
            self.report.notes.append(
                f"{for_a_person} records wait for a person, {parked} events are parked: "
                "the others were discarded, are older than PARKING_DAYS, or are being replayed"
            )

    async def check_delivery_limits(self, settings: Settings) -> None:
        """A queue that drops events is a finding; one that may drop some is a note."""
        rabbit = settings.rabbitmq
        queues = (rabbit.booking_queue, rabbit.payment_queue, *map(fed_queue, self.others))
        for each in await delivery_limits.examine(self.rabbitmq_url, queues, plain(rabbit.management_url)):
            if each.fate is Fate.DROPPED:
                self.report.findings.append(Finding("", each.text))
            else:
                self.report.notes.append(each.text)

    async def list_recalls(self) -> None:
        """Note the orders that a worker carries out once mail is accepted again."""
        self.report.notes += [reconciliation.open_order(order) for order in await self.recalls.orders()]

    async def _repair(self, record: Record) -> bool:
        """Publish the event of a record again. Returns whether it is on its way; the pipeline then decides as usual."""
        if self.republish is None:
            self.report.repairable += 1
            return False
        event = reconciliation.to_publish({**record, **await self.records.event_of(record)})
        if event is None:
            self.report.notes.append(
                f"{describe(record)} does not hold its whole event: the producer has to publish it again"
            )
            return False
        return not await self.records.touch(record, datetime.now(UTC)) or await self._publish(event)

    async def _publish(self, event: EventToPublish) -> bool:
        """Returns whether the broker took the event. A refusal is noted, and the audit goes on."""
        if self.republish is None:
            return False
        try:
            await self.republish(event)
        except EventRefusedError as problem:
            self.report.notes.append(str(problem))
            return False
        self.report.published += 1
        return True


def _read(path: Path) -> Iterator[Confirmed]:
    """Yield the events of a list of confirmed events that concern this service."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield from _parse(line, f"--events {path}, line {number}")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"--events {path} cannot be read: {problem}") from problem


def _parse(line: str, where: str) -> Iterator[Confirmed]:
    try:
        confirmed = reconciliation.read_line(line) if line.strip() else None
    except (ValueError, RecursionError) as problem:
        raise ConfigurationError(f"{where}: expected an event id, or an object with an event_id") from problem
    if confirmed is not None:
        yield confirmed
