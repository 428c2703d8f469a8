"""The connection to Redis (or Valkey). The only module that imports its client."""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
)
from redis.maint_notifications import MaintNotificationsConfig

from notification_service.foundation.batching import Batcher
from notification_service.foundation.errors import INVALID_URL, ConfigurationError, StoreUnavailableError
from notification_service.foundation.hosts import is_host

T = TypeVar("T")

_ENDED_CONNECTION = RuntimeError
"""Raised by uvloop's transports when something is written to a connection that the server has closed."""
_RETRIED = (RedisConnectionError, RedisTimeoutError, _ENDED_CONNECTION)

_TIMEOUT_S, _GROUP_TIMEOUT_S = 1.0, 2.5
_MAX_GROUP_SIZE = 100
_BY_DIGEST = "EVALSHA"

_PROBE_KEY = "notification-probe"
# A write, as in real work: a replica and a server without memory still answer PING.
_PROBE = "return redis.call('SET', KEYS[1], 1, 'PX', 60000)"


@dataclass(frozen=True, slots=True)
class _Call:
    script: "Script"
    keys: Sequence[str]
    args: Sequence[str | int | float]

    @property
    def command(self) -> "_Command":
        return (_BY_DIGEST, self.script.digest, len(self.keys), *self.keys, *self.args)


_Command = tuple[str | int | float, ...]


class _Scripts:
    """Scripts sent in groups: sent alone, each costs several times as much."""

    load: Any
    _leave_former_primary: Any
    _exchange: Callable[[Sequence[_Command]], Awaitable[list[Any]]]

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the client's own
        super().__init__(**options)
        self.calls: Batcher[_Call, Any] = Batcher(self._call, _MAX_GROUP_SIZE)
        self._probe = self.script(_PROBE)

    def script(self, text: str) -> "Script":
        return Script(self, text)

    async def probe(self) -> None:
        """Write a key by a script, in the same group as concurrent calls, so that it fails where they would."""
        await self._probe([_PROBE_KEY], [])

    async def _call(self, calls: Sequence[_Call]) -> list[Any]:
        """Send a group of calls. Calls that a former primary refused are sent again, once, over new connections.

        After a planned failover, open connections still lead to the old primary, and its address to the new one.
        """
        answers = await self._run_scripts(calls)
        refused = {index: calls[index] for index, answer in enumerate(answers) if _is_no_primary(answer)}
        if refused:
            await self._leave_former_primary()
            for index, answer in zip(refused, await self._run_scripts(list(refused.values())), strict=True):
                answers[index] = answer
        return answers

    async def _run_scripts(self, calls: Sequence[_Call]) -> list[Any]:
        answers = await self._send([call.command for call in calls])
        unknown = {index: calls[index] for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)}
        if unknown:
            for index, answer in zip(unknown, await self._load_and_run(unknown), strict=True):
                answers[index] = answer
        return answers

    async def _load_and_run(self, calls: Mapping[int, _Call]) -> list[Any]:
        """Load the scripts, which the server loses when it restarts, and send the calls again."""
        for text in {call.script.text for call in calls.values()}:
            await self.load(text)
        return await self._send([call.command for call in calls.values()])

    async def _send(self, commands: Sequence[_Command]) -> list[Any]:
        # One timeout for the connection, the answers and the retry together (pitfalls.md, 10).
        async with asyncio.timeout(_GROUP_TIMEOUT_S):
            try:
                return await self._exchange(commands)
            except (_ENDED_CONNECTION, ValueError) as problem:
                # The latter: what answers does not speak Redis' protocol.
                raise RedisConnectionError(str(problem)) from problem


class RedisClient(_Scripts, Redis):  # type: ignore[misc]  # redis-py's own bases disagree
    """Redis' own client of one server."""

    is_cluster = False

    async def _exchange(self, commands: Sequence[_Command]) -> list[Any]:
        """What redis-py's pipeline does, without its task for each write and its timer for each answer."""
        packed = b"".join(map(_packed, commands))
        connection = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
        try:
            answers: list[Any] = await connection.retry.call_with_retry(
                lambda: _exchange(connection, packed, len(commands)), lambda _: connection.disconnect(nowait=True)
            )
            return answers
        finally:
            await self.connection_pool.release(connection)

    async def load(self, text: str) -> None:
        await self.script_load(text)

    async def _leave_former_primary(self) -> None:
        await self.connection_pool.disconnect(inuse_connections=False)


