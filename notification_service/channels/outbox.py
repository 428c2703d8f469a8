"""Mail that was kept instead of sent: one `.eml` file each, in one folder."""

import asyncio
import errno
import os
from pathlib import Path
from tempfile import mkstemp

from notification_service.ports import Envelope

_AS_A_MAIL = 64 * 1024
"""Bytes; most mails with a ticket are smaller."""


class FileOutbox:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Write a file as large as a mail, and take it away again: rights alone say nothing of a full disk.

        The folder is made where it is missing. Raises `OSError`.
        """
        if os.path.lexists(self._directory) and not self._directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor, name = mkstemp(dir=self._directory, prefix=".probe-")
        try:
            with os.fdopen(descriptor, "wb") as probe:
                probe.write(bytes(_AS_A_MAIL))
                probe.flush()
                os.fsync(descriptor)
        finally:
            Path(name).unlink()

    async def keep(self, envelope: Envelope) -> str:
        """The path of the file. The same notification is the same file. Raises `OSError`."""
        path = self._directory / f"{envelope.template}-{envelope.notification_id}.eml"
        await asyncio.to_thread(_write, path, envelope.content)
        return str(path)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
