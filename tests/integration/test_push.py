"""Push through FCM and APNs as they answer: verdicts, logins, devices, and bodies judged by Google's own schema."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notification_service.channels.http_client import HttpClient
from notification_service.channels.push.devices import PushService, choose
from notification_service.channels.push.findings import Finding
from notification_service.channels.push.logins import AppleLogin, GoogleLogin, read_apns_key, read_service_account
from notification_service.channels.push.message import OutgoingPush
from notification_service.channels.push.services import Apns, Fcm
from notification_service.channels.push.transport import PushTransport
from notification_service.contract.devices import Device
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    Deferred,
    HandoverRefused,
    InDoubt,
    Refused,
    Tried,
    Unavailable,
    Unsendable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError
from tests.stack import http_server
from tests.stack.certificates import server_context
from tests.stack.http_server import Behaviour, Fault, HttpServer, Reply
from tests.stack.push_services import KEY_ID, TEAM, TOPIC, PushServices, apns_error, claims_of, fcm_error

ANDROID, IPHONE = "fcm-token:" + "a" * 130, "ab" * 32
OTHER_ANDROID, OTHER_IPHONE = "fcm-token:" + "b" * 130, "cd" * 32
NOW = datetime.now(UTC)


@dataclass
class World:
    """`notes`: the attempts in the record, in their order. `asked`: how often the fence was."""

    services: PushServices
    server: HttpServer
    transport: PushTransport
    google: GoogleLogin
    now: float
    notes: list[Attempt] = field(default_factory=list)
    asked: int = 0
    fence: Fence = Fence.HELD

    async def send(self, *tokens: str | Device, **changes: object) -> Tried:
        devices = [each if isinstance(each, Device) else Device(each) for each in tokens]
        message = replace(push(devices), note=self._note, **changes)  # type: ignore[arg-type]
        return await self.transport.send_once(message, self._ask)

    async def _note(self, attempt: Attempt) -> None:
        self.notes.append(attempt)

    async def _ask(self) -> Fence:
        self.asked += 1
        return self.fence


def push(devices: Sequence[Device], **changes: object) -> OutgoingPush:
    message = OutgoingPush(
        notification_id="n" * 32,
        template="booking_cancellation",
        recipient="devices:1",
        content=b"{}",
        targets=choose(devices, tuple(PushService)).targets,
        title="Showing cancelled: Amélie",
        body="The tickets are no longer valid.",
        booking_id="B-1",
        valid_until=NOW + timedelta(hours=1),
    )
    return replace(message, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world
        assert world.services.faults == []


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    async with http_server.running(server_context(folder / "ca.pem", "good")) as server:
        services = PushServices()
        server.answer = services.answer
        (folder / "google.json").write_text(services.service_account(server.url))
        (folder / "apns.p8").write_text(services.apns_key())

        def client() -> HttpClient:
            tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            return HttpClient(tls=tls, timeout=3.0, http2=True, max_connections=4)

        def clock() -> float:
            return found[0].now

        found: list[World] = []

        google = GoogleLogin(client(), read_service_account(folder / "google.json"), clock)
        apple = AppleLogin(read_apns_key(folder / "apns.p8"), KEY_ID, TEAM, clock)
        transport = PushTransport([Fcm(client(), google, server.url), Apns(client(), apple, server.url, TOPIC)], 4)
        found.append(World(services, server, transport, google, NOW.timestamp()))
        yield found[0]
        await transport.close()


async def test_a_message_reaches_every_device_under_one_tag(world: World) -> None:
    verdict = await world.send(ANDROID, IPHONE)
    assert isinstance(verdict, Accepted)
    assert verdict.attempt.reply == "2 of 2 devices"
    assert world.services.shown == {(ANDROID, "n" * 32): 1, (IPHONE, "n" * 32): 1}
    assert [each.result for each in world.notes] == ["accepted", "accepted"]
    assert len({each.device for each in world.notes}) == 2
    assert world.asked == 1


async def test_no_token_is_in_the_record(world: World) -> None:
    world.services.says[ANDROID] = fcm_error(400, "INVALID_ARGUMENT", f"{ANDROID} is bad", violation="message.token")
    await world.send(ANDROID, IPHONE)
    assert not any(token in str(each) for each in world.notes for token in (ANDROID, IPHONE))


async def test_each_result_is_written_before_the_next_request(world: World) -> None:
    seen: list[int] = []

    def watch(request: http_server.Request) -> Behaviour:
        if request.path != "/token":
            seen.append(len(world.notes))
        return world.services.answer(request)

    world.server.answer = watch
    await world.send(ANDROID, IPHONE)
    assert seen == [0, 1]


async def test_a_doubt_leaves_only_devices_without_a_result(world: World) -> None:
    first = await world.send(ANDROID)
    assert isinstance(first, Accepted)
    digest = first.attempt.device
    assert digest is not None
    assert world.notes == [], "the verdict on an only device is written anyway"
    verdict = await world.send(ANDROID, IPHONE, settled={digest: "accepted"})
    assert isinstance(verdict, Accepted)
    assert world.services.shown == {(ANDROID, "n" * 32): 1, (IPHONE, "n" * 32): 1}
    assert isinstance(await world.send(ANDROID, settled={digest: "accepted"}), Accepted)
    assert world.services.shown[ANDROID, "n" * 32] == 1


async def test_a_lost_fence_sends_nothing(world: World) -> None:
    world.fence = Fence.LOST
    assert await world.send(ANDROID, IPHONE) == HandoverRefused()
    assert not world.services.shown
    assert world.notes == []


def _named(value: object) -> str:
    """The same in every process."""
    if not isinstance(value, Reply):
        return value.__name__ if isinstance(value, type) else str(value)
    words = re.findall("[A-Za-z_]{4,}", value.body.decode("latin-1"))
    return f"{value.status}-{words[-1][:40] if words else len(value.body)}"


FCM_REPLIES: list[tuple[Behaviour, type]] = [
    (fcm_error(404, "UNREGISTERED", "Requested entity was not found.", grpc="NOT_FOUND"), Refused),
    (fcm_error(404, "", "Requested entity was not found.", grpc="NOT_FOUND"), Unavailable),
    (fcm_error(400, "INVALID_ARGUMENT", "Invalid registration token", violation="message.token"), Refused),
    (fcm_error(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"), Refused),
    (fcm_error(400, "INVALID_ARGUMENT", "Android message is too big", violation="message"), Unsendable),
    (fcm_error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), Unsendable),
    (fcm_error(403, "SENDER_ID_MISMATCH", "SenderId mismatch", grpc="PERMISSION_DENIED"), Refused),
    (fcm_error(403, "", "Permission denied", grpc="PERMISSION_DENIED"), Unavailable),
    (fcm_error(401, "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS", grpc="UNAUTHENTICATED"), Unavailable),
    (fcm_error(401, "", "invalid credentials", grpc="UNAUTHENTICATED"), Unavailable),
    (fcm_error(429, "QUOTA_EXCEEDED", "Quota exceeded", grpc="RESOURCE_EXHAUSTED"), Deferred),
    (fcm_error(429, "", "Quota exceeded", grpc="RESOURCE_EXHAUSTED"), Deferred),
    (Reply(429, b"<html>Slow down</html>"), Deferred),
    (fcm_error(400, "UNREGISTERED", "not a registered token"), Unsendable),
    (fcm_error(404, "INVALID_ARGUMENT", "Not found"), Unavailable),
    (Reply(404, b""), Unavailable),
    (Reply(410, b"<html>Gone for good</html>"), Unavailable),
    (Reply(400, b'{"error": {"details": [{"fieldViol'), Unsendable),
    (Reply(400, b'{"error": "INVALID_ARGUMENT"}'), Unsendable),
    (Reply(400, b'{"error": {"details": {"errorCode": "UNREGISTERED"}}}'), Unsendable),
    (Reply(413, b""), Unsendable),
    (Reply(302, b"", {"location": "/elsewhere"}), Unavailable),
    (Reply(408, b"<html>Timeout</html>"), InDoubt),
    (Reply(200, b""), InDoubt),
    (Reply(200, b'{"name": "projects/x'), InDoubt),
    (Reply(200, b"x" * 200_000), InDoubt),
    (Reply(404, fcm_error(404, "UNREGISTERED").body.decode().encode("utf-16")), Refused),
    (Reply(404, b" " * 70_000 + fcm_error(404, "UNREGISTERED").body), Refused),
    (Fault.DIE_IN_BODY, Accepted),
    (Fault.GOAWAY_BELOW, Unavailable),
    (Fault.RESET_STREAM, InDoubt),
    (fcm_error(500, "INTERNAL", "Internal error"), InDoubt),
    (fcm_error(503, "UNAVAILABLE", "The service is unavailable"), InDoubt),
    (Reply(502, b"<html>Bad gateway</html>"), InDoubt),
    (Fault.DIE, InDoubt),
    (Fault.REFUSE_STREAM, Unavailable),
]


@pytest.mark.parametrize(("reply", "expected"), FCM_REPLIES, ids=_named)
async def test_what_fcm_says(world: World, reply: Behaviour, expected: type) -> None:
    world.services.says[ANDROID] = reply
    assert isinstance(await world.send(ANDROID), expected)


APNS_REPLIES: list[tuple[Behaviour, type]] = [
    (apns_error(410, "Unregistered", timestamp=int(NOW.timestamp() * 1000)), Refused),
    (apns_error(410, "Unregistered"), Refused),
    (apns_error(400, "BadDeviceToken"), Refused),
    (apns_error(400, "DeviceTokenNotForTopic"), Refused),
    (apns_error(400, "PayloadEmpty"), Unsendable),
    (apns_error(413, "PayloadTooLarge"), Unsendable),
    (apns_error(400, "TopicDisallowed"), Unavailable),
    (apns_error(403, "MissingProviderToken"), Unavailable),
    (apns_error(429, "TooManyRequests"), Deferred),
    (apns_error(429, "TooManyProviderTokenUpdates"), Unavailable),
    (apns_error(503, "ServiceUnavailable"), Deferred),
    (apns_error(410, "ExpiredToken", timestamp=int(NOW.timestamp() * 1000)), Refused),
    (Reply(410, b""), Unavailable),
    (Reply(410, b"<html>Gone</html>"), Unavailable),
    (apns_error(400, "BadCollapseId"), Unsendable),
    (apns_error(400, "BadTopic"), Unavailable),
    (apns_error(400, "MissingTopic"), Unavailable),
    (apns_error(403, "Forbidden"), Unavailable),
    (apns_error(403, "BadCertificate"), Unavailable),
    (apns_error(404, "BadPath"), Unsendable),
    (apns_error(405, "MethodNotAllowed"), Unsendable),
    (apns_error(503, "Shutdown"), Deferred),
    (Reply(503, b"<html>Unavailable</html>"), Deferred),
    (Reply(429, b""), Deferred),
    (Reply(400, b""), Unsendable),
    (Reply(400, b'{"reason": "BadDev'), Unsendable),
    (Reply(400, b'{"reason": ["BadDeviceToken"]}'), Unsendable),
    (Reply(400, apns_error(400, "BadDeviceToken").body.decode().encode("utf-16")), Refused),
    (Reply(403, b"<html>Forbidden</html>"), Unavailable),
    (Reply(302, b"", {"location": "/elsewhere"}), Unavailable),
    (Reply(401, b"<html>Login</html>"), Unavailable),
    (Reply(408, b""), InDoubt),
    (Reply(502, b"<html>Bad gateway</html>"), InDoubt),
    (Reply(504, b""), InDoubt),
    (Reply(200, b"<html>welcome</html>"), InDoubt),
    (apns_error(400, "IdleTimeout"), Deferred),
    (Fault.DIE_IN_BODY, Accepted),
    (Fault.GOAWAY_BELOW, Unavailable),
    (Fault.RESET_STREAM, InDoubt),
    (apns_error(500, "InternalServerError"), InDoubt),
    (Fault.DIE, InDoubt),
    (Fault.REFUSE_STREAM, Unavailable),
]


@pytest.mark.parametrize(("reply", "expected"), APNS_REPLIES, ids=_named)
async def test_what_apns_says(world: World, reply: Behaviour, expected: type) -> None:
    world.services.says[IPHONE] = reply
    assert isinstance(await world.send(IPHONE), expected)


async def test_a_wait_is_the_providers_or_a_minute(world: World) -> None:
    limits = {ANDROID: fcm_error(429, "QUOTA_EXCEEDED"), IPHONE: apns_error(429, "TooManyRequests")}
    for token, limited in limits.items():
        waits = []
        for said in ("7", "soon", "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"):
            world.services.says[token] = replace(limited, headers={"retry-after": said})
            waits.append(await world.send(token))
        world.services.says[token] = limited
        waits.append(await world.send(token))
        assert [each.wait for each in waits if isinstance(each, Deferred)] == [7.0, 60.0, 60.0, 259_200.0, 60.0]


@pytest.mark.parametrize("reason", ["ExpiredProviderToken", "InvalidProviderToken"])
async def test_a_login_that_expires_in_mid_flight_is_renewed_and_the_message_goes_out_once(
    world: World, reason: str
) -> None:
    refused: list[str] = []

    def expires_once(request: http_server.Request) -> Behaviour:
        if "device" in request.path and not refused:
            refused.append(request.headers["authorization"])
            return apns_error(403, reason)
        return world.services.answer(request)

    world.server.answer = expires_once
    assert isinstance(await world.send(IPHONE), Accepted)
    assert world.services.shown == {(IPHONE, "n" * 32): 1}
    assert world.services.apns_logins[-1] not in refused[0]
    assert world.asked == 1


async def test_a_goaway_in_the_middle_of_a_request_sends_once_more_on_another_connection(world: World) -> None:
    await world.send(OTHER_IPHONE)
    world.server.script.append(Fault.GOAWAY_BELOW)
    assert isinstance(await world.send(IPHONE), Accepted)
    assert world.services.shown[IPHONE, "n" * 32] == 1


async def test_a_token_that_was_registered_again_is_not_dead(world: World) -> None:
    world.services.says[IPHONE] = apns_error(410, "Unregistered", timestamp=int(NOW.timestamp() * 1000))
    again = Device(IPHONE, registered_at=NOW + timedelta(seconds=5))
    before = Device(IPHONE, registered_at=NOW - timedelta(seconds=5))
    assert isinstance(await world.send(again), Deferred)
    assert isinstance(await world.send(before), Refused)


@pytest.mark.parametrize(
    ("token", "other", "reply"),
    [
        (ANDROID, OTHER_ANDROID, fcm_error(403, "SENDER_ID_MISMATCH", grpc="PERMISSION_DENIED")),
        (IPHONE, OTHER_IPHONE, apns_error(400, "BadDeviceToken")),
    ],
)
async def test_a_foreign_token_is_believed_only_after_another_was_accepted(
    world: World, token: str, other: str, reply: Reply
) -> None:
    world.services.says[token] = reply
    first = await world.send(token)
    assert isinstance(first, Refused)
    assert not first.names_address, "every token of a wrong project is answered so: the net of refusals has to see it"
    assert first.fingerprint
    assert first.attempt.result == "unproven"
    await world.send(other)
    second = await world.send(token)
    assert isinstance(second, Refused)
    assert second.names_address
    assert second.attempt.result == "refused"


async def test_one_device_is_enough_and_a_dead_one_is_noted(world: World) -> None:
    world.services.says[ANDROID] = fcm_error(404, "UNREGISTERED")
    verdict = await world.send(ANDROID, IPHONE)
    assert isinstance(verdict, Accepted)
    assert verdict.attempt.reply == "1 of 2 devices"
    assert [each.result for each in world.notes] == ["refused", "accepted"]


async def test_where_one_service_is_away_the_other_one_is_still_tried(world: World) -> None:
    world.services.says |= {ANDROID: Fault.REFUSE_STREAM, OTHER_ANDROID: Fault.REFUSE_STREAM}
    verdict = await world.send(ANDROID, OTHER_ANDROID, IPHONE)
    assert isinstance(verdict, Accepted)
    assert [each.result for each in world.notes] == ["unavailable", "accepted"]


async def test_where_fcm_cannot_log_in_to_apns_an_android_is_still_tried_by_the_same_login(world: World) -> None:
    world.services.says[ANDROID] = fcm_error(401, "THIRD_PARTY_AUTH_ERROR", grpc="UNAUTHENTICATED")
    assert isinstance(await world.send(ANDROID, OTHER_ANDROID), Accepted)
    assert [each.result for each in world.notes] == ["unavailable", "accepted"]
    assert len(world.services.logins) == 1


async def test_google_gives_one_token_to_all_and_another_after_fifty_minutes(world: World) -> None:
    await asyncio.gather(*(world.send(ANDROID) for _ in range(8)))
    assert len(world.services.logins) == 1
    world.now += 49 * 60
    await world.send(ANDROID)
    assert len(world.services.logins) == 1
    world.now += 2 * 60
    await world.send(ANDROID)
    assert len(world.services.logins) == 2


async def test_a_refused_access_token_is_asked_for_anew(world: World) -> None:
    await world.send(ANDROID)
    world.services.logins.append("ya29.another")
    assert isinstance(await world.send(ANDROID), Unavailable)
    assert isinstance(await world.send(ANDROID), Accepted)


async def test_without_a_login_nothing_is_sent_and_the_fence_is_not_asked(world: World) -> None:
    world.services.accepts_login = False
    verdict = await world.send(ANDROID)
    assert isinstance(verdict, Unavailable)
    assert "invalid_grant" in (verdict.attempt.reply or "")
    assert world.asked == 0


async def test_workers_make_the_same_apns_token_for_forty_minutes(world: World, tmp_path: Path) -> None:
    key = read_apns_key(tmp_path / "apns.p8")
    start = 1_800_000_000 // 2400 * 2400
    now = float(start)
    one, other = (AppleLogin(key, KEY_ID, TEAM, lambda: now) for _ in range(2))
    first = one.token()
    now = start + 2399.0
    assert other.token() == first
    assert claims_of(first) == {"iss": TEAM, "iat": start}
    now = start + 2400.0
    assert one.token() != first


@pytest.mark.parametrize("second", [0.0, 20.0, 59.5, 60.0, 700.0])
async def test_an_apns_token_is_renewed_whenever_it_is_refused_and_once_a_minute(
    world: World, tmp_path: Path, second: float
) -> None:
    del world
    now = 1_800_000_000 // 2400 * 2400 + second
    login = AppleLogin(read_apns_key(tmp_path / "apns.p8"), KEY_ID, TEAM, lambda: now)
    refused, renewed = login.token(), login.renew()
    assert renewed != refused
    assert abs(int(str(claims_of(renewed)["iat"])) - now) <= 60
    assert [login.renew(), login.token()] == [renewed, renewed]


async def test_an_expired_apns_token_is_renewed_once(world: World) -> None:
    world.services.accepts_login = False
    assert isinstance(await world.send(IPHONE), Unavailable)
    assert len(world.services.apns_logins) == 2
    assert len(set(world.services.apns_logins)) == 2


async def test_a_push_expires_when_the_show_begins(world: World) -> None:
    bodies: list[dict[str, object]] = []
    heads: list[str] = []

    def watch(request: http_server.Request) -> Behaviour:
        if "messages:send" in request.path:
            bodies.append(json.loads(request.body)["message"])
        elif "device" in request.path:
            heads.append(request.headers["apns-expiration"])
        return world.services.answer(request)

    world.server.answer = watch
    begins = datetime.now(UTC) + timedelta(minutes=30)
    await world.send(ANDROID, IPHONE, valid_until=begins)
    android = bodies[0]["android"]
    assert isinstance(android, dict)
    assert 1790 <= int(android["ttl"].rstrip("s")) <= 1800
    assert abs(int(heads[0]) - begins.timestamp()) <= 2
    await world.send(ANDROID, valid_until=begins - timedelta(hours=2))
    assert isinstance(bodies[1]["android"], dict)
    assert bodies[1]["android"]["ttl"] == "0s"


async def test_doctor_logs_in_to_both_and_sends_nothing(world: World) -> None:
    said = [await each.check() for each in world.transport.services.values()]
    assert [each.finding for each in said] == [Finding.ACCEPTED, Finding.ACCEPTED]
    assert await world.transport.check() == "FCM and APNS let us in"
    assert not world.services.shown
    world.services.accepts_login = False
    world.services.logins.append("another")
    said = [await each.check() for each in world.transport.services.values()]
    assert [each.finding for each in said] == [Finding.UNAVAILABLE, Finding.UNAVAILABLE]
    with pytest.raises(ChannelUnavailableError, match="invalid_grant: is FCM_SERVICE_ACCOUNT_FILE still valid"):
        await world.transport.check()
