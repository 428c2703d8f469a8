"""The list of suppressions as a person works with it: who is on it now, adding, lifting, and a provider's own list."""

import asyncio
import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import chain, islice

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.suppressions import Cause, Entry, Evidence, Lift, Standing, standing
from notification_service.delivery.ports.suppressions import Known, Suppressions
from notification_service.foundation.addresses import NotAnAddressError, read_mailbox
from notification_service.settings import RecipientRecord, Settings
from notification_service.stores.mongo.client import Database, GroupedReads
from notification_service.stores.mongo.suppressions import MongoSuppressions

MAX_LINES, MAX_BYTES = 200_000, 50 * 1024 * 1024
"""Of one file."""
_AT_ONCE = 50
_MAX_CODE_LENGTH = 40
_MAX_TOLD = 20
"""Lines that cannot be used and are named."""
_DELIMITERS = ",;\t"
_RFC_5322_TIME = re.compile(r"[A-Za-z]{3}, \d")
_ADDRESS_COLUMNS = ("email", "e-mail", "address", "email address", "emailaddress", "email_address", "recipient")
_CODE_COLUMNS = ("code", "status", "smtp_code", "bounce_code")
_TIME_COLUMNS = ("created", "created_at", "createdat", "date", "timestamp", "bouncedat", "time", "lastupdatetime")


def of(settings: Settings, database: Database, reads: GroupedReads | None = None) -> MongoSuppressions:
    """The list in this database. `reads`: those of the ledger, which it then shares."""
    full = settings.service.record_recipient is RecipientRecord.FULL
    return MongoSuppressions(database, settings.addresses.plain_keys, full_recipients=full, reads=reads)


@dataclass(frozen=True, slots=True)
class Line:
    """One cause of one address. `standing`: None where it does not count now. `lift`: the last, if there is one."""

    entry: Entry
    standing: Standing | None
    lift: Lift | None

    @property
    def latest(self) -> Evidence | None:
        return max(self.entry.evidence, key=lambda each: each.at, default=None)

    @property
    def state(self) -> str:
        """In words."""
        if self.standing:
            return f"until {self.standing.until:%Y-%m-%d %H:%M}" if self.standing.until else "until lifted"
        if self.lift:
            return f"lifted {self.lift.at:%Y-%m-%d %H:%M} by {self.lift.by}"
        return "does not count" if self.entry.cause is Cause.FAILING else "over"


def lines(known: Iterable[Known], time: timedelta) -> list[Line]:
    """Every cause of these addresses, as it counts now. `time`: how long a refusal counts."""
    now = datetime.now(UTC)
    return [_line(entry, now, time) for each in known for entry in each.entries]


def _line(entry: Entry, now: datetime, time: timedelta) -> Line:
    lift = max(entry.lifts, key=lambda each: each.at, default=None)
    return Line(entry, standing(entry, now, time), lift)


async def add(suppressions: Suppressions, channel: ChannelKind, address: str, *, by: str, reason: str) -> bool:
    """Put an address on the list. Returns whether it is new there."""
    known = await suppressions.known(channel, address)
    at = datetime.now(UTC)
    evidence = Evidence(source=by, source_id=at.isoformat(), at=at, detail=reason)
    return await suppressions.note(channel, known.digest, Cause.BY_HAND, evidence)


def liftable(lines: Iterable[Line], cause: Cause | None) -> list[Line]:
    """What counts now, for one cause or for all. Who unsubscribed comes back themselves, unless the cause is named."""
    wanted = {cause} if cause else set(Cause) - {Cause.UNSUBSCRIBED}
    return [each for each in lines if each.standing and each.entry.cause in wanted]


async def lift(suppressions: Suppressions, found: Iterable[Line], *, by: str, reason: str) -> None:
    """End each of these. `by`: who wants it."""
    for each in found:
        entry = each.entry
        await suppressions.lift(entry.channel, entry.digest, entry.cause, Lift(datetime.now(UTC), by, reason))


class UnusableListError(ValueError):
    """The file as a whole is no list of addresses; the text says why."""


@dataclass(slots=True)
class ImportReport:
    """`added`: new on the list. `known`: on it by the same line already. `faults`: the first unusable lines."""

    added: int = 0
    known: int = 0
    unusable: int = 0
    faults: list[str] = field(default_factory=list)

    def refuse(self, line: int, why: str) -> None:
        self.unusable += 1
        if len(self.faults) < _MAX_TOLD:
            self.faults.append(f"line {line}: {why}")


