"""`send-test`: sends a sample message by one channel, and shows what the server or provider answers."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from notification_service import bootstrap
from notification_service.bootstrap import further_channels
from notification_service.cli.configuration import command_settings
from notification_service.cli.terminal import say
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.delivery import planning
from notification_service.delivery.planning import Notification
from notification_service.delivery.ports.channel import (
    Accepted,
    Blocked,
    Deferred,
    InDoubt,
    OptedOut,
    OutgoingMessage,
    Refused,
    Transport,
    Tried,
    Unavailable,
    Unsendable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.composer import Composer, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import NotAnAddressError, read_mailbox
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import samples
from notification_service.settings import Settings


class RelayChoice(StrEnum):
    FIRST = "first"
    FALLBACK = "fallback"


def command(
    to: Annotated[
        str, typer.Option(help="The recipient: an address, a phone number or a device's token.", metavar="ADDRESS")
    ],
    template: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(TEMPLATES)}, or all. Without it booking_confirmation, by SMS and push "
            "booking_cancellation.",
            metavar="NAME",
        ),
    ] = None,
    channel: Annotated[ChannelKind, typer.Option(help="By which channel.")] = ChannelKind.EMAIL,
    relay: Annotated[RelayChoice, typer.Option(help="By which mail server.")] = RelayChoice.FIRST,
) -> None:
    """Send a sample message, and show what the server or provider answers."""
    template = template or ("booking_confirmation" if channel is ChannelKind.EMAIL else "booking_cancellation")
    if template not in ("all", *TEMPLATES):
        raise ConfigurationError(f"--template: unknown template {template!r}; there are all, {', '.join(TEMPLATES)}")
    if not asyncio.run(_send_each(command_settings(), to, template, channel, relay)):
        raise typer.Exit(1)


async def _send_each(settings: Settings, to: str, template: str, channel: ChannelKind, relay: RelayChoice) -> bool:
    """Whether every message was accepted."""
    by_email = channel is ChannelKind.EMAIL
    sent = send(settings, to, template, relay) if by_email else send_further(settings, to, template, channel)
    accepted = [(name, taken, said) async for name, taken, said in sent]
    for name, taken, said in accepted:
        say(f"{'sent    ' if taken else 'NOT SENT'} {name}: {said}")
    return all(taken for _, taken, _ in accepted)


async def send(
    settings: Settings, to: str, template: str, relay: RelayChoice = RelayChoice.FIRST
) -> AsyncIterator[tuple[str, bool, str]]:
    """For each mail: its template, whether it was accepted, and the server's reply. `template`: one, or `all`.

    Raises `ConfigurationError`.
    """
    try:
        recipient = Recipient(read_mailbox(to), "Jane")
    except NotAnAddressError as problem:
        raise ConfigurationError(f"send-test: --to is not a mail address: {problem}") from problem
    if settings.unconfigured:
        raise ConfigurationError(settings.unconfigured)
    if relay is RelayChoice.FALLBACK and not settings.fallback.server:
        raise ConfigurationError("send-test --relay fallback: SMTP_FALLBACK_SERVER is not set")
    transport = bootstrap.relays(settings)[1] if relay is RelayChoice.FALLBACK else bootstrap.transport(settings)
    composer = bootstrap.email_composer(settings, bootstrap.load_renderer(settings), preview=True)
    async for each in _sent(transport, _messages(settings, composer, recipient, template, TEMPLATES)):
        yield each


async def send_further(
    settings: Settings, to: str, template: str, channel: ChannelKind
) -> AsyncIterator[tuple[str, bool, str]]:
    """As `send`, by SMS or push. `to`: a phone number, or the token of a device."""
    parts = further_channels.live(settings, channel)
    try:
        recipient = _reached_at(to, channel, parts.composer)
    except NotAnAddressError as problem:
        raise ConfigurationError(f"send-test: --to cannot be sent to by {channel}: {problem}") from problem
    names = [each for each in TEMPLATES if parts.composer.digest(each)]
    if template not in ("all", *names):
        raise ConfigurationError(f"send-test: {template} has no text for {channel}; there are all, {', '.join(names)}")
    async for each in _sent(parts.transport, _messages(settings, parts.composer, recipient, template, names)):
        yield each


def _reached_at(to: str, channel: ChannelKind, composer: Composer) -> Recipient:
    """Raises `NotAnAddressError`."""
    if channel is ChannelKind.SMS:
        return Recipient(phone=composer.address(Recipient(phone=to)))
    recipient = Recipient(device_tokens=(Device(to.strip()),))
    composer.address(recipient)
    return recipient


async def _sent(transport: Transport, messages: Iterator[OutgoingMessage]) -> AsyncIterator[tuple[str, bool, str]]:
    try:
        for message in messages:
            verdict = await transport.send_once(message, _go_on)
            yield message.template, isinstance(verdict, Accepted), _said(verdict)
    finally:
        await transport.close()


async def _go_on() -> Fence:
    return Fence.HELD


def _messages(
    settings: Settings, composer: Composer, recipient: Recipient, template: str, names: Collection[str]
) -> Iterator[OutgoingMessage]:
    """Yield one message of each template: of `template`, or where that is `all`, of each of `names`."""
    wanted = set(names if template == "all" else (template,))
    for sample in samples.load(bootstrap.templates_directory(settings), variants=False):
        notification = planning.plan(sample.inbound, max_bytes=settings.service.max_event_bytes)
        if not isinstance(notification, Notification) or notification.template not in wanted:
            continue
        wanted.remove(notification.template)
        # A new id each time: with the same Message-ID, mailboxes would show only the first test.
        ids = MessageIds(
            secrets.token_hex(16),
            notification.event_id,
            notification.template,
            notification.event.booking_id,
            datetime.now(UTC),
        )
        yield composer.compose(notification.event, recipient, ids)


def _said(verdict: Tried) -> str:
    match verdict:
        case Accepted(attempt) | InDoubt(attempt):
            return f"{attempt.code or ''} {attempt.reply} ({attempt.duration_ms} ms)".strip()
        case Deferred(attempt) | Refused(attempt):
            return f"{attempt.code or ''} {attempt.reply}".strip()
        case OptedOut(attempt):
            return f"{attempt.code or ''} {attempt.reply}".strip()
        case Unavailable(attempt, hint) | Blocked(attempt, hint) | Unsendable(attempt, hint):
            return f"{attempt.code or ''} {attempt.reply}: {hint}".strip()
        case _:
            return type(verdict).__name__
