"""What must be true when everything is at rest, whatever was done to the service before."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import aio_pika
from redis import Redis

from notification_service.broker.topology import PARKED
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import PENDING, WAITING
from notification_service.records.audit import AuditReport, examine
from notification_service.settings import Settings, load
from tests.stack.place import Document, Place, until
from tests.stack.publisher import event, publish
from tests.stack.smtp import Mail

_FINAL = {"sent", "skipped", "bounced", "rejected", "parked", "unknown"}
_FOR_A_PERSON = {"rejected", "parked", "unknown"}


@dataclass(frozen=True)
class Queue:
    ready: int
    unacked: int

    @property
    def empty(self) -> bool:
        return self.ready == 0 and self.unacked == 0


@dataclass(frozen=True)
class Found:
    """One notification at the end: its record, and the mails that the server accepted for it."""

    record: Document
    mails: list[Mail]

    @property
    def marked(self) -> bool:
        return bool(self.record.get("possible_duplicate"))


class Judge:
    """`redis_url`: where the service has its claims, unless in the stack's own Redis.

    `forgetful`: Redis loses writes there, so that what has ended may have a claim that is as it once was.
    `others`: the types of event that each channel beside e-mail has a record of.
    """

    def __init__(
        self,
        place: Place,
        redis_url: str | None = None,
        *,
        forgetful: bool = False,
        others: Mapping[ChannelKind, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self._place = place
        self._redis_url = redis_url or place.stack.redis_url
        self._forgetful = forgetful
        self._others = others
        self.log = place.folder / "confirmed.jsonl"

    def publish(self, *events: Document) -> None:
        """Publish, and write down what the broker confirmed."""
        publish(self._place.amqp_url, map(event, events), self.log)

    @property
    def confirmed(self) -> set[str]:
        return {str(each["event_id"]) for each in _lines(self.log)}

    def _confirmed_of(self, types: Collection[str]) -> set[str]:
        return {str(each["event_id"]) for each in _lines(self.log) if each["event_type"] in types}

    def at_rest(self) -> bool:
        """Whether nothing seems to be under way. What costs least to ask is asked first.

        Every service that runs must consume: a broker that has just come back calls a queue empty that it has not
        opened yet. Then the queues are looked at twice: an event on its way from one to the next is in neither.
        """
        return (
            self._place.everybody_consumes()
            and self._told_of()
            and not self._open_records()
            and not self.undecided()
            and self._queues_are_empty()
            and self._queues_are_empty()
        )

    def claims(self) -> dict[str, str]:
        """The state of each claim that Redis knows of, by its key."""
        with Redis.from_url(self._redis_url, decode_responses=True) as redis:
            return {key: str(redis.hget(key, "state")) for key in redis.scan_iter("notification:*")}

    def undecided(self) -> dict[str, str]:
        over = {f"notification:{each['_id']}" for each in self._place.records()} if self._forgetful else set()
        return {key: state for key, state in self.claims().items() if state != "decided" and key not in over}

    def queues(self) -> dict[str, Queue]:
        """Every queue of the place: `ready` as it is now, `unacked` as it was up to five seconds ago."""
        unacked = self._place.stack.broker.unacked(self._place.database_name)
        ready = asyncio.run(_ready(self._place.amqp_url, unacked))
        return {name: Queue(ready[name], unacked[name]) for name in unacked}

    def verdict(self) -> dict[str, Found]:
        """Assert I1, I2 and I3, and return what was found for the mail of each event. The services must have ended."""
        everything = self._place.records()
        for kind, types in self._others.items():
            of_it = [record for record in everything if record.get("notification_type") == kind]
            assert _told(of_it) == Counter(self._confirmed_of(types)), f"I1: {kind}: not one record for each event"
        records = [record for record in everything if record.get("notification_type") not in self._others]
        assert _told(records) == Counter(self.confirmed), "I1: not exactly one record for each confirmed event"
        accepted = self._place.mails()
        found = {
            event_id: Found(record, [mail for mail in accepted if mail.message_id == record["message_id"]])
            for record in records
            for event_id in record["event_ids"]
        }
        strangers = {mail.message_id for mail in accepted} - {record["message_id"] for record in records}
        assert not strangers, f"I2: mails that no record speaks of: {strangers}"
        for each in found.values():
            _judge_one(each)
        self._judge_remains(everything)
        report = self.balance()
        assert report.balanced, f"I1: {[finding.text for finding in report.findings]}"
        return found

    def balance(self, *, events: Path | None = None, repair: bool = False) -> AuditReport:
        """What `notification-service reconcile` finds here, with what was published unless other `events` are given."""
        audit = examine(self.settings(), events=events or self.log, repair=repair, others=self._others)
        return asyncio.run(audit)

    def settings(self) -> Settings:
        """Those of an auditor of this place, who knows of short leases."""
        env_file = self._place.folder / "reconcile.env"
        environment = self._place.environment(REDIS_URL=self._redis_url, LEASE_SECONDS="2")
        env_file.write_text("".join(f"{name}={value}\n" for name, value in environment.items()), "utf-8")
        return load(env_file)

    def _judge_remains(self, records: Iterable[Document]) -> None:
        until(self._nothing_is_unacked, timeout=60)  # what a consumer left unacked is ready again by then
        queues = self.queues()
        parked = queues.pop(PARKED)
        waits = sum(record["outcome"] in _FOR_A_PERSON for record in records)
        assert all(queue.empty for queue in queues.values()), f"I3: {queues}"
        assert parked.ready >= waits, f"I3: {waits} wait for a person, but {parked.ready} are parked"
        assert waits or parked.empty, "I3: something is parked that no record speaks of"
        assert not self.undecided(), f"I3: {self.undecided()}"

    def _nothing_is_unacked(self) -> bool:
        return not any(queue.unacked for queue in self.queues().values())

    def _queues_are_empty(self) -> bool:
        return all(queue.empty for name, queue in self.queues().items() if name != PARKED)

    def _open_records(self) -> list[Document]:
        return [record for record in self._place.records() if record["outcome"] in {PENDING, WAITING}]

    def _told_of(self) -> bool:
        return self.confirmed <= self._place.outcomes().keys()


def _told(records: Iterable[Document]) -> Counter[str]:
    return Counter(event_id for record in records for event_id in record["event_ids"])


def _judge_one(found: Found) -> None:
    record, mails = found.record, found.mails
    what = f"{record['event_ids']}: {record['outcome']}, marked={found.marked}, {len(mails)} mails"
    assert record["outcome"] in _FINAL, f"I1: {what}"
    assert record["owner"], f"I1: {what}"
    match record["outcome"]:
        case "sent":
            assert len(mails) in ({1, 2} if found.marked else {1}), f"I2: {what}"
        case "unknown":
            assert len(mails) <= 2, f"I2: {what}"
        case _:
            assert not mails, f"I2: {what}"


async def _ready(url: str, names: Iterable[str]) -> dict[str, int]:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        declared = {name: await channel.declare_queue(name, passive=True) for name in names}
        return {name: queue.declaration_result.message_count or 0 for name, queue in declared.items()}


def _lines(path: Path) -> list[Document]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
