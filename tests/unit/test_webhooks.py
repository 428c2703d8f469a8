"""What each provider sends: verified by vectors that others made, then read."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, strategies as st

from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.providers import sns
from notification_service.feedback.providers.mailgun import Mailgun
from notification_service.feedback.providers.postmark import Postmark
from notification_service.feedback.providers.sendgrid import SendGrid
from notification_service.feedback.providers.ses import Ses
from notification_service.feedback.providers.sns import Sns
from notification_service.feedback.providers.webhooks import (
    CallbackRefusedError,
    CannotVerifyError,
    Fields,
    Provider,
    Webhook,
)

FOLDER = Path(__file__).parent / "webhooks"
SNS = json.loads((FOLDER / "sns.json").read_text("utf-8"))
SENDGRID = json.loads((FOLDER / "sendgrid.json").read_text("utf-8"))
NOW = datetime(2026, 11, 29, 10, 5, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-feedback"
NOTIFICATION = "0123456789abcdef0123456789abcdef"
JANE = "jane.smith@example.com"


async def hear(
    provider: Provider, body: object, headers: Mapping[str, str] | None = None, now: datetime = NOW
) -> list[Signal]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list((await provider.read(Webhook(headers or {}, content, now))).signals)


async def refused(
    provider: Provider, body: object, headers: Mapping[str, str] | None = None, now: datetime = NOW
) -> int:
    with pytest.raises(CallbackRefusedError) as caught:
        await hear(provider, body, headers, now)
    line = str(caught.value)
    assert line
    assert line.isprintable()
    return caught.value.status


# ── Amazon SNS and SES ──────────────────────────────────────────────────────────────────────────────────────────────


class Amazon:
    """Answers what SNS answers, and remembers what it was asked."""

    def __init__(self, status: int = 200, body: bytes = SNS["certificate"].encode()) -> None:
        self.status, self.body = status, body
        self.asked: list[str] = []

    async def get(self, url: str) -> tuple[int, bytes]:
        self.asked.append(url)
        return self.status, self.body


def ses(amazon: Amazon | None = None, topics: tuple[str, ...] = (TOPIC,)) -> Ses:
    return Ses(Sns(topics, (amazon or Amazon()).get))


class OwnKey:
    """A key and a certificate of ours, for messages that no vector has."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(1).not_valid_before(NOW - timedelta(days=1))
        certificate = builder.not_valid_after(NOW + timedelta(days=1)).sign(self.key, SHA256())
        self.amazon = Amazon(body=certificate.public_bytes(Encoding.PEM))

    def signed(self, message: object, **changes: str) -> dict[str, str]:
        text = message if isinstance(message, str) else json.dumps(message)
        envelope = {
            "Type": "Notification",
            "MessageId": "1",
            "TopicArn": TOPIC,
            "Message": text,
            "SignatureVersion": "2",
            "Timestamp": "2026-11-29T10:00:03.000Z",
            "SigningCertURL": SNS["certificate_url"],
            **changes,
        }
        content = sns.canonical(Fields(envelope), envelope["Type"])
        chosen = SHA256() if envelope["SignatureVersion"] == "2" else SHA1()  # noqa: S303 - SignatureVersion 1 is that
        envelope["Signature"] = base64.b64encode(self.key.sign(content, padding.PKCS1v15(), chosen)).decode()
        return envelope


@pytest.fixture(scope="module")
def own() -> OwnKey:
    return OwnKey()


@pytest.mark.parametrize("name", [name for name in SNS["messages"] if name.startswith("notification")])
async def test_what_two_other_validators_of_sns_find_valid_is_heard(name: str) -> None:
    (signal,) = await hear(ses(), SNS["messages"][name])
    assert (signal.kind, signal.code, signal.address) == (SignalKind.BOUNCED, "5.1.1", JANE)
    assert signal.notification_id == NOTIFICATION
    assert signal.provider_message_id == "0100019acc5dfa00-11111111-2222-3333-4444-555555555555-000000"
    assert JANE not in signal.detail


