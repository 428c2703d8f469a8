"""`send-test` by SMS and push: one message by the real transport, and what the provider said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.place import Place
from tests.stack.push_double import PushDouble
from tests.stack.twilio import Twilio, refusal


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with Twilio() as running:
        yield running


def test_an_sms_goes_to_the_number_and_the_answer_is_shown(place: Place, twilio: Twilio) -> None:
    sms = ("send-test", "--channel", "sms", "--to")
    taken = place.command(*sms, "+49 (0)151 1234-5678", **twilio.environment)
    assert (taken.returncode, taken.stdout[:29]) == (0, "sent     booking_cancellation"), taken.stderr
    assert [each.to for each in twilio.messages] == ["+4915112345678"]
    each = place.command(*sms, "+4915112345678", "--template", "all", **twilio.environment)
    assert (each.returncode, each.stdout.count("sent  ")) == (0, 2), each.stderr
    twilio.script(refusal(400, 21408))
    refused = place.command(*sms, "+4915112345678", **twilio.environment)
    assert (refused.returncode, "21408" in refused.stdout) == (1, True), refused.stdout


def test_a_push_goes_to_the_device(place: Place, tmp_path: Path) -> None:
    with PushDouble(tmp_path / "push", drop_every=1000, seconds=0) as double:
        for token in ("fcm-token-of-a-device-" + "0" * 100, "a" * 64):
            ended = place.command("send-test", "--channel", "push", "--to", token, **double.environment)
            assert (ended.returncode, ended.stdout[:29]) == (0, "sent     booking_cancellation"), ended.stderr
        assert sum(double.services.shown.values()) == 2
        refused = place.command("send-test", "--channel", "push", "--to", "short", **double.environment)
        assert (refused.returncode, "no token of FCM or APNs" in refused.stderr) == (78, True), refused.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("sms", "--to", "+49301234567"), {}, "it is a fixed line"),
        (("sms", "--to", "jane@x.example"), {}, "it contains letters"),
        (("sms", "--to", "+4915112345678", "--template", "payment_refund"), {}, "payment_refund has no text for sms"),
        (("sms", "--to", "+4915112345678"), {"SMS_PROVIDER": ""}, "SMS_PROVIDER is not set"),
        (("sms", "--to", "+4915112345678"), {"DELIVERY_MODE": "simulate"}, "DELIVERY_MODE=simulate sends nothing"),
        (("push", "--to", "0" * 64), {}, "PUSH_PROVIDERS is not set"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_is(
    place: Place, twilio: Twilio, arguments: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    ended = place.command("send-test", "--channel", *arguments, **{**twilio.environment, **settings})
    assert (ended.returncode, said in ended.stderr) == (78, True), ended.stderr
    assert twilio.messages == []
