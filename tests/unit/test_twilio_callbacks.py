"""Twilio's callbacks are believed only where they are signed, and say what became of an SMS."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.signals import SignalKind
from notification_service.contract.suppressions import Cause, Effect, effect
from notification_service.feedback.providers.twilio import Twilio, signature
from notification_service.feedback.providers.webhooks import CallbackRefusedError, Heard, Webhook

ORIGIN, TOKEN = "https://cb.cinema.example", "12345"
NOTIFICATION = "ab" * 16
VECTORS = json.loads((Path(__file__).parent / "webhooks" / "twilio_signatures.json").read_text("utf-8"))
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


async def hear(
    form: dict[str, str],
    path: str = f"/cb/twilio/{NOTIFICATION}",
    *,
    signed: str = ORIGIN,
    token: str = TOKEN,
    origin: str = ORIGIN,
) -> Heard:
    fields = list(form.items())
    headers = {"x-twilio-signature": signature(token.encode(), f"{signed}{path}", fields).decode()}
    path, _, query = path.partition("?")
    return await Twilio(origin, [TOKEN]).read(Webhook(headers, urlencode(form).encode(), NOW, path, query))


def status(said: str, code: str = "") -> dict[str, str]:
    form = {"MessageSid": "SM1", "MessageStatus": said, "To": "+4915112345678", "From": "+15005550006"}
    return {**form, "ErrorCode": code} if code else form


def test_the_signature_is_that_of_twilio_s_own_example() -> None:
    """https://www.twilio.com/docs/usage/security"""
    fields = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ]
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature(b"12345", url, fields) == b"RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert signature(b"12345", url, fields[::-1]) == b"RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda each: str(each["signature"]))
async def test_what_twilio_s_own_validator_signed_is_believed(vector: dict[str, Any]) -> None:
    """The file says how its signatures were made; they are not ours."""
    listed = vector["fields"]
    fields = [(name, value) for name, value in (listed.items() if isinstance(listed, dict) else listed)]
    assert signature(VECTORS["token"].encode(), vector["url"], fields).decode() == vector["signature"]
    path = urlsplit(vector["url"]).path
    webhook = Webhook({"x-twilio-signature": vector["signature"]}, urlencode(fields).encode(), NOW, path)
    assert isinstance(await Twilio(ORIGIN, ["another", VECTORS["token"]]).read(webhook), Heard)
    with pytest.raises(CallbackRefusedError):
        await Twilio(ORIGIN, ["another"]).read(webhook)


@pytest.mark.parametrize("signed", [ORIGIN, f"{ORIGIN}:443"])
async def test_a_delivery_is_told_with_the_notification_s_id(signed: str) -> None:
    (signal,) = (await hear(status("delivered"), signed=signed)).signals
    assert (signal.kind, signal.channel, signal.at) == (SignalKind.DELIVERED, ChannelKind.SMS, NOW)
    assert (signal.notification_id, signal.provider_message_id) == (NOTIFICATION, "SM1")
    assert signal.address == "+4915112345678"
    assert "+49" not in signal.detail


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("30005", Cause.GONE),
        ("30006", Cause.GONE),
        ("21610", Cause.UNSUBSCRIBED),
        ("30003", Effect.NOTHING),
        ("30008", Effect.NOTHING),
        ("30004", Effect.ALERT),
        ("30007", Effect.ALERT),
        ("30034", Effect.ALERT),
        ("30002", Effect.ALERT),
        ("30024", Effect.ALERT),
        ("30032", Effect.ALERT),
        ("21408", Effect.ALERT),
        ("30036", Effect.NOTHING),
        ("39999", Effect.NOTHING),
    ],
)
async def test_each_code_of_a_failure_has_its_effect(code: str, what: Cause | Effect) -> None:
    (signal,) = (await hear(status("undelivered", code))).signals
    assert (signal.kind, signal.code) == (SignalKind.BOUNCED, code)
    assert effect(signal) == what


