"""What a careless producer writes around a body must not cost the connection.

pamqp decodes each property, and raises where a text is not UTF-8 or a timestamp is in microseconds. aiormq takes that
for a broken connection; the broker gives the message to the next one, and nothing is consumed ever again. RabbitMQ
hands such values on as they are, so here, on the way in, what cannot be read is as if it had not been set.

Not read with `errors="replace"`: two message ids would become one, and the second event would pass for a copy of the
first. None of this touches the body.
"""

import re
from collections.abc import Callable
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
"""Whatever aio-pika and the layers below it raise when the broker cannot be reached or says no."""

_BETWEEN = re.compile(r"\s*,\s*(?=amqps?://)", re.IGNORECASE)

_UNVERIFIED = "no_verify_ssl"

Decoder = Callable[..., tuple[int, FieldValue]]

_SIZES: Final[dict[str, Callable[[bytes], int]]] = {
    "shortstr": lambda value: 1 + int.from_bytes(value[:1]),
    "timestamp": lambda _: 8,
    "table": lambda value: 4 + int.from_bytes(value[:4]),
}
"""How many bytes each takes, which can be told without reading it. pamqp reads every other type whatever its bytes."""


async def connect(urls: str, **options: Any) -> AbstractConnection:  # noqa: ANN401 - they are aio-pika's
    """The one way to a broker from which messages are taken: the first of the addresses that answers.

    Raises what the address raised, or a `ConnectionError` that says it of each where there are several.
    """
    install()
    listed = parsed(urls)
    problems: list[str] = []
    for url in listed:
        try:
            connection: AbstractConnection = await aio_pika.connect(url, connection_class=_Connection, **options)
        except LOST as problem:
            if len(listed) == 1:
                raise
            problems.append(f"{url.host}: {type(problem).__name__}: {problem}")
        else:
            return connection
    raise ConnectionError("; ".join(problems))


class _Connection(aio_pika.Connection):
    """One that never came up is closed. aio-pika would try that when it is collected, on whatever thread that is."""

    async def connect(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aio-pika's signature
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()
            raise


def addresses(urls: str) -> list[str]:
    """The nodes of a cluster, as they are listed with commas between. A password may hold a comma."""
    return _BETWEEN.split(urls.strip())


def parsed(urls: str) -> list[URL]:
    """Each of the addresses. Raises `ConfigurationError` where one leads nowhere."""
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
    """What in one of the addresses lets others read along or answer in the broker's place; or None.

    They are read as aiormq does. Raises `ConfigurationError`.
    """
    listed = parsed(urls)
    if any(url.scheme != "amqps" for url in listed):
        return "has to be amqps://"
    unverified = any(url.query.get(_UNVERIFIED, "0") != "0" for url in listed)
    return f"sets {_UNVERIFIED}, so anybody may answer in the broker's place" if unverified else None


def install() -> None:
    """Once for the process: neither aio-pika nor aiormq can be given a decoder of one's own."""
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
            # Bytes that are missing are the connection's fault, and no producer's.
            if (size := self._size(value)) > len(value):
                raise
            return size, None
