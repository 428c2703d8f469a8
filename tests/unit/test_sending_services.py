"""How the services that send for others name a mail, and how we name it to them."""

import json
from datetime import UTC, datetime

import pytest

from notification_service.channels.email import mime
from notification_service.channels.email.mail import Mail
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.smtp import sending_services
from notification_service.delivery.ports.composer import MessageIds
from notification_service.feedback.return_path import ReturnPath
from notification_service.foundation.mailbox_classes import CLASSES, mailbox_class
from tests.unit.fakes import FixedKeys
from tests.unit.test_webhooks import NOTIFICATION

SES_ID = "0100019acc5dfa00-11111111-2222-3333-4444-555555555555-000000"
POSTMARK_ID = "883953f4-6105-42a2-a16a-77a8eac79483"


@pytest.mark.parametrize(
    ("host", "reply", "expected"),
    [
        ("email-smtp.eu-west-1.amazonaws.com", f"Ok {SES_ID}", SES_ID),
        ("EMAIL-SMTP-FIPS.us-east-1.amazonaws.com.", f"2.0.0 Ok {SES_ID}", SES_ID),
        ("email-smtp.eu-west-1.amazonaws.com", "Ok", None),
        ("smtp.sendgrid.net", "Ok: queued as 8TQRBZEkTTmZMkFEfXRx3A", "8TQRBZEkTTmZMkFEfXRx3A"),
        ("smtp.eu.sendgrid.net", "Ok: queued", None),
        ("smtp.mailgun.org", "Queued. <20261129.1@cinema.example>", "20261129.1@cinema.example"),
        ("smtp.mailgun.org", "Great success", None),
        ("smtp.postmarkapp.com", f"2.0.0 Ok: queued as {POSTMARK_ID}", POSTMARK_ID),
        ("smtp.postmarkapp.com", "Ok", None),
    ],
)
def test_the_id_of_each_service_is_read_out_of_its_250(host: str, reply: str, expected: str | None) -> None:
    service = sending_services.find(host)
    assert service is not None
    assert service.id_in(reply) == expected
    assert service.id_in("x" * 5000) is None


@pytest.mark.parametrize(
    "host", ["smtp.gmail.com", "", "email-smtp.eu-west-1.amazonaws.com.evil.example", "evil-smtp.sendgrid.net", "a.b"]
)
def test_another_server_is_no_such_service(host: str) -> None:
    assert sending_services.find(host) is None


IDS = MessageIds(NOTIFICATION, "evt-1", "booking_confirmation", "B-1", datetime(2026, 11, 29, tzinfo=UTC))


def composed(sender: SenderIdentity) -> tuple[str, dict[str, str]]:
    mail = Mail("Your booking", "text", "<p>html</p>")
    made = mime.compose(mail, "jane.smith@example.com", sender, IDS, max_attachment_bytes=1000)
    head = made.content.partition(b"\r\n\r\n")[0].decode()
    return made.sender, dict(line.split(": ", 1) for line in head.split("\r\n") if ": " in line)


@pytest.mark.parametrize(
    ("host", "name", "value"),
    [
        ("email-smtp.eu-west-1.amazonaws.com", "X-SES-MESSAGE-TAGS", f"notification={NOTIFICATION}"),
        ("smtp.sendgrid.net", "X-SMTPAPI", {"unique_args": {"notification_id": NOTIFICATION}}),
        ("smtp.mailgun.org", "X-Mailgun-Variables", {"notification_id": NOTIFICATION}),
        ("smtp.postmarkapp.com", "X-PM-Metadata-notification_id", NOTIFICATION),
    ],
)
def test_a_mail_names_its_notification_to_the_service(host: str, name: str, value: object) -> None:
    service = sending_services.find(host)
    assert service is not None
    _, headers = composed(SenderIdentity("tickets@cinema.example", "Cinema", tag=service.tag))
    assert (json.loads(headers[name]) if isinstance(value, dict) else headers[name]) == value


def test_the_envelope_sender_names_the_notification_and_the_header_does_not_change() -> None:
    path = ReturnPath(FixedKeys(), "bounces.cinema.example")
    plain_sender, plain = composed(SenderIdentity("tickets@cinema.example", "Cinema"))
    sender, headers = composed(SenderIdentity("tickets@cinema.example", "Cinema", path.of))
    assert plain_sender == "tickets@cinema.example"
    assert sender == path.of(NOTIFICATION)
    assert headers == plain
    assert path.notification_in([sender]) == NOTIFICATION
    assert len(sender.partition("@")[0]) <= 64


@pytest.mark.parametrize("strange", ["", "0" * 31, "0" * 33, "Z" * 32, "0123456789ABCDEF0123456789ABCDEF"])
def test_only_a_notification_has_an_envelope_sender(strange: str) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal"):
        ReturnPath(FixedKeys(), "x.example").of(strange)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a@gmail.com", "gmail"), ("a@GoogleMail.com", "gmail"), ("a@yahoo.co.jp", "yahoo"), ("a@yahoo.com", "yahoo"),
        ("a@aol.com", "yahoo"), ("a@ymail.com", "yahoo"), ("a@hotmail.fr", "microsoft"), ("a@live.co.uk", "microsoft"),
        ("a@outlook.com", "microsoft"), ("a@msn.com", "microsoft"), ("a@icloud.com", "apple"), ("a@me.com", "apple"),
        ("x@privaterelay.appleid.com", "apple"), ("j***@gmail.com", "gmail"), ("a@example.com", "other"),
        ("a@yahoo", "other"), ("a@live.cinema.example", "other"), ("a@gmail.com.evil.example", "other"), ("", "other"),
    ],
)  # fmt: skip
def test_the_class_of_a_mailbox_follows_from_its_domain(address: str, expected: str) -> None:
    assert mailbox_class(address) == expected
    assert expected in CLASSES
