"""Takes the reports out of a maildir: what was read is marked as seen, and stays."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from notification_service.contract.signals import Signal
from notification_service.feedback import reports
from notification_service.feedback.reports import NoSignal
from notification_service.feedback.return_path import ReturnPath
from notification_service.foundation.errors import ConfigurationError

log = structlog.get_logger(__name__)

_FLAGS = ":2,"
_SEEN = "S"

Publish = Callable[[Sequence[Signal]], Awaitable[None]]
"""Stores signals in the queue. Raises `DependencyError`."""


@dataclass(slots=True)
class MaildirCounts:
    """`mails`: those that were not seen before. `untrusted`: reports without an envelope sender of ours."""

    mails: int = 0
    signals: int = 0
    untrusted: int = 0
    other: int = 0
    unreadable: int = 0


class Maildir:
    """`folder` holds `new` and `cur`. Raises `ConfigurationError` where it does not."""

    def __init__(self, folder: Path) -> None:
        if not all((folder / name).is_dir() for name in ("new", "cur")):
            raise ConfigurationError(f"{folder} is no maildir: it needs the folders new and cur in it")
        self._folder = folder

    async def take(self, return_path: ReturnPath, publish: Publish) -> MaildirCounts:
        """Read each mail that was not seen, and mark it when what it says is stored. Raises what `publish` raises."""
        counts = MaildirCounts()
        for file in self._unseen():
            content = await asyncio.to_thread(_content, file)
            if content is None:
                counts.unreadable += 1
                continue
            found = await asyncio.to_thread(reports.signals, content, return_path, datetime.now(UTC))
            if not isinstance(found, NoSignal):
                await publish(found)
            _count(counts, found)
            self._mark_seen(file)
        return counts

    def _unseen(self) -> Iterator[Path]:
        """The oldest name first, as names begin with the time."""
        files = [Path(entry.path) for name in ("new", "cur") for entry in os.scandir(self._folder / name)]
        for file in sorted(files, key=lambda each: each.name):
            if not file.name.startswith(".") and _SEEN not in file.name.partition(_FLAGS)[2]:
                yield file

    def _mark_seen(self, file: Path) -> None:
        name, _, flags = file.name.partition(_FLAGS)
        seen = self._folder / "cur" / f"{name}{_FLAGS}{''.join(sorted({*flags, _SEEN}))}"
        try:
            file.rename(seen)
        except FileNotFoundError:
            # Another reader was faster; both have stored the same signal.
            log.debug("bounces.gone", file=file.name)


def _content(file: Path) -> bytes | None:
    """The beginning of a plain file; None for anything else, and for a file that is gone or may not be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as problem:
        log.warning("bounces.unreadable", file=file.name, problem=problem.strerror)
        return None
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(reports.MAX_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _count(counts: MaildirCounts, found: list[Signal] | NoSignal) -> None:
    counts.mails += 1
    match found:
        case NoSignal.UNTRUSTED:
            counts.untrusted += 1
        case NoSignal.NOT_A_REPORT:
            counts.other += 1
        case _:
            counts.signals += len(found)
