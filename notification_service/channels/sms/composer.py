"""Composes SMS: renders the event by `sms.txt` of its template, in at most two segments where that is possible."""

from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.numbers import read_number
from notification_service.channels.sms.segments import Segments, measure, prepared
from notification_service.content.short_texts import ShortText, ShortTexts, TextError
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.composer import CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient

MAX_SEGMENTS = 2
_MAX_LENGTH = 1600
"""Characters: providers refuse a longer text, which would cost the message."""
_TITLE_LENGTHS = (None, 48, 32, 20, 12)
"""Characters of a film's title, tried in this order until the text fits."""


class SmsComposer:
    """`default_country`: two letters (ISO 3166), whose national numbers are accepted; None: none are."""

    channel = ChannelKind.SMS
    address_field = "phone"
    optional = True

    def __init__(self, texts: ShortTexts, *, default_country: str | None) -> None:
        self.texts = texts
        self._default_country = default_country

    def address(self, recipient: Recipient) -> str:
        return read_number(recipient.phone or "", self._default_country)

    def reference(self, notification_id: str) -> str:
        return f"sms-{notification_id}"

    def digest(self, template: str) -> str:
        return self.texts.digest(template)

    def compose(self, event: Event, recipient: Recipient, ids: MessageIds) -> OutgoingSms:
        text, written, segments = self.fitted(event, recipient, ids.template)
        too_long = segments.count > MAX_SEGMENTS
        return OutgoingSms(
            notification_id=ids.notification_id,
            template=ids.template,
            recipient=recipient.phone or "",
            content=text.encode(),
            remarks=(*written.remarks, *([_too_long(segments)] if too_long else ())),
            segments=segments.count,
            valid_until=self.texts.show_at(event),
        )

    def fitted(
        self, event: Event, recipient: Recipient, template: str, language: str | None = None
    ) -> tuple[str, ShortText, Segments]:
        """The text as it goes out, with the title cut as far as the segments need it. Raises `CompositionError`."""
        for length in _TITLE_LENGTHS:
            try:
                written = self.texts.render(template, event, recipient.locale, language, max_title_length=length)
            except TextError as problem:
                raise CompositionError(problem.where, str(problem)) from problem
            text = prepared(written.text)
            segments = measure(text)
            if segments.count <= MAX_SEGMENTS or length == _TITLE_LENGTHS[-1]:
                _check_length(text, f"{template}/{self.texts.part}:1")
                return text, written, segments
        raise AssertionError("the last length returns")


def _check_length(text: str, where: str) -> None:
    """Raises `CompositionError` for a text that no provider takes."""
    if not text:
        raise CompositionError(where, "the text is empty, and an SMS needs one")
    if len(text) > _MAX_LENGTH:
        raise CompositionError(where, f"{len(text)} characters, and providers take {_MAX_LENGTH}: shorten the text")


def _too_long(segments: Segments) -> Remark:
    return Remark("sms", f"has {segments.count} segments ({segments.encoding}), each of which is paid for")
