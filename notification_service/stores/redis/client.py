"""The connection to Redis (or Valkey). The only module that knows its client."""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError, NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from notification_service.foundation.batching import Batcher
from notification_service.foundation.errors import NO_URL, ConfigurationError, StoreUnavailableError
from notification_service.foundation.hosts import is_host

T = TypeVar("T")

_TIMEOUT_S, _DEADLINE = 1.0, 2.5
_MAX_GROUP_SIZE = 100
_BY_DIGEST = "EVALSHA"

_PROBE_KEY = "notification-probe"
# It writes, as the work does: a PING is answered by a replica too, and by a server that is full.
_PROBE = "return redis.call('SET', KEYS[1], 1, 'PX', 60000)"


@dataclass(frozen=True, slots=True)
class _Call:
    script: "Script"
    keys: Sequence[str]
    args: Sequence[str | int | float]

    @property
    def command(self) -> tuple[str | int | float, ...]:
        return (_BY_DIGEST, self.script.digest, len(self.keys), *self.keys, *self.args)


class Client(Redis):
    """Redis' own client, and scripts that go out in groups: alone, each costs several times as much."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the client's own
        super().__init__(**options)
        self.calls: Batcher[_Call, Any] = Batcher(self._call, _MAX_GROUP_SIZE)
        self._probe = self.script(_PROBE)

    def script(self, text: str) -> "Script":
        return Script(self, text)

    async def probe(self) -> None:
        """Do what the work does, in one group with it: what the work meets, this meets."""
        await self._probe([_PROBE_KEY], [])

    async def _call(self, calls: Sequence[_Call]) -> list[Any]:
        """What a server that is the primary no longer has refused is asked again, once, over new connections.

        A planned failover leaves the connections to the old primary standing, while its address leads to the new one.
        """
        answers = await self._known(calls)
        refused = {index: calls[index] for index, answer in enumerate(answers) if _is_no_primary(answer)}
        if refused:
            await self.connection_pool.disconnect(inuse_connections=False)
            for index, answer in zip(refused, await self._known(list(refused.values())), strict=True):
                answers[index] = answer
        return answers

    async def _known(self, calls: Sequence[_Call]) -> list[Any]:
        answers = await self._together([call.command for call in calls])
        unknown = {index: calls[index] for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)}
        if unknown:
            for index, answer in zip(unknown, await self._told(unknown), strict=True):
                answers[index] = answer
        return answers

    async def _told(self, calls: Mapping[int, _Call]) -> list[Any]:
        """The same calls again, after the server was told the scripts: it forgets them when it starts anew."""
        for text in {call.script.text for call in calls.values()}:
            await self.script_load(text)
        return await self._together([call.command for call in calls.values()])

    async def _together(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        # For the whole group: it waits for a connection, then for the server, then for the retry (pitfalls.md, 10).
        async with asyncio.timeout(_DEADLINE), self.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))


def _is_no_primary(answer: object) -> bool:
    """Whether a server says that it takes no writes because of its place among the others.

    It is a replica, or nobody follows it any more (`min-replicas-to-write`). Such a script has written nothing.
    """
    return isinstance(answer, ReadOnlyError | MasterDownError) or (
        isinstance(answer, ResponseError) and str(answer).startswith("NOREPLICAS")
    )


class Script:
    """A Lua script, called by its digest."""

    def __init__(self, client: Client, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' own name for a script
        self._client = client

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int | float]) -> Any:  # noqa: ANN401 - as the script answers
        return await self._client.calls.ask(_Call(self, keys, args))


def connect(url: str) -> Client:
    """A client that answers or fails within about two seconds. No connection is opened yet.

    One retry over a fresh connection, so that an idle one that the server has closed costs no event its claim;
    the claim's owner token makes that retry safe (pitfalls.md, 9).
    """
    try:
        return Client.from_pool(_pool(url))  # type: ignore[return-value]  # annotated with the base class
    except ValueError:
        raise ConfigurationError(f"REDIS_URL {NO_URL}") from None


def unprotected(url: str) -> str | None:
    """What in the address lets others read along or answer in the server's place, as the client reads it; or None.

    Raises `ConfigurationError`.
    """
    try:
        pool = _pool(url)
        asked = pool.sentinel_manager.sentinels if isinstance(pool, _SentinelPool) else ()
        pools = (pool, *(sentinel.connection_pool for sentinel in asked))
        connections = [each.make_connection() for each in pools]  # none is opened
    except (ValueError, TypeError, RedisError):
        raise ConfigurationError(f"REDIS_URL {NO_URL}") from None
    return next(filter(None, map(_fault, connections)), None)


def _fault(connection: object) -> str | None:
    if isinstance(connection, UnixDomainSocketConnection):
        return None
    if not isinstance(connection, SSLConnection):
        return "has to be rediss:// or unix://"
    tls = connection.ssl_context
    switches = (
        ("ssl_cert_reqs", tls.cert_reqs is ssl.CERT_REQUIRED),
        ("ssl_check_hostname", tls.check_hostname),
        ("ssl_ciphers", tls.ciphers is None),  # among them are some that need no certificate
    )
    switch = next((name for name, sound in switches if not sound), None)
    return f"sets {switch}, so anybody may answer in the server's place" if switch else None


def _pool(url: str) -> BlockingConnectionPool:
    if found := _SENTINEL.fullmatch(url):
        return _sentinel_pool(**found.groupdict(default=""))
    pool = BlockingConnectionPool.from_url(url, timeout=_TIMEOUT_S, **_options())
    by_socket = pool.connection_class is UnixDomainSocketConnection
    if not (pool.connection_kwargs.get("path") if by_socket else _named(url)):
        raise ValueError("it leads nowhere")
    return pool


def _named(url: str) -> bool:
    """Whether it names a host. Without one redis-py takes this machine; so it does of port 0 for the usual one."""
    parsed = urlsplit(url)
    return is_host(parsed.hostname) and parsed.port != 0


def _options() -> dict[str, Any]:
    return {
        "max_connections": 16,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "health_check_interval": 30,
        "retry": Retry(NoBackoff(), 1),
        "decode_responses": True,
        # A question to Redis Enterprise that costs every new connection a round trip.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks the sentinels who is the primary, and waits for a connection to it: redis-py's own pool does not wait."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's own
        """The sentinels too, which redis-py leaves connected."""
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


_SENTINEL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?P<login>[^@/]*@)?(?P<hosts>[^@/?]+)/(?P<primary>[^/?]+)(?P<rest>[/?].*)?"
)
_SENTINEL_PORT = 26379


def _sentinel_pool(*, scheme: str, login: str, hosts: str, primary: str, rest: str) -> BlockingConnectionPool:
    """`login` is for the primary; the sentinels are asked without one, with TLS where the primary has it."""
    said: dict[str, Any] = dict(parse_url(f"{scheme}://{login}sentinel{rest}"))
    del said["host"]
    tls = {"ssl": True, **{key: said[key] for key in said if key.startswith("ssl_")}} if scheme == "rediss" else {}
    said.pop("connection_class", None)
    asked = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types here
        [_host_and_port(host) for host in hosts.split(",")],
        # No second try at one that does not answer, before the next is asked.
        sentinel_kwargs={
            "socket_timeout": _TIMEOUT_S,
            "socket_connect_timeout": _TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
            **tls,
        },
    )
    return _SentinelPool(unquote(primary), asked, timeout=_TIMEOUT_S, **{**_options(), **said, **tls})  # type: ignore[no-untyped-call]  # as above


def _host_and_port(text: str) -> tuple[str, int]:
    parsed = urlsplit(f"//{text.strip()}")
    if not is_host(parsed.hostname):
        raise ValueError("a host is missing")
    return parsed.hostname, parsed.port or _SENTINEL_PORT


async def answered(call: Awaitable[T]) -> T:
    """Raises `StoreUnavailableError`."""
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as problem:
        raise StoreUnavailableError("Redis", f"{type(problem).__name__}: {problem}") from problem
