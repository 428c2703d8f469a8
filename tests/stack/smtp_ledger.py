"""What the SMTP server has accepted, on disk before it says so."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


def now() -> str:
    return datetime.now(UTC).isoformat()


def message_id_of(content: bytes) -> str | None:
    """Return the Message-ID of a raw mail, read from its headers only."""
    headers, _, _ = content.partition(b"\r\n\r\n")
    found = MESSAGE_ID.search(headers)
    return found[1].decode(errors="replace") if found else None


class JsonLines:
    """A file of one JSON object a line; `append` returns when the line is as safe as was asked for."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self.lines = _whole_lines(path)
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._sync = sync
        self._batch: list[bytes] = []
        self._written: asyncio.Future[None] | None = None
        self._flushing: asyncio.Task[None] | None = None

    async def append(self, record: Mapping[str, object]) -> None:
        """Write one line; with `sync`, those that arrive during an fsync share the next one."""
        self.lines += 1
        line = json.dumps(record).encode() + b"\n"
        if not self._sync:
            self._file.write(line)
            return
        self._batch.append(line)
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(self._written)

    def close(self) -> None:
        self._file.close()

    async def _flush(self) -> None:
        while self._written is not None:
            batch, self._batch = b"".join(self._batch), []
            written, self._written = self._written, None
            try:
                await asyncio.to_thread(self._write, batch)
            except OSError as error:
                written.set_exception(error)
            else:
                written.set_result(None)
        self._flushing = None

    def _write(self, batch: bytes) -> None:
        self._file.write(batch)
        os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> int:
    """Cut off a line that a kill has torn, and return how many whole ones there are."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
    return content.count(b"\n")
