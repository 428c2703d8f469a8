"""`retention` and `erase`: remove personal data from records by their age, and that of one person everywhere."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path

from notification_service.broker import parking
from notification_service.broker.parked_events import ParkedEvent
from notification_service.broker.topology import PARKED, again_queue, fed_queue, retry_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import PENDING
from notification_service.foundation.address_digests import names, texts_in, texts_of_id
from notification_service.foundation.addresses import NotAnAddressError, mask, mask_in, read_mailbox
from notification_service.foundation.errors import ConfigurationError, DependencyError
from notification_service.foundation.phone_numbers import is_number, read_e164
from notification_service.records import database, suppression_list
from notification_service.records.retention_sweeper import Sweeper, SweepResult
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo.retention import MongoRetention
from notification_service.stores.mongo.search import MongoSearch

_NAMED_AFTER = re.compile(r"-([0-9a-f]{32})\.")
"""The notification id in the name of a file of the outbox."""


@asynccontextmanager
async def _records(settings: Settings, *, by_address: bool = False) -> AsyncIterator[MongoRetention]:
    """`by_address`: with the indexes of a search by address."""
    collection = settings.mongodb.collection
    async with database.opened(settings) as db:
        if by_address:
            search = MongoSearch(db, collection, full_recipients=True)
            await search.ping()
            await search.prepare()
        full = settings.service.record_recipient is RecipientRecord.FULL
        records = MongoRetention(db, collection, settings.addresses.plain_keys, full_recipients=full)
        if by_address:
            await records.prepare_to_erase()
        yield records


async def sweep(settings: Settings, *, dry: bool) -> SweepResult:
    """Raises `ConfigurationError` if no age is set, `DependencyError` if MongoDB does not answer."""
    policy = settings.service.retention_policy
    if not policy.enabled:
        raise ConfigurationError(
            "retention: neither RECORD_DAYS_FULL nor RECORD_DAYS is set, so records are kept for ever"
        )
    async with _records(settings) as records:
        return await Sweeper(records, policy, pause_s=0).sweep(datetime.now(UTC), dry=dry)


@dataclass(slots=True)
class ErasureReport:
    """`under_way`: records that a worker holds, left unchanged. `left`: records that cannot be changed, and why.

    `parked`: parked events with the address; `discarded`: how many of them were discarded. `outbox`: files with it.
    `waiting`: messages in other queues, which cannot be searched. `suppressed`: the list of suppressions has it, and
    keeps it. `unsearched`: what was not searched, with the reason.
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
    suppressed: bool = False
    unsearched: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether no trace is known to be left."""
        return not (self.under_way or self.left or self.unsearched or len(self.parked) > self.discarded)

    def sentences(self, *, dry: bool, delay: int) -> Iterator[str]:
        yield f"{self.records} records contain {self.address}; it was removed from {self.changed} of them"
        if self.under_way:
            yield (
                f"{len(self.under_way)} are being worked on: erase again in a minute; "
                "`reconcile` reports records that are stalled"
            )
        for each in self.left:
            yield f"still contains the address, and could not be changed: {each}"
        for each in self.outbox:
            yield f"a message in the outbox is to it or contains it, {'to be removed' if dry else 'removed'}: {each}"
        if self.parked and self.discarded < len(self.parked):
            yield from (f"a parked event contains it: {mask_in(event_id)}" for event_id in self.parked)
            yield (
                "they are sent to nobody, but contain the address until PARKING_DAYS are over: "
                "`erase --discard-parked` discards them"
            )
        elif self.discarded:
            yield f"{self.discarded} parked events that contained it were discarded"
        if self.waiting:
            yield (
                f"{self.waiting} events wait in other queues, which cannot be searched: an event of an erased record "
                f"is not sent when its turn comes, within {delay} s while the service runs; a new event is "
                "recorded as usual; erase again when the queues are empty"
            )
        if self.suppressed:
            yield (
                f"{self.address} stays on the list of suppressions, as a keyed digest without the address, so that it "
                "is not written to again: `suppressions show` has the reason, `suppressions lift` ends it"
            )
        yield from (f"not searched: {each}" for each in self.unsearched)


@dataclass(frozen=True, slots=True)
class Traces:
    """Where an address was found: ids of `records` and facts, `parked` events, and files of the `outbox`."""

    address: str
    records: list[str]
    parked: list[str]
    outbox: list[str]

    @property
    def count(self) -> int:
        return len(self.records) + len(self.parked) + len(self.outbox)

    def sentences(self) -> Iterator[str]:
        found = {"record": self.records, "parked event": self.parked, "message in the outbox": self.outbox}
        for what, places in found.items():
            yield from (f"{self.address} is in the {what} {mask_in(each)}" for each in places)
        yield f"{self.count} traces of {self.address}"


async def erase(settings: Settings, text: str, *, dry: bool, discard_parked: bool = False) -> ErasureReport:
    """Raises `ConfigurationError` for a text that is no address, `DependencyError` if MongoDB does not answer."""
    address = _parse_address(text)
    report = ErasureReport(mask(address))
    if settings.service.record_recipient is RecipientRecord.MASKED and not settings.addresses.keys:
        report.unsearched.append(
            "records that were written with RECORD_RECIPIENT=masked and without ADDRESS_KEYS have no address and "
            "no digest: they cannot be found, and show its first letter and its domain until RECORD_DAYS_FULL"
        )
    try:
        report.parked = [each.event_id for each in await _parked(settings, address)]
        report.waiting = sum((await parking.depths(_broker(settings), _queues(settings))).values())
    except DependencyError as problem:
        report.unsearched.append(f"the parking queue: {problem}; erase again when RabbitMQ answers")
    async with _records(settings, by_address=True) as records:
        ids = await _erase_records(records, address, report, dry=dry)
    async with database.opened(settings) as opened:
        channel = ChannelKind.EMAIL if "@" in address else ChannelKind.SMS
        report.suppressed = bool((await suppression_list.of(settings, opened).known(channel, address)).entries)
    report.outbox = await asyncio.to_thread(_clear_outbox, settings.service.outbox_dir, address, ids, dry=dry)
    if discard_parked and report.parked and not dry:
        discarded = await parking.discard(
            _broker(settings), partial(_contains, address), max_bytes=settings.service.max_event_bytes
        )
        report.discarded = len(discarded)
    return report


async def _erase_records(records: MongoRetention, address: str, report: ErasureReport, *, dry: bool) -> set[str]:
    """Returns the ids of all records found."""
    ids = set[str]()
    if await records.key_is_lost():
        report.unsearched.append(
            "masked records whose digests were made with a key that is no longer in ADDRESS_KEYS: add it behind the "
            "current one. Records that show addresses in full were read and are found"
        )
    if not dry:
        report.older = await records.digest()
        await records.erase_facts(address)
        await records.erase_signals(address)
    async for batch in records.addressed_to(address, report.parked):
        settled = [record for record in batch if record.get("outcome") != PENDING]
        ids |= {str(record["_id"]) for record in batch}
        report.records += len(batch)
        report.under_way += [str(record["_id"]) for record in batch if record.get("outcome") == PENDING]
        if not dry:
            changed = await records.erase(settled, datetime.now(UTC), address)
            report.changed += changed.count
            report.left += [f"{name}: {problem}" for name, problem in changed.left.items()]
    return ids


async def verify(settings: Settings, text: str) -> Traces:
    """Search every record, parked event and file of the outbox. Raises as `erase`, and if RabbitMQ does not answer."""
    address = _parse_address(text)
    async with _records(settings) as store:
        records = [each async for each in store.traces(address)]
    parked = [each.event_id for each in await _parked(settings, address)]
    outbox = await asyncio.to_thread(_clear_outbox, settings.service.outbox_dir, address, records, dry=True)
    return Traces(mask(address), records, parked, outbox)


def _parse_address(text: str) -> str:
    try:
        return read_e164(text) if is_number(text) else read_mailbox(text)
    except NotAnAddressError as problem:
        raise ConfigurationError(
            f"erase: --address is not a mail address, nor a phone number with its country prefix (+49…): {problem}"
        ) from problem


def _broker(settings: Settings) -> str:
    return settings.rabbitmq.url.get_secret_value()


def _queues(settings: Settings) -> list[str]:
    kinds, delays = ChannelKind, settings.service.retry_rungs
    fed = [fed_queue(each) for each in kinds if each is not ChannelKind.EMAIL]
    again = [again_queue(each) for each in kinds]
    delayed = [retry_queue(each, delay) for each in kinds for delay in delays]
    return [settings.rabbitmq.booking_queue, settings.rabbitmq.payment_queue, *fed, *again, *delayed]


async def _parked(settings: Settings, address: str) -> list[ParkedEvent]:
    """Returns the parked events that contain the address. There is no parking queue before the service first ran."""
    if not (await parking.depths(_broker(settings), [PARKED]))[PARKED]:
        return []
    matches = partial(_contains, address)
    return await parking.look(_broker(settings), matches, max_bytes=settings.service.max_event_bytes)


def _contains(address: str, event: ParkedEvent) -> bool:
    body = event.body.decode("utf-8", "replace")
    texts = (event.event_type, event.reason, event.detail, event.properties, body)
    return names(address, (*texts, *texts_of_id(event.event_id), *_texts_of_body(body)))


def _texts_of_body(body: str) -> Iterator[str]:
    try:
        yield from texts_in(json.loads(body))
    except (ValueError, RecursionError):
        return


def _clear_outbox(folder: Path, address: str, ids: Collection[str], *, dry: bool) -> list[str]:
    """Delete what the outbox has for an address, and return the paths. `dry`: delete nothing.

    `ids`: of its notifications. The file of an SMS or push does not say to whom it went, but is named after one.
    """
    files = sorted(folder.glob("*.*"))
    mails = {each for each in files if each.suffix in (".eml", ".tmp")}
    found = [each for each in files if _id_in(each) in ids or (each in mails and _mail_contains(each, address))]
    for each in found if not dry else ():
        each.unlink(missing_ok=True)
    return [str(each) for each in found]


def _id_in(path: Path) -> str | None:
    named = _NAMED_AFTER.search(path.name)
    return named[1] if named else None


def _mail_contains(path: Path, address: str) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    message = message_from_bytes(content, policy=policy.default)
    texts = (part.get_payload(decode=True) for part in message.walk() if part.get_content_maintype() == "text")
    read = (text.decode("utf-8", "replace") for text in texts if isinstance(text, bytes))
    return names(address, (content.decode("utf-8", "replace"), *map(str, message.values()), *read))
