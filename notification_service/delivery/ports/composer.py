"""What the delivery needs from a kind of channel: an address, limits, and the message that goes out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.delivery.ports.channel import OutgoingMessage
from notification_service.delivery.ports.directory import Recipient


@dataclass(frozen=True, slots=True)
class MessageIds:
    """The ids that a message carries. `template`: the template, or a variant of it such as `payment_failed@b`.

    `date`: when the work on its notification began. `address_digest`: of its recipient, keyed, so that a link names the
    recipient and shows no address; empty if it is not known.
    """

    notification_id: str
    event_id: str
    template: str
    booking_id: str | None
    date: datetime
    address_digest: str = ""


class CompositionError(Exception):
    """A template cannot be rendered; `where` is its `file:line`."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}")
        self.where = where


class Composer(Protocol):
    """Makes the messages of one kind of channel.

    `address_field`: the field of a `Recipient` that holds its address. `optional`: a notification without an
    address is skipped; where it is false, it waits for a person.
    """

    channel: ChannelKind
    address_field: str
    optional: bool

    def address(self, recipient: Recipient) -> str:
        """The address in its comparable form. Raises `NotAnAddressError`."""

    def reference(self, notification_id: str) -> str:
        """The id of the message at the provider, the same for every try: a Message-ID, an apns-id, a tag."""

    def digest(self, template: str) -> str:
        """A digest of the content of a template or variant, shared parts included.

        Raises `CompositionError` or `LookupError` where there is none of this name.
        """

    def compose(self, event: Event, recipient: Recipient, ids: MessageIds) -> OutgoingMessage:
        """Make the message. Raises `CompositionError`."""