@pytest.mark.parametrize("said", ["queued", "accepted", "sending", "sent", "scheduled", ""])
async def test_what_says_no_more_than_that_it_was_taken_is_no_signal(said: str) -> None:
    assert (await hear(status(said))).signals == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("STOP", SignalKind.UNSUBSCRIBED),
        (" stop. ", SignalKind.UNSUBSCRIBED),
        ("Unsubscribe", SignalKind.UNSUBSCRIBED),
        ("STOP !", SignalKind.UNSUBSCRIBED),
        ("Stop\u2026", SignalKind.UNSUBSCRIBED),
        ("\u201cSTOP\u201d", SignalKind.UNSUBSCRIBED),
        ("stop all", SignalKind.UNSUBSCRIBED),
        ("opt-out", SignalKind.UNSUBSCRIBED),
        ("STOP \U0001f6d1", SignalKind.UNSUBSCRIBED),
        ("\uff33\uff34\uff2f\uff30", SignalKind.UNSUBSCRIBED),
        ("\u200bstop\u00a0", SignalKind.UNSUBSCRIBED),
        ("un-stop", SignalKind.RESUBSCRIBED),
        ("START", SignalKind.RESUBSCRIBED),
        ("ARRET", SignalKind.UNSUBSCRIBED),
        ("Arrêt !", SignalKind.UNSUBSCRIBED),
        ("Arre\u0302te", SignalKind.UNSUBSCRIBED),
        ("Baja", SignalKind.UNSUBSCRIBED),
        ("Stopp.", SignalKind.UNSUBSCRIBED),
        ("abmelden", SignalKind.UNSUBSCRIBED),
        ("रोकें।", SignalKind.UNSUBSCRIBED),
        ("停止", SignalKind.UNSUBSCRIBED),
        ("إيقاف", SignalKind.UNSUBSCRIBED),
        ("stop à 20h ?", None),
        ("please stop by later", None),
        ("stop it", None),
        ("stop? yes", None),
        ("the end", None),
        ("?!", None),
        ("Do not stop", None),
        ("", None),
    ],
)
async def test_a_word_counts_only_as_the_whole_message(body: str, kind: SignalKind | None) -> None:
    form = {"MessageSid": "SM2", "Body": body, "From": "+4915112345678", "To": "+15005550006"}
    heard = await hear(form, "/cb/twilio/inbound")
    assert [(each.kind, each.address) for each in heard.signals] == ([(kind, "+4915112345678")] if kind else [])


@pytest.mark.parametrize(
    ("origin", "signed"),
    [
        (f"{ORIGIN}:8443", f"{ORIGIN}:8443"),
        (f"{ORIGIN}:8443", ORIGIN),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
    ],
)
async def test_the_port_may_be_signed_or_not(origin: str, signed: str) -> None:
    assert (await hear(status("delivered"), origin=origin, signed=signed)).signals


async def test_an_address_that_was_entered_with_a_query_is_signed_with_it() -> None:
    form = {"MessageSid": "SM2", "Body": "STOP", "From": "+4915112345678", "To": "+15005550006"}
    assert (await hear(form, "/cb/twilio/inbound?src=twilio&x=%20")).signals
    fields = list(form.items())
    headers = {"x-twilio-signature": signature(TOKEN.encode(), f"{ORIGIN}/cb/twilio/inbound?a=1", fields).decode()}
    with pytest.raises(CallbackRefusedError):
        await Twilio(ORIGIN, [TOKEN]).read(Webhook(headers, urlencode(form).encode(), NOW, "/cb/twilio/inbound", "a=2"))


@pytest.mark.parametrize(
    "changes", [{"token": "another"}, {"signed": "https://evil.example"}, {"signed": "http://cb.cinema.example"}]
)
async def test_what_is_not_signed_with_our_token_for_our_url_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(CallbackRefusedError) as refused:
        await hear(status("delivered"), **changes)
    assert refused.value.status == 401


async def test_a_field_that_was_added_or_a_path_that_was_changed_breaks_the_signature() -> None:
    form = status("delivered")
    made = signature(TOKEN.encode(), f"{ORIGIN}/cb/twilio/{NOTIFICATION}", list(form.items())).decode()
    headers = {"x-twilio-signature": made}
    for body, path in (
        (urlencode({**form, "ErrorCode": "30005"}), f"/cb/twilio/{NOTIFICATION}"),
        (urlencode(form), f"/cb/twilio/{'cd' * 16}"),
        (urlencode(form), "/cb/twilio/inbound"),
    ):
        with pytest.raises(CallbackRefusedError):
            await Twilio(ORIGIN, [TOKEN]).read(Webhook(headers, body.encode(), NOW, path))


async def test_a_body_that_is_no_form_is_refused() -> None:
    with pytest.raises(CallbackRefusedError) as refused:
        await Twilio(ORIGIN, [TOKEN]).read(Webhook({}, b"\xff{}", NOW, "/cb/twilio/inbound"))
    assert refused.value.status == 400
