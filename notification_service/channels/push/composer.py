"""Composes push messages: `push.txt` of the template, whose first line is the title."""

import hashlib
import json
from collections.abc import Collection

from notification_service.channels.push.devices import Choice, PushService, choose
from notification_service.channels.push.message import OutgoingPush
from notification_service.channels.push.payloads import MAX_PAYLOAD_BYTES, size
from notification_service.content.short_texts import ShortText, ShortTexts, TextError
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.composer import CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import NotAnAddressError

MAX_TITLE, MAX_BODY = 100, 400
"""Characters: a lock screen shows about 50 of a title and 180 of a body, and opened twice that."""
_TITLE_LENGTHS = (None, 60, 40, 20)
"""Characters of a film's title, tried in this order until the message fits."""
_MAX_REFUSED = 10
"""Devices of which a record says why they get nothing."""


class PushComposer:
    """`services`: those that are set up."""

    channel = ChannelKind.PUSH
    address_field = "device_tokens"
    optional = True

    def __init__(self, texts: ShortTexts, services: Collection[PushService]) -> None:
        self.texts = texts
        self._services = frozenset(services)

    def address(self, recipient: Recipient) -> str:
        """A digest of the devices' tokens: another set of devices is another address."""
        choice = choose(recipient.device_tokens, self._services)
        if not choice.targets:
            raise NotAnAddressError(_said(choice))
        tokens = "\n".join(sorted(each.device.token for each in choice.targets))
        return f"devices:{hashlib.sha256(tokens.encode()).hexdigest()[:16]}"

    def reference(self, notification_id: str) -> str:
        return f"push-{notification_id}"

    def digest(self, template: str) -> str:
        return self.texts.digest(template)

    def compose(self, event: Event, recipient: Recipient, ids: MessageIds, language: str | None = None) -> OutgoingPush:
        """`language`: one of the texts' languages instead of the reader's, for previews."""
        choice = choose(recipient.device_tokens, self._services)
        left_out = (Remark("device_tokens", f"are not all used: {_said(choice)}"),) if choice.refused else ()
        found = 0
        for length in _TITLE_LENGTHS:
            written = self.written(event, recipient, ids.template, language, max_title_length=length)
            title, body = written.lines[0], "\n".join(written.lines[1:])
            message = OutgoingPush(
                notification_id=ids.notification_id,
                template=ids.template,
                recipient=self.address(recipient),
                content=json.dumps({"title": title, "body": body}, ensure_ascii=False).encode(),
                subject=title,
                remarks=(*written.remarks, *left_out),
                targets=choice.targets,
                title=title,
                body=body,
                booking_id=ids.booking_id,
                valid_until=self.texts.show_at(event),
            )
            found = size(message)
            shortest = length == _TITLE_LENGTHS[-1] and found <= MAX_PAYLOAD_BYTES
            if shortest or (len(title) <= MAX_TITLE and len(body) <= MAX_BODY and found <= MAX_PAYLOAD_BYTES):
                return message
        raise CompositionError(f"{ids.template}/{self.texts.part}:1", _too_large(found))

    def written(
        self,
        event: Event,
        recipient: Recipient,
        template: str,
        language: str | None = None,
        *,
        max_title_length: int | None = None,
    ) -> ShortText:
        """Title and body as lines. Raises `CompositionError`."""
        try:
            written = self.texts.render(template, event, recipient.locale, language, max_title_length=max_title_length)
        except TextError as problem:
            raise CompositionError(problem.where, str(problem)) from problem
        if not written.lines:
            raise CompositionError(f"{template}/{self.texts.part}:1", "the text is empty, and a push needs a title")
        return written


def _said(choice: Choice) -> str:
    more = len(choice.refused) - _MAX_REFUSED
    said = "; ".join(choice.refused[:_MAX_REFUSED])
    return f"{said}; and {more} more" if more > 0 else said


def _too_large(found: int) -> str:
    return f"{found} bytes, and FCM and APNs take {MAX_PAYLOAD_BYTES}: shorten the text or its translation"
