"""Composes e-mails: renders the event by its template, then writes the result as MIME."""

from notification_service.channels.email import mime
from notification_service.channels.email.mail import Mail, OutgoingEmail
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.rendering import Renderer
from notification_service.content.reader_links import ReaderLinks
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import Event
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.addresses import read_mailbox


class EmailComposer:
    """Composes e-mails. `max_attachment_bytes`: of all attachments together; those that do not fit are left out.

    `reader_links`: None where no link leads by way of our listener.
    """

    channel = ChannelKind.EMAIL
    address_field = "email"
    optional = False

    def __init__(
        self,
        renderer: Renderer,
        sender: SenderIdentity,
        *,
        max_attachment_bytes: int,
        reader_links: ReaderLinks | None = None,
    ) -> None:
        self.renderer = renderer
        self._sender = sender
        self._max_attachment_bytes = max_attachment_bytes
        self._reader_links = reader_links

    def address(self, recipient: Recipient) -> str:
        return read_mailbox(recipient.email or "")

    def reference(self, notification_id: str) -> str:
        return mime.message_id(notification_id, self._sender.domain)

    def digest(self, template: str) -> str:
        return self.renderer.digest(template)

    def compose(self, event: Event, recipient: Recipient, ids: MessageIds) -> OutgoingEmail:
        return self.proof(event, recipient, ids)[1]

    def proof(
        self, event: Event, recipient: Recipient, ids: MessageIds, language: str | None = None
    ) -> tuple[Mail, OutgoingEmail]:
        """Returns the mail in its parts and as it goes out. `language`: one of the renderer's, instead of the event's.

        Raises `CompositionError`.
        """
        max_bytes, made = self._max_attachment_bytes, self._reader_links
        consent = recipient.tracking_consent
        links = made.of(ids.notification_id, ids.address_digest, consent=consent) if made else None
        mail = self.renderer.render(
            ids.template, event, recipient, language, max_attachment_bytes=max_bytes, reader_links=links
        )
        return mail, mime.compose(mail, recipient.email or "", self._sender, ids, max_attachment_bytes=max_bytes)
