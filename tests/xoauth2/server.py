"""npm's smtp-server, which speaks XOAUTH2 as somebody else wrote it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.stack import npm
from tests.stack.certificates import authority

HERE = Path(__file__).parent
USER = "tickets@cinema.example"


def missing() -> str | None:
    """What keeps it from being run here, as a sentence."""
    return npm.missing("npm's smtp-server")


class StrangeServer:
    """`port`; what it takes is said by `take`, and what happened there is in `said`."""

    def __init__(self, process: asyncio.subprocess.Process, ca_file: Path) -> None:
        self.ca_file = ca_file
        self.port = 0
        self.said: list[dict[str, Any]] = []
        self._process = process

    async def take(self, *tokens: str) -> None:
        """From now on these tokens and no others."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"tokens": tokens}).encode() + b"\n")
        await self.until("tokens")

    async def until(self, key: str) -> dict[str, Any]:
        """Read on until a line has `key`."""
        assert self._process.stdout
        while line := await asyncio.wait_for(self._process.stdout.readline(), 20):
            said: dict[str, Any] = json.loads(line)
            self.said.append(said)
            if key in said:
                return said
        raise AssertionError("the server is gone")

    @property
    def logins(self) -> list[bool]:
        return [said["taken"] for said in self.said if "method" in said]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[StrangeServer]:
    """It ends when its standard input does, so also with us."""
    cache = await asyncio.to_thread(npm.installed, HERE)
    ca_file, key, certificate = folder / "ca.pem", folder / "key.pem", folder / "certificate.pem"
    leaf = authority(ca_file).issue_cert("localhost", "127.0.0.1")
    leaf.private_key_pem.write_to_path(key)
    leaf.cert_chain_pems[0].write_to_path(certificate)
    process = await asyncio.create_subprocess_exec(
        *("node", str(HERE / "server.mjs"), USER, str(key), str(certificate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=cache,
    )
    server = StrangeServer(process, ca_file)
    try:
        server.port = (await server.until("port"))["port"]
        yield server
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()
