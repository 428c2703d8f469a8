"""`experiment`: reads the register and the records of tests, and analyses them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.variants import Experiment
from notification_service.delivery.ports.experiments import RegisteredExperiment, UnreadableRegisterError
from notification_service.foundation.errors import DependencyError
from notification_service.records import experiment_analysis
from notification_service.records.experiment_analysis import WINDOW, Analysis, Plan
from notification_service.stores.mongo.client import Database, Document
from notification_service.stores.mongo.experiment_records import MongoExperimentRecords
from notification_service.stores.mongo.experiments import MongoExperiments
from notification_service.stores.mongo.search import MongoSearch

PLAN_DAYS = 7
SHADOW_DAYS = 14
_BATCH_SIZE = 200


@dataclass(slots=True)
class ShadowReport:
    """What a new template made of the events of the last days. `growth`: of the size, 0.1 for a tenth more."""

    name: str
    renders: int = 0
    failed: int = 0
    differs: int = 0
    size: int = 0
    live_size: int = 0
    largest: int = 0

    def add(self, record: Document) -> None:
        shadow = record["shadow"]
        self.renders += 1
        self.differs += bool(shadow.get("differs"))
        if (size := shadow.get("size")) is None:
            self.failed += 1
            return
        self.size += size
        self.live_size += shadow["live_size"]
        self.largest = max(self.largest, size)

    @property
    def growth(self) -> float:
        return self.size / self.live_size - 1 if self.live_size else 0.0


async def prepare(database: Database, collection: str) -> None:
    """Create the index that finds payments by booking, if it is missing. Raises `StoreUnavailableError`."""
    search = MongoSearch(database, collection, full_recipients=True)
    await search.ping()
    await search.prepare()


async def registered(database: Database) -> list[RegisteredExperiment]:
    """Every test that was ever started, the oldest first. Raises `DependencyError` if the register is damaged."""
    try:
        return await MongoExperiments(database).all()
    except UnreadableRegisterError as problem:
        raise DependencyError(f"the register of tests in notification_facts cannot be read: {problem}") from problem


async def analysis(
    database: Database, collection: str, known: RegisteredExperiment, channel: ChannelKind, now: datetime
) -> Analysis:
    """Raises `StoreUnavailableError`."""
    records = MongoExperimentRecords(database, collection)
    found, payments = await _with_payments(records, records.assigned(known.experiment.salt, channel))
    return experiment_analysis.analyse(known, found, payments, now)


async def plan(
    database: Database, collection: str, experiment: Experiment, channel: ChannelKind, now: datetime
) -> Plan | None:
    """How long a test would take at the traffic of the last days. Raises `StoreUnavailableError`."""
    records = MongoExperimentRecords(database, collection)
    since = now - timedelta(days=PLAN_DAYS) - WINDOW
    found, payments = await _with_payments(records, records.sent(experiment.template, channel, since))
    exposures = experiment_analysis.first_exposures(found, payments)
    return experiment_analysis.plan(exposures, experiment.wanted, experiment.share, now)


async def shadow(database: Database, collection: str, name: str, channel: ChannelKind, now: datetime) -> ShadowReport:
    """Raises `StoreUnavailableError`."""
    report = ShadowReport(name)
    since = now - timedelta(days=SHADOW_DAYS)
    async for batch in MongoExperimentRecords(database, collection).shadows(name, channel, since):
        for record in batch:
            report.add(record)
    return report


async def _with_payments(
    records: MongoExperimentRecords, batches: AsyncIterator[list[Document]]
) -> tuple[list[Document], dict[str, list[datetime]]]:
    found = [each async for batch in batches for each in batch]
    bookings = sorted({str(each["booking_id"]) for each in found if each.get("booking_id")})
    payments: dict[str, list[datetime]] = {}
    for at in range(0, len(bookings), _BATCH_SIZE):
        payments |= await records.payments(bookings[at : at + _BATCH_SIZE])
    return found, payments
