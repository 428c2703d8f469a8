"""What FCM's replies mean. Pure.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from collections.abc import Iterator, Mapping
from typing import Any

from notification_service.channels.http_client import Response
from notification_service.channels.push.findings import Finding, Said

_DEFAULT_WAIT_S = 60.0
_FCM_ERROR = "google.firebase.fcm.v1.FcmError"
_LOGIN = "is FCM_SERVICE_ACCOUNT_FILE the key of an account of this project that may send messages (cloudmessaging)?"
_THIRD_PARTY = "FCM cannot log in to APNs or Web Push: Firebase console → Project settings → Cloud Messaging → keys"
_REQUEST = "FCM refuses the request itself: the reply names the field"
_FOREIGN = "are the app and FCM_SERVICE_ACCOUNT_FILE of the same Firebase project?"


def read(response: Response) -> Said:
    """A 5xx proves nothing: 503s that had been delivered are known (firebase-admin-node#1248)."""
    status, body = response.status, response.json_object
    found = body.get("error")
    error = found if isinstance(found, dict) else {}
    code = _code(error)
    text = _text(code, error)
    match status, code:
        case _ if 200 <= status < 300 and (body.get("name") or not response.complete):  # noqa: PLR2004 - RFC 9110 §15.3
            return Said(Finding.ACCEPTED, str(body.get("name") or "accepted"), status)
        # A gateway's timeout is in doubt as well, and so is a page in place of FCM's answer.
        case _ if status >= 500 or status == 408 or status < 300:  # noqa: PLR2004
            return Said(Finding.IN_DOUBT, text, status)
        case 404, "UNREGISTERED":
            return Said(Finding.DEAD, text, status)
        case (429, _) | (400 | 403 | 404, "") if status == 429 or not response.complete:  # noqa: PLR2004 - it broke off
            return Said(Finding.DEFERRED, text, status, wait=response.retry_after or _DEFAULT_WAIT_S)
        case 403, "SENDER_ID_MISMATCH":
            return Said(Finding.FOREIGN, text, status, hint=_FOREIGN)
        case _, "THIRD_PARTY_AUTH_ERROR":
            return Said(Finding.UNAVAILABLE, text, status, hint=_THIRD_PARTY, serves_others=True)
        case 400, _ if _names_the_token(error):
            return Said(Finding.DEAD, text, status)
        case 400 | 413, _:
            return Said(Finding.UNSENDABLE, text, status, hint=_REQUEST)
        case _:
            return Said(Finding.UNAVAILABLE, text, status, hint=_LOGIN)


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return (each for each in (details if isinstance(details, list) else ()) if isinstance(each, dict))


def _code(error: Mapping[str, Any]) -> str:
    """FCM's own code, which is in the details; else the status of all Google APIs, which says less."""
    own = (str(each.get("errorCode")) for each in _details(error) if str(each.get("@type", "")).endswith(_FCM_ERROR))
    return next(own, str(error.get("status") or ""))


def _names_the_token(error: Mapping[str, Any]) -> bool:
    """INVALID_ARGUMENT is also what a message that is too large gets (firebase-admin-go#580, fcm-django#223)."""
    violations = [each for detail in _details(error) for each in _listed(detail.get("fieldViolations"))]
    if violations:
        return any(str(each.get("field")) == "message.token" for each in violations)
    return "registration token is not a valid" in str(error.get("message", ""))


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(code: str, error: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (code, str(error.get("message") or "")))) or "no reason given"
