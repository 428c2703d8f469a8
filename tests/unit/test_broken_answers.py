"""Answers of the providers that break off, or that something else gives in their place: pure, by their bytes."""

import pytest

from notification_service.channels.http_client import Response
from notification_service.channels.push import apns_replies, fcm_replies
from notification_service.channels.push.findings import Finding
from notification_service.channels.sms.attempts import AttemptTimer
from notification_service.channels.sms.sns import transport as sns
from notification_service.channels.sms.twilio import replies as twilio
from notification_service.delivery.ports.channel import Accepted, Deferred, InDoubt

PAGE = b"<html><body>Please log in to this network</body></html>"


def cut(status: int, whole: bytes) -> list[Response]:
    """The answer broken off behind each of its bytes, without the whole one."""
    return [Response(status, {}, whole[:length], complete=False) for length in range(len(whole))]


def test_a_refusal_that_breaks_off_before_its_reason_is_tried_again() -> None:
    timer = AttemptTimer("+4915112345678")
    for each in cut(400, b'{"code": 21610, "message": "they said STOP", "status": 400}'):
        assert isinstance(twilio.verdict(each, timer), Deferred), each.body
    for each in cut(400, b"<ErrorResponse><Error><Code>InvalidParameter</Code>")[:-1]:
        if b"</Code" not in each.body:
            assert isinstance(sns.verdict(each, timer), Deferred), each.body
    for each in cut(404, b'{"error": {"details": [{"errorCode": "UNREGISTERED"}]}}'):
        assert fcm_replies.read(each).finding is Finding.DEFERRED, each.body
    for each in cut(400, b'{"reason": "BadDeviceToken"}'):
        assert apns_replies.read(each, None).finding is Finding.DEFERRED, each.body


@pytest.mark.parametrize("body", [b"", PAGE, b"{}", b"null"])
def test_a_success_that_names_no_message_is_in_doubt(body: bytes) -> None:
    """A ticket that was not sent must not count as sent because a proxy said 200."""
    response, timer = Response(200, {}, body), AttemptTimer("+4915112345678")
    assert isinstance(twilio.verdict(response, timer), InDoubt)
    assert isinstance(sns.verdict(response, timer), InDoubt)
    assert fcm_replies.read(response).finding is Finding.IN_DOUBT
    if body:
        assert apns_replies.read(response, None).finding is Finding.IN_DOUBT


def test_a_message_is_created_though_the_answer_breaks_off() -> None:
    for each in cut(201, b'{"sid": "SM1", "status": "queued"}'):
        assert isinstance(twilio.verdict(each, AttemptTimer("+4915112345678")), Accepted)
    assert apns_replies.read(Response(200, {"apns-id": "x"}, b""), None).finding is Finding.ACCEPTED