@pytest.mark.parametrize("field", ["Message", "MessageId", "Timestamp", "Subject", "Signature", "SignatureVersion"])
async def test_no_field_that_is_signed_can_be_changed(field: str) -> None:
    envelope = dict(SNS["messages"]["notification-v2-subject"])
    envelope[field] = {"SignatureVersion": "1", "Timestamp": "2026-11-29T10:00:04.000Z"}.get(field, "eA==")
    assert await refused(ses(), envelope) == 401


async def test_another_topic_is_refused_before_anything_is_asked_of_anybody() -> None:
    amazon = Amazon()
    assert (
        await refused(ses(amazon, ("arn:aws:sns:eu-west-1:123456789012:other",)), SNS["messages"]["notification-v2"])
        == 403
    )
    assert amazon.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://user@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?x=1",
        "https://sns.eu-west-1.amazonaws.com/../a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem#x",
        "https://sns.eu-west-1.amazonaws.com/a.pem\n",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://s3.amazonaws.com/a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://169.254.169.254/a.pem",
        "file:///etc/a.pem",
        "",
    ],
)
async def test_a_certificate_from_anywhere_else_is_not_asked_for(url: str) -> None:
    amazon = Amazon()
    assert await refused(ses(amazon), {**SNS["messages"]["notification-v2"], "SigningCertURL": url}) in (400, 401)
    assert amazon.asked == []


async def test_a_certificate_is_asked_for_once_and_one_that_is_none_is_not_asked_for_at_once_again() -> None:
    amazon = Amazon()
    listening = ses(amazon)
    for _ in range(5):
        await hear(listening, SNS["messages"]["notification-v1"])
    assert len(amazon.asked) == 1
    broken = Amazon(404, b"")
    listening = ses(broken)
    for _ in range(5):
        assert await refused(listening, SNS["messages"]["notification-v1"]) == 401
    assert len(broken.asked) == 1


async def test_where_the_certificate_cannot_be_had_just_now_the_message_comes_again() -> None:
    with pytest.raises(CannotVerifyError):
        await hear(ses(Amazon(503)), SNS["messages"]["notification-v1"])


async def test_redirects_are_not_followed_and_no_answer_is_read_without_end(own: OwnKey) -> None:
    for body in (b"", b"<html>", b"x" * 100_000):
        assert await refused(ses(Amazon(302, body)), SNS["messages"]["notification-v2"]) == 401
        assert await refused(ses(Amazon(200, body)), SNS["messages"]["notification-v2"]) == 401


async def test_another_certificate_and_one_that_is_over_do_not_fit(own: OwnKey) -> None:
    assert await refused(ses(own.amazon), SNS["messages"]["notification-v2"]) == 401
    late = NOW + timedelta(days=2)
    assert await refused(ses(own.amazon), own.signed({}, Timestamp=late.isoformat()), now=late) == 401


@pytest.mark.parametrize(("age", "heard"), [(-4, True), (-6, False), (71 * 60, True), (73 * 60, False)])
async def test_age_is_judged_by_the_signed_time(age: int, heard: bool) -> None:  # noqa: FBT001 - what is expected
    signed_at = datetime(2026, 11, 29, 10, 0, 3, tzinfo=UTC)
    now, message = signed_at + timedelta(minutes=age), SNS["messages"]["notification-v2"]
    if heard:
        assert len(await hear(ses(), message, now=now)) == 1
    else:
        assert await refused(ses(), message, now=now) == 401


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_subscription_to_a_topic_of_ours_is_confirmed_and_to_no_other(version: str) -> None:
    message, amazon = SNS["messages"][f"subscription-v{version}"], Amazon()
    assert await hear(ses(amazon), message) == []
    assert amazon.asked == [SNS["certificate_url"], message["SubscribeURL"]]
    stranger = Amazon()
    assert await refused(ses(stranger, ("arn:aws:sns:eu-west-1:123456789012:other",)), message) == 403
    assert stranger.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + TOPIC.replace("mail", "other"),
        "http://sns.eu-west-1.amazonaws.com/?TopicArn=" + TOPIC,
        "https://sns.eu-west-1.amazonaws.com/other?TopicArn=" + TOPIC,
    ],
)
async def test_a_confirmation_that_leads_elsewhere_is_not_visited(own: OwnKey, url: str) -> None:
    own.amazon.asked.clear()
    message = own.signed("text", Type="SubscriptionConfirmation", SubscribeURL=url, Token="t")
    assert await refused(ses(own.amazon), message) == 403
    assert url not in own.amazon.asked


