"""Makes the mail of a record again, and compares it with the one that was sent."""

from dataclasses import dataclass, field

from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mail import Mail, OutgoingEmail
from notification_service.channels.email.mime import AttachmentError
from notification_service.contract import events
from notification_service.contract.events import Event
from notification_service.contract.variants import Variant, variant_name
from notification_service.delivery import booking_history
from notification_service.delivery.booking_history import BookingHistory
from notification_service.delivery.ports.channel import OutgoingMessage
from notification_service.delivery.ports.composer import CompositionError, MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.ledger import Record
from notification_service.records.reconciliation import stored_event


@dataclass(frozen=True, slots=True)
class Made:
    """`sure`: whether its bytes are those that were handed over; None if the record has no digest of them."""

    mail: Mail
    message: OutgoingEmail = field(repr=False)
    sure: bool | None
    note: str


@dataclass(frozen=True, slots=True)
class NotMade:
    why: str


def event_of(record: Record) -> Event | NotMade:
    """Returns the event of a record."""
    if not record.get("template"):
        return NotMade("The event could not be read, so no message belongs to it.")
    if not record.get("event_data"):
        return NotMade("The record no longer holds its event.")
    data = stored_event(record)
    if data is None:
        return NotMade(
            "The record does not hold the whole event: it shows addresses masked (RECORD_RECIPIENT=masked), or "
            "the database could not hold all of it."
        )
    event = events.parse(data, str(record.get("event_type")))
    return event or NotMade("The service has no such event type.")


def make(
    record: Record,
    event: Event,
    recipient: Recipient,
    *,
    history: BookingHistory,
    composer: EmailComposer,
) -> Made | NotMade:
    """`history`: the events of its booking."""
    template = variant_name(str(record["template"]), sent_variant(record))
    relevance = booking_history.relevance_when_sent(history, str(record["_id"]), event)
    try:
        ids = ids_of(record, template, event)
        mail, message = composer.proof(relevance.event, recipient, ids)
    except (CompositionError, AttachmentError, ValueError, KeyError) as problem:
        return NotMade(f"The mail cannot be made: {problem}")
    sure, note = compared(record, message, composer.digest(message.template))
    return Made(mail, message, sure, note)


def sent_variant(record: Record) -> Variant | None:
    """The variant that was sent; None where the record has no part in a test."""
    return Variant(record["variant"]) if record.get("variant") in tuple(Variant) else None


def ids_of(record: Record, template: str, event: Event) -> MessageIds:
    """`template`: or its variant. Raises `KeyError` where the record has no time."""
    event_id, created_at = str(record.get("event_id")), record["created_at"]
    return MessageIds(str(record["_id"]), event_id, template, event.booking_id, created_at)


def compared(record: Record, message: OutgoingMessage, template_digest: str) -> tuple[bool | None, str]:
    """Whether it is the one that was handed over, and how one knows. `template_digest`: of the template now."""
    known = record.get("mail_digest")
    if known == message.digest:
        return True, "Made again from the record; byte for byte the message of this notification."
    changed = record.get("template_digest") != template_digest
    why = "its template has changed since" if changed else "a setting, the user or the booking has changed since"
    if known:
        return False, f"As it would be made now. The message that was sent differs: {why}."
    if changed:
        return None, "As it would be made now; its template has changed since the record was created."
    return None, "As it would be made now; the record does not hold the digest of a message to compare it with."
