"""A folder of files, readable by the service alone: messages that were simulated or given up, an e-mail as `.eml`."""

import asyncio
import errno
import os
import stat
import tempfile
from pathlib import Path

from notification_service.delivery.ports.channel import OutgoingMessage

_PROBE_BYTES = 64 * 1024
"""Most mails with a ticket are smaller."""

_FILE, _FOLDER = 0o600, 0o700


class FileOutbox:
    """`directory`: created when it is first needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Write a file of the size of a mail, and remove it: permissions alone do not show a full disk.

        Creates the folder where it is missing. Raises `OSError`.
        """
        if os.path.lexists(self._directory) and not self._directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _make_private(self._directory)
        descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".probe-")
        try:
            with os.fdopen(descriptor, "wb") as probe:
                probe.write(bytes(_PROBE_BYTES))
                probe.flush()
                os.fsync(descriptor)
        finally:
            Path(name).unlink()

    async def keep(self, message: OutgoingMessage) -> str:
        """Write the message to a file, one for each notification, and return its path. Raises `OSError`."""
        path = self._directory / f"{message.template}-{message.notification_id}{message.suffix}"
        await asyncio.to_thread(_write, path, message.content)
        return str(path)


def _write(path: Path, content: bytes) -> None:
    """Write the file atomically; its content is on the disk when this returns."""
    _make_private(path.parent)
    number, name = tempfile.mkstemp(".tmp", f"{path.stem}.", path.parent)
    draft = Path(name)
    try:
        with open(number, "wb") as file:  # noqa: PTH123 - by its number, as it was opened
            os.fchmod(number, _FILE)
            file.write(content)
            file.flush()
            os.fsync(number)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _make_private(folder: Path) -> None:
    """Create missing folders with private permissions. An existing one stays as it is: it may hold more than mails."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(_FOLDER)
    if not folder.is_dir():
        raise FileExistsError(f"{folder} exists and is no folder")


def open_to_others(folder: Path) -> bool:
    """Whether other users have any permission on the folder."""
    return folder.is_dir() and bool(folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