class _ClusterClient(_Scripts, RedisCluster):  # type: ignore[misc]  # likewise
    """Redis' own client of a cluster: it sends each call to the server of its key, and learns where keys move.

    All keys of a call have to be of one slot.
    """

    is_cluster = True

    async def _exchange(self, commands: Sequence[_Command]) -> list[Any]:
        async with self.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))

    async def load(self, text: str) -> None:
        await self.script_load(text)

    async def _leave_former_primary(self) -> None:
        await self.nodes_manager.initialize()


def _packed(command: _Command) -> bytes:
    """The command in the protocol of Redis: an array of texts (RESP2, which RESP3 keeps)."""
    texts = [str(each).encode() for each in command]
    return b"*%d\r\n%b" % (len(texts), b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in texts))


async def _exchange(connection: AbstractConnection, packed: bytes, answers: int) -> list[Any]:
    """Send commands, and read as many answers: those that are errors of the server are among them.

    A connection on which this fails is disconnected. Raises `RedisTimeoutError` after a second, and what the retry
    of the connection covers.
    """
    own, connection.socket_timeout = connection.socket_timeout, None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await connection.send_packed_command(packed)
            return [await _answer(connection) for _ in range(answers)]
    except TimeoutError:
        raise RedisTimeoutError("no answer within a second") from None
    finally:
        connection.socket_timeout = own


async def _answer(connection: AbstractConnection) -> Any:  # noqa: ANN401 - as the script answers
    try:
        return await connection.read_response()
    except ResponseError as problem:
        return problem


def _is_no_primary(answer: object) -> bool:
    """Returns whether the server refused a write because it is a replica or has too few replicas itself.

    The latter is `min-replicas-to-write`. A script that was refused so has written nothing.
    """
    return isinstance(answer, ReadOnlyError | MasterDownError) or (
        isinstance(answer, ResponseError) and str(answer).startswith("NOREPLICAS")
    )


