"""A message from the broker in the service's own terms, and the id of an event that has none. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notification_service.contract import bodies, placeholders
from notification_service.contract.bodies import Body, JsonObject
from notification_service.foundation.trace_context import Trace

_EXCERPT_LENGTH = 1024
_MAX_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message from the broker. `attempt`: how many retries it has had."""

    body: bytes = field(repr=False)
    routing_key: str
    """The type of its event, where that is known."""
    message_id: str | None = None
    type_name: str | None = None
    """The type that its properties or headers name."""
    content_encoding: str | None = None
    content_type: str | None = None
    attempt: int = 0
    replay: str | None = None
    """The token of a replay. Each token is granted once."""
    not_before: int | None = None
    """Unix time before which it is not handled: set by a rate limit, or by a wait that a server asked for."""
    limits_passed: int = 0
    """How many rate limits it has passed, in the order of `rate_limits.ORDER`."""
    is_express_copy: bool = False
    """Whether it came by the express lane: the ordinary queue has the same message."""
    redelivered: bool = False
    """The broker delivered it before: its worker was lost, perhaps because of this message."""
    unfinished_starts: int = 0
    """How many workers began to handle it and never finished."""
    unmovable: bool = False
    """The broker refuses every copy of it, so it can be neither moved to a retry queue nor parked."""
    trace: Trace | None = None
    """The trace context of its headers, or of the service's own span within that trace."""

    @property
    def content(self) -> Body:
        return Body(self.body, self.content_encoding, self.content_type)


def _excerpt(inbound: InboundMessage) -> Mapping[str, Any]:
    return JsonObject({"raw": bodies.beginning(inbound.content, characters=_EXCERPT_LENGTH)}, exact=False)


def nameless_id(inbound: InboundMessage) -> str:
    """The id of an event whose body has no id or cannot be read."""
    return _id(inbound.message_id) or body_id(inbound.body)


def _id(text: str | None) -> str | None:
    """A producer's id, or a digest of it where it is too long or not printable; None for a placeholder or zeros."""
    if not text:
        return None
    if len(text) > _MAX_ID_LENGTH or not text.isprintable():
        return body_id(text.encode("utf-8", "surrogatepass"))
    return placeholders.known(text) if text.strip("0-") else None


def body_id(body: bytes) -> str:
    """The id of an event without one: a digest of its body."""
    return f"sha256:{digest_of(body)}"


def digest_of(body: bytes) -> str:
    """SHA-256 of the body, the first 32 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()[:32]
