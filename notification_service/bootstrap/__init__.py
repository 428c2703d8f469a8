"""The composition root: settings → parts. `assembly` connects them for the service.

Imports everything below it; nothing below it imports this package.
"""

from notification_service.bootstrap.composing import (
    email_composer,
    load_renderer,
    profile,
    reader_links,
    sender_identity,
    templates_directory,
    wallets,
)
from notification_service.bootstrap.mail_transport import FALLBACK, FIRST, relays, tls, transport
from notification_service.bootstrap.parts import (
    ChannelParts,
    Stores,
    build_channel,
    build_relays,
    pipeline,
    rate_limits,
    relay_limits,
    retry_schedule,
    unusable_outbox,
)

__all__ = [
    "FALLBACK",
    "FIRST",
    "ChannelParts",
    "Stores",
    "build_channel",
    "build_relays",
    "email_composer",
    "load_renderer",
    "pipeline",
    "profile",
    "rate_limits",
    "reader_links",
    "relay_limits",
    "relays",
    "retry_schedule",
    "sender_identity",
    "templates_directory",
    "tls",
    "transport",
    "unusable_outbox",
    "wallets",
]
