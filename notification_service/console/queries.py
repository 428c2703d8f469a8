"""The data of the pages: records, parked events, audits and templates."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from notification_service import bootstrap
from notification_service.broker import parking
from notification_service.broker.parked_events import ParkedEvent, ParkedFilter
from notification_service.broker.parking import EventToPublish
from notification_service.broker.topology import PARKED
from notification_service.channels.email.composer import EmailComposer
from notification_service.console import reconstruction
from notification_service.console.charts import Hours
from notification_service.console.reconstruction import Made, NotMade
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.contract.notification_rules import booking_ids
from notification_service.contract.outcomes import ParkReason
from notification_service.delivery import booking_history, recipients
from notification_service.delivery.booking_history import BookingHistory
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.experiments import RegisteredExperiment
from notification_service.delivery.show_changes import Zone
from notification_service.preview.gallery.template_reloader import TemplateReloader
from notification_service.records import audit, experiments, reconciliation, suppression_list
from notification_service.records.audit import AuditReport
from notification_service.records.experiment_analysis import Analysis
from notification_service.records.experiments import ShadowReport
from notification_service.records.reconciliation import channel_of
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo import client as mongo
from notification_service.stores.mongo.directory import MongoDirectory
from notification_service.stores.mongo.recalls import Bounces, MongoRecalls
from notification_service.stores.mongo.search import MongoSearch
from notification_service.stores.mongo.signal_reports import MongoSignalReports
from notification_service.stores.mongo.signals import MongoSignals

if TYPE_CHECKING:
    from notification_service.console.phone_messages import Composers, PhoneMessage
    from notification_service.records.click_report import ClickReport

_CLOSE_TIMEOUT_S = 5.0
"""How long the service waits for an audit to end when it stops."""


class Audits:
    """Runs one audit at a time, on a thread with its own event loop, so that mails do not wait for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._under_way: asyncio.Task[AuditReport] | None = None
        self._stop: Callable[[], object] | None = None
        self._closed = False
        self.begun_at: datetime | None = None
        self.report: AuditReport | None = None
        self.problem: str | None = None

    @property
    def under_way(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    def begin(self) -> None:
        if not self.under_way:
            self.begun_at = datetime.now(UTC)
            self._under_way = asyncio.create_task(asyncio.to_thread(self._examine))
            self._under_way.add_done_callback(self._ended)

    async def wait(self, seconds: float) -> None:
        if self._under_way is not None:
            await asyncio.wait({self._under_way}, timeout=seconds)

    async def close(self) -> None:
        """Cancel a running audit: a process does not end before its threads."""
        self._closed = True
        if self._under_way is None or self._under_way.done():
            return
        if self._stop is not None:
            with suppress(RuntimeError):  # its loop has already ended
                self._stop()
        await asyncio.wait({self._under_way}, timeout=_CLOSE_TIMEOUT_S)

    def _examine(self) -> AuditReport:
        return asyncio.run(self._stoppable())

    async def _stoppable(self) -> AuditReport:
        loop = asyncio.get_running_loop()
        examining = loop.create_task(audit.examine(self._settings))
        self._stop = partial(loop.call_soon_threadsafe, examining.cancel)
        if self._closed:
            examining.cancel()
        return await examining

    def _ended(self, task: asyncio.Task[AuditReport]) -> None:
        if task.cancelled():
            return
        problem = task.exception()
        self.problem = str(problem) if problem else None
        self.report = None if problem else task.result()


class ConsoleQueries:
    """Methods raise `StoreUnavailableError` and `DependencyError` if MongoDB or RabbitMQ does not answer."""

    def __init__(self, settings: Settings, database: mongo.Database) -> None:
        full = settings.service.record_recipient is RecipientRecord.FULL
        self.settings = settings
        self.search = MongoSearch(database, settings.mongodb.collection, full_recipients=full)
        self.signals = MongoSignals(database, settings.mongodb.collection)
        self.signal_reports = MongoSignalReports(database, settings.mongodb.collection)
        self.hours = Hours(self.search.tally)
        self.audits = Audits(settings)
        self.templates = TemplateReloader(settings)
        self._database = database
        self._directory = MongoDirectory(database, settings.tracking.consent_field)
        self._recalls = MongoRecalls(database, settings.mongodb.collection)
        self.suppressions = suppression_list.of(settings, database)
        self._database = database
        self._composer: EmailComposer | None = None
        self._phone_composers: Composers | None = None
        self._loading = asyncio.Lock()
        self._url = settings.rabbitmq.url.get_secret_value()

    async def prepare(self) -> None:
        """Load in advance what the first page needs."""
        await self._templates()
        await asyncio.to_thread(self.templates.current)
        await self.search.prepare()

    async def mail(self, record: Mapping[str, Any]) -> Made | NotMade:
        """Returns the mail of a record as it was sent, or as it would be made now."""
        if (channel := channel_of(record)) is not ChannelKind.EMAIL:
            return NotMade(f"No e-mail belongs to it: its channel is {channel}.")
        event = reconstruction.event_of(record)
        if isinstance(event, NotMade):
            return event
        composer = await self._templates()
        return reconstruction.make(
            record,
            event,
            await self._recipient(event, record),
            history=await self._history(event, ChannelKind.EMAIL, composer.renderer.zone),
            composer=composer,
        )

    async def phone_message(self, record: Mapping[str, Any]) -> "PhoneMessage | NotMade":
        """Returns the SMS or push message of a record, as `mail` returns an e-mail."""
        from notification_service.console import phone_messages  # noqa: PLC0415 - only where one is looked at

        event, channel = reconstruction.event_of(record), channel_of(record)
        if isinstance(event, NotMade):
            return event
        async with self._loading:
            if self._phone_composers is None:
                self._phone_composers = await asyncio.to_thread(phone_messages.composers, self.settings)
        composer = self._phone_composers[channel]
        found = await recipients.find(event, self._directory, composer)
        return phone_messages.make(
            record,
            event,
            found.recipient if isinstance(found, recipients.Addressee) else Recipient(),
            history=await self._history(event, channel, composer.texts.zone),
            composer=composer,
        )

    async def _history(self, event: Event, channel: ChannelKind, zone: Zone) -> BookingHistory:
        ids = booking_ids(event, channel)
        events = await self.search.event_data_of(ids) if ids else []
        events += await self.search.event_data_of(booking_history.further(events))
        return BookingHistory(events, zone)

    async def experiments(self) -> list[RegisteredExperiment]:
        """Returns every test that was ever started, the oldest first."""
        return await experiments.registered(self._database)

    async def experiment(self, known: RegisteredExperiment, channel: ChannelKind, now: datetime) -> Analysis:
        return await experiments.analysis(self._database, self.settings.mongodb.collection, known, channel, now)

    async def shadow(self, channel: ChannelKind, now: datetime) -> ShadowReport | None:
        """Returns what SHADOW_VARIANT has composed for a channel; None where it is not set."""
        name, collection = self.settings.service.shadow_variant, self.settings.mongodb.collection
        return await experiments.shadow(self._database, collection, name, channel, now) if name else None

    async def parked(self) -> int:
        """Returns the depth of the parking queue."""
        return (await parking.depths(self._url, [PARKED]))[PARKED]

    async def look(self, choice: ParkedFilter) -> list[ParkedEvent]:
        return await self._parking(parking.look, choice)

    async def replay(self, choice: ParkedFilter, on_moved: parking.OnMoved, on_refused: parking.OnRefused) -> None:
        """Replay events, and report each one as it is moved, so that the caller knows how far it got after an error."""
        await self._parking(partial(parking.replay, on_moved=on_moved, on_refused=on_refused), choice)

    async def discard(self, choice: ParkedFilter, on_moved: parking.OnMoved) -> None:
        """Discard events; reports them as `replay` does."""
        await self._parking(partial(parking.discard, on_moved=on_moved), choice)

    async def bounced(self, notification_id: str) -> ParkedEvent | None:
        """Returns a bounced, suppressed or unmovable event from its record; None if it is not stored in full."""
        wanted = Bounces(notification=notification_id)
        for record in [each async for batch in self._recalls.bounced(wanted) for each in batch]:
            # An event in the parking queue is replayed from there.
            if record["outcome"] not in ("bounced", "skipped") and record.get("reason") != ParkReason.UNMOVABLE:
                continue
            event, event_id = reconciliation.to_publish(record), str(record["event_id"])
            reason, detail = f"{record['outcome']}({record.get('reason')})", str(record.get("detail") or "")
            return (
                event
                if event is None
                else ParkedEvent(
                    event_id, event.event_type, reason, detail, record["updated_at"], event.body, event.channel
                )
            )
        return None

    async def replay_bounced(self, event: ParkedEvent) -> None:
        async with parking.republishing(self._url) as republish:
            token = secrets.token_hex(8)
            await republish(EventToPublish(event.body, event.event_type, event.event_id, token, event.channel))

    async def clicks(self, since: datetime) -> "ClickReport":
        from notification_service.records import click_report  # noqa: PLC0415 - imported where clicks are asked for

        return await click_report.report(self.settings, self._database, since)

    async def _parking(self, act: Callable[..., Any], choice: ParkedFilter) -> list[ParkedEvent]:
        found: list[ParkedEvent] = await act(self._url, choice, max_bytes=self.settings.service.max_event_bytes)
        return found

    async def _recipient(self, event: Event, record: Mapping[str, Any]) -> Recipient:
        """Returns the recipient of the record, with the current data of the user."""
        ask_consent = bool(self.settings.tracking.consent_field)
        found = await recipients.find(event, self._directory, await self._templates(), ask_consent=ask_consent)
        address = str(record.get("recipient") or "") or None
        if not isinstance(found, recipients.Addressee) or (address and found.address != address):
            return Recipient(address)
        return found.recipient

    async def _templates(self) -> EmailComposer:
        async with self._loading:
            if self._composer is None:
                renderer = await asyncio.to_thread(bootstrap.load_renderer, self.settings)
                self._composer = bootstrap.email_composer(self.settings, renderer)
            return self._composer


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[ConsoleQueries]:
    """With a client of its own, so that no mail waits for a search to free a connection."""
    async with mongo.open_database(settings.mongodb.uri.get_secret_value(), settings.mongodb.database) as database:
        console_queries = ConsoleQueries(settings, database)
        preparing = asyncio.create_task(console_queries.prepare())
        try:
            yield console_queries
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)
            await console_queries.hours.close()
            await console_queries.audits.close()
