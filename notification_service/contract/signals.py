"""Signals: what becomes known about a message after the server took it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from notification_service.contract.channel_kinds import ChannelKind

REPORT = "report"
"""The source of what mails report. Anybody can write one: only their notification is certain, by its code."""


class SignalKind(StrEnum):
    """What a signal tells."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"
    CLICKED = "clicked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that was learnt about one message; (`source`, `source_id`) is its identity.

    `address` travels in the queue only: stores keep a keyed digest of it, logs a mask.
    """

    source: str  # "ses", "sendgrid", "mailgun", "postmark", "report" (a mailbox), "link" (our own listener)
    source_id: str  # unique within the source
    kind: SignalKind
    at: datetime  # aware, UTC: when it happened, as the source says
    channel: ChannelKind = ChannelKind.EMAIL
    notification_id: str | None = None
    provider_message_id: str | None = None  # the id that the provider gave in its 250
    address: str | None = None
    code: str | None = None  # the enhanced status code, "5.1.1", or the provider's own code
    detail: str = ""  # one printable line, shortened, without the address
    extra: Mapping[str, str] = field(default_factory=dict)  # such as the role of a link, its class and why
