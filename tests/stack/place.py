"""One clean place on the shared stack for one test: a vhost, a database, an outbox, and the service in it."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aio_pika
from pymongo import MongoClient
from pymongo.database import Database
from redis import Redis

from tests.stack.local import LocalStack
from tests.stack.processes import Part, free_port
from tests.stack.publisher import Publication, publish
from tests.stack.smtp import Mail, SmtpServer

T = TypeVar("T")
Document = dict[str, Any]

RECORDS = "notification_logs"


class Service(Part):
    """`notification-service run` as a child, ready when it consumes; or what else a test names."""

    name = "service"
    program = "notification_service"
    arguments: Sequence[str] = ("run",)
    probe = "/readyz"
    """What has to answer 200 before it counts as started."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._environment = {"HTTP_HOST": "127.0.0.1", "LOG_LEVEL": "DEBUG", **environment}

    @property
    def port(self) -> int:
        return int(self._environment["PORT"])

    @property
    def console_port(self) -> int:
        return int(self._environment["CONSOLE_PORT"])

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", self.program, *self.arguments)

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, **self._environment}

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.probe}", timeout=3) as answer:
            return bool(answer.status == 200)

    @property
    def consumes(self) -> bool:
        """Whether it says so itself, now."""
        try:
            return self.answers()
        except OSError:
            return False

    @property
    def exit_code(self) -> str | None:
        """The exit code as text, once the process has ended."""
        return None if self._process is None or self._process.poll() is None else str(self._process.returncode)

    def lines(self) -> list[Document]:
        """Every log line so far; one that is no JSON fails here."""
        written = self.log.read_text("utf-8") if self.log.exists() else ""
        return [json.loads(line) for line in written.splitlines(keepends=True) if line.endswith("\n")]

    def said(self, event: str) -> list[Document]:
        return [line for line in self.lines() if line["event"] == event]


Start = Callable[[Path, Mapping[str, str]], Service]


class Run(Protocol):
    """Runs a command of the service to its end. `stdin`: the file that it reads from."""

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: str = os.devnull
    ) -> subprocess.CompletedProcess[str]: ...


def in_a_process(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: str = os.devnull
) -> subprocess.CompletedProcess[str]:
    """As an operator starts it."""
    words = (sys.executable, "-m", "notification_service", *arguments)
    own = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environment}  # the code of a mutant is found by it
    with open(stdin, "rb") as read:  # noqa: PTH123 - a terminal is no path
        return subprocess.run(
            words, env=own, capture_output=True, text=True, timeout=100, check=False, cwd=folder, stdin=read
        )


class Place:
    """`start`: what its services are, unless a test asks for another kind. `run`: how its commands are run."""

    def __init__(
        self,
        stack: LocalStack,
        folder: Path,
        smtp: SmtpServer | None = None,
        database: str | None = None,
        start: Start = Service,
        *,
        run: Run = in_a_process,
    ) -> None:
        self._start = start
        self._run = run
        self.stack = stack
        self.folder = folder
        self.smtp = smtp or stack.smtp
        self.outbox = folder / "outbox"
        self.database_name = database or f"test_{uuid.uuid4().hex[:12]}"
        self.amqp_url = stack.broker.add_vhost(self.database_name)
        self._mongo: MongoClient[Document] = MongoClient(stack.mongodb_uri, tz_aware=True)
        self._mails_before = len(self.smtp.mails()) if self.smtp.running else 0
        self._services: list[Service] = []
        with Redis.from_url(stack.redis_url) as redis:
            redis.flushall()
        self.add_people()

    @property
    def database(self) -> Database[Document]:
        return self._mongo[self.database_name]

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            **self.stack.environment(),
            "RABBITMQ_URL": self.amqp_url,
            "REDIS_URL": self.stack.redis_url,
            "MONGODB_DATABASE": self.database_name,
            "SMTP_PORT": str(self.smtp.port),
            "SMTP_CA_FILE": str(self.smtp.ca_file),
            "OUTBOX_DIR": str(self.outbox),
            "RETRY_RUNGS": "1,2,4",
            "RECIPIENT_MAILS_PER_HOUR": "1000000",  # every sample is for the same person
            "PORT": str(free_port()),
            "CONSOLE_PORT": str(free_port()),
            **changes,
        }

    def service(self, start: Start | None = None, /, **changes: str) -> Service:
        """The service in this place, not started yet; `changes` to its settings."""
        folder = self.folder / f"service-{len(self._services) + 1}"
        self._services.append((start or self._start)(folder, self.environment(**changes)))
        return self._services[-1]

    def command(self, *arguments: str, stdin: str = os.devnull, **changes: str) -> subprocess.CompletedProcess[str]:
        """A command of the service in this place, run to its end; `changes` to its settings."""
        environment = {"PATH": os.defpath, "COLUMNS": "200", **self.environment(**changes)}
        return self._run(arguments, environment, self.folder, stdin)

    def everybody_consumes(self) -> bool:
        """Whether each service that runs here does: one that has just lost its broker leaves its queues alone."""
        return all(service.consumes for service in self._services if service.running)

    def add_people(self) -> None:
        """The users and bookings that the samples speak of."""
        self.database["users"].insert_one({"_id": "user456", "email": "jane.smith@example.com", "first_name": "Jane"})
        self.database["bookings"].insert_many(
            [
                {"_id": booking, "user_id": "user456"}
                for booking in ("7c9e6679-7425-40de-944b-e07fc1f90ae7", "BOOK-789012")
            ]
        )

    def publish(self, *publications: Publication) -> None:
        publish(self.amqp_url, publications)

    def records(self) -> list[Document]:
        return list(self.database[RECORDS].find().sort("created_at"))

    def record(self, event_id: str) -> Document | None:
        return self.database[RECORDS].find_one({"event_ids": event_id})

    def outcomes(self) -> dict[str, str]:
        """What became of each event, by its id."""
        return {event: record["outcome"] for record in self.records() for event in record["event_ids"]}

    def mails(self) -> list[Mail]:
        return self.smtp.mails()[self._mails_before :]

    def mail_lines(self) -> list[str]:
        """The lines of the mail server's own log since this place was made: others may share the server."""
        log = self.smtp.folder / "mails.jsonl"
        return log.read_text("utf-8").splitlines(keepends=True)[self._mails_before :] if log.exists() else []

    def depth(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        return asyncio.run(_depth(self.amqp_url, queue))

    def close(self) -> None:
        for service in self._services:
            service.stop()
        self._mongo.drop_database(self.database_name)
        self._mongo.close()
        self.stack.broker.delete_vhost(self.database_name)


async def _depth(url: str, queue: str) -> int:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


def until(look: Callable[[], T], timeout: float = 45.0) -> T:
    """Look again and again until what is seen is true, and return it."""
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {timeout:g} s")
        time.sleep(0.05)
    return seen
