"""Mail that was kept instead of sent: one `.eml` file each, in one folder, which nobody else can read."""

import asyncio
import os
import stat
import tempfile
from pathlib import Path

from notification_service.ports import Envelope

_FILE, _FOLDER = 0o600, 0o700


class FileOutbox:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def keep(self, envelope: Envelope) -> str:
        """The path of the file. The same notification is the same file. Raises `OSError`."""
        path = self._directory / f"{envelope.template}-{envelope.notification_id}.eml"
        await asyncio.to_thread(_write, path, envelope.content)
        return str(path)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk when this returns."""
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
    """The folders that are missing, whatever the umask. One that stands is its owner's: it may hold more than mails."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(_FOLDER)
    if not folder.is_dir():
        raise FileExistsError(f"{folder} exists and is no folder")


def open_to_others(folder: Path) -> bool:
    return folder.is_dir() and bool(folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
