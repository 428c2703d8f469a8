"""Two Valkeys, one the asynchronous replica of the other, behind addresses that lead to whichever is the primary."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from redis import Redis as Client
from redis.exceptions import RedisError, ResponseError

from tests.stack.place import until
from tests.stack.proxy import Proxy
from tests.stack.stores import PersistentRedis


class Pair:
    """`url(n)`: one of two addresses; they lead to the same node, but while the pair is split.

    The replica follows through a line that may be held up. `heard` has every command that each node has run.
    """

    def __init__(self, folder: Path) -> None:
        self.primary = PersistentRedis(folder / "one")
        self.replica = PersistentRedis(folder / "other")
        self._line = Proxy(self.primary.port)
        self._doors = (Proxy(self.primary.port), Proxy(self.primary.port))
        self._open = ExitStack()
        self.heard = tuple(folder / f"{node.folder.name}.heard" for node in (self.primary, self.replica))

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for node, heard in zip((self.primary, self.replica), self.heard, strict=True):
                opened.enter_context(node)
                opened.enter_context(_listening(node, heard))
            for proxy in (self._line, *self._doors):
                opened.enter_context(proxy)
            self._follow()
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def url(self, number: int) -> str:
        return f"redis://127.0.0.1:{self._doors[number % 2].port}/0"

    def save(self) -> None:
        """What the primary knows now outlives a kill. While it saves for its replica, it takes no such order."""
        until(lambda: _taken(self.primary, "SAVE"))

    def empty(self) -> None:
        _told(self.primary, "FLUSHALL")

    def hold_up(self) -> None:
        """The replica learns nothing of what comes from now on, until the next failover."""
        self._line.black_hole()

    def settle(self) -> None:
        """Wait until the replica follows."""
        with Client.from_url(self.replica.url) as client:
            until(lambda: client.info("replication").get("master_link_status") == "up")

    def fail_over(self) -> None:
        """The replica is the primary from now on, whatever it has missed; the old one, where it runs, follows it."""
        self._promote()
        for door in self._doors:
            self._lead(door)
        self._follow()

    def split(self) -> None:
        """Two primaries: the second address leads to one that was the replica until now."""
        self._promote()
        self._lead(self._doors[1])

    def heal(self) -> None:
        """After a split: both addresses lead to the primary, and the other follows it and forgets."""
        for door in self._doors:
            self._lead(door)
        self._follow()

    def swap(self) -> None:
        """After a split: the other one is to win."""
        self.primary, self.replica = self.replica, self.primary

    def _promote(self) -> None:
        _told(self.replica, "REPLICAOF", "NO", "ONE")
        self._line.cut()
        self.swap()

    def _lead(self, door: Proxy) -> None:
        door.target_port = self.primary.port
        door.cut()

    def _follow(self) -> None:
        self._line.target_port = self.primary.port
        self._line.cut()
        self._line.flow()
        with contextlib.suppress(RedisError):  # it may be down
            _told(self.replica, "REPLICAOF", "127.0.0.1", str(self._line.port))

    def back(self, node: PersistentRedis) -> None:
        """A node that was killed starts again, with what it had saved, in the place that it has by now."""
        node.start()
        node.wait_ready()
        if node is self.replica:
            self._follow()


def _told(node: PersistentRedis, *command: str) -> None:
    with Client.from_url(node.url) as client:
        client.execute_command(*command)


def _taken(node: PersistentRedis, *command: str) -> bool:
    try:
        _told(node, *command)
    except ResponseError:
        return False
    return True


@contextmanager
def _listening(node: PersistentRedis, heard: Path) -> Iterator[None]:
    """While this is open, what a node runs is written down, over its restarts."""
    over = threading.Event()

    def listen() -> None:
        with heard.open("ab") as file:
            while not over.wait(0.05):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", node.port), 1) as line:
                    line.sendall(b"MONITOR\r\n")
                    _write_down(line, file, over)

    thread = threading.Thread(target=listen, name=f"what {node.folder.name} hears", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _write_down(line: socket.socket, file: BinaryIO, over: threading.Event) -> None:
    line.settimeout(0.5)
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            if not (heard := line.recv(65536)):
                return
            file.write(heard)
            file.flush()
