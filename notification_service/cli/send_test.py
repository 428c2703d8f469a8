"""One real mail of each kind, through the real way out, to say what the server answers."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from notification_service import bootstrap
from notification_service.channels.email import mime
from notification_service.delivery import planning
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.channel import (
    Accepted,
    Blocked,
    Deferred,
    Envelope,
    InDoubt,
    Refused,
    Tried,
    Unavailable,
)
from notification_service.delivery.ports.claims import Fence
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
        for envelope in _envelopes(settings, to, template):
            verdict = await channel.attempt(envelope, _go_on)
            yield envelope.template, isinstance(verdict, Accepted), _said(verdict)
    finally:
        await channel.close()


async def _go_on() -> Fence:
    return Fence.HELD


def _envelopes(settings: Settings, to: str, template: str) -> list[Envelope]:
    renderer, sender_identity = bootstrap.load_renderer(settings), bootstrap.sender_identity(settings)
    envelopes: dict[str, Envelope] = {}
    for sample in samples.load(bootstrap.templates_directory(settings), variants=False):
        notice = planning.plan(sample.inbound, largest=settings.service.max_event_bytes)
        if not isinstance(notice, Notification) or template not in ("all", notice.template):
            continue
        most = settings.service.max_attachment_bytes
        mail = renderer.render(notice.template, notice.event, Recipient(to, "Jane"), most_attached=most)
        # An id of its own each time, or a mailbox would show only the first of several tests.
        ids = mime.MessageIds(
            secrets.token_hex(16), notice.event_id, notice.template, notice.event.booking_id, datetime.now(UTC)
        )
        envelopes.setdefault(
            notice.template,
            mime.compose(mail, to, sender_identity, ids, most_attached=most),
        )
    return list(envelopes.values())


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
