"""One message as it came from the broker, and the ids of events whose body names none. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notification_service.contract import bodies
from notification_service.contract.bodies import Body, Said
from notification_service.foundation.trace_context import Trace

_EXCERPT = 1024


_MAX_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message from the broker, in our own words. `attempt` counts the retries that lie behind it."""

    body: bytes = field(repr=False)
    routing_key: str
    """The type of its event, where it is one of ours."""
    message_id: str | None = None
    content_encoding: str | None = None
    content_type: str | None = None
    attempt: int = 0
    replay: str | None = None
    """The token of a person's wish to have it again, after it was parked; each wish is granted once."""
    not_before: int | None = None
    """Unix seconds: the time that it was given because of a limit."""
    limits_passed: int = 0
    """How many limits lie behind it, in the order of `rate_limits.ORDER`."""
    is_express_copy: bool = False
    """A copy on the express lane: the same message comes, or came, by the ordinary way too."""
    redelivered: bool = False
    """It came back after it had been handed out: its worker was lost, perhaps because of it."""
    unfinished_starts: int = 0
    """How many of its starts were never ended."""
    unmovable: bool = False
    """The broker takes no copy of it: it can wait in no other queue, neither for its time nor for a person."""
    trace: Trace | None = None
    """The span that its headers name, or ours below it."""

    @property
    def content(self) -> Body:
        return Body(self.body, self.content_encoding, self.content_type)


def _excerpt(inbound: InboundMessage) -> Mapping[str, Any]:
    return Said({"raw": bodies.beginning(inbound.content, characters=_EXCERPT)}, exact=False)


def nameless_id(inbound: InboundMessage) -> str:
    """The id of an event whose body names none, or cannot be read."""
    return _id(inbound.message_id) or body_id(inbound.body)


def _id(text: str | None) -> str | None:
    """As producers may write it: one that no log, record or header could hold is known by its digest."""
    if not text or (len(text) <= _MAX_ID_LENGTH and text.isprintable()):
        return text
    return body_id(text.encode("utf-8", "surrogatepass"))


def body_id(body: bytes) -> str:
    """The id of an event that has none: a digest of its bytes."""
    return f"sha256:{digest_of(body)}"


def digest_of(body: bytes) -> str:
    """32 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()[:32]