async def test_raw_delivery_is_refused_since_it_carries_no_signature() -> None:
    headers = {"x-amz-sns-rawdelivery": "true"}
    assert await refused(ses(), {"notificationType": "Bounce"}, headers) == 400


MAIL = {"messageId": "m-1", "timestamp": "2026-11-29T10:00:01.000Z", "tags": {"notification": [NOTIFICATION]}}
AT = "2026-11-29T10:00:02.000Z"


def event(name: str, part: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"eventType": name, "mail": MAIL, part: {"timestamp": AT, **fields}}


async def test_events_of_a_configuration_set_are_read_as_notifications_are(own: OwnKey) -> None:
    bounced = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": JANE, "status": "5.1.1"}]}
    full = {"bounceType": "Transient", "bouncedRecipients": [{"emailAddress": JANE, "diagnosticCode": "4.2.2 full"}]}
    bare = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": JANE}]}
    late = {"delayType": "MailboxFull", "delayedRecipients": [{"emailAddress": JANE, "status": "4.2.2"}]}
    cases: list[tuple[dict[str, Any], list[tuple[SignalKind, str | None]]]] = [
        (event("Bounce", "bounce", bounced), [(SignalKind.BOUNCED, "5.1.1")]),
        (event("Bounce", "bounce", full), [(SignalKind.BOUNCED, "4.2.2")]),
        (event("Bounce", "bounce", bare), [(SignalKind.BOUNCED, "5.0.0")]),
        (
            event("Complaint", "complaint", {"complainedRecipients": [{"emailAddress": JANE}]}),
            [(SignalKind.COMPLAINED, None)],
        ),
        (
            event("Delivery", "delivery", {"recipients": [JANE], "smtpResponse": "250 ok"}),
            [(SignalKind.DELIVERED, None)],
        ),
        (event("DeliveryDelay", "deliveryDelay", late), [(SignalKind.DEFERRED, "4.2.2")]),
        (event("Reject", "reject", {"reason": "Bad content"}), [(SignalKind.BOUNCED, "5.7.0")]),
        (event("Send", "send", {}), []),
        (event("Open", "open", {}), []),
        ({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have successfully subscribed"}, []),
    ]
    for message, expected in cases:
        found = await hear(ses(own.amazon), own.signed(message))
        assert [(each.kind, each.code) for each in found] == expected
        assert all(each.notification_id == NOTIFICATION for each in found)


@pytest.mark.parametrize(
    ("bounce_type", "sub_type", "said", "code"),
    [
        ("Transient", "AttachmentRejected", {"status": "5.6.1"}, "4.0.0"),
        ("Transient", "MessageTooLarge", {"status": "5.3.4"}, "4.0.0"),
        ("Transient", "ContentRejected", {"status": "5.7.1"}, "5.7.1"),
        ("Transient", "MailboxFull", {"status": "5.2.2"}, "5.2.2"),
        ("Undetermined", "Undetermined", {}, "4.0.0"),
        ("Permanent", "UnsubscribedRecipient", {"status": "5.1.1"}, "unsubscribed"),
        ("Permanent", "General", {"status": "5.0.0", "diagnosticCode": "smtp; 550 no such user here"}, "5.1.1"),
        ("Permanent", "General", {"diagnosticCode": "smtp; 554 Client host blocked using zen.spamhaus.org"}, "5.7.0"),
    ],
)
async def test_a_bounce_of_ses_counts_as_ses_classes_it(
    own: OwnKey, bounce_type: str, sub_type: str, said: dict[str, str], code: str
) -> None:
    fields = {"bounceSubType": sub_type, "bouncedRecipients": [{"emailAddress": JANE, **said}]}
    message = event("Bounce", "bounce", {"bounceType": bounce_type, **fields})
    (found,) = await hear(ses(own.amazon), own.signed(message))
    assert found.code == code


@pytest.mark.parametrize(
    ("feedback_type", "kind"),
    [
        ("auth-failure", None),
        ("Not-Spam", None),
        ("opt-out", SignalKind.UNSUBSCRIBED),
        ("fraud", SignalKind.COMPLAINED),
    ],
)
async def test_what_a_complaint_of_ses_says_is_read_as_in_a_feedback_report(
    own: OwnKey, feedback_type: str, kind: SignalKind | None
) -> None:
    fields = {"complaintFeedbackType": feedback_type, "complainedRecipients": [{"emailAddress": JANE}]}
    found = await hear(ses(own.amazon), own.signed(event("Complaint", "complaint", fields)))
    assert [each.kind for each in found] == ([kind] if kind else [])


async def test_the_word_of_ses_that_a_topic_was_set_up_is_no_fault(own: OwnKey) -> None:
    said = "Successfully validated SNS topic for Amazon SES event publishing."
    assert await hear(ses(own.amazon), own.signed(said)) == []


async def test_one_recipient_that_cannot_be_read_does_not_cost_the_others(own: OwnKey) -> None:
    people = ["text", {"emailAddress": JANE, "status": 5}, {"emailAddress": JANE, "status": "5.1.1"}]
    content = json.dumps(own.signed(event("Bounce", "bounce", {"bouncedRecipients": people}))).encode()
    heard = await ses(own.amazon).read(Webhook({}, content, NOW))
    assert ([each.code for each in heard.signals], heard.unreadable) == (["5.1.1"], 2)


async def test_one_notice_on_several_recipients_is_a_signal_for_each_and_the_same_ones_again(own: OwnKey) -> None:
    people = [{"emailAddress": f"{name}@example.com", "status": "5.1.1"} for name in "abc"]
    message = own.signed(event("Bounce", "bounce", {"feedbackId": "f-1", "bouncedRecipients": people}))
    first, again = await hear(ses(own.amazon), message), await hear(ses(own.amazon), message)
    assert [each.address for each in first] == ["a@example.com", "b@example.com", "c@example.com"]
    assert len({each.source_id for each in first}) == 3
    assert [each.source_id for each in first] == [each.source_id for each in again]


async def test_a_text_that_is_not_of_ses_is_refused(own: OwnKey) -> None:
    for message in (
        "hello",
        "[]",
        "{}",
        '{"eventType": 1}',
        '{"eventType": "Bounce"}',
        '{"eventType":"Bounce","mail":[]}',
    ):
        assert await refused(ses(own.amazon), own.signed(message)) == 400


# ── SendGrid ────────────────────────────────────────────────────────────────────────────────────────────────────────


def sendgrid_request(vector: Mapping[str, str], **changes: str) -> tuple[bytes, dict[str, str]]:
    found = {**vector, **changes}
    return found["body"].encode(), {
        "x-twilio-email-event-webhook-signature": found["signature"],
        "x-twilio-email-event-webhook-timestamp": found["timestamp"],
    }


MADE, PUBLISHED = SENDGRID["made"], SENDGRID["published"]


async def test_what_sendgrids_own_libraries_signed_is_heard() -> None:
    (signal,) = await hear(SendGrid([MADE["key"]]), *sendgrid_request(MADE))
    assert (signal.kind, signal.code, signal.address) == (SignalKind.BOUNCED, "5.1.1", JANE)
    assert (signal.notification_id, signal.provider_message_id) == (NOTIFICATION, "8TQRBZEkTTmZMkFEfXRx3A")
    when = datetime(2020, 9, 14, 19, 42, tzinfo=UTC)
    (published,) = await hear(SendGrid([PUBLISHED["key"]]), *sendgrid_request(PUBLISHED), now=when)
    assert (published.kind, published.code, published.notification_id) == (SignalKind.BOUNCED, "dropped", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": MADE["body"].strip()},
        {"body": "[]"},
        {"timestamp": "1795860004"},
        {"timestamp": ""},
        {"timestamp": "1795860003\u0662"},
        {"signature": ""},
        {"signature": "no base64"},
        {"signature": PUBLISHED["signature"]},
        {"signature": "AAAA"},
    ],
)
async def test_a_request_of_sendgrid_that_was_changed_is_refused(changes: dict[str, str]) -> None:
    assert await refused(SendGrid([MADE["key"]]), *sendgrid_request(MADE, **changes)) == 401


async def test_each_of_several_keys_verifies_and_the_age_is_judged() -> None:
    both = SendGrid([PUBLISHED["key"], MADE["key"]])
    assert len(await hear(both, *sendgrid_request(MADE))) == 1
    assert await refused(both, *sendgrid_request(PUBLISHED)) == 401
    with pytest.raises(ValueError, match=r".*"):
        SendGrid(["AAAA"])


class OwnSendGrid:
    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.provider = SendGrid([base64.b64encode(der).decode()])

    def request(self, events: object) -> tuple[bytes, dict[str, str]]:
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        timestamp = str(int(NOW.timestamp()))
        signature = self.key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        return body, {
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": timestamp,
        }


@pytest.fixture(scope="module")
def own_sendgrid() -> OwnSendGrid:
    return OwnSendGrid()


def sendgrid_event(name: str, **fields: object) -> dict[str, Any]:
    return {"event": name, "email": JANE, "timestamp": 1795860002, "sg_event_id": f"{name}-1", **fields}


async def test_a_batch_of_sendgrid_is_read_event_by_event(own_sendgrid: OwnSendGrid) -> None:
    batch = [
        sendgrid_event("processed"),
        sendgrid_event("deferred", response="451 4.7.1 try later"),
        sendgrid_event("delivered", response="250 OK"),
        sendgrid_event("bounce", status="5.1.1", type="bounce", reason="550 5.1.1 unknown"),
        sendgrid_event("bounce", status="5.0.0", type="blocked", reason="550 spam", sg_event_id="b"),
        sendgrid_event("blocked", status="5.7.1"),
        sendgrid_event("dropped", reason="Bounced Address"),
        sendgrid_event("spamreport"),
        sendgrid_event("unsubscribe"),
        sendgrid_event("group_resubscribe"),
        sendgrid_event("open"),
        sendgrid_event("something new"),
    ]
    found = await hear(own_sendgrid.provider, *own_sendgrid.request(batch))
    assert [(each.kind, each.code) for each in found] == [
        (SignalKind.DEFERRED, "4.7.1"),
        (SignalKind.DELIVERED, None),
        (SignalKind.BOUNCED, "5.1.1"),
        (SignalKind.BOUNCED, "5.7.0"),
        (SignalKind.BOUNCED, "5.7.1"),
        (SignalKind.BOUNCED, "dropped"),
        (SignalKind.COMPLAINED, None),
        (SignalKind.UNSUBSCRIBED, None),
        (SignalKind.RESUBSCRIBED, None),
    ]


async def test_one_event_that_cannot_be_read_does_not_cost_the_others(own_sendgrid: OwnSendGrid) -> None:
    batch = [sendgrid_event("bounce"), {"event": "bounce"}, "text", sendgrid_event("delivered")]
    body, headers = own_sendgrid.request(batch)
    heard = await own_sendgrid.provider.read(Webhook(headers, body, NOW))
    assert (len(heard.signals), heard.unreadable) == (2, 2)
    assert await refused(own_sendgrid.provider, *own_sendgrid.request([{"event": 1}])) == 400


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"event": "dropped", "reason": "Bounced Address"}, "dropped"),
        ({"event": "dropped", "reason": "Invalid", "status": "5.0.0"}, "5.0.0"),
        ({"event": "dropped", "reason": "Unsubscribed Address", "status": "5.0.0"}, "unsubscribed"),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, "complained"),
        ({"event": "dropped", "reason": "Spam Content"}, "5.7.0"),
        ({"event": "dropped", "reason": "Recipient List over Package Quota", "status": "5.0.0"}, "5.7.0"),
        ({"event": "dropped", "reason": "Invalid SMTPAPI header"}, "5.7.0"),
        ({"event": "bounce", "type": "bounce", "status": "5.0.0", "reason": "550 no such user"}, "5.1.1"),
        ({"event": "bounce", "type": "blocked", "status": "5.2.2", "reason": "552 5.2.2 mailbox full"}, "5.2.2"),
        ({"event": "bounce", "type": "blocked", "status": "5.0.0", "bounce_classification": "Technical"}, "4.0.0"),
    ],
)
async def test_what_sendgrid_did_not_send_is_read_by_its_own_reason(
    own_sendgrid: OwnSendGrid, fields: dict[str, str], code: str
) -> None:
    (found,) = await hear(own_sendgrid.provider, *own_sendgrid.request([sendgrid_event(fields["event"], **fields)]))
    assert found.code == code


