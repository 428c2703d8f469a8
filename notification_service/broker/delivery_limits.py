"""Whether a queue that stands drops what came back often, as far as that can be known from outside.

RabbitMQ 4 gives a quorum queue without `x-delivery-limit` a limit of 20, and what is beyond it is dead-lettered, or
dropped where no dead-letter exchange is named. AMQP tells the arguments of a queue only by refusing others; policies
are told by the management API alone.
"""

import asyncio
import json
import re
import urllib.request
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed
from yarl import URL

from notification_service.broker import lenient_decoding
from notification_service.broker.lenient_decoding import LOST, addresses
from notification_service.broker.topology import queue_stands
from notification_service.foundation.errors import INVALID_URL, ConfigurationError, DependencyError

SETTING = "RABBITMQ_MANAGEMENT_URL"
_BY_ITSELF = 20
"""Returns that RabbitMQ 4 allows where nobody says otherwise."""
_TIMEOUT_S = 5.0
_MAX = 2**20
_ASKS = 20
"""More arguments than a queue has."""
_INEQUIVALENT = re.compile(
    r"inequivalent arg '([^']+)'.* but current is (?:none|(?:the value )?'([^']*)'(.*))", re.DOTALL
)
_PROBE: Mapping[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1000}
_MEND = "set the policy of docs/operations.md (Queues that stand already)"


