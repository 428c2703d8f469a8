"""SendGrid's Signed Event Webhook: ECDSA over the time and the raw body; a list of events."""

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from notification_service.contract.signals import Signal, SignalKind
from notification_service.contract.suppressions import COMPLAINED, OPTED_OUT
from notification_service.feedback.details import enhanced_code, mailbox_or_none, one_line
from notification_service.feedback.providers.webhooks import (
    Fields,
    Heard,
    Webhook,
    check_age,
    heard,
    malformed,
    moment_of_seconds,
    parse,
    unsigned,
)
from notification_service.feedback.status_fields import judged_code

TAG = "notification_id"
"""The unique argument of our mails, which comes back as a field of each event."""

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_MAX_EVENTS = 5000
_MAX_DIGITS = 15
_KINDS = {
    "deferred": SignalKind.DEFERRED,
    "delivered": SignalKind.DELIVERED,
    "bounce": SignalKind.BOUNCED,
    "blocked": SignalKind.BOUNCED,
    "dropped": SignalKind.BOUNCED,
    "spamreport": SignalKind.COMPLAINED,
    "unsubscribe": SignalKind.UNSUBSCRIBED,
    "group_unsubscribe": SignalKind.UNSUBSCRIBED,
    "group_resubscribe": SignalKind.RESUBSCRIBED,
}
"""`processed`, `open` and `click` say nothing that counts here."""
_FAILURES = ("deferred", "bounce", "blocked", "dropped")
_REFUSED_FOR_POLICY, _FOR_NOW = "5.7.0", "4.0.0"
_DROPS = {
    "bounced address": None,
    "invalid": None,
    "": None,
    "unsubscribed address": OPTED_OUT,
    "spam reporting address": COMPLAINED,
}
"""Why SendGrid did not send, and the code of it; None: the address is at fault. Anything else is about us."""
_NOT_ABOUT_US = ("technical", "mailbox unavailable", "invalid address")
"""Classes of a block that are about the mailbox and its server at the time."""


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """The key that SendGrid shows: DER in base64. Raises `ValueError` for anything else, or for another curve."""
    key = load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError("the key is not one of P-256")
    return key


class SendGrid:
    """`keys`: each verifies, so that one can be changed for another."""

    name = "sendgrid"
    max_bytes = 1024 * 1024

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [public_key(each) for each in keys]

    async def read(self, webhook: Webhook) -> Heard:
        signed_at = self._verified(webhook)
        check_age(signed_at, webhook.now)
        events = parse(webhook.body)
        if not isinstance(events, list) or len(events) > _MAX_EVENTS:
            malformed("the body is no list of events")
        return heard(events, lambda each: _signals(Fields(each, "an event")))

    def _verified(self, webhook: Webhook) -> datetime:
        """The time that is signed with the body. Raises `CallbackRefusedError`."""
        timestamp = webhook.headers.get(_TIMESTAMP, "")
        try:
            signature = base64.b64decode(webhook.headers.get(_SIGNATURE, ""), validate=True)
        except (binascii.Error, ValueError):
            unsigned("the signature is no base64")
        if not (signature and timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_DIGITS):
            unsigned("signature or time is missing")
        if not any(_is_signed(key, signature, timestamp.encode() + webhook.body) for key in self._keys):
            unsigned("no key of SENDGRID_WEBHOOK_KEYS fits")
        return moment_of_seconds(int(timestamp), "the signed time")


def _is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _signals(event: Fields) -> list[Signal]:
    name = event.text("event")
    kind = _KINDS.get(name)
    if kind is None:
        return []
    address = mailbox_or_none(event.text("email"))
    reason = " ".join(filter(None, (event.optional("reason"), event.optional("response"))))
    return [
        Signal(
            source=SendGrid.name,
            source_id=event.identity("sg_event_id"),
            kind=kind,
            at=event.seconds("timestamp"),
            notification_id=event.notification(TAG),
            # The id of the 250 comes back with what happened to it inside SendGrid behind a dot.
            provider_message_id=event.optional("sg_message_id").partition(".")[0] or None,
            address=address,
            code=_code(name, event, reason, address),
            detail=one_line(reason, address),
        )
    ]


def _code(name: str, event: Fields, reason: str, address: str | None) -> str | None:
    """Of a block, which is about us and not about the mailbox, no code that says otherwise."""
    code = judged_code(event.optional("status"), reason, address) if name in _FAILURES else enhanced_code(reason)
    if name == "dropped":
        return _DROPS.get(reason.strip().lower(), _REFUSED_FOR_POLICY) or code or "dropped"
    if name != "blocked" and event.optional("type") != "blocked":
        return code
    if (code or "").startswith(("4.", "5.7.", "5.2.2")):
        return code
    return _FOR_NOW if event.optional("bounce_classification").lower() in _NOT_ABOUT_US else _REFUSED_FOR_POLICY
