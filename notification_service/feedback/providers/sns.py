"""Messages of Amazon SNS: which are signed by it, and whose topic they are of.

A valid signature says that some topic of somebody at AWS sent this: whose it is, the list of topics decides.
"""

import base64
import binascii
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from notification_service.channels.http_client import HttpClient, Response
from notification_service.feedback.providers.webhooks import (
    CallbackRefusedError,
    CannotVerifyError,
    Fields,
    Webhook,
    check_age,
    malformed,
    parse,
    unsigned,
)

log = structlog.get_logger(__name__)

_HOST = r"https://sns\.[a-z0-9-]{3,30}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE_URL = re.compile(rf"{_HOST}/[A-Za-z0-9_-]{{1,200}}\.pem")
_SUBSCRIBE_URL = re.compile(rf"{_HOST}/\?[A-Za-z0-9_.%=&:-]{{1,2000}}")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED_FIELDS = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES = {"1": SHA1, "2": SHA256}
_MAX_CERTIFICATES = 20
_FORGET_FAILURE_S = 60.0
_TIMEOUT_S = 5.0

Get = Callable[[str], Awaitable[tuple[int, bytes]]]
"""Asks a URL, and returns status and body. Raises `CannotVerifyError` where nobody answers."""


async def get(url: str) -> tuple[int, bytes]:
    """Without following a redirect. An answer that breaks off, or is longer than 512 KiB, counts as none."""
    client = HttpClient(tls=ssl.create_default_context(), timeout=_TIMEOUT_S, max_connections=1)
    try:
        answer = await client.request("GET", url, headers={})
    finally:
        await client.close()
    if isinstance(answer, Response) and answer.complete:
        return answer.status, answer.body
    raise CannotVerifyError(f"{urlsplit(url).hostname} does not answer: {getattr(answer, 'text', 'it breaks off')}")


class Certificates:
    """The signing certificates of SNS by their URL, asked for once; what was none is not asked for again at once."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._known: OrderedDict[str, x509.Certificate] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()

    async def at(self, url: str) -> x509.Certificate:
        """Raises `CallbackRefusedError` where the URL is not SNS's or leads to no certificate, `CannotVerifyError`."""
        if not _CERTIFICATE_URL.fullmatch(url):
            unsigned("the certificate does not come from sns.<region>.amazonaws.com")
        if self._refused.get(url, 0.0) > time.monotonic():
            unsigned("there is no certificate")
        if url not in self._known:
            self._remember(url, *await self._get(url))
        return self._known[url]

    def _remember(self, url: str, status: int, body: bytes) -> None:
        if status >= 500:  # noqa: PLR2004 - RFC 9110 §15.6
            raise CannotVerifyError(f"SNS answers {status} for its certificate")
        certificate = _certificate(body) if status == 200 else None  # noqa: PLR2004 - RFC 9110 §15.3.1
        if certificate is None:
            self._refused[url] = time.monotonic() + _FORGET_FAILURE_S
            _keep_latest(self._refused)
            unsigned("there is no certificate")
        self._known[url] = certificate
        _keep_latest(self._known)


def _certificate(body: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(body)
    except ValueError:
        return None


def _keep_latest(kept: "OrderedDict[str, Any]") -> None:
    if len(kept) > _MAX_CERTIFICATES:
        kept.popitem(last=False)


class Sns:
    """`topics`: the ARNs that are listened to; everything else is refused before anything is asked of anybody."""

    def __init__(self, topics: Collection[str], get: Get = get) -> None:
        self._topics = frozenset(topics)
        self._get = get
        self._certificates = Certificates(get)

    async def message(self, webhook: Webhook) -> str | None:
        """The text that a topic of ours sends; None for a message about the subscription, which is dealt with.

        Raises `CallbackRefusedError` and `CannotVerifyError`.
        """
        if webhook.headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            malformed("raw message delivery carries no signature: turn it off for this subscription")
        envelope = Fields(parse(webhook.body))
        kind, topic = envelope.text("Type"), envelope.text("TopicArn")
        if kind not in _SIGNED_FIELDS:
            malformed("its Type is none of SNS")
        if topic not in self._topics:
            raise CallbackRefusedError(403, "This topic is not listened to: SES_TOPICS does not name it.")
        await self._verify(envelope, kind, webhook)
        match kind:
            case "Notification":
                return envelope.whole_text("Message")
            case "SubscriptionConfirmation":
                await self._confirm(envelope.whole_text("SubscribeURL"), topic)
            case _:
                log.warning("callbacks.unsubscribed", topic=topic, meaning="SNS sends no more of this topic")
        return None

    async def _verify(self, envelope: Fields, kind: str, webhook: Webhook) -> None:
        version = envelope.text("SignatureVersion")
        if version not in _HASHES:
            unsigned("its SignatureVersion is neither 1 nor 2")
        signed_at = envelope.moment("Timestamp")
        try:
            signature = base64.b64decode(envelope.text("Signature"), validate=True)
        except (binascii.Error, ValueError):
            unsigned("the signature is no base64")
        certificate = await self._certificates.at(envelope.text("SigningCertURL"))
        if not certificate.not_valid_before_utc <= webhook.now <= certificate.not_valid_after_utc:
            unsigned("the certificate is not valid now")
        if not _is_signed(certificate, signature, canonical(envelope, kind), version):
            unsigned("the certificate does not fit")
        check_age(signed_at, webhook.now)

    async def _confirm(self, url: str, topic: str) -> None:
        """Visit the URL that SNS signed: the topic stands in SES_TOPICS, so a person has agreed to it."""
        query = parse_qs(urlsplit(url).query)
        if not _SUBSCRIBE_URL.fullmatch(url) or query.get("TopicArn") != [topic]:
            raise CallbackRefusedError(403, "The SubscribeURL does not lead to SNS.")
        status, _ = await self._get(url)
        if status != 200:  # noqa: PLR2004 - RFC 9110 §15.3.1
            raise CannotVerifyError(f"SNS answers {status} to the confirmation of {topic}")
        log.info("callbacks.subscribed", topic=topic)


def canonical(envelope: Fields, kind: str) -> bytes:
    """What SNS signs: names and values of some fields, each on a line; a Subject only where there is one."""
    names = [name for name in _SIGNED_FIELDS[kind] if name != "Subject" or name in envelope]
    return "".join(f"{name}\n{envelope.whole_text(name)}\n" for name in names).encode("utf-8", "surrogatepass")


def _is_signed(certificate: x509.Certificate, signature: bytes, content: bytes, version: str) -> bool:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        # SHA-1 is what SignatureVersion 1 has; a topic can be set to 2, which docs/feedback.md asks for.
        key.verify(signature, content, padding.PKCS1v15(), _HASHES[version]())
    except InvalidSignature:
        return False
    return True
