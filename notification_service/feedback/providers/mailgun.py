"""Mailgun's webhooks: JSON that holds its own signature, which covers a time and a token and nothing else."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence

from notification_service.contract.signals import Signal, SignalKind
from notification_service.contract.suppressions import COMPLAINED, OPTED_OUT
from notification_service.feedback.details import mailbox_or_none, one_line
from notification_service.feedback.providers.webhooks import (
    Fields,
    Heard,
    Webhook,
    check_age,
    malformed,
    moment_of_seconds,
    parse,
    unsigned,
)
from notification_service.feedback.status_fields import judged_code

TAG = "notification_id"
"""The variable of our mails, which comes back among the user's variables."""

_MAX_TOKENS = 100_000
_MAX_DIGITS = 15
_KINDS = {
    "delivered": SignalKind.DELIVERED,
    "failed": SignalKind.BOUNCED,
    "rejected": SignalKind.BOUNCED,
    "complained": SignalKind.COMPLAINED,
    "unsubscribed": SignalKind.UNSUBSCRIBED,
}
"""`accepted`, `opened`, `clicked` and `stored` say nothing that counts here."""
_REJECTED = "rejected"
_REASONS = {
    "suppress-unsubscribe": OPTED_OUT,
    "suppress-complaint": COMPLAINED,
    "espblock": "5.7.0",
    _REJECTED: "5.7.0",
    "old": "4.4.7",
}
"""Mailgun's own reasons that say more than a server's words: its lists, our reputation, the end of its tries."""


class Mailgun:
    """A token signs one event: with another body it is a copy that somebody made, and is refused.

    Tokens are remembered in this process, the latest 100,000 of them.
    """

    name = "mailgun"
    max_bytes = 256 * 1024

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]
        self._tokens: OrderedDict[str, bytes] = OrderedDict()

    async def read(self, webhook: Webhook) -> Heard:
        body = Fields(parse(webhook.body))
        self._verify(body.fields("signature"), webhook)
        return Heard(_signals(body.fields("event-data")))

    def _verify(self, signature: Fields, webhook: Webhook) -> None:
        timestamp, token, given = signature.identity("timestamp"), signature.text("token"), signature.text("signature")
        content = f"{timestamp}{token}".encode("utf-8", "replace")
        made = (hmac.new(key, content, hashlib.sha256).hexdigest() for key in self._keys)
        if not any(hmac.compare_digest(each.encode(), given.encode("utf-8", "replace")) for each in made):
            unsigned("no key of MAILGUN_WEBHOOK_KEYS fits")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MAX_DIGITS):
            malformed("the signed time is none")
        check_age(moment_of_seconds(int(timestamp), "the signed time"), webhook.now)
        self._use_once(token, hashlib.sha256(webhook.body).digest())

    def _use_once(self, token: str, body: bytes) -> None:
        if self._tokens.setdefault(token, body) != body:
            unsigned("its token was used for another event")
        if len(self._tokens) > _MAX_TOKENS:
            self._tokens.popitem(last=False)


def _signals(event: Fields) -> list[Signal]:
    name = event.text("event")
    kind = _KINDS.get(name)
    if kind is None:
        return []
    if kind is SignalKind.BOUNCED and event.optional("severity") == "temporary":
        kind = SignalKind.DEFERRED
    at = event.seconds("timestamp")
    # What Mailgun rejects went to nobody, and names none.
    address = mailbox_or_none(event.optional("recipient") if name == _REJECTED else event.text("recipient"))
    status = event.maybe("delivery-status")
    number = status.identity("code") if "code" in status else ""
    reason = event.optional("reason") or event.maybe("reject").optional("reason")
    said = " ".join(filter(None, (status.optional("message"), status.optional("description"))))
    variables, headers = event.maybe("user-variables"), event.maybe("message").maybe("headers")
    return [
        Signal(
            source=Mailgun.name,
            # Mailgun promises that an id is unique within its day.
            source_id=f"{at:%Y%m%d}.{event.identity('id')}",
            kind=kind,
            at=at,
            notification_id=variables.notification(TAG),
            provider_message_id=headers.optional("message-id").strip("<>") or None,
            address=address,
            code=_REASONS.get(name if name == _REJECTED else reason)
            or judged_code(status.optional("enhanced-code"), f"{number} {said}", address),
            detail=one_line(": ".join(filter(None, (reason, said))), address),
        )
    ]
