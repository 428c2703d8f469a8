"""`retention` and `erase`: what records say of people, by their age, and of one person at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path

from notification_service.broker import parking
from notification_service.broker.parking import ParkedEvent
from notification_service.broker.topology import AGAIN, PARKED, retry_queue
from notification_service.contract.facts import ChannelKind
from notification_service.contract.outcomes import PENDING
from notification_service.delivery.ports.retention import RetentionPolicy
from notification_service.foundation.address_digests import names, texts_in, texts_of_id
from notification_service.foundation.addresses import NotAnAddressError, mask, mask_in, read_mailbox
from notification_service.foundation.errors import ConfigurationError, DependencyError, StoreUnavailableError
from notification_service.records.retention import Sweeper, SweepResult
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.mongo.search import MongoSearch


@asynccontextmanager
async def _keeping(settings: Settings, *, by_address: bool = False) -> AsyncIterator[MongoRetention]:
    client = mongo.connect(settings.mongodb.uri.get_secret_value())
    database, collection = client[settings.mongodb.database], settings.mongodb.collection
    try:
        if by_address:
            search = MongoSearch(database, collection, full_recipients=True)
            await search.ping()
            await search.prepare()
        full = settings.service.record_recipient is RecipientRecord.FULL
        yield MongoRetention(database, collection, settings.addresses.texts, full_recipients=full)
    except StoreUnavailableError as problem:
        raise DependencyError(f"MONGODB_URI: {problem}") from problem
    finally:
        client.close()


async def sweep(settings: Settings, *, dry: bool) -> SweepResult:
    """Raises `ConfigurationError` where no age is set, `DependencyError` where MongoDB does not answer."""
    ages = RetentionPolicy(settings.service.record_days_full, settings.service.record_days)
    if not ages.given:
        raise ConfigurationError("retention: neither RECORD_DAYS_FULL nor RECORD_DAYS is set, so records stay for ever")
    async with _keeping(settings) as keeping:
        return await Sweeper(keeping, ages, pause=0).sweep(datetime.now(UTC), dry=dry)


@dataclass(slots=True)
class Erased:
    """`under_way`: records in a worker's hand, left as they are. `left`: records that cannot be changed, and why.

    `parked`: events in the parking queue that name the address, of which `discarded` are gone. `outbox`: files that
    name it. `waiting`: events in queues that nobody can look into. `unsearched`: what could not be searched, and why.
    """

    address: str
    records: int = 0
    changed: int = 0
    older: int = 0
    under_way: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    discarded: int = 0
    outbox: list[str] = field(default_factory=list)
    waiting: int = 0
    left: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be left."""
        return not (self.under_way or self.left or self.unsearched or len(self.parked) > self.discarded)

    def sentences(self, *, dry: bool, delay: int) -> Iterator[str]:
        yield f"{self.records} records name {self.address}, {self.changed} of them do not any more"
        if self.under_way:
            yield (
                f"{len(self.under_way)} are in a worker's hand just now: erase once more in a minute; "
                "`reconcile` says whether one stands still"
            )
        for each in self.left:
            yield f"it still says the address, and could not be changed: {each}"
        for each in self.outbox:
            yield f"a kept mail names it, {'to be removed' if dry else 'removed'}: {each}"
        if self.parked and self.discarded < len(self.parked):
            yield from (f"a parked event names it: {mask_in(event_id)}" for event_id in self.parked)
            yield (
                "they are sent to nobody, but they say the address until PARKING_DAYS are over: "
                "erase with --discard-parked throws them away"
            )
        elif self.discarded:
            yield f"{self.discarded} parked events that named it are thrown away"
        if self.waiting:
            yield (
                f"{self.waiting} events wait in other queues, which cannot be looked into: that of an erased record "
                f"ends unsent when its turn comes, within {delay} s while the service runs, and one that is new is "
                "recorded like any other; erase once more when the queues are empty"
            )
        yield from (f"not searched: {each}" for each in self.unsearched)


@dataclass(frozen=True, slots=True)
class Traces:
    """Where an address is still named: `records` and lines of facts, `parked` events, and files of the `outbox`."""

    address: str
    records: list[str]
    parked: list[str]
    outbox: list[str]

    @property
    def count(self) -> int:
        return len(self.records) + len(self.parked) + len(self.outbox)

    def sentences(self) -> Iterator[str]:
        named = {"record": self.records, "parked event": self.parked, "kept mail": self.outbox}
        for what, found in named.items():
            yield from (f"{self.address} is named by the {what} {mask_in(each)}" for each in found)
        yield f"{self.count} traces of {self.address}"


