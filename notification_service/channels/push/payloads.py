"""What goes out: the bodies and headers of FCM v1 and APNs for a message. Pure.

FCM: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages · APNs:
https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from notification_service.channels.push.message import OutgoingPush
from notification_service.contract.variants import control_name

MAX_PAYLOAD_BYTES = 4096
"""Of FCM for `notification` and `data`, and of APNs for the whole body."""


def fcm(message: OutgoingPush, token: str, now: datetime, *, validate_only: bool = False) -> bytes:
    """The request's body. `validate_only`: FCM judges it, and sends nothing."""
    lifetime = message.lifetime_s(now)
    content: dict[str, Any] = {
        "token": token,
        "notification": {"title": message.title, "body": message.body},
        "data": _data(message),
        "android": {"priority": "HIGH", "ttl": f"{lifetime}s", "notification": {"tag": message.tag}},
        "webpush": {"headers": {"TTL": str(lifetime)}, "notification": {"tag": message.tag}},
        "apns": {
            "headers": {"apns-collapse-id": message.tag, "apns-expiration": str(message.expires_at(now))},
            "payload": {"aps": {"sound": "default"}},
        },
    }
    return _json({"message": content, **({"validateOnly": True} if validate_only else {})})


def apns(message: OutgoingPush) -> bytes:
    aps = {"alert": {"title": message.title, "body": message.body}, "sound": "default"}
    return _json({"aps": aps, **_data(message)})


def apns_headers(message: OutgoingPush, digest: str, topic: str, now: datetime) -> Mapping[str, str]:
    """`digest`: of the device's token. `apns-id` is a name for the reply and the device's log, no de-duplication."""
    return {
        "apns-id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{message.tag}:{digest}")),
        "apns-collapse-id": message.tag,
        "apns-expiration": str(message.expires_at(now)),
        "apns-priority": "10",
        "apns-push-type": "alert",
        "apns-topic": topic,
    }


def size(message: OutgoingPush) -> int:
    """Bytes that count against the limit of the stricter service."""
    return max(len(apns(message)), len(fcm(message, "", datetime.now(UTC))))


def _data(message: OutgoingPush) -> dict[str, str]:
    """For the app: which booking the message is about, and the notification's id. FCM takes texts only."""
    booking = {"booking_id": message.booking_id} if message.booking_id else {}
    return {"notification_id": message.notification_id, "template": control_name(message.template), **booking}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
