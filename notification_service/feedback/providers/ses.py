"""Amazon SES through SNS: its notifications, and the events of a configuration set, which have another shape."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.details import enhanced_code, mailbox_or_none, one_line
from notification_service.feedback.providers.sns import Sns
from notification_service.feedback.providers.webhooks import Fields, Heard, Webhook, malformed, parse

TAG = "notification"
"""The message tag of our mails, which comes back with the events of a configuration set."""

_ID_HEADER = "x-notification-id"
_MAX_RECIPIENTS = 50
"""SES allows no more for one mail."""


class Ses:
    """SNS limits a message to 256 KiB; its JSON in ours is longer by the escapes."""

    name = "ses"
    max_bytes = 512 * 1024

    def __init__(self, sns: Sns) -> None:
        self._sns = sns

    async def read(self, webhook: Webhook) -> Heard:
        text = await self._sns.message(webhook)
        return Heard(()) if text is None else Heard(_signals(Fields(parse(text.encode("utf-8", "replace")), "Message")))


def _signals(message: Fields) -> list[Signal]:
    name = message.optional("eventType") or message.optional("notificationType")
    read = _READERS.get(name)
    if read is None:
        # Sends, opens, clicks, and the word that a topic was set up; a text without either name is not of SES.
        return [] if name else malformed("neither eventType nor notificationType is there")
    mail = message.fields("mail")
    return list(read(message, mail))


def _bounces(message: Fields, mail: Fields) -> Iterator[Signal]:
    bounce = message.fields("bounce")
    at, feedback = bounce.moment("timestamp"), bounce.optional("feedbackId") or "bounce"
    kind_of_bounce = bounce.optional("bounceType")
    usual = "4.0.0" if kind_of_bounce == "Transient" else "5.0.0" if kind_of_bounce == "Permanent" else None
    for index, each in enumerate(_recipients(bounce, "bouncedRecipients")):
        said = each.optional("diagnosticCode")
        code = enhanced_code(each.optional("status")) or enhanced_code(said) or usual
        specific = enhanced_code(said)
        if code and code.endswith(".0.0") and specific and specific[0] == code[0]:
            code = specific
        detail = f"{kind_of_bounce} {bounce.optional('bounceSubType')}: {said}"
        yield _signal(mail, SignalKind.BOUNCED, at, each, f"{feedback}.{index}", code=code, detail=detail)


def _complaints(message: Fields, mail: Fields) -> Iterator[Signal]:
    complaint = message.fields("complaint")
    at, feedback = complaint.moment("timestamp"), complaint.optional("feedbackId") or "complaint"
    detail = complaint.optional("complaintFeedbackType") or complaint.optional("complaintSubType")
    if detail == "not-spam":
        return
    for index, each in enumerate(_recipients(complaint, "complainedRecipients")):
        yield _signal(mail, SignalKind.COMPLAINED, at, each, f"{feedback}.{index}", detail=detail)


def _deliveries(message: Fields, mail: Fields) -> Iterator[Signal]:
    delivery = message.fields("delivery")
    at, detail = delivery.moment("timestamp"), delivery.optional("smtpResponse")
    for index, address in enumerate(delivery.listed("recipients")[:_MAX_RECIPIENTS]):
        recipient = Fields({"emailAddress": address}, "a recipient")
        yield _signal(mail, SignalKind.DELIVERED, at, recipient, f"delivery.{index}", detail=detail)


def _delays(message: Fields, mail: Fields) -> Iterator[Signal]:
    delay = message.fields("deliveryDelay")
    at, kind = delay.moment("timestamp"), delay.optional("delayType")
    for index, each in enumerate(_recipients(delay, "delayedRecipients")):
        said = each.optional("diagnosticCode")
        code = enhanced_code(each.optional("status")) or enhanced_code(said)
        mark = f"delay.{at:%Y%m%dT%H%M%S}.{index}"
        yield _signal(mail, SignalKind.DEFERRED, at, each, mark, code=code, detail=f"{kind}: {said}")


def _rejects(message: Fields, mail: Fields) -> Iterator[Signal]:
    """SES took the mail, and sends it to nobody, since it found a virus in it."""
    reason = message.maybe("reject").optional("reason")
    at = mail.moment("timestamp")
    yield _signal(mail, SignalKind.BOUNCED, at, Fields({}), "reject", code="5.7.0", detail=f"Reject: {reason}")


_READERS: dict[str, Callable[[Fields, Fields], Iterator[Signal]]] = {
    "Bounce": _bounces,
    "Complaint": _complaints,
    "Delivery": _deliveries,
    "DeliveryDelay": _delays,
    "Reject": _rejects,
}


def _recipients(part: Fields, name: str) -> Sequence[Fields]:
    return [Fields(each, "a recipient") for each in part.listed(name)[:_MAX_RECIPIENTS]]


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