async def erase(settings: Settings, text: str, *, dry: bool, discard_parked: bool = False) -> Erased:
    """Raises `ConfigurationError` for a text that is no address, `DependencyError` where MongoDB does not answer."""
    address = _read(text)
    erased = Erased(mask(address))
    if settings.service.record_recipient is RecipientRecord.MASKED and not settings.addresses.keys:
        erased.unsearched.append(
            "records that were written under RECORD_RECIPIENT=masked without ADDRESS_KEYS show no address and have no "
            "digest: they cannot be found by one, and say its first letter and its domain until RECORD_DAYS_FULL"
        )
    try:
        erased.parked = [each.event_id for each in await _parked(settings, address)]
        erased.waiting = sum((await parking.depths(_broker(settings), _queues(settings))).values())
    except DependencyError as problem:
        erased.unsearched.append(f"the parking queue: {problem}; erase once more when RabbitMQ answers")
    async with _keeping(settings, by_address=True) as keeping:
        await _erase_records(keeping, address, erased, dry=dry)
    erased.outbox = await asyncio.to_thread(_clear_outbox, settings.service.outbox_dir, address, dry=dry)
    if discard_parked and erased.parked and not dry:
        gone = await parking.discard(
            _broker(settings), partial(_names, address), max_bytes=settings.service.max_event_bytes
        )
        erased.discarded = len(gone)
    return erased


async def _erase_records(keeping: MongoRetention, address: str, erased: Erased, *, dry: bool) -> None:
    if await keeping.key_is_lost():
        erased.unsearched.append(
            "masked records whose digests were made under a key that ADDRESS_KEYS does not name any more: add it, "
            "behind the present one. What shows its addresses was read, and is found"
        )
    if not dry:
        erased.older = await keeping.digest()
        await keeping.erase_facts(address)
    async for batch in keeping.addressed_to(address, erased.parked):
        at_rest = [record for record in batch if record.get("outcome") != PENDING]
        erased.records += len(batch)
        erased.under_way += [str(record["_id"]) for record in batch if record.get("outcome") == PENDING]
        if not dry:
            changed = await keeping.erase(at_rest, datetime.now(UTC), address)
            erased.changed += changed.count
            erased.left += [f"{name}: {problem}" for name, problem in changed.left.items()]


async def verify(settings: Settings, text: str) -> Traces:
    """Reads every record, every parked event and every kept mail. Raises as `erase`, and where RabbitMQ is away."""
    address = _read(text)
    async with _keeping(settings) as keeping:
        records = [each async for each in keeping.traces(address)]
    parked = [each.event_id for each in await _parked(settings, address)]
    outbox = await asyncio.to_thread(_clear_outbox, settings.service.outbox_dir, address, dry=True)
    return Traces(mask(address), records, parked, outbox)


def _read(text: str) -> str:
    try:
        return read_mailbox(text)
    except NotAnAddressError as problem:
        raise ConfigurationError(f"erase: --address is no mail address: {problem}") from problem


def _broker(settings: Settings) -> str:
    return settings.rabbitmq.url.get_secret_value()


def _queues(settings: Settings) -> list[str]:
    delays = [retry_queue(ChannelKind.EMAIL, delay) for delay in settings.service.retry_rungs]
    return [settings.rabbitmq.booking_queue, settings.rabbitmq.payment_queue, AGAIN, *delays]


async def _parked(settings: Settings, address: str) -> list[ParkedEvent]:
    """Those that name it. Where the service has never run, there is no queue of them."""
    if not (await parking.depths(_broker(settings), [PARKED]))[PARKED]:
        return []
    wanted = partial(_names, address)
    return await parking.look(_broker(settings), wanted, max_bytes=settings.service.max_event_bytes)


def _names(address: str, event: ParkedEvent) -> bool:
    body = event.body.decode("utf-8", "replace")
    texts = (event.event_type, event.reason, event.detail, event.properties, body)
    return names(address, (*texts, *texts_of_id(event.event_id), *_read_texts(body)))


def _read_texts(body: str) -> Iterator[str]:
    try:
        yield from texts_in(json.loads(body))
    except (ValueError, RecursionError):
        return


def _clear_outbox(folder: Path, address: str, *, dry: bool) -> list[str]:
    """The kept mails, and unfinished ones, that name an address; `dry`: they stay."""
    kept = [each for each in sorted(folder.glob("*.*")) if each.suffix in (".eml", ".tmp")]
    found = [each for each in kept if _mail_names(each, address)]
    for each in found if not dry else ():
        each.unlink(missing_ok=True)
    return [str(each) for each in found]


def _mail_names(path: Path, address: str) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    message = message_from_bytes(content, policy=policy.default)
    texts = (part.get_payload(decode=True) for part in message.walk() if part.get_content_maintype() == "text")
    read = (text.decode("utf-8", "replace") for text in texts if isinstance(text, bytes))
    return names(address, (content.decode("utf-8", "replace"), *map(str, message.values()), *read))
