"""Sends SMS through AWS SNS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from notification_service.channels.http_client import HttpClient, Response
from notification_service.channels.sms.attempts import AttemptTimer
from notification_service.channels.sms.exchange import Exchange, Request
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.sns.signature import Credentials, signed
from notification_service.delivery.ports.channel import (
    Accepted,
    BeforeHandover,
    Deferred,
    InDoubt,
    OptedOut,
    OutgoingMessage,
    Refused,
    Tried,
    Unavailable,
    Unsendable,
)
from notification_service.foundation.errors import ChannelUnavailableError

_CODE, _MESSAGE, _ID = (re.compile(rf"<{name}>([^<]*)</{name}>") for name in ("Code", "Message", "MessageId"))
_THROTTLED = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|LimitExceeded|SlowDown")
_ABOUT_US = re.compile(
    r"Authorization|AccessDenied|InvalidClientTokenId|SignatureDoesNotMatch|UnrecognizedClient|ExpiredToken|OptInRequired"
    r"|IncompleteSignature|MissingAuthenticationToken|InvalidSecurity|KMS|NotFound|RequestExpired|NotAuthorized"
)
_ABOUT_A_PARAMETER = re.compile(r"InvalidParameter|ParameterValueInvalid|Validation")
_ABORTED = "RequestAborted"
_DEFAULT_WAIT_S = 60.0
_LOGIN_HINT = (
    "do SNS_ACCESS_KEY_ID and SNS_SECRET_ACCESS_KEY belong to a user that may sns:Publish in SNS_REGION, and is this "
    "machine's clock right?"
)
_SILENT = "health.aws.amazon.com says whether SNS is down"
_UNREACHABLE = "is the endpoint of SNS_REGION reachable from here over HTTPS?"
_REQUEST_HINT = "SNS refuses the request itself: check SNS_SENDER_ID and the spending limit in the AWS console"


@dataclass(frozen=True, slots=True)
class Account:
    """`sender_id`: a name that is shown as the sender, where the country allows it. `endpoint`: else the region's."""

    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    sender_id: str | None = None
    endpoint: str | None = None

    @property
    def url(self) -> str:
        return f"{self.endpoint or f'https://sns.{self.region}.amazonaws.com'}/"

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.access_key_id, self.secret_access_key, self.session_token)


class SnsTransport:
    """One request a message. SNS cannot say whether it has a message, so one in doubt is held by default."""

    name = "sns"

    def __init__(self, client: HttpClient, account: Account, prices: Prices) -> None:
        self._client = client
        self._account = account
        self._prices = prices
        self._exchange = Exchange(client, prices, self._publish, verdict, _UNREACHABLE)

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        return await self._exchange.about(message, before_handover)

    async def check(self) -> str:
        """Ask SNS for its SMS settings, and return a sentence. Raises `ChannelUnavailableError`."""
        asked = self._request({"Action": "GetSMSAttributes", "Version": "2010-03-31"})
        answer = await self._client.request("POST", asked.url, headers=asked.headers, content=asked.content)
        if not isinstance(answer, Response):
            raise ChannelUnavailableError(f"{self._account.url} cannot be reached: {_UNREACHABLE}")
        code = found[1] if (found := _CODE.search(answer.body.decode("utf-8", "replace"))) else ""
        knows = b"GetSMSAttributesResponse" in answer.body or code in ("AuthorizationError", "AccessDenied")
        if not knows:
            hint = _LOGIN_HINT if answer.status < 500 else _SILENT  # noqa: PLR2004 - RFC 9110 §15.6
            raise ChannelUnavailableError(f"SNS answers {answer.status} {code}: {hint}")
        return f"SNS in {self._account.region} knows the login"

    async def close(self) -> None:
        await self._client.close()

    def _publish(self, message: OutgoingSms) -> Request:
        return self._request(self._form(message))

    def _request(self, form: Mapping[str, str]) -> Request:
        content = urlencode(form).encode()
        headers = signed(
            "POST",
            self._account.url,
            {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
            content,
            credentials=self._account.credentials,
            region=self._account.region,
            service="sns",
            at=datetime.now(UTC),
        )
        return Request(self._account.url, headers, content)

    def _form(self, message: OutgoingSms) -> dict[str, str]:
        """`MaxPrice`: SNS itself drops a message that costs more. A ticket's message is transactional."""
        limit = self._prices.limit
        values = {
            "AWS.SNS.SMS.SMSType": ("String", "Transactional"),
            **({"AWS.SNS.SMS.SenderID": ("String", self._account.sender_id)} if self._account.sender_id else {}),
            **({"AWS.SNS.SMS.MaxPrice": ("Number", f"{limit:f}")} if limit is not None else {}),
        }
        form = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "PhoneNumber": message.recipient,
            "Message": message.text,
        }
        for place, (name, (kind, value)) in enumerate(values.items(), start=1):
            entry = f"MessageAttributes.entry.{place}"
            form |= {f"{entry}.Name": name, f"{entry}.Value.DataType": kind, f"{entry}.Value.StringValue": value}
        return form


def verdict(response: Response, timer: AttemptTimer) -> Tried:
    """What a reply of SNS means. The HTTP status decides first, then the error code."""
    body = response.body.decode("utf-8", "replace")
    code, message, taken = (found[1] if (found := each.search(body)) else "" for each in (_CODE, _MESSAGE, _ID))
    status, reply = response.status, f"{code} {message}".strip() or f"HTTP {response.status}"
    if 200 <= status < 300 and (taken or not response.complete):  # noqa: PLR2004 - RFC 9110 §15.3
        return Accepted(timer.ended("accepted", taken, status, taken or None))
    if status == 429 or _THROTTLED.search(code):  # noqa: PLR2004 - RFC 6585 §4
        return Deferred(timer.ended("deferred", reply, status), response.retry_after or _DEFAULT_WAIT_S)
    # A gateway's timeout says nothing of what lies behind it, and a page in place of SNS's answer neither.
    if status >= 500 or status == 408 or status < 300 or code.startswith(_ABORTED):  # noqa: PLR2004
        return InDoubt(timer.ended("in_doubt", reply, status))
    if status < 400 or status in (401, 403, 404) or _ABOUT_US.search(code):  # noqa: PLR2004 - a redirect is not followed
        return Unavailable(timer.ended("unavailable", reply, status), _LOGIN_HINT)
    if "opted out" in message.casefold() or code == "OptedOut":
        return OptedOut(timer.ended("refused", reply, status))
    if _ABOUT_A_PARAMETER.match(code) and "phonenumber" in message.replace(" ", "").casefold():
        return Refused(timer.ended("refused", reply, status), code, names_address=True)
    if code.startswith("InvalidParameter"):
        # What names this number is no refusal of the service, and its number belongs into no fingerprint.
        names_it = timer.number.removeprefix("+") in message
        return Refused(timer.ended("refused", reply, status), code, "" if names_it else f"sns {code} {message[:60]}")
    if not code and not response.complete:
        return Deferred(timer.ended("deferred", f"{reply}, and the reason broke off", status), _DEFAULT_WAIT_S)
    return Unsendable(timer.ended("refused", reply, status), _REQUEST_HINT, f"sns {code or status}")