class Script:
    """A Lua script, called by its digest."""

    def __init__(self, client: _Scripts, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' own name for a script
        self._client = client

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:  # noqa: ANN401 - as the script answers
        return await self._client.calls.ask(_Call(self, keys, args))


def connect(url: str) -> RedisClient:
    """Returns a client that connects on first use. Raises `ConfigurationError` if the URL cannot be read.

    Each send of a group ends within 2.5 s. A group is sent again after scripts had to be loaded, and once more after a
    failover; the loading is bounded by the timeouts of the client alone (1 s each, one retry). That retry uses a new
    connection, as the server may have closed an idle one; owner tokens make it safe (pitfalls.md, 9).
    """
    try:
        if found := _CLUSTER.fullmatch(url):
            return _cluster(**found.groupdict(default=""))  # type: ignore[return-value]  # the same calls
        return RedisClient.from_pool(_pool(url))  # type: ignore[return-value]  # annotated with the base class
    except ValueError:
        raise ConfigurationError(f"REDIS_URL {INVALID_URL}") from None


def unprotected(url: str) -> str | None:
    """Returns what in the URL, as the client reads it, leaves the connection unprotected; None if nothing does.

    Raises `ConfigurationError`.
    """
    try:
        pool = _pool(_one_node(url))
        sentinels = pool.sentinel_manager.sentinels if isinstance(pool, _SentinelPool) else ()
        pools = (pool, *(sentinel.connection_pool for sentinel in sentinels))
        connections = [each.make_connection() for each in pools]  # none is opened
    except (ValueError, TypeError, RedisError):
        raise ConfigurationError(f"REDIS_URL {INVALID_URL}") from None
    return next(filter(None, map(_fault, connections)), None)


def _one_node(url: str) -> str:
    """The URL of a cluster's first node, whose connections are like those of the others; any other URL as it is."""
    found = _CLUSTER.fullmatch(url)
    if not found:
        return url
    first = found["hosts"].partition(",")[0]
    return f"{found['scheme']}://{found['login'] or ''}{first}/{found['rest'] or ''}"


def _fault(connection: object) -> str | None:
    if isinstance(connection, UnixDomainSocketConnection):
        return None
    if not isinstance(connection, SSLConnection):
        return "has to be rediss:// or unix://"
    tls = connection.ssl_context
    options = (
        ("ssl_cert_reqs", tls.cert_reqs is ssl.CERT_REQUIRED),
        ("ssl_check_hostname", tls.check_hostname),
        ("ssl_ciphers", tls.ciphers is None),  # some of them need no certificate
    )
    option = next((name for name, is_safe in options if not is_safe), None)
    return f"sets {option}, so anybody may impersonate the server" if option else None


def _pool(url: str) -> BlockingConnectionPool:
    if found := _SENTINEL.fullmatch(url):
        return _sentinel_pool(**found.groupdict(default=""))
    pool = BlockingConnectionPool.from_url(url, timeout=_TIMEOUT_S, **_options())
    by_socket = pool.connection_class is UnixDomainSocketConnection
    if not (pool.connection_kwargs.get("path") if by_socket else _has_host(url)):
        raise ValueError("no host or socket path")
    return pool


def _has_host(url: str) -> bool:
    """Whether the URL names a host and no port 0, for which redis-py would take localhost and 6379."""
    parsed = urlsplit(url)
    return is_host(parsed.hostname) and parsed.port != 0


def _options() -> dict[str, Any]:
    return {
        "max_connections": 16,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "health_check_interval": 30,
        "retry": Retry(NoBackoff(), 1, supported_errors=_RETRIED),  # type: ignore[arg-type]  # annotated too narrowly
        "decode_responses": True,
        # A feature of Redis Enterprise that costs each new connection a round trip.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks the sentinels for the primary, and waits for a free connection; redis-py's own pool does not wait."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's own
        """Also disconnect from the sentinels, which redis-py does not."""
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


_CLUSTER = re.compile(r"(?P<scheme>rediss?)\+cluster://(?P<login>[^@/]*@)?(?P<hosts>[^@/?]+)(?:/0?)?(?P<rest>\?.*)?")
_PORT = 6379


def _cluster(*, scheme: str, login: str, hosts: str, rest: str) -> _ClusterClient:
    """`rest`: options of TLS, such as `ssl_ca_certs`. A cluster has one database, 0."""
    options: dict[str, Any] = {**_options(), **parse_url(f"{scheme}://{login}cluster/{rest}")}
    for each in ("host", "connection_class", "maint_notifications_config"):
        options.pop(each, None)
    nodes = [ClusterNode(*_host_and_port(host, _PORT)) for host in hosts.split(",")]
    return _ClusterClient(startup_nodes=nodes, ssl=scheme == "rediss", **options)


_SENTINEL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<login>[^@/]*@)?(?P<hosts>[^@/?]+)/(?P<primary>[^/?]+)(?P<rest>[/?].*)?"
)
_SENTINEL_PORT = 26379


def _sentinel_pool(*, scheme: str, login: str, hosts: str, primary: str, rest: str) -> BlockingConnectionPool:
    """`login` is for the primary. Sentinels get no login, and TLS if the primary has it."""
    options: dict[str, Any] = dict(parse_url(f"{scheme}://{login}sentinel{rest}"))
    del options["host"]
    tls = (
        {"ssl": True, **{key: options[key] for key in options if key.startswith("ssl_")}} if scheme == "rediss" else {}
    )
    options.pop("connection_class", None)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types here
        [_host_and_port(host, _SENTINEL_PORT) for host in hosts.split(",")],
        # No retry at one sentinel before the next one is tried.
        sentinel_kwargs={
            "socket_timeout": _TIMEOUT_S,
            "socket_connect_timeout": _TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            **tls,
        },
    )
    return _SentinelPool(unquote(primary), sentinel, timeout=_TIMEOUT_S, **{**_options(), **options, **tls})  # type: ignore[no-untyped-call]  # as above


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    parsed = urlsplit(f"//{text.strip()}")
    if not is_host(parsed.hostname):
        raise ValueError("a server has no host")
    return parsed.hostname, parsed.port or default


async def translate_errors(call: Awaitable[T]) -> T:
    """Await a call of the client. Raises `StoreUnavailableError` for its errors."""
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as problem:
        raise StoreUnavailableError("Redis", f"{type(problem).__name__}: {problem}") from problem
