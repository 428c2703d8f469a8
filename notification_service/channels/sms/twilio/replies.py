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
_ABOUT_THE_COUNTRY = {
    21408: "Twilio does not send to this country until it is enabled: Console → Messaging → Settings → Geo permissions",
    21606: "TWILIO_SENDER cannot send to this country: use a number or a messaging service that can",
}
_DEFAULT_WAIT_S = 60.0
LOGIN_HINT = "are TWILIO_ACCOUNT_SID, TWILIO_API_KEY and TWILIO_API_SECRET those of the same account?"
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
        return _taken(reply, timer)
    if status >= 500 or status == 408:  # noqa: PLR2004 - a gateway's timeout says nothing of what lies behind it
        return InDoubt(timer.ended("in_doubt", reply.text, status))
    if status == 429:  # noqa: PLR2004 - RFC 6585 §4
        return Deferred(timer.ended("deferred", reply.text, status), reply.retry_after or _DEFAULT_WAIT_S)
    if status in (401, 403, 404) or status < 400:  # noqa: PLR2004 - a redirect is not followed
        return Unavailable(timer.ended("unavailable", reply.text, status), LOGIN_HINT)
    return _refused(reply, timer)


def _taken(reply: Reply, timer: AttemptTimer) -> Tried:
    said, sid = reply.body.get("status"), reply.body.get("sid")
    if said == "failed":
        code = str(reply.code or "failed")
        return Refused(timer.ended("refused", reply.text, reply.status), code, f"twilio {code}")
    sid = sid if isinstance(sid, str) else None
    return Accepted(timer.ended("accepted", f"{sid} {said}", reply.status, sid))


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
