"""What Twilio's replies mean. The HTTP status decides first, then the error code, which Twilio splits over time. Pure.

Codes: https://www.twilio.com/docs/api/errors
"""

from dataclasses import dataclass
from typing import Any

from notification_service.channels.http_client import Response
from notification_service.channels.sms.attempts import AttemptTimer
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

_ABOUT_THE_NUMBER = {21211, 21614, 21635}
"""No such number, not a mobile, a landline."""
_OPTED_OUT = 21610
_NOT_FROM_THIS_SENDER = "TWILIO_SENDER cannot send to this country: use a number or a messaging service that can"
_ABOUT_THE_COUNTRY = {
    21408: "Twilio does not send to this country until it is enabled: Console → Messaging → Settings → Geo permissions",
    21606: _NOT_FROM_THIS_SENDER,
    21612: _NOT_FROM_THIS_SENDER,
    21659: _NOT_FROM_THIS_SENDER,
}
_ABOUT_ONE_MESSAGE = {*_ABOUT_THE_NUMBER, _OPTED_OUT, *_ABOUT_THE_COUNTRY}
_QUEUE_FULL = {20429, 21611}
"""Too many requests, or ten hours of messages wait for this sender."""
_CREATED = 201
_DEFAULT_WAIT_S = 60.0
LOGIN_HINT = "are TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_API_SECRET those of the same account?"
_SUSPENDED = "the account at Twilio is not active: twilio.com → Console → Billing says whether money is missing"
_ABOUT_THE_ACCOUNT = {20003: LOGIN_HINT, 10001: _SUSPENDED, 20005: _SUSPENDED, 90010: _SUSPENDED}
_REQUEST_HINT = "Twilio refuses the request itself: twilio.com/docs/api/errors explains its code; check TWILIO_SENDER"


@dataclass(frozen=True, slots=True)
class Reply:
    """`code`, `message`: of the error, as Twilio writes them."""

    status: int
    body: dict[str, Any]
    retry_after: float | None

    @classmethod
    def of(cls, response: Response) -> "Reply":
        return cls(response.status, response.json_object, response.retry_after)

    @property
    def code(self) -> int | None:
        found = self.body.get("code", self.body.get("error_code"))
        return found if isinstance(found, int) else None

    @property
    def text(self) -> str:
        message = self.body.get("message") or self.body.get("error_message") or ""
        return f"{self.code or ''} {message}".strip() or f"HTTP {self.status}"


def verdict(response: Response, timer: AttemptTimer) -> Tried:
    reply = Reply.of(response)
    status = reply.status
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 §15.3
        return _taken(reply, timer, complete=response.complete)
    if status >= 500 or status == 408:  # noqa: PLR2004 - a gateway's timeout says nothing of what lies behind it
        return InDoubt(timer.ended("in_doubt", reply.text, status))
    if status == 429 or reply.code in _QUEUE_FULL:  # noqa: PLR2004 - RFC 6585 §4
        return Deferred(timer.ended("deferred", reply.text, status), reply.retry_after or _DEFAULT_WAIT_S)
    if reply.code in _ABOUT_ONE_MESSAGE:
        return _refused(reply, timer)
    # A redirect is not followed (RFC 9110 §15.4).
    if reply.code in _ABOUT_THE_ACCOUNT or status in (401, 403, 404) or status < 400:  # noqa: PLR2004
        hint = _ABOUT_THE_ACCOUNT.get(reply.code or 0, LOGIN_HINT)
        return Unavailable(timer.ended("unavailable", reply.text, status), hint)
    if not response.complete:
        return Deferred(timer.ended("deferred", f"{reply.text}, and the reason broke off", status), _DEFAULT_WAIT_S)
    return _refused(reply, timer)


def _taken(reply: Reply, timer: AttemptTimer, *, complete: bool) -> Tried:
    said, sid = reply.body.get("status"), reply.body.get("sid")
    if said == "failed":
        return _failed(reply, timer)
    sid = sid if isinstance(sid, str) else None
    if sid is None and complete and reply.status != _CREATED:
        # Twilio creates messages with 201: something between here and it may have answered in its place.
        return InDoubt(timer.ended("in_doubt", f"HTTP {reply.status} without a message", reply.status))
    return Accepted(timer.ended("accepted", f"{sid} {said}", reply.status, sid))


def _failed(reply: Reply, timer: AttemptTimer) -> Tried:
    if reply.code in _ABOUT_ONE_MESSAGE:
        return _refused(reply, timer)
    code = str(reply.code or "failed")
    return Refused(timer.ended("refused", reply.text, reply.status), code, f"twilio {code}")


def _refused(reply: Reply, timer: AttemptTimer) -> Tried:
    match reply.code:
        case code if code in _ABOUT_THE_NUMBER:
            return Refused(timer.ended("refused", reply.text, reply.status), str(code), names_address=True)
        case code if code == _OPTED_OUT:
            return OptedOut(timer.ended("refused", reply.text, reply.status))
        case code if code in _ABOUT_THE_COUNTRY:
            return Unsendable(timer.ended("refused", reply.text, reply.status), _ABOUT_THE_COUNTRY[code])
        case code:
            fingerprint = f"twilio {code or f'HTTP {reply.status}'}"
            return Unsendable(timer.ended("refused", reply.text, reply.status), _REQUEST_HINT, fingerprint)
