"""Makes the SMS or the push message of a record again, and compares it with the one that was sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from notification_service import bootstrap
from notification_service.channels.push import template_loading as push_loading
from notification_service.channels.push.composer import PushComposer
from notification_service.channels.push.devices import PushService
from notification_service.channels.push.message import OutgoingPush
from notification_service.channels.push.payloads import MAX_PAYLOAD_BYTES, size
from notification_service.channels.sms import template_loading as sms_loading
from notification_service.channels.sms.composer import SmsComposer
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.segments import measure
from notification_service.console.reconstruction import NotMade, compared, ids_of
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.contract.events import Event
from notification_service.delivery import booking_history
from notification_service.delivery.booking_history import BookingHistory
from notification_service.delivery.ports.composer import CompositionError
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.ledger import Record
from notification_service.settings import Settings

_DEVICE = Device("0" * 64)
"""The text is the same for every device."""

Composers = Mapping[ChannelKind, SmsComposer | PushComposer]


@dataclass(frozen=True, slots=True)
class PhoneMessage:
    """A message as a lock screen shows it. `title`: empty for an SMS. `measure`: what it takes of its limits.

    `sure`, `note`: as in `reconstruction.Made`.
    """

    title: str = field(repr=False)
    body: str = field(repr=False)
    measure: str
    sure: bool | None
    note: str


def composers(settings: Settings) -> Composers:
    """Of every channel beside e-mail, whether or not it is switched on now. Raises `ConfigurationError`."""
    folder, profile = bootstrap.templates_directory(settings), bootstrap.profile(settings)
    return {
        ChannelKind.SMS: sms_loading.unchecked(folder, profile, default_country=settings.sms.default_country),
        ChannelKind.PUSH: push_loading.unchecked(folder, profile, tuple(PushService)),
    }


def make(
    record: Record, event: Event, recipient: Recipient, *, history: BookingHistory, composer: SmsComposer | PushComposer
) -> PhoneMessage | NotMade:
    """`history`: the events of its booking on this channel."""
    template = str(record["template"])
    if template not in composer.texts.names:
        return NotMade(f"{template} has no text for this channel.")
    relevance = booking_history.relevance_when_sent(history, str(record["_id"]), event)
    try:
        ids = ids_of(record, template, event)
        message = composer.compose(relevance.event, replace(recipient, device_tokens=(_DEVICE,)), ids)
    except (CompositionError, ValueError, KeyError) as problem:
        return NotMade(f"The message cannot be made: {problem}")
    sure, note = compared(record, message, composer.digest(template))
    title, body, taken = _shown(message)
    return PhoneMessage(title, body, taken, sure, note)


def _shown(message: OutgoingSms | OutgoingPush) -> tuple[str, str, str]:
    if isinstance(message, OutgoingPush):
        return message.title, message.body, f"{size(message)} of {MAX_PAYLOAD_BYTES} bytes"
    found = measure(message.text)
    return "", message.text, f"{found.count} {'segment' if found.count == 1 else 'segments'}, {found.encoding}"
