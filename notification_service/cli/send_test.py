"""One real mail of each kind, through the real way out, to say what the server answers."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from notification_service import bootstrap
from notification_service.channels.email.mail import OutgoingEmail
from notification_service.delivery import planning
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.channel import (
    Accepted,
    Blocked,
    Deferred,
    InDoubt,
    Refused,
    Tried,
    Unavailable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import samples
from notification_service.settings import Settings


async def send(settings: Settings, to: str, template: str) -> AsyncIterator[tuple[str, bool, str]]:
    """For each mail its template, whether the server took it, and what it said. `template`: one, or `all`."""
    if settings.unconfigured:
        raise ConfigurationError(settings.unconfigured)
    channel = bootstrap.channel(settings)
    try:
        for message in _messages(settings, to, template):
            verdict = await channel.send_once(message, _go_on)
            yield message.template, isinstance(verdict, Accepted), _said(verdict)
    finally:
        await channel.close()


async def _go_on() -> Fence:
    return Fence.HELD


def _messages(settings: Settings, to: str, template: str) -> list[OutgoingEmail]:
    composer = bootstrap.email_composer(settings, bootstrap.load_renderer(settings))
    messages: dict[str, OutgoingEmail] = {}
    for sample in samples.load(bootstrap.templates_directory(settings), variants=False):
        notification = planning.plan(sample.inbound, max_bytes=settings.service.max_event_bytes)
        if not isinstance(notification, Notification) or template not in ("all", notification.template):
            continue
        # An id of its own each time, or a mailbox would show only the first of several tests.
        ids = MessageIds(
            secrets.token_hex(16),
            notification.event_id,
            notification.template,
            notification.event.booking_id,
            datetime.now(UTC),
        )
        messages.setdefault(notification.template, composer.compose(notification.event, Recipient(to, "Jane"), ids))
    return list(messages.values())


def _said(verdict: Tried) -> str:
    match verdict:
        case Accepted(attempt) | InDoubt(attempt):
            return f"{attempt.code or ''} {attempt.reply} ({attempt.duration_ms} ms)".strip()
        case Deferred(attempt) | Refused(attempt):
            return f"{attempt.code or ''} {attempt.reply}".strip()
        case Unavailable(attempt, hint) | Blocked(attempt, hint):
            return f"{attempt.code or ''} {attempt.reply}: {hint}".strip()
        case _:
            return type(verdict).__name__
