"""An example of a further channel: a webhook that is told of each event. It checks what docs/extend.md says.

Run as a program, it is the service with both channels. WEBHOOK_PORT says where the webhook listens on loopback.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from notification_service import service
from notification_service.bootstrap import ChannelParts
from notification_service.cli.configuration import service_settings
from notification_service.console import app as console
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES, Event
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Blocked,
    Deferred,
    HandoverRefused,
    InDoubt,
    OutgoingMessage,
    Refused,
    Tried,
    Unavailable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.delivery.ports.composer import CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import read_mailbox
from notification_service.observability import logging
from tests.stack.place import Place, Service

ROOT = Path(__file__).parents[2]
OTHERS: Mapping[ChannelKind, tuple[str, ...]] = {ChannelKind.PUSH: EVENT_TYPES}
"""For `reconcile`: the types of the events that go out by the further channel."""
NO_TITLE = "no title"
"""A booking of this id cannot be composed for the webhook."""


class WebhookComposer:
    """The webhook knows a recipient by the e-mail address; a notification without one is skipped."""

    channel = ChannelKind.PUSH
    address_field = "email"
    optional = True

    def address(self, recipient: Recipient) -> str:
        return read_mailbox(recipient.email or "")

    def reference(self, notification_id: str) -> str:
        return f"push-{notification_id}"

    def digest(self, template: str) -> str:
        return hashlib.sha256(template.encode()).hexdigest()[:32]

    def compose(self, event: Event, recipient: Recipient, ids: MessageIds) -> OutgoingMessage:
        if event.booking_id == NO_TITLE:
            raise CompositionError(f"{ids.template}:1", "the booking has no title")
        title = f"{ids.template.replace('_', ' ').capitalize()}: {event.booking_id}"
        content = {"to": recipient.email, "title": title, "event": ids.event_id}
        return OutgoingMessage(
            notification_id=ids.notification_id,
            template=ids.template,
            recipient=recipient.email or "",
            content=json.dumps(content).encode(),
            subject=title,
        )


class WebhookTransport:
    """One HTTP request a message. `timeout`: seconds for the connection, and for the whole answer."""

    name = "webhook"

    def __init__(self, port: int, *, timeout: float = 5.0) -> None:
        self._port = port
        self._timeout = timeout

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        at, started = datetime.now(UTC), time.monotonic()

        def attempt(result: str, code: int | None, reply: str) -> Attempt:
            return Attempt(at, result, round((time.monotonic() - started) * 1000, 1), code, reply)

        # What can fail without a doubt comes before the fence.
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as problem:
            return Unavailable(attempt("unavailable", None, _text(problem)), "is the webhook up?")
        try:
            if await before_handover() is Fence.LOST:
                return HandoverRefused()
            async with asyncio.timeout(self._timeout):
                writer.write(_request(message))
                await writer.drain()
                code, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
        except (OSError, EOFError) as problem:
            return InDoubt(attempt("in_doubt", None, _text(problem)))
        finally:
            writer.close()
        return _verdict(code, headers, attempt)

    async def close(self) -> None:
        """No connection outlives its message."""


def _text(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"


def _request(message: OutgoingMessage) -> bytes:
    """The reference is the idempotency key: the same for every try."""
    head = (
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(message.content)}",
        f"Idempotency-Key: push-{message.notification_id}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + message.content


def _parsed(head: bytes) -> tuple[int, Mapping[str, str]]:
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    return int(status.split()[1]), {name.lower(): value.strip() for name, _, value in fields}


def _verdict(code: int, headers: Mapping[str, str], attempt: Callable[[str, int, str], Attempt]) -> Tried:
    match code:
        case _ if code < 300:
            return Accepted(attempt("accepted", code, "taken"))
        case 401 | 403:
            return Blocked(attempt("blocked", code, "not authorized"), "is the webhook's key valid?")
        case 429 | 503:
            wait = headers.get("retry-after")
            return Deferred(attempt("deferred", code, "later"), float(wait) if wait else None)
        case _:
            return Refused(attempt("refused", code, "refused"), str(code), names_address=code == 410)


def parts(port: int) -> ChannelParts:
    return ChannelParts(WebhookComposer(), WebhookTransport(port), EVENT_TYPES)


def both_channels(place: Place, **changes: str) -> Service:
    """The program below in this place, not started yet."""
    made = place.service(PYTHONPATH=str(ROOT), **changes)
    made.program, made.arguments = "tests.stack.example_channel", ()
    return made


if __name__ == "__main__":
    try:
        port = int(os.environ["WEBHOOK_PORT"])
        asyncio.run(service.run(service_settings(), console.serving, [parts(port)]))
    finally:
        logging.finish()
