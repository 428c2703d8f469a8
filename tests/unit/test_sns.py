"""AWS SNS: the signature, what a request says, and what each reply means."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from notification_service.channels.http_client import Response
from notification_service.channels.sms.attempts import AttemptTimer
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.sns.signature import Credentials, signed
from notification_service.channels.sms.sns.transport import Account, SnsTransport, verdict
from notification_service.delivery.ports.channel import (
    Accepted,
    Deferred,
    InDoubt,
    OptedOut,
    Refused,
    Tried,
    Unavailable,
    Unsendable,
)
from notification_service.foundation.errors import ChannelUnavailableError

NUMBER = "+4915112345678"
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "headers", "content", "signature"),
    [
        ("GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST",
            {"content-type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_a_request_is_signed_as_in_aws_s_own_test_suite(
    method: str, headers: dict[str, str], content: bytes, signature: str
) -> None:
    found = signed(
        method,
        "https://example.amazonaws.com/",
        headers,
        content,
        credentials=CREDENTIALS,
        region="us-east-1",
        service="service",
        at=AT,
    )
    assert found["authorization"].endswith(f"Signature={signature}")
    assert CREDENTIALS.secret_access_key not in repr(CREDENTIALS) + repr(found)


def reply(status: int, code: str = "", message: str = "") -> Response:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Response(status, {}, body.encode())


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (Response(200, {}, b"<PublishResponse><MessageId>m1</MessageId></PublishResponse>"), Accepted),
        (reply(400, "Throttling", "Rate exceeded"), Deferred),
        (reply(400, "ThrottledException"), Deferred),
        (reply(429, "TooManyRequests"), Deferred),
        (reply(400, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: +4915112345678 is not valid"), Refused),
        (reply(400, "InvalidParameterValue", "Invalid parameter: Message"), Refused),
        (reply(400, "OptedOut", "is opted out"), OptedOut),
        (reply(403, "AuthorizationError"), Unavailable),
        (reply(403, "SignatureDoesNotMatch"), Unavailable),
        (reply(400, "InvalidClientTokenId"), Unavailable),
        (reply(404, "NotFound"), Unavailable),
        (reply(400, "MonthlySpendLimitReached"), Unsendable),
        (reply(500, "InternalFailure"), InDoubt),
        (reply(503, "ServiceUnavailable"), InDoubt),
        (Response(502, {}, b"<html>bad gateway</html>"), InDoubt),
        (Response(504, {}, b""), InDoubt),
        (Response(408, {}, b""), InDoubt),
        (Response(200, {}, b""), InDoubt),
        (Response(200, {}, b"<html>welcome</html>"), InDoubt),
        (Response(200, {}, b"<PublishResponse><Mess", complete=False), Accepted),
        (Response(400, {}, b"<ErrorResponse><Error><Code>Thrott", complete=False), Deferred),
        (reply(400, "RequestExpired"), Unavailable),
        (reply(400, "NotAuthorized"), Unavailable),
        (reply(400, "RequestAbortedException"), InDoubt),
        (reply(400, "ParameterValueInvalid", "Invalid parameter: PhoneNumber"), Refused),
        (Response(301, {"location": "https://elsewhere.example/"}, b""), Unavailable),
        (Response(401, {}, b"<html>login</html>"), Unavailable),
        (Response(403, {}, b""), Unavailable),
        (Response(404, {}, b"<html>not found</html>"), Unavailable),
        (Response(429, {}, b""), Deferred),
        (Response(400, {}, b""), Unsendable),
        (Response(413, {}, b"x" * 65536), Unsendable),
        (Response(400, {}, reply(400, "Throttling").body.decode().encode("utf-16")), Unsendable),
        (reply(400, "ThrottlingException"), Deferred),
        (reply(503, "Throttling"), Deferred),
        (reply(400, "RequestLimitExceeded"), Deferred),
        (reply(400, "AuthorizationErrorException"), Unavailable),
        (reply(403, "AccessDenied"), Unavailable),
        (reply(403, "ExpiredToken"), Unavailable),
        (reply(403, "RequestExpired"), Unavailable),
        (reply(400, "OptInRequired"), Unavailable),
        (reply(400, "KMSDisabled"), Unavailable),
        (reply(400, "ValidationError"), Unsendable),
        (reply(400, "UserError"), Unsendable),
        (reply(400, "InvalidParameter", "Invalid parameter: Phone Number is opted out"), OptedOut),
        (reply(400, "InvalidParameterValue", "Invalid parameter: PhoneNumber"), Refused),
        (reply(500, "InvalidParameter", "Invalid parameter: PhoneNumber"), InDoubt),
    ],
)
def test_each_reply_has_its_verdict(response: Response, kind: type[Tried]) -> None:
    found = verdict(response, AttemptTimer(NUMBER))
    assert isinstance(found, kind), found
    assert NUMBER not in repr(found)


@pytest.mark.parametrize(("said", "wait"), [("7", 7.0), ("later", 60.0), ("", 60.0)])
def test_a_throttled_request_waits_as_long_as_is_asked(said: str, wait: float) -> None:
    found = verdict(Response(429, {"retry-after": said}, b""), AttemptTimer(NUMBER))
    assert isinstance(found, Deferred)
    assert found.wait == wait


def test_only_a_refusal_that_names_the_number_is_about_it() -> None:
    number = verdict(reply(400, "InvalidParameter", "Invalid parameter: PhoneNumber"), AttemptTimer(NUMBER))
    text = verdict(reply(400, "InvalidParameter", "Invalid parameter: Message too long"), AttemptTimer(NUMBER))
    assert isinstance(number, Refused)
    assert isinstance(text, Refused)
    assert (number.names_address, text.names_address) == (True, False)
    assert text.fingerprint


def test_a_refusal_that_quotes_the_number_is_not_counted_against_the_service_and_keeps_it_nowhere() -> None:
    found = verdict(reply(400, "InvalidParameter", f"Invalid parameter: {NUMBER} is unknown"), AttemptTimer(NUMBER))
    assert isinstance(found, Refused)
    assert found.fingerprint == ""
    assert NUMBER not in repr(found)


def test_a_request_names_its_kind_its_sender_and_its_price_limit() -> None:
    account = Account("eu-central-1", "AKID", "secret", sender_id="Cinema")
    message = OutgoingSms(notification_id="n1", template="t", recipient=NUMBER, content="Größe €".encode(), segments=1)
    transport = SnsTransport(None, account, Prices({"DE": Decimal("1E-7")}, Decimal("5E-7")))  # type: ignore[arg-type]
    form = transport._form(message)
    assert (form["PhoneNumber"], form["Message"]) == (NUMBER, "Größe €")
    assert {name: value for name, value in form.items() if name.endswith(("Name", "Value"))} == {
        "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
        "MessageAttributes.entry.1.Value.StringValue": "Transactional",
        "MessageAttributes.entry.2.Name": "AWS.SNS.SMS.SenderID",
        "MessageAttributes.entry.2.Value.StringValue": "Cinema",
        "MessageAttributes.entry.3.Name": "AWS.SNS.SMS.MaxPrice",
        "MessageAttributes.entry.3.Value.StringValue": "0.0000005",
    }
    assert account.url == "https://sns.eu-central-1.amazonaws.com/"


class Answers:
    """A client that gives one answer."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer

    async def request(self, *_: object, **__: object) -> Response:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "knows"),
    [
        (Response(200, {}, b'<GetSMSAttributesResponse xmlns="x"><attributes/></GetSMSAttributesResponse>'), True),
        (reply(403, "AuthorizationError"), True),
        (reply(403, "InvalidClientTokenId"), False),
        (Response(200, {}, b"<html>welcome</html>"), False),
    ],
)
async def test_doctor_knows_a_login_by_sns_s_own_answer(answer: Response, knows: bool) -> None:  # noqa: FBT001 - a table
    transport = SnsTransport(Answers(answer), Account("eu-central-1", "AKID", "secret"), Prices())  # type: ignore[arg-type]
    if knows:
        assert "knows the login" in await transport.check()
    else:
        with pytest.raises(ChannelUnavailableError, match="SNS answers"):
            await transport.check()
