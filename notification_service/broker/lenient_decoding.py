"""Connects to RabbitMQ so that invalid properties of a message do not break the connection.

pamqp raises if a text property is not UTF-8 or a timestamp is in microseconds, and aiormq then closes the connection.
The broker redelivers the message to the next connection, so nothing is ever consumed again. RabbitMQ does not check
such values. Here a property that cannot be decoded counts as not set.

`errors="replace"` would not do: two message ids could become equal, and the second event would count as a copy of the
first. The body is not decoded here.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from pamqp import decode
from pamqp.common import FieldValue
from yarl import URL

from notification_service.foundation.errors import INVALID_URL, ConfigurationError
from notification_service.foundation.hosts import is_host

LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)
"""The errors that aio-pika and its libraries raise if the broker cannot be reached or refuses."""

_BETWEEN = re.compile(r"\s*,\s*(?=amqps?://)", re.IGNORECASE)

_UNVERIFIED = "no_verify_ssl"

_NOT_OPENED = (
    "it does not open the virtual host at the end of the URL: no such host, no permission of this user for it, or a "
    "limit of connections; RabbitMQ's log says which"
)

Decoder = Callable[..., tuple[int, FieldValue]]

_SIZES: Final[dict[str, Callable[[bytes], int]]] = {
    "shortstr": lambda value: 1 + int.from_bytes(value[:1]),
    "timestamp": lambda _: 8,
    "table": lambda value: 4 + int.from_bytes(value[:4]),
}
"""The encoded size of each type, in bytes, found without decoding it. Decoding any other type never fails in pamqp."""


async def connect(urls: str, **options: Any) -> AbstractConnection:  # noqa: ANN401 - options of aio-pika
    """Connect to the first of the addresses that answers. Everything that receives messages connects here.

    Raises one of `LOST`; with several addresses, a `ConnectionError` with the error of each.
    """
    install()
    listed = parsed(urls)
    problems: list[str] = []
    for url in listed:
        try:
            connection: AbstractConnection = await aio_pika.connect(url, connection_class=_ClosingConnection, **options)
        except LOST as problem:
            if len(listed) == 1:
                raise
            problems.append(f"{url.host}: {type(problem).__name__}: {problem}")
        else:
            return connection
    raise ConnectionError("; ".join(problems))


@asynccontextmanager
async def cancellations_told_apart() -> AsyncIterator[None]:
    """Raise a cancellation that nobody asked this task for as a `ConnectionError`.

    aiormq cancels its own reader when a broker is silent for too long, and passes that on to who waits for an answer.
    """
    try:
        yield
    except asyncio.CancelledError as problem:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection to RabbitMQ ended while an answer was waited for") from problem


class _ClosingConnection(aio_pika.Connection):
    """Closes itself if it cannot connect. aio-pika would do that only on garbage collection, on any thread."""

    async def connect(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aio-pika's signature
        try:
            await super().connect(timeout)
        except BaseException as problem:
            await self.close()
            # aiormq drops the broker's text where it answers Open with Close.
            if isinstance(problem, LOST) and "Connection.OpenOk" in str(problem):
                raise ConnectionError(_NOT_OPENED) from None
            raise


def addresses(urls: str) -> list[str]:
    """The addresses in a list with commas, such as the nodes of a cluster. A password may contain a comma."""
    return _BETWEEN.split(urls.strip())


def parsed(urls: str) -> list[URL]:
    """The addresses as URLs. Raises `ConfigurationError` if one is invalid."""
    try:
        listed = [URL(url) for url in addresses(urls)]
    except ValueError:
        listed = []
    if not listed or not all(_leads_somewhere(url) for url in listed):
        raise ConfigurationError(f"RABBITMQ_URL {INVALID_URL}")
    return listed


def _leads_somewhere(url: URL) -> bool:
    return url.scheme in ("amqp", "amqps") and is_host(url.host) and url.port != 0


def unprotected(urls: str) -> str | None:
    """What in the addresses leaves a connection unencrypted or the server unverified; None if nothing does.

    The URLs are parsed as aiormq parses them. Raises `ConfigurationError`.
    """
    listed = parsed(urls)
    if any(url.scheme != "amqps" for url in listed):
        return "has to be amqps://"
    unverified = any(url.query.get(_UNVERIFIED, "0") != "0" for url in listed)
    return f"sets {_UNVERIFIED}, so anybody may impersonate the broker" if unverified else None


def install() -> None:
    """Patch pamqp's decoders, once per process: neither aio-pika nor aiormq takes a decoder as an option."""
    for name, size in _SIZES.items():
        if not isinstance(decode.METHODS[name], _Tolerant):
            decode.METHODS[name] = _Tolerant(decode.METHODS[name], size)


class _Tolerant:
    def __init__(self, strict: Decoder, size: Callable[[bytes], int]) -> None:
        self._strict = strict
        self._size = size

    def __call__(self, value: bytes) -> tuple[int, FieldValue]:
        try:
            return self._strict(value)
        except Exception:
            # If bytes are missing, the connection is at fault and not the producer.
            if (size := self._size(value)) > len(value):
                raise
            return size, None
