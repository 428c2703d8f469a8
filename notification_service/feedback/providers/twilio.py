"""Twilio's callbacks: form fields, signed with the account's token over the URL that Twilio was given.

What became of an SMS comes under the notification's id; a person's STOP and START come under `inbound`.
"""

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.providers.webhooks import Heard, Webhook, malformed, unsigned

INBOUND = "inbound"
_NOTIFICATION = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_KINDS = {
    "delivered": SignalKind.DELIVERED,
    "read": SignalKind.DELIVERED,
    "undelivered": SignalKind.BOUNCED,
    "failed": SignalKind.BOUNCED,
}
_STOPS = ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "revoke", "arret", "arrete", "arrett")
"""Twilio's own words. Each counts only as the whole message: `please stop by later` is none."""
_STOPS_OF_LANGUAGES = (
    *("arrêt", "arrête", "désabonner", "baja", "alto", "parar", "stopp", "abmelden", "abbestellen"),
    *("रोकें", "बंद", "बंद करें", "停止", "配信停止", "解除", "إيقاف", "ايقاف", "توقف", "إلغاء الاشتراك"),
)
"""What readers answer in the languages that we write in. Twilio goes on sending to them, and we do not."""
_START = frozenset({"start", "yes", "unstop"})
_BETWEEN = re.compile(r"[\W_]+")
_MAX_FIELDS = 100


class Twilio:
    """`origin`: of the public listener, as Twilio knows it. `tokens`: of the account, each good."""

    name = "twilio"
    max_bytes = 64 * 1024

    def __init__(self, origin: str, tokens: Sequence[str]) -> None:
        self._origin = origin
        self._tokens = [token.encode() for token in tokens]

    async def read(self, webhook: Webhook) -> Heard:
        fields = _fields(webhook.body)
        self._verify(webhook, fields)
        form = dict(fields)
        about = webhook.path.rpartition("/")[2]
        if about == INBOUND:
            return Heard(_from_a_person(form, webhook))
        return Heard(_of_a_message(form, webhook, about if _NOTIFICATION.fullmatch(about) else None))

    def _verify(self, webhook: Webhook, fields: Sequence[tuple[str, str]]) -> None:
        given = webhook.headers.get("x-twilio-signature", "").encode()
        query = f"?{webhook.query}" if webhook.query else ""
        for url in _spellings(f"{self._origin}{webhook.path}{query}"):
            for token in self._tokens:
                if hmac.compare_digest(signature(token, url, fields), given):
                    return
        unsigned("no token of TWILIO_AUTH_TOKEN and no URL under CALLBACK_URL fits")


def signature(token: bytes, url: str, fields: Sequence[tuple[str, str]]) -> bytes:
    """https://www.twilio.com/docs/usage/security: the URL, then each name and value in the order of the names."""
    text = url + "".join(f"{name}{value}" for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(token, text.encode(), hashlib.sha1).digest())


def _spellings(url: str) -> Iterator[str]:
    """The URL without and with its port: Twilio signs either, and a proxy in between may change it."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(f":{parts.port}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for netloc in (host, f"{host}:{port}"):
        yield parts._replace(netloc=netloc).geturl()


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MAX_FIELDS)
    except ValueError:
        malformed("it is no form")


def _of_a_message(form: Mapping[str, str], webhook: Webhook, notification_id: str | None) -> list[Signal]:
    said, sid = form.get("MessageStatus", ""), form.get("MessageSid", "")
    kind = _KINDS.get(said)
    if kind is None:
        return []
    if not sid:
        malformed("MessageSid is missing")
    code = form.get("ErrorCode") or None
    return [
        Signal(
            source=Twilio.name,
            source_id=f"{sid}.{said}",
            kind=kind,
            at=webhook.now,
            channel=ChannelKind.SMS,
            notification_id=notification_id,
            provider_message_id=sid,
            address=_number(form.get("To")),
            code=code,
            detail=f"{said} {code or ''}".strip(),
        )
    ]


def _from_a_person(form: Mapping[str, str], webhook: Webhook) -> list[Signal]:
    word = _word(form.get("OptOutType") or form.get("Body", ""))
    kind = SignalKind.UNSUBSCRIBED if word in _STOP else SignalKind.RESUBSCRIBED if word in _START else None
    number, sid = _number(form.get("From")), form.get("MessageSid", "")
    if kind is None or number is None or not sid:
        return []
    return [
        Signal(
            source=Twilio.name,
            source_id=f"{sid}.{kind}",
            kind=kind,
            at=webhook.now,
            channel=ChannelKind.SMS,
            address=number,
            detail=f"answered {word}",
        )
    ]


def _word(text: str) -> str:
    """The letters and digits alone, in small letters: `STOP !`, `stop all` and `opt-out` are Twilio's words too."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text)).casefold()


_STOP = frozenset(map(_word, (*_STOPS, *_STOPS_OF_LANGUAGES)))


def _number(text: str | None) -> str | None:
    return text if text and _NUMBER.fullmatch(text) else None
