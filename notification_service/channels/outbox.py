"""Mail that was kept instead of sent: one `.eml` file each, in one folder."""

import asyncio
import os
from pathlib import Path

from notification_service.ports import Envelope


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
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
