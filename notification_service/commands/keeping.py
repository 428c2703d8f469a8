"""`retention` and `erase`: what records say of people, by their age, and of one person at once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from notification_service.addresses import NotAnAddressError, mask, read_mailbox
from notification_service.outcomes import PENDING, ConfigurationError, DependencyError, StoreUnavailableError
from notification_service.reconciling import FOR_A_PERSON
from notification_service.retention import Ages, Sweeper, Swept
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores import mongo
from notification_service.stores.mongo_keeping import MongoKeeping
from notification_service.stores.mongo_search import MongoSearch


@asynccontextmanager
async def _keeping(settings: Settings, *, by_address: bool = False) -> AsyncIterator[MongoKeeping]:
    client = mongo.connect(settings.mongodb.uri.get_secret_value())
    database, collection = client[settings.mongodb.database], settings.mongodb.collection
    try:
        if by_address:
            await MongoSearch(database, collection, full_recipients=True).prepare()
        yield MongoKeeping(database, collection)
    except StoreUnavailableError as problem:
        raise DependencyError(f"MONGODB_URI: {problem}") from problem
    finally:
        client.close()


async def sweep(settings: Settings, *, dry: bool) -> Swept:
    """Raises `ConfigurationError` where no age is set, `DependencyError` where MongoDB does not answer."""
    ages = Ages(settings.service.record_days_full, settings.service.record_days)
    if not ages.given:
        raise ConfigurationError("retention: neither RECORD_DAYS_FULL nor RECORD_DAYS is set, so records stay for ever")
    async with _keeping(settings) as keeping:
        return await Sweeper(keeping, ages, pause=0).sweep(datetime.now(UTC), dry=dry)


@dataclass(slots=True)
class Erased:
    """`under_way`: records in a worker's hand, left as they are. `parked`: events that still name the address.

    `left`: records that cannot be changed, and why.
    """

    address: str
    records: int = 0
    changed: int = 0
    under_way: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def sentences(self) -> Iterator[str]:
        yield f"{self.records} records name {self.address}, {self.changed} of them do not any more"
        if self.under_way:
            yield f"{len(self.under_way)} are in a worker's hand just now: erase once more in a minute"
        for each in self.left:
            yield f"it still says the address, and could not be changed: {each}"
        for event_id in self.parked:
            yield f"its event may be parked still, and says it: parked discard --event {event_id}"


async def erase(settings: Settings, text: str, *, dry: bool) -> Erased:
    """Raises `ConfigurationError` for a text that is no address, `DependencyError` where MongoDB does not answer."""
    if settings.service.record_recipient is RecipientRecord.MASKED:
        raise ConfigurationError("erase: RECORD_RECIPIENT=masked, so no record says an address to look for")
    try:
        address = read_mailbox(text)
    except NotAnAddressError as problem:
        raise ConfigurationError(f"erase: --address is no mail address: {problem}") from problem
    erased = Erased(mask(address))
    async with _keeping(settings, by_address=True) as keeping:
        async for batch in keeping.addressed_to(address):
            at_rest = [record for record in batch if record.get("outcome") != PENDING]
            erased.records += len(batch)
            erased.under_way += [str(record["_id"]) for record in batch if record.get("outcome") == PENDING]
            erased.parked += [str(record["event_id"]) for record in at_rest if record.get("outcome") in FOR_A_PERSON]
            if not dry:
                changed = await keeping.erase(at_rest, datetime.now(UTC))
                erased.changed += changed.count
                erased.left += [f"{name}: {problem}" for name, problem in changed.left.items()]
    return erased