# ── Mailgun ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MAILGUN_KEY = "key-0123456789abcdef0123456789abcdef"


def mailgun_request(
    name: str = "failed", *, at: datetime = NOW, fields: Mapping[str, Any] | None = None, **more: object
) -> dict[str, Any]:
    token = "t" * 50
    timestamp = str(int(at.timestamp()))
    signature = hmac.new(MAILGUN_KEY.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {
        "signature": {"timestamp": timestamp, "token": token, "signature": signature},
        "event-data": {
            "event": name,
            "id": "CPgfbmQMTCKtHW6uIWtuVe",
            "timestamp": 1795860002.123,
            "recipient": JANE,
            "user-variables": {"notification_id": NOTIFICATION},
            "message": {"headers": {"message-id": f"{NOTIFICATION}@cinema.example"}},
            **more,
            **(fields or {}),
        },
    }


async def test_a_failure_of_mailgun_is_read_with_its_code() -> None:
    status = {"code": 550, "enhanced-code": "5.1.1", "message": "5.1.1 no such user", "description": ""}
    request = mailgun_request(severity="permanent", reason="bounce", fields={"delivery-status": status})
    (signal,) = await hear(Mailgun([MAILGUN_KEY]), request)
    assert (signal.kind, signal.code, signal.address) == (SignalKind.BOUNCED, "5.1.1", JANE)
    assert signal.notification_id == NOTIFICATION


@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("failed", {"severity": "temporary"}, SignalKind.DEFERRED),
        ("failed", {"severity": "permanent"}, SignalKind.BOUNCED),
        ("delivered", {}, SignalKind.DELIVERED),
        ("complained", {}, SignalKind.COMPLAINED),
        ("unsubscribed", {}, SignalKind.UNSUBSCRIBED),
        ("rejected", {}, SignalKind.BOUNCED),
        ("opened", {}, None),
        ("accepted", {}, None),
    ],
)
async def test_events_of_mailgun(name: str, fields: dict[str, Any], kind: SignalKind | None) -> None:
    found = await hear(Mailgun([MAILGUN_KEY]), mailgun_request(name, **fields))
    assert [each.kind for each in found] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("suppress-bounce", {"code": 605, "description": "Not delivering to previously bounced address"}, None),
        ("suppress-unsubscribe", {"code": 606, "description": "Not delivering to unsubscribed"}, "unsubscribed"),
        ("suppress-complaint", {"code": 607, "description": "Not delivering to who complained"}, "complained"),
        ("espblock", {"code": 550, "message": "no"}, "5.7.0"),
        ("old", {"code": 602, "message": "Too old"}, "4.4.7"),
        ("bounce", {"code": 550, "message": "No such user here"}, "5.1.1"),
        ("bounce", {"code": 421, "message": "closing"}, "4.0.0"),
    ],
)
async def test_what_mailgun_gave_up_is_read_by_its_own_reason(
    reason: str, status: dict[str, object], code: str | None
) -> None:
    request = mailgun_request(severity="permanent", reason=reason, fields={"delivery-status": status})
    (found,) = await hear(Mailgun([MAILGUN_KEY]), request)
    assert found.code == code


