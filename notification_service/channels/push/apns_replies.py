"""What APNs' replies mean. Pure.

https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
"""

from datetime import UTC, datetime

from notification_service.channels.http_client import Response
from notification_service.channels.push.findings import Finding, Said

RENEW = frozenset({"ExpiredProviderToken", "InvalidProviderToken"})
_DEFAULT_WAIT_S = 60.0
_FOREIGN = {"BadDeviceToken", "DeviceTokenNotForTopic"}
_CONFIGURATION = {"BadTopic", "MissingTopic", "TopicDisallowed", "BadCertificate", "BadCertificateEnvironment"}
_LOGIN = "are APNS_KEY_FILE, APNS_KEY_ID and APNS_TEAM_ID of one key that may send (Apple Developer → Keys)?"
_TOPIC = "is APNS_TOPIC the bundle id of the app, and may the key send to it?"
_ENVIRONMENT = "is the token of the environment in APNS_ENVIRONMENT, and of the app in APNS_TOPIC?"
_BETWEEN = "something between here and APNs answers in its place"
_REQUEST = "APNs refuses the request itself: its reason says which part"


def read(response: Response, registered_at: datetime | None) -> Said:
    """`registered_at`: of the token; APNs says since when it is gone, and it may have been registered again since."""
    status, body = response.status, response.json_object
    reason = str(body.get("reason") or "no reason given")
    match status, reason:
        case 200, _ if "apns-id" in response.headers or not (response.body and response.complete):
            return Said(Finding.ACCEPTED, response.headers.get("apns-id", "accepted"), status)
        case 410, "Unregistered" | "ExpiredToken":
            return _unregistered(reason, gone=_is_gone(body.get("timestamp"), registered_at))
        case 400, _ if reason in _FOREIGN:
            return Said(Finding.FOREIGN, reason, status, hint=_ENVIRONMENT)
        case _ if hint := _hint(status, reason):
            return Said(Finding.UNAVAILABLE, reason, status, hint=hint)
        case (429 | 503, _) | (400, "IdleTimeout"):
            return Said(Finding.DEFERRED, reason, status, wait=response.retry_after or _DEFAULT_WAIT_S)
        case _ if status >= 500 or status == 408 or status < 300:  # noqa: PLR2004 - it says nothing of what lies behind
            return Said(Finding.IN_DOUBT, reason, status)
        case _ if not response.complete:
            return Said(Finding.DEFERRED, f"{reason}: it broke off", status, wait=_DEFAULT_WAIT_S)
        case _:
            return Said(Finding.UNSENDABLE, reason, status, hint=_REQUEST)


def _hint(status: int, reason: str) -> str | None:
    """What an operator can do, where the refusal is about us and no message; None where it is not."""
    if reason in _CONFIGURATION:
        return _TOPIC
    if status in (401, 403):
        return _LOGIN
    if reason == "TooManyProviderTokenUpdates":
        return "the login was renewed too often: it waits"
    # A redirect is not followed (RFC 9110 §15.4), and a 410 of APNs says why: another one must cost nobody a token.
    return _BETWEEN if 300 <= status < 400 or status == 410 else None  # noqa: PLR2004


def _unregistered(reason: str, *, gone: bool) -> Said:
    if gone:
        return Said(Finding.DEAD, reason, 410)
    return Said(Finding.DEFERRED, reason, 410, wait=_DEFAULT_WAIT_S)


def _is_gone(timestamp: object, registered_at: datetime | None) -> bool:
    """`timestamp`: milliseconds since 1970, when APNs last found that the token is not valid."""
    if registered_at is None or not isinstance(timestamp, int | float) or isinstance(timestamp, bool):
        return True
    at = registered_at if registered_at.tzinfo else registered_at.replace(tzinfo=UTC)
    return at.timestamp() * 1000 < timestamp
