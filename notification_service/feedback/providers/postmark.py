"""Postmark's webhooks: a login of ours in the URL, and a JSON object of one of several types. Nothing is signed."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime

from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.details import enhanced_code, mailbox_or_none, one_line
from notification_service.feedback.providers.webhooks import Fields, Heard, Webhook, parse, unsigned
from notification_service.feedback.status_fields import judged_code

TAG = "notification_id"
"""The metadata of our mails, which comes back with each event."""

_BOUNCES = {
    "HardBounce": (SignalKind.BOUNCED, "5.0.0"),
    "BadEmailAddress": (SignalKind.BOUNCED, "5.1.3"),
    "SoftBounce": (SignalKind.BOUNCED, "4.0.0"),
    "DnsError": (SignalKind.BOUNCED, "4.4.4"),
    "Unknown": (SignalKind.BOUNCED, "4.0.0"),
    "Undeliverable": (SignalKind.BOUNCED, "4.0.0"),
    "SpamNotification": (SignalKind.BOUNCED, "5.7.1"),
    "Blocked": (SignalKind.BOUNCED, "5.7.0"),
    "DMARCPolicy": (SignalKind.BOUNCED, "5.7.26"),
    "VirusNotification": (SignalKind.BOUNCED, "5.7.0"),
    "ManuallyDeactivated": (SignalKind.BOUNCED, "ManuallyDeactivated"),
    "SMTPApiError": (SignalKind.BOUNCED, "5.7.0"),
    "Transient": (SignalKind.DEFERRED, "4.0.0"),
    "SpamComplaint": (SignalKind.COMPLAINED, None),
    "Unsubscribe": (SignalKind.UNSUBSCRIBED, None),
    "Subscribe": (SignalKind.RESUBSCRIBED, None),
}
"""The types of a bounce, and the code of those whose details name none. Others, as automatic answers, are silent."""
_OUR_FAULT = ("SpamNotification", "Blocked", "DMARCPolicy", "VirusNotification")


class Postmark:
    """`logins`: `USER:PASSWORD`, each good, so that one can be changed for another."""

    name = "postmark"
    max_bytes = 512 * 1024

    def __init__(self, logins: Sequence[str]) -> None:
        self._logins = [login.encode() for login in logins]

    async def read(self, webhook: Webhook) -> Heard:
        self._verify(webhook.headers.get("authorization", ""))
        body = Fields(parse(webhook.body))
        match body.text("RecordType"):
            case "Bounce" | "SpamComplaint":
                return Heard(_bounce(body))
            case "Delivery":
                at, detail = body.moment("DeliveredAt"), body.optional("Details")
                return Heard([_signal(body, SignalKind.DELIVERED, at, "Recipient", detail=detail)])
            case "SubscriptionChange":
                return Heard(_change(body))
        return Heard(())

    def _verify(self, authorization: str) -> None:
        scheme, _, packed = authorization.partition(" ")
        try:
            given = base64.b64decode(packed.strip(), validate=True) if scheme.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            given = b""
        if not any(hmac.compare_digest(login, given) for login in self._logins):
            unsigned("no login of POSTMARK_WEBHOOK_LOGINS fits")


def _bounce(body: Fields) -> list[Signal]:
    name = body.optional("Type") or body.text("RecordType")
    if name not in _BOUNCES:
        return []
    kind, usual = _BOUNCES[name]
    detail = body.optional("Details") or body.optional("Description")
    if name == "SMTPApiError" and "inactive" in detail.lower():
        usual = name
    address = mailbox_or_none(body.text("Email"))
    said = judged_code("", detail, address) if name == "HardBounce" else enhanced_code(detail)
    code = usual if said is None or (name in _OUR_FAULT and not said.startswith("5.7.")) else said
    at = body.moment("BouncedAt")
    return [_signal(body, kind, at, "Email", code=code, detail=f"{name}: {detail}", own_id=body.identity("ID"))]


def _change(body: Fields) -> list[Signal]:
    """A reader's own choice. What Postmark adds after a bounce or a complaint was reported as such.

    An operator who reactivates an address at Postmark does not speak for its reader.
    """
    at = body.moment("ChangedAt")
    if not body.flag("SuppressSending"):
        if body.optional("Origin") in ("Customer", "Admin"):
            return []
        return [_signal(body, SignalKind.RESUBSCRIBED, at, "Recipient", detail=body.optional("Origin"))]
    if body.optional("SuppressionReason") != "ManualSuppression":
        return []
    return [_signal(body, SignalKind.UNSUBSCRIBED, at, "Recipient", detail=body.optional("Origin"))]


def _signal(
    body: Fields,
    kind: SignalKind,
    at: datetime,
    address_field: str,
    *,
    code: str | None = None,
    detail: str,
    own_id: str = "",
) -> Signal:
    """Only bounces have an id of their own: else the message, what happened and when are one."""
    address = mailbox_or_none(body.text(address_field))
    message = body.optional("MessageID") or None
    return Signal(
        source=Postmark.name,
        source_id=f"bounce.{own_id}"
        if own_id
        else ".".join((message or body.text(address_field), kind, f"{at:%Y%m%dT%H%M%S.%f}")),
        kind=kind,
        at=at,
        notification_id=body.maybe("Metadata").notification(TAG),
        provider_message_id=message,
        address=address,
        code=code,
        detail=one_line(detail, address),
    )