async def test_what_mailgun_rejects_is_about_us_and_names_no_recipient() -> None:
    request = mailgun_request("rejected", fields={"recipient": None, "reject": {"reason": "Sandbox subdomains"}})
    (found,) = await hear(Mailgun([MAILGUN_KEY]), request)
    assert (found.kind, found.code, found.address) == (SignalKind.BOUNCED, "5.7.0", None)
    assert "Sandbox" in found.detail


async def test_a_signature_of_mailgun_is_good_for_one_event_and_its_repetitions() -> None:
    listening, request = Mailgun([MAILGUN_KEY]), mailgun_request()
    first, again = await hear(listening, request), await hear(listening, request)
    assert first[0].source_id == again[0].source_id
    request["event-data"]["recipient"] = "bob@example.com"
    assert await refused(listening, request) == 401


async def test_mailguns_signature_and_age_are_checked() -> None:
    assert await refused(Mailgun(["another key of sixteen"]), mailgun_request()) == 401
    for at in (NOW - timedelta(hours=73), NOW + timedelta(minutes=6)):
        assert await refused(Mailgun([MAILGUN_KEY]), mailgun_request(at=at)) == 401
    assert (
        len(await hear(Mailgun(["another key of sixteen", MAILGUN_KEY]), mailgun_request(at=NOW - timedelta(hours=71))))
        == 1
    )