class Fate(StrEnum):
    KEPT = "kept"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of an event that comes back to a queue again and again; `text` says it, and what to do."""

    queue: str
    fate: Fate
    text: str


@dataclass(frozen=True, slots=True)
class _Rules:
    """`policies`: whether they were looked at too. `limit`: None where nobody says one, negative for none."""

    limit: int | None
    dead_letters: bool
    policies: bool


async def examine(url: str, queues: Iterable[str], management: str | None) -> list[Finding]:
    """One finding for each queue that may drop an event, or of which that cannot be told; none for one that is missing.

    Raises `DependencyError` where RabbitMQ does not answer, `ConfigurationError` where `management` is no URL.
    """
    api = _Api.of(management, url) if management else None
    try:
        async with await lenient_decoding.connect(url, timeout=_TIMEOUT_S) as connection:
            found = [await _examine(connection, queue, api) for queue in dict.fromkeys(queues)]
    except LOST as problem:
        raise DependencyError(f"RABBITMQ_URL: {type(problem).__name__}: {problem}") from problem
    return [each for each in found if each and each.fate is not Fate.KEPT]


async def _examine(connection: AbstractConnection, queue: str, api: "_Api | None") -> Finding | None:
    version = _version(connection)
    not_asked = f"{SETTING} is not set"
    rules: _Rules | None = None
    if api:
        try:
            rules = await asyncio.to_thread(api.rules, queue)
        except (OSError, ValueError) as problem:
            not_asked = f"{SETTING} did not tell it: {type(problem).__name__}: {problem}"
    try:
        if not await queue_stands(connection, queue):
            return None
        return _judge(queue, version, rules or await _declared(connection, queue), not_asked)
    except LOST as problem:
        why = f"RabbitMQ does not let its arguments be asked ({type(problem).__name__}), and {not_asked}"
        return Finding(queue, Fate.UNKNOWN, f"whether {queue} drops what comes back often cannot be told: {why}")


def _judge(queue: str, version: str, rules: _Rules | None, not_asked: str) -> Finding:
    """`rules`: None for a queue that counts no returns."""
    limit = None if rules is None else rules.limit
    if rules is not None and limit is None and _major(version) >= 4:  # noqa: PLR2004 - the version that brought it
        limit = _BY_ITSELF
    if rules is None or rules.dead_letters or ((limit is None or limit < 0) and rules.policies):
        return Finding(queue, Fate.KEPT, f"{queue} drops nothing that comes back")
    if limit is None or limit < 0:
        # A policy can still set one; but who wrote it knows of it, and no version does so by itself.
        return Finding(queue, Fate.KEPT, f"{queue} drops nothing that comes back, unless a policy says so")
    drops = f"{queue} gives an event out again {limit} times and then drops it (RabbitMQ {version})"
    if rules.policies:
        return Finding(queue, Fate.DROPPED, f"{drops}, as it has no dead-letter exchange: {_MEND}")
    return Finding(queue, Fate.UNKNOWN, f"{drops}, unless a policy helps, which cannot be told as {not_asked}: {_MEND}")


def _version(connection: AbstractConnection) -> str:
    underlay = getattr(connection.transport, "connection", None)
    return str(getattr(underlay, "server_properties", {}).get("version", ""))


def _major(version: str) -> int:
    leading = re.match(r"\d+", version)
    return int(leading[0]) if leading else 0


async def _declared(connection: AbstractConnection, queue: str) -> _Rules | None:
    """The queue's own arguments, asked for one after the other: each refusal names one, and what it is.

    A queue that stands is not changed by it. Raises one of `LOST` where that is not allowed or not understood.
    """
    asked = dict(_PROBE)
    for _ in range(_ASKS):
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(queue, durable=True, arguments=asked)
        except ChannelPreconditionFailed as problem:
            told = _INEQUIVALENT.search(str(problem))
            if told is None or told[1] in ("durable", "auto_delete", "exclusive"):
                raise
            name, value, kind = told.groups()
            if name == "x-queue-type" and value != "quorum":
                return None
            if value is None:
                asked.pop(name, None)
            else:
                asked[name] = _typed(value, kind)
        else:
            return _Rules(asked.get("x-delivery-limit"), "x-dead-letter-exchange" in asked, policies=False)
    raise ConnectionError(f"the arguments of {queue} cannot be told")


def _typed(value: str, kind: str) -> Any:  # noqa: ANN401 - what a queue's argument can be
    if "longstr" in kind:
        return value
    if value in ("true", "false"):
        return value == "true"
    return int(value) if re.fullmatch(r"-?\d+", value) else value


@dataclass(frozen=True, slots=True, repr=False)
class _Api:
    queues: str
    authorization: str

    @classmethod
    def of(cls, management: str, amqp: str) -> "_Api":
        """With the user of its own URL, else that of RABBITMQ_URL; the virtual host is always that one's."""
        try:
            url, broker = URL(management), URL(addresses(amqp)[0])
        except ValueError:
            raise ConfigurationError(f"{SETTING} {INVALID_URL}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigurationError(f"{SETTING} has to be http://host:15672 or https://…")
        user = url if url.user else broker
        vhost = unquote(broker.raw_path.removeprefix("/")) or "/"
        credentials = b64encode(f"{user.user or 'guest'}:{user.password or ''}".encode()).decode()
        root = str(url.with_user(None).with_query(None).with_fragment(None)).rstrip("/")
        return cls(f"{root}/api/queues/{quote(vhost, safe='')}/", f"Basic {credentials}")

    def told(self, queue: str) -> Mapping[str, Any]:
        """The queue as the API tells it; a change of its policy takes some seconds to come there."""
        request = urllib.request.Request(  # noqa: S310 - http or https, see above
            self.queues + quote(queue, safe=""), headers={"Authorization": self.authorization}
        )
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            told = _table(json.loads(answer.read(_MAX)))
        if "type" not in told:
            raise ValueError("it is no queue of RabbitMQ's management API")
        return told

    def rules(self, queue: str) -> _Rules | None:
        """What holds for a queue, policies included; None for one that counts no returns."""
        told = self.told(queue)
        if told["type"] != "quorum":
            return None
        if "effective_policy_definition" not in told:
            raise ValueError("it does not know the queue's policies yet, look again in some seconds")
        arguments, policy = _table(told.get("arguments")), _table(told.get("effective_policy_definition"))
        said = (arguments.get("x-delivery-limit"), policy.get("delivery-limit"))
        limit = min((each for each in said if each is not None), default=None)
        dead_letters = "x-dead-letter-exchange" in arguments or "dead-letter-exchange" in policy
        return _Rules(limit, dead_letters, policies=True)


def _table(value: object) -> Mapping[str, Any]:
    """The API writes an empty table as a list."""
    return value if isinstance(value, Mapping) else {}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A password goes where the setting says, and nowhere else."""

    def redirect_request(self, *_: object) -> None: ...


_OPENER = urllib.request.build_opener(_NoRedirects)
