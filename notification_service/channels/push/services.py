"""FCM and APNs: one request for one device, and what the reply means."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from notification_service.channels.http_client import FenceLost, HttpClient, MaybeSent, NotSent, Response
from notification_service.channels.push import apns_replies, fcm_replies, payloads
from notification_service.channels.push.devices import PushService, Target
from notification_service.channels.push.findings import Finding, Said
from notification_service.channels.push.logins import AppleLogin, GoogleLogin, NoLoginError
from notification_service.channels.push.message import OutgoingPush
from notification_service.contract.devices import Device
from notification_service.delivery.ports.channel import BeforeHandover

_FCM_HINT = "is fcm.googleapis.com:443 reachable from here?"
_APNS_HINT = "is APNs reachable from here (port 443, HTTP/2)?"
_LOGIN_HINT = "is FCM_SERVICE_ACCOUNT_FILE still valid, and is Google's token endpoint reachable from here?"
_UNAUTHORIZED = 401
_NO_SUCH_TOKEN = "doctor-asks-with-a-token-that-does-not-exist-0"  # noqa: S105 - it is meant to be refused


class Service(Protocol):
    """`kind`: the tokens that it takes."""

    kind: PushService

    async def send(self, message: OutgoingPush, target: Target, before_handover: BeforeHandover) -> Said: ...

    async def check(self) -> Said:
        """Log in without sending anything."""

    @property
    def open(self) -> int:
        """How many connections are open."""

    async def close(self) -> None: ...


class Fcm:
    """FCM's HTTP v1 API. `url`: of the API, without the path."""

    kind = PushService.FCM

    def __init__(self, http: HttpClient, login: GoogleLogin, url: str) -> None:
        self._http = http
        self._login = login
        self._url = f"{url.rstrip('/')}/v1/projects/{login.account.project}/messages:send"

    @property
    def open(self) -> int:
        return self._http.open

    async def send(self, message: OutgoingPush, target: Target, before_handover: BeforeHandover) -> Said:
        content = payloads.fcm(message, target.device.token, datetime.now(UTC))
        return await self._ask(content, before_handover)

    async def check(self) -> Said:
        """FCM validates a message to a token that does not exist: whether it names the token, we are logged in."""
        target = Target(Device(_NO_SUCH_TOKEN), PushService.FCM)
        message = OutgoingPush(
            notification_id="doctor", template="", recipient="", content=b"", targets=(target,), title="-", body="-"
        )
        said = await self._ask(payloads.fcm(message, _NO_SUCH_TOKEN, datetime.now(UTC), validate_only=True), None)
        known = said.finding in (Finding.DEAD, Finding.ACCEPTED)
        return Said(Finding.ACCEPTED, "logged in", said.code) if known else said

    async def close(self) -> None:
        await self._login.close()
        await self._http.close()

    async def _ask(self, content: bytes, before_handover: BeforeHandover | None) -> Said:
        try:
            token = await self._login.token()
        except NoLoginError as problem:
            return Said(Finding.UNAVAILABLE, str(problem), hint=_LOGIN_HINT)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        answer = await self._http.request(
            "POST", self._url, headers=headers, content=content, before_handover=before_handover
        )
        if isinstance(answer, Response):
            said = fcm_replies.read(answer)
            if said.code == _UNAUTHORIZED and not said.serves_others:
                self._login.forget(token)
            return said
        return _unanswered(answer, _FCM_HINT)


class Apns:
    """Apple's service, over HTTP/2. `topic`: the app's bundle id."""

    kind = PushService.APNS

    def __init__(self, http: HttpClient, login: AppleLogin, url: str, topic: str) -> None:
        self._http = http
        self._login = login
        self._url = url.rstrip("/")
        self._topic = topic

    @property
    def open(self) -> int:
        return self._http.open

    async def send(self, message: OutgoingPush, target: Target, before_handover: BeforeHandover) -> Said:
        headers = payloads.apns_headers(message, target.digest, self._topic, datetime.now(UTC))
        content, device = payloads.apns(message), target.device
        said = await self._ask(device, headers, content, before_handover, self._login.token())
        if said.reason in apns_replies.RENEW:
            # A refusal of our login says nothing about the device, and sent nothing.
            said = await self._ask(device, headers, content, before_handover, self._login.renew())
        return said

    async def check(self) -> Said:
        """A token that cannot exist is refused after the login: BadDeviceToken means that we are logged in."""
        headers = {"apns-topic": self._topic, "apns-push-type": "alert"}
        said = await self._ask(Device("00" * 32), headers, b'{"aps":{"alert":"-"}}', None, self._login.token())
        known = said.finding in (Finding.FOREIGN, Finding.DEAD)
        return Said(Finding.ACCEPTED, "logged in", said.code) if known else said

    async def close(self) -> None:
        await self._http.close()

    async def _ask(
        self,
        device: Device,
        headers: Mapping[str, str],
        content: bytes,
        before_handover: BeforeHandover | None,
        token: str,
    ) -> Said:
        answer = await self._http.request(
            "POST",
            f"{self._url}/3/device/{device.token}",
            headers={**headers, "authorization": f"bearer {token}", "content-type": "application/json"},
            content=content,
            before_handover=before_handover,
        )
        if isinstance(answer, Response):
            return apns_replies.read(answer, device.registered_at)
        return _unanswered(answer, _APNS_HINT)


def _unanswered(answer: NotSent | FenceLost | MaybeSent, hint: str) -> Said:
    match answer:
        case NotSent(text):
            return Said(Finding.UNAVAILABLE, text, hint=hint)
        case FenceLost():
            return Said(Finding.FENCE_LOST, "the claim was lost")
        case MaybeSent(text):
            return Said(Finding.IN_DOUBT, text)