# ── Postmark ────────────────────────────────────────────────────────────────────────────────────────────────────────

LOGIN = "postmark:a-password-of-some-length"


def basic(login: str = LOGIN) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def postmark_event(record: str, **fields: object) -> dict[str, Any]:
    return {
        "RecordType": record,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"notification_id": NOTIFICATION},
        **fields,
    }


WHEN = "2026-11-29T11:00:02.1234567+01:00"


def postmark_bounce(kind: str, details: str = "", record: str = "Bounce") -> dict[str, Any]:
    return postmark_event(record, ID=42, Type=kind, Email=JANE, BouncedAt=WHEN, Details=details)


def postmark_change(*, stopped: bool, why: str | None = None) -> dict[str, Any]:
    fields = {"SuppressSending": stopped, "SuppressionReason": why, "MessageID": "m" if stopped else None}
    return postmark_event("SubscriptionChange", **{"Recipient": JANE, "ChangedAt": WHEN, **fields})


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (postmark_bounce("HardBounce", "smtp;550 5.1.1 unknown"), SignalKind.BOUNCED, "5.1.1"),
        (postmark_bounce("HardBounce", "test"), SignalKind.BOUNCED, "5.0.0"),
        (postmark_bounce("SoftBounce"), SignalKind.BOUNCED, "4.0.0"),
        (postmark_bounce("Blocked", "550 5.1.1 x"), SignalKind.BOUNCED, "5.7.0"),
        (postmark_bounce("HardBounce", "smtp;550 no such user"), SignalKind.BOUNCED, "5.1.1"),
        (postmark_bounce("SMTPApiError", "The sender is not confirmed"), SignalKind.BOUNCED, "5.7.0"),
        (postmark_bounce("SMTPApiError", "recipients are Inactive"), SignalKind.BOUNCED, "SMTPApiError"),
        (postmark_bounce("Transient"), SignalKind.DEFERRED, "4.0.0"),
        (postmark_bounce("AutoResponder"), None, None),
        (postmark_bounce("SpamComplaint", record="SpamComplaint"), SignalKind.COMPLAINED, None),
        (postmark_event("Delivery", Recipient=JANE, DeliveredAt=WHEN, Details="ok"), SignalKind.DELIVERED, None),
        (postmark_change(stopped=True, why="ManualSuppression"), SignalKind.UNSUBSCRIBED, None),
        (postmark_change(stopped=True, why="HardBounce"), None, None),
        (postmark_change(stopped=False), SignalKind.RESUBSCRIBED, None),
        ({**postmark_change(stopped=False), "Origin": "Recipient"}, SignalKind.RESUBSCRIBED, None),
        ({**postmark_change(stopped=False), "Origin": "Customer"}, None, None),
        ({**postmark_change(stopped=False), "Origin": "Admin"}, None, None),
        (postmark_event("Open"), None, None),
    ],
)
async def test_events_of_postmark(body: dict[str, Any], kind: SignalKind | None, code: str | None) -> None:
    found = await hear(Postmark([LOGIN]), body, basic())
    assert [(each.kind, each.code) for each in found] == ([(kind, code)] if kind else [])
    for each in found:
        assert each.at == datetime(2026, 11, 29, 10, 0, 2, 123456, tzinfo=UTC)
        assert each.notification_id == NOTIFICATION


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic ====", "Bearer x", basic("postmark:")["authorization"], basic("x")["authorization"]]
)
async def test_postmark_without_our_login_is_refused(header: str) -> None:
    assert await refused(Postmark([LOGIN]), postmark_event("Delivery"), {"authorization": header}) == 401


