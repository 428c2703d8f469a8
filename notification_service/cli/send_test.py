"""`send-test`: sends a sample mail, and shows the server's answer."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from notification_service import bootstrap
from notification_service.channels.email.mail import OutgoingEmail
from notification_service.cli.configuration import command_settings
from notification_service.cli.terminal import say
from notification_service.contract.notification_rules import TEMPLATES
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
from notification_service.foundation.addresses import NotAnAddressError, read_mailbox
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import samples
from notification_service.settings import Settings


class RelayChoice(StrEnum):
    FIRST = "first"
    FALLBACK = "fallback"


def command(
    to: Annotated[str, typer.Option(help="The recipient.", metavar="ADDRESS")],
    template: Annotated[
        str, typer.Option(help=f"One of {', '.join(TEMPLATES)}, or all.", metavar="NAME")
    ] = "booking_confirmation",
    relay: Annotated[RelayChoice, typer.Option(help="By which mail server.")] = RelayChoice.FIRST,
) -> None:
    """Send a sample mail, and show the server's answer."""
    if template not in ("all", *TEMPLATES):
        raise ConfigurationError(f"--template: unknown template {template!r}; there are all, {', '.join(TEMPLATES)}")
    try:
        address = read_mailbox(to)
    except NotAnAddressError as problem:
        raise ConfigurationError(f"send-test: --to is not a mail address: {problem}") from problem
    if not asyncio.run(_send_each(command_settings(), address, template, relay)):
        raise typer.Exit(1)


async def _send_each(settings: Settings, to: str, template: str, relay: RelayChoice) -> bool:
    """Whether the server accepted every mail."""
    accepted = [(name, taken, said) async for name, taken, said in send(settings, to, template, relay)]
    for name, taken, said in accepted:
        say(f"{'sent    ' if taken else 'NOT SENT'} {name}: {said}")
    return all(taken for _, taken, _ in accepted)


async def send(
    settings: Settings, to: str, template: str, relay: RelayChoice = RelayChoice.FIRST
) -> AsyncIterator[tuple[str, bool, str]]:
    """For each mail: its template, whether it was accepted, and the server's reply. `template`: one, or `all`."""
    if settings.unconfigured:
        raise ConfigurationError(settings.unconfigured)
    if relay is RelayChoice.FALLBACK and not settings.fallback.server:
        raise ConfigurationError("send-test --relay fallback: SMTP_FALLBACK_SERVER is not set")
    channel = bootstrap.relays(settings)[1] if relay is RelayChoice.FALLBACK else bootstrap.transport(settings)
    try:
        for message in _messages(settings, to, template):
            verdict = await channel.send_once(message, _go_on)
            yield message.template, isinstance(verdict, Accepted), _said(verdict)
    finally:
        await channel.close()


async def _go_on() -> Fence:
    return Fence.HELD


def _messages(settings: Settings, to: str, template: str) -> list[OutgoingEmail]:
    composer = bootstrap.email_composer(settings, bootstrap.load_renderer(settings), preview=True)
    messages: dict[str, OutgoingEmail] = {}
    for sample in samples.load(bootstrap.templates_directory(settings), variants=False):
        notification = planning.plan(sample.inbound, max_bytes=settings.service.max_event_bytes)
        if not isinstance(notification, Notification) or template not in ("all", notification.template):
            continue
        # A new id each time: with the same Message-ID, mailboxes would show only the first test.
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
