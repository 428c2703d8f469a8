"""FCM, Google's token endpoint and APNs as they answer, on one server; each judges the requests as it would itself.

`shown`: what is on each device's screen, by tag, as a phone that replaces a notification with one of the same tag.
"""

import base64
import json
import re
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.stack import discovery
from tests.stack.http_server import Behaviour, Reply, Request

PROJECT, TOPIC, TEAM, KEY_ID = "cinema-test", "com.example.cinema", "TEAM123456", "KEY1234567"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_APNS_PATH = re.compile(r"/3/device/([0-9a-f]{64,200})")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def fcm_error(status: int, code: str, message: str = "", *, violation: str = "", grpc: str = "") -> Reply:
    details: list[dict[str, Any]] = [{"@type": _FCM_ERROR, "errorCode": code}] if code else []
    if violation:
        bad = {"field": violation, "description": message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [bad]})
    error = {"code": status, "message": message, "status": grpc or code, "details": details}
    return Reply(status, json.dumps({"error": error}).encode(), {"content-type": "application/json"})


def apns_error(status: int, reason: str, **fields: object) -> Reply:
    return Reply(status, json.dumps({"reason": reason, **fields}).encode())


@cache
def _google_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _apple_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class PushServices:
    """`says`: what a token is answered, instead of being accepted. `faults`: what was wrong with a request."""

    says: dict[str, Behaviour] = field(default_factory=dict)
    shown: dict[tuple[str, str], int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    apns_logins: list[str] = field(default_factory=list)
    accepts_login: bool = True
    google: rsa.RSAPrivateKey = field(default_factory=_google_key)
    apple: ec.EllipticCurvePrivateKey = field(default_factory=_apple_key)

    def service_account(self, url: str) -> str:
        """The key file, as Google's console writes it."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "a1b2",
                "private_key": _pem(self.google),
                "client_email": f"push@{PROJECT}.iam.gserviceaccount.com",
                "token_uri": f"{url}/token",
            }
        )

    def apns_key(self) -> str:
        return _pem(self.apple)

    def answer(self, request: Request) -> Behaviour:
        if request.path == "/token":
            return self._token(request)
        if request.path.startswith("/3/device/"):
            return self._apns(request)
        return self._fcm(request)

    def _token(self, request: Request) -> Behaviour:
        form = dict(urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True))
        unchecked: Any = {"verify_aud": False, "verify_iat": False}
        claims = jwt.decode(form["assertion"], self.google.public_key(), algorithms=["RS256"], options=unchecked)
        if not self.accepts_login or claims["exp"] - claims["iat"] > 3600:
            return Reply(400, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}')
        self.logins.append(f"ya29.{len(self.logins)}")
        return Reply(200, json.dumps({"access_token": self.logins[-1], "expires_in": 3599}).encode())

    def _fcm(self, request: Request) -> Behaviour:
        if request.headers.get("authorization") != f"Bearer {self.logins[-1] if self.logins else None}":
            return fcm_error(401, "", "Request had invalid authentication credentials.", grpc="UNAUTHENTICATED")
        if request.path != f"/v1/projects/{PROJECT}/messages:send":
            return Reply(404, b"<html>not found</html>")
        self.faults += discovery.faults("fcm.v1", "SendMessageRequest", request.body)
        sent = json.loads(request.body)
        message, token = sent["message"], sent["message"]["token"]
        if len(json.dumps([message["notification"], message["data"]]).encode()) > 4096:
            return fcm_error(400, "INVALID_ARGUMENT", "Android message is too big", violation="message")
        tags = {message["android"]["notification"]["tag"], message["webpush"]["notification"]["tag"]}
        if tags != {message["apns"]["headers"]["apns-collapse-id"]}:
            self.faults.append(f"tags differ: {tags}")
        if token.startswith("doctor-"):
            return fcm_error(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token")
        return self._show(
            token,
            message["android"]["notification"]["tag"],
            Reply(200, json.dumps({"name": f"projects/{PROJECT}/messages/1"}).encode()),
        )

    def _apns(self, request: Request) -> Behaviour:
        found = _APNS_PATH.fullmatch(request.path)
        head, headers = request.headers.get("authorization", ""), request.headers
        self.apns_logins.append(head.removeprefix("bearer "))
        if fault := self._apns_login_fault(self.apns_logins[-1]):
            return apns_error(403, fault)
        if headers.get("apns-topic") != TOPIC:
            return apns_error(400, "BadTopic")
        if not found or found[1] == "00" * 32:
            return apns_error(400, "BadDeviceToken")
        if len(request.body) > 4096:
            return apns_error(413, "PayloadTooLarge")
        if not _UUID.fullmatch(headers["apns-id"]) or len(headers["apns-collapse-id"].encode()) > 64:
            self.faults.append(f"apns-id or apns-collapse-id: {dict(headers)}")
        if "alert" not in json.loads(request.body)["aps"] or not headers["apns-expiration"].isdigit():
            self.faults.append("the payload has no alert, or its expiration is no time")
        return self._show(found[1], headers["apns-collapse-id"], Reply(200, b"", {"apns-id": headers["apns-id"]}))

    def _apns_login_fault(self, token: str) -> str | None:
        try:
            claims = jwt.decode(token, self.apple.public_key(), algorithms=["ES256"], options={"verify_iat": False})
        except jwt.PyJWTError:
            return "InvalidProviderToken"
        kid = jwt.get_unverified_header(token)["kid"]
        return None if (claims["iss"], kid) == (TEAM, KEY_ID) and self.accepts_login else "ExpiredProviderToken"

    def _show(self, token: str, tag: str, accepted: Reply) -> Behaviour:
        behaviour = self.says.get(token, accepted)
        if not isinstance(behaviour, Reply) or behaviour is accepted:
            self.shown[token, tag] += 1
        return behaviour


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
