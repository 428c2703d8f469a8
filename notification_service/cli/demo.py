"""`demo`: the real pipeline on the in-memory twins and the simulated channel, without any server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from notification_service import bootstrap
from notification_service.channels.outbox import FileOutbox
from notification_service.cli import terminal
from notification_service.cli.configuration import command_settings
from notification_service.cli.tables import Column
from notification_service.cli.terminal import say
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.ports.channel import OutgoingMessage
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import samples
from notification_service.settings import Settings
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.ledger import MemoryLedger, Record
from notification_service.stores.memory.rates import MemoryRates

_PUBLISHED_TWICE = "booking.confirmed"
_COLUMNS = (
    Column("event"),
    Column("event id", optional=True),
    Column("outcome", style=lambda cell: "green" if cell == "simulated" else ""),
    Column("subject", min_width=20),
)


def command(
    outbox: Annotated[Path, typer.Option(help="Folder for the .eml files.", metavar="FOLDER")] = Path("outbox"),
) -> None:
    """Handle the sample events in memory, without any server."""
    run(command_settings(), outbox)


def run(settings: Settings, outbox_folder: Path) -> None:
    """Handle each sample event, one of them twice, and show the outcomes."""
    records, handled = asyncio.run(_handle(settings, outbox_folder))
    terminal.table(_COLUMNS, _rows(handled, records))
    mails = sum(record.outcome == "simulated" for record in records.values())
    say(f"{mails} mails for {len(handled)} events. Nothing was sent: they are .eml files in {outbox_folder}")


class _DemoOutbox:
    """Ends the demo at the first mail that cannot be written. The service would wait until there is room again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = FileOutbox(folder)
        self.failure: ConfigurationError | None = None
        try:
            self._files.check()
        except OSError as problem:
            raise self._fails(problem) from problem

    async def keep(self, message: OutgoingMessage) -> str:
        try:
            return await self._files.keep(message)
        except OSError as problem:
            self.failure = self._fails(problem)
            raise self.failure from problem

    def _fails(self, problem: OSError) -> ConfigurationError:
        return bootstrap.unusable_outbox("--outbox", self._folder, problem)


async def _handle(settings: Settings, folder: Path) -> tuple[dict[str, Record], list[samples.Sample]]:
    claims, ledger, outbox = MemoryClaims(), MemoryLedger(), _DemoOutbox(folder)
    stores = bootstrap.Stores(claims, ledger, MemoryDirectory(samples.PEOPLE, samples.BOOKINGS), MemoryRates())
    renderer = bootstrap.load_renderer(settings)
    pipeline = bootstrap.pipeline(
        settings,
        bootstrap.email_composer(settings, renderer),
        renderer.zone,
        stores,
        leases=Leases(claims, settings.service.lease_seconds),
        breaker=bootstrap.build_channel(outbox, None),
        outbox=outbox,
        observer=NoObserver(),
    )
    events = samples.load(bootstrap.templates_directory(settings), variants=False)
    events += [sample for sample in events if sample.name == _PUBLISHED_TWICE]
    for sample in events:
        await pipeline.handle(sample.inbound)
        if outbox.failure:
            raise outbox.failure
    return ledger.records, events


def _rows(handled: list[samples.Sample], records: dict[str, Record]) -> Iterator[tuple[str, ...]]:
    shown: set[str] = set()
    for sample in handled:
        event_id = sample.data["event_id"]
        record = next((each for each in records.values() if event_id in each.entry.event_ids), None)
        if record is None:
            outcome, subject = "not ours", "none"
        elif record.intent.notification_id in shown:
            outcome, subject = "same fact as above", "none: no second mail"
        else:
            outcome, subject = record.outcome, record.subject or ""
            shown.add(record.intent.notification_id)
        yield sample.event_type, event_id, outcome, subject