@dataclass(frozen=True, slots=True)
class _Row:
    address: str
    at: datetime | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What every line of a file is. `source`: who told it, such as `sendgrid`."""

    channel: ChannelKind
    cause: Cause
    source: str


async def bring_in(suppressions: Suppressions, text: Iterable[str], origin: Origin) -> ImportReport:
    """Put every address of a CSV file on the list. Its head names the columns, in the words of any provider.

    A line that cannot be used is counted and named without its address. The same file may come again: a line without
    a time counts from the first time it came. Raises `UnusableListError` where the file is none.
    """
    report = ImportReport()
    rows = _rows(text, report)
    while batch := list(islice(rows, _AT_ONCE)):
        new = await asyncio.gather(*(_note(suppressions, row, origin) for row in batch))
        report.added += sum(new)
        report.known += len(new) - sum(new)
    return report


async def _note(suppressions: Suppressions, row: _Row, origin: Origin) -> bool:
    known = await suppressions.known(origin.channel, row.address)
    name = f"{known.digest}:{row.at.isoformat() if row.at else ''}"
    source_id = hashlib.sha256(name.encode()).hexdigest()[:32]
    evidence = Evidence(source=origin.source, source_id=source_id, at=row.at or datetime.now(UTC), code=row.code)
    return await suppressions.note(origin.channel, known.digest, origin.cause, evidence)


def _rows(text: Iterable[str], report: ImportReport) -> Iterator[_Row]:
    lines = iter(text)
    head = next(lines, "")
    reader = csv.reader(chain([head], lines), delimiter=max(_DELIMITERS, key=head.count), strict=True)
    try:
        columns = _columns(next(reader, []))
        for cells in reader:
            if reader.line_num > MAX_LINES:
                raise UnusableListError(f"it has more than {MAX_LINES:,} lines: split it; those before are on the list")
            if cells and (row := _row(cells, columns, reader.line_num, report)):
                yield row
    except csv.Error as problem:
        raise UnusableListError(f"line {reader.line_num} is no line of CSV: {problem}") from problem


@dataclass(frozen=True, slots=True)
class _Columns:
    address: int
    code: int | None
    time: int | None


def _columns(head: Sequence[str]) -> _Columns:
    """Raises `UnusableListError`."""
    places = {name.strip().lstrip("\ufeff").casefold(): place for place, name in enumerate(head)}

    def first(names: Sequence[str]) -> int | None:
        return next((places[name] for name in names if name in places), None)

    address = first(_ADDRESS_COLUMNS)
    if address is None:
        raise UnusableListError(f"its first line names no column of addresses: one of {', '.join(_ADDRESS_COLUMNS)}")
    return _Columns(address, first(_CODE_COLUMNS), first(_TIME_COLUMNS))


def _row(cells: Sequence[str], columns: _Columns, line: int, report: ImportReport) -> _Row | None:
    try:
        address, at = read_mailbox(_cell(cells, columns.address)), _moment(_cell(cells, columns.time))
    except NotAnAddressError as problem:
        report.refuse(line, f"no address: {problem}")
    except (ValueError, OverflowError, OSError):
        report.refuse(line, "its time cannot be read: write it as 2026-11-26T15:00:00Z or in seconds since 1970")
    else:
        return _Row(address, at, _cell(cells, columns.code)[:_MAX_CODE_LENGTH] or None)
    return None


def _cell(cells: Sequence[str], index: int | None) -> str:
    return cells[index].strip() if index is not None and index < len(cells) else ""


def _moment(text: str) -> datetime | None:
    """A time in ISO 8601 or RFC 5322, in UTC where it names no zone, or in seconds since 1970. Raises `ValueError`."""
    if not text:
        return None
    if text.replace(".", "", 1).isdigit():
        return _not_ahead(datetime.fromtimestamp(float(text), UTC))
    if _RFC_5322_TIME.match(text):
        read = parsedate_to_datetime(text)
    else:
        read = datetime.fromisoformat(text.removesuffix(" UTC"))
    return _not_ahead(read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC))


def _not_ahead(moment: datetime) -> datetime:
    return min(moment, datetime.now(UTC))
