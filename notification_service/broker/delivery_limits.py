"""Checks whether an existing queue drops messages that are redelivered too often, as far as can be seen from outside.

RabbitMQ 4 gives a quorum queue without `x-delivery-limit` a limit of 20. Beyond it a message is dead-lettered, or
dropped if there is no dead-letter exchange. AMQP shows a queue's arguments only by refusing different ones, and only
the management API shows policies.
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
from notification_service.broker.topology import queue_exists
from notification_service.foundation.errors import INVALID_URL, ConfigurationError, DependencyError

SETTING = "RABBITMQ_MANAGEMENT_URL"
_DEFAULT_LIMIT = 20
"""The delivery limit of a quorum queue in RabbitMQ 4, unless an argument or policy sets another."""
_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 2**20
_MAX_DECLARATIONS = 20
"""One for each argument; a queue has fewer."""
_INEQUIVALENT = re.compile(
    r"inequivalent arg '([^']+)'.* but current is (?:none|(?:the value )?'([^']*)'(.*))", re.DOTALL
)
_PROBE: Mapping[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1000}
_REMEDY = "set the policy of docs/operations.md (Existing queues)"


class Fate(StrEnum):
    KEPT = "kept"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class QueueCheck:
    """What happens to an event that is redelivered by this queue too often. `text`: that, and what to do."""

    queue: str
    fate: Fate
    text: str


@dataclass(frozen=True, slots=True)
class _Rules:
    """`limit`: None if it is not set, negative for unlimited. `policies`: whether policies are taken into account."""

    limit: int | None
    dead_letters: bool
    policies: bool


async def examine(url: str, queues: Iterable[str], management: str | None) -> list[QueueCheck]:
    """Check each queue, and return those that drop events, or may do so. Missing queues are left out.

    Raises `DependencyError` if RabbitMQ does not answer, `ConfigurationError` if `management` is not a URL.
    """
    api = _Api.of(management, url) if management else None
    try:
        async with await lenient_decoding.connect(url, timeout=_TIMEOUT_S) as connection:
            found = [await _examine(connection, queue, api) for queue in dict.fromkeys(queues)]
    except LOST as problem:
        raise DependencyError(f"RABBITMQ_URL: {type(problem).__name__}: {problem}") from problem
    return [each for each in found if each and each.fate is not Fate.KEPT]


async def _examine(connection: AbstractConnection, queue: str, api: "_Api | None") -> QueueCheck | None:
    version = _version(connection)
    not_asked = f"{SETTING} is not set"
    rules: _Rules | None = None
    if api:
        try:
            rules = await asyncio.to_thread(api.rules, queue)
        except (OSError, ValueError) as problem:
            not_asked = f"{SETTING} gave no answer: {type(problem).__name__}: {problem}"
    try:
        if not await queue_exists(connection, queue):
            return None
        return _judge(queue, version, rules or await _declared(connection, queue), not_asked)
    except LOST as problem:
        why = f"RabbitMQ does not show its arguments ({type(problem).__name__}), and {not_asked}"
        return QueueCheck(queue, Fate.UNKNOWN, f"whether {queue} drops redelivered events is unknown: {why}")


def _judge(queue: str, version: str, rules: _Rules | None, not_asked: str) -> QueueCheck:
    """`rules`: None for a queue that does not count redeliveries."""
    limit = None if rules is None else rules.limit
    if rules is not None and limit is None and _major(version) >= 4:  # noqa: PLR2004 - the first version with a default
        limit = _DEFAULT_LIMIT
    if rules is None or rules.dead_letters or ((limit is None or limit < 0) and rules.policies):
        return QueueCheck(queue, Fate.KEPT, f"{queue} drops no redelivered event")
    if limit is None or limit < 0:
        # A policy may still set a limit; but then an operator chose it, as no version has such a policy by default.
        return QueueCheck(queue, Fate.KEPT, f"{queue} drops no redelivered event, unless a policy says so")
    drops = f"{queue} redelivers an event {limit} times and then drops it (RabbitMQ {version})"
    if rules.policies:
        return QueueCheck(queue, Fate.DROPPED, f"{drops}, as it has no dead-letter exchange: {_REMEDY}")
    policy = f"unless a policy prevents it, which is unknown, as {not_asked}"
    return QueueCheck(queue, Fate.UNKNOWN, f"{drops}, {policy}: {_REMEDY}")


def _version(connection: AbstractConnection) -> str:
    underlay = getattr(connection.transport, "connection", None)
    return str(getattr(underlay, "server_properties", {}).get("version", ""))


def _major(version: str) -> int:
    leading = re.match(r"\d+", version)
    return int(leading[0]) if leading else 0


async def _declared(connection: AbstractConnection, queue: str) -> _Rules | None:
    """The queue's own arguments. They are found by declarations: each refusal names one argument and its value.

    This does not change an existing queue. Raises one of `LOST` if it is not allowed, or the refusal not understood.
    """
    asked = dict(_PROBE)
    for _ in range(_MAX_DECLARATIONS):
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(queue, durable=True, arguments=asked)
        except ChannelPreconditionFailed as problem:
            found = _INEQUIVALENT.search(str(problem))
            if found is None or found[1] in ("durable", "auto_delete", "exclusive"):
                raise
            name, value, kind = found.groups()
            if name == "x-queue-type" and value != "quorum":
                return None
            if value is None:
                asked.pop(name, None)
            else:
                asked[name] = _typed(value, kind)
        else:
            return _Rules(asked.get("x-delivery-limit"), "x-dead-letter-exchange" in asked, policies=False)
    raise ConnectionError(f"the arguments of {queue} cannot be found out")


def _typed(value: str, kind: str) -> Any:  # noqa: ANN401 - a queue's argument has any type
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
        """`management`: its user is used, else the one of `amqp`. The virtual host is always that of `amqp`."""
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

    def describe(self, queue: str) -> Mapping[str, Any]:
        """The API's description of the queue. A change of its policy appears there after some seconds."""
        request = urllib.request.Request(  # noqa: S310 - http or https, see above
            self.queues + quote(queue, safe=""), headers={"Authorization": self.authorization}
        )
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            found = _table(json.loads(answer.read(_MAX_ANSWER_BYTES)))
        if "type" not in found:
            raise ValueError("the answer is not a queue of RabbitMQ's management API")
        return found

    def rules(self, queue: str) -> _Rules | None:
        """The rules of a queue, policies included; None for a queue that does not count redeliveries."""
        found = self.describe(queue)
        if found["type"] != "quorum":
            return None
        if "effective_policy_definition" not in found:
            raise ValueError("it does not know the queue's policies yet: repeat the check in some seconds")
        arguments, policy = _table(found.get("arguments")), _table(found.get("effective_policy_definition"))
        limits = (arguments.get("x-delivery-limit"), policy.get("delivery-limit"))
        limit = min((each for each in limits if each is not None), default=None)
        dead_letters = "x-dead-letter-exchange" in arguments or "dead-letter-exchange" in policy
        return _Rules(limit, dead_letters, policies=True)


def _table(value: object) -> Mapping[str, Any]:
    """The API writes an empty table as a list."""
    return value if isinstance(value, Mapping) else {}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, so that the password is sent to no other server."""

    def redirect_request(self, *_: object) -> None: ...


_OPENER = urllib.request.build_opener(_NoRedirects)
