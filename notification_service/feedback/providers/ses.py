"""Amazon SES through SNS: its notifications, and the events of a configuration set, which have another shape."""

from collections.abc import Callable
from datetime import datetime

from notification_service.contract.signals import Signal, SignalKind
from notification_service.contract.suppressions import OPTED_OUT
from notification_service.feedback.details import enhanced_code, mailbox_or_none, one_line
from notification_service.feedback.providers.sns import Sns
from notification_service.feedback.providers.webhooks import Fields, Heard, Webhook, heard, malformed, parse
from notification_service.feedback.status_fields import COMPLAINTS, judged_code

TAG = "notification"
"""The message tag of our mails, which comes back with the events of a configuration set."""

_ID_HEADER = "x-notification-id"
_MAX_RECIPIENTS = 50
"""SES allows no more for one mail."""
_SET_UP = "Successfully validated SNS topic"
"""How the one text begins that is no JSON."""
_USUAL = {"Permanent": "5.0.0", "Transient": "4.0.0", "Undetermined": "4.0.0"}
"""The code of a bounce that says no more than its type."""


class Ses:
    """SNS limits a message to 256 KiB; its JSON in ours is longer by the escapes."""

    name = "ses"
    max_bytes = 512 * 1024

    def __init__(self, sns: Sns) -> None:
        self._sns = sns

    async def read(self, webhook: Webhook) -> Heard:
        text = await self._sns.message(webhook)
        if text is None or text.startswith(_SET_UP):
            return Heard(())
        return _heard(Fields(parse(text.encode("utf-8", "replace")), "Message"))


def _heard(message: Fields) -> Heard:
    name = message.optional("eventType") or message.optional("notificationType")
    read = _READERS.get(name)
    if read is None:
        # Sends, opens, clicks, and the word that a topic was set up; a text without either name is not of SES.
        return Heard(()) if name else malformed("neither eventType nor notificationType is there")
    return read(message, message.fields("mail"))


def _bounces(message: Fields, mail: Fields) -> Heard:
    bounce = message.fields("bounce")
    at, feedback = bounce.moment("timestamp"), bounce.optional("feedbackId") or "bounce"
    kind, sub_type = bounce.optional("bounceType"), bounce.optional("bounceSubType")

    def read(index: int, each: Fields) -> Signal:
        code, detail = _code(kind, sub_type, each), f"{kind} {sub_type}: {each.optional('diagnosticCode')}"
        return _signal(mail, SignalKind.BOUNCED, at, each, f"{feedback}.{index}", code=code, detail=detail)

    return _of_each(bounce, "bouncedRecipients", read)


def _code(kind: str, sub_type: str, recipient: Fields) -> str | None:
    """A refusal that SES calls transient is no fault of the address, whatever its code says."""
    if sub_type == "UnsubscribedRecipient":
        return OPTED_OUT
    said, address = recipient.optional("diagnosticCode"), mailbox_or_none(recipient.optional("emailAddress"))
    usual = _USUAL.get(kind)
    code = judged_code(recipient.optional("status"), said, address) or usual
    passing = kind == "Transient" and not (code or "").startswith(("4.", "5.7.", "5.2.2"))
    return usual if passing else code


def _complaints(message: Fields, mail: Fields) -> Heard:
    complaint = message.fields("complaint")
    at, feedback = complaint.moment("timestamp"), complaint.optional("feedbackId") or "complaint"
    named = complaint.optional("complaintFeedbackType")
    kind = COMPLAINTS.get(named.lower()) if named else SignalKind.COMPLAINED
    if kind is None:
        return Heard(())
    detail = named or complaint.optional("complaintSubType")

    def read(index: int, each: Fields) -> Signal:
        return _signal(mail, kind, at, each, f"{feedback}.{index}", detail=detail)

    return _of_each(complaint, "complainedRecipients", read)


def _deliveries(message: Fields, mail: Fields) -> Heard:
    delivery = message.fields("delivery")
    at, detail = delivery.moment("timestamp"), delivery.optional("smtpResponse")

    def read(entry: tuple[int, object]) -> list[Signal]:
        recipient = Fields({"emailAddress": entry[1]}, "a recipient")
        return [_signal(mail, SignalKind.DELIVERED, at, recipient, f"delivery.{entry[0]}", detail=detail)]

    return heard(list(enumerate(delivery.listed("recipients")[:_MAX_RECIPIENTS])), read)


def _delays(message: Fields, mail: Fields) -> Heard:
    delay = message.fields("deliveryDelay")
    at, kind = delay.moment("timestamp"), delay.optional("delayType")

    def read(index: int, each: Fields) -> Signal:
        said = each.optional("diagnosticCode")
        code = enhanced_code(each.optional("status")) or enhanced_code(said)
        mark = f"delay.{at:%Y%m%dT%H%M%S}.{index}"
        return _signal(mail, SignalKind.DEFERRED, at, each, mark, code=code, detail=f"{kind}: {said}")

    return _of_each(delay, "delayedRecipients", read)


def _rejects(message: Fields, mail: Fields) -> Heard:
    """SES took the mail, and sends it to nobody, since it found a virus in it."""
    reason = message.maybe("reject").optional("reason")
    at = mail.moment("timestamp")
    return Heard(
        [_signal(mail, SignalKind.BOUNCED, at, Fields({}), "reject", code="5.7.0", detail=f"Reject: {reason}")]
    )


_READERS: dict[str, Callable[[Fields, Fields], Heard]] = {
    "Bounce": _bounces,
    "Complaint": _complaints,
    "Delivery": _deliveries,
    "DeliveryDelay": _delays,
    "Reject": _rejects,
}


def _of_each(part: Fields, name: str, read: Callable[[int, Fields], Signal]) -> Heard:
    """A signal for each recipient in a list of the notice."""
    recipients = list(enumerate(part.listed(name)[:_MAX_RECIPIENTS]))
    return heard(recipients, lambda entry: [read(entry[0], Fields(entry[1], "a recipient"))])


def _signal(
    mail: Fields, kind: SignalKind, at: datetime, recipient: Fields, mark: str, *, code: str | None = None, detail: str
) -> Signal:
    address = mailbox_or_none(recipient.optional("emailAddress"))
    message_id = mail.text("messageId")
    return Signal(
        source=Ses.name,
        source_id=f"{message_id}.{mark}",
        kind=kind,
        at=at,
        notification_id=mail.maybe("tags").notification(TAG) or _by_header(mail),
        provider_message_id=message_id,
        address=address,
        code=code,
        detail=one_line(detail, address),
    )


def _by_header(mail: Fields) -> str | None:
    """The id in the headers of our mail, where SES is set to send them along."""
    for each in mail.listed("headers") if "headers" in mail else ():
        header = Fields(each, "a header")
        if header.optional("name").lower() == _ID_HEADER:
            return header.notification("value")
    return None