async def test_postmark_signs_no_time_so_none_is_judged() -> None:
    old = postmark_event("Delivery", Recipient=JANE, DeliveredAt="2020-01-01T00:00:00Z")
    assert len(await hear(Postmark([LOGIN]), old, basic())) == 1


# ── whatever comes ──────────────────────────────────────────────────────────────────────────────────────────────────

BAD = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]]",
    b"[" * 100_000,
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'{"RecordType":"Delivery"}',
    b'{"RecordType":["Delivery"]}',
    b'{"RecordType":"Delivery","Recipient":5,"DeliveredAt":"2026-11-29T10:00:00Z"}',
    b'{"RecordType":"Delivery","Recipient":"a@b.example","DeliveredAt":"9999-99-99"}',
    b'{"RecordType":"Delivery","Recipient":"a@b.example","DeliveredAt":"2026-11-29T10:00:00"}',
    b'{"RecordType":"Bounce","ID":true,"Type":"HardBounce","Email":"a@b.example","BouncedAt":"2026-11-29T10:00:00Z"}',
    b'{"RecordType":"Bounce","ID":1e999,"Type":"HardBounce","Email":"a@b.example","BouncedAt":"2026-11-29T10:00:00Z"}',
]


@pytest.mark.parametrize("body", BAD)
async def test_what_has_another_form_is_refused_with_one_line(body: bytes) -> None:
    assert await refused(Postmark([LOGIN]), body, basic()) == 400


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=10), each, max_size=4),
    max_leaves=12,
)
Made = tuple[dict[str, Any], dict[str, str]]
SAMPLES: list[tuple[str, Callable[[], Made]]] = [
    ("postmark", lambda: (postmark_bounce("HardBounce"), basic())),
    ("postmark", lambda: (postmark_change(stopped=True), basic())),
    ("mailgun", lambda: (mailgun_request(severity="permanent", fields={"delivery-status": {"message": "no"}}), {})),
]


@given(sample=st.sampled_from(SAMPLES), data=st.data(), value=JSON)
async def test_any_value_in_any_field_is_heard_or_refused(
    sample: tuple[str, Callable[[], Made]], data: st.DataObject, value: object
) -> None:
    name, make = sample
    body, headers = make()
    place = body["event-data"] if name == "mailgun" else body
    place[data.draw(st.sampled_from(sorted(place)))] = value
    provider: Provider = Mailgun([MAILGUN_KEY]) if name == "mailgun" else Postmark([LOGIN])
    problem: CallbackRefusedError | None = None
    found: list[Signal] = []
    try:
        found = await hear(provider, json.dumps(body).encode(), headers)
    except CallbackRefusedError as caught:
        problem = caught
    assert problem is None or (400 <= problem.status < 500 and str(problem).isprintable())
    assert all(each.detail.isprintable() and each.at.tzinfo for each in found)
