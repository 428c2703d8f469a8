"""The whole local stack over one folder: opened in parallel, closed in reverse, nothing left behind."""

import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self

from tests.stack.processes import Part, free_port
from tests.stack.rabbitmq import find_broker
from tests.stack.smtp import SmtpServer
from tests.stack.stores import Mongo, Redis

Handler = Callable[[int, FrameType | None], Any] | int | None


class LocalStack:
    """RabbitMQ, Redis, MongoDB and SMTP as private processes; `smtp` may be one with options of its own."""

    mongodb_database = "notifications"

    def __init__(
        self,
        folder: Path,
        *,
        smtp: SmtpServer | None = None,
        broker_settings: Mapping[str, str] | None = None,
    ) -> None:
        folder = folder.resolve()
        self.folder = folder
        self.broker = find_broker(folder / "rabbitmq", broker_settings)
        self.redis = Redis(folder / "redis")
        self.mongo = Mongo(folder / "mongodb")
        self.smtp = smtp or SmtpServer(folder / "smtp")
        self.port = free_port()
        self._previous: Handler = None

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.broker, self.mongo, self.smtp, self.redis)

    def start(self) -> None:
        """Start every part, then wait for each: they come up side by side."""
        for part in self.parts:
            part.start()
        for part in self.parts:
            part.wait_ready()

    def stop(self) -> None:
        """End every part, the last started first, whatever happens to one of them."""
        for part in reversed(self.parts):
            part.terminate()
        errors: list[Exception] = []
        for part in reversed(self.parts):
            try:
                part.stop()
            except Exception as error:  # noqa: BLE001  # the others have to be stopped all the same
                errors.append(error)
        if errors:
            raise ExceptionGroup("parts of the stack did not stop", errors)

    def __enter__(self) -> Self:
        self._previous = _exit_on_sigterm()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            if self._previous is not None:
                signal.signal(signal.SIGTERM, self._previous)

    @property
    def amqp_url(self) -> str:
        return self.broker.url

    @property
    def redis_url(self) -> str:
        return self.redis.url

    @property
    def mongodb_uri(self) -> str:
        return self.mongo.uri

    @property
    def smtp_host(self) -> str:
        return self.smtp.host

    @property
    def smtp_port(self) -> int:
        return self.smtp.port

    @property
    def smtp_ca_file(self) -> Path:
        return self.smtp.ca_file

    @property
    def smtp_username(self) -> str:
        return self.smtp.username

    @property
    def smtp_password(self) -> str:
        return self.smtp.password

    def environment(self) -> dict[str, str]:
        """Return what the service has to find in its environment to use this stack."""
        return {
            "RABBITMQ_URL": self.amqp_url,
            "REDIS_URL": self.redis_url,
            "MONGODB_URI": self.mongodb_uri,
            "MONGODB_DATABASE": self.mongodb_database,
            "SMTP_SERVER": self.smtp_host,
            "SMTP_PORT": str(self.smtp_port),
            "SMTP_USERNAME": self.smtp_username,
            "SMTP_PASSWORD": self.smtp_password,
            "SMTP_CA_FILE": str(self.smtp_ca_file),
            "SMTP_SECURITY": "implicit" if self.smtp.switches["--implicit-tls"] else "starttls",
            "FROM_EMAIL": "tickets@cinema.example",
            "FROM_NAME": "Cinema",
            "PORT": str(self.port),
        }


def _exit_on_sigterm() -> Handler:
    """Make SIGTERM end the program through its `finally`s, where nobody else has a say in it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return None
    return signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
