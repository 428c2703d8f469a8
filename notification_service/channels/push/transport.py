"""The push transport: one message to each of a person's devices, and one verdict about it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from notification_service.channels.push.devices import PushService, Target
from notification_service.channels.push.findings import Finding, Said
from notification_service.channels.push.message import OutgoingPush
from notification_service.channels.push.services import Service
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    Deferred,
    HandoverRefused,
    InDoubt,
    OutgoingMessage,
    Refused,
    Tried,
    Unavailable,
    Unsendable,
)
from notification_service.delivery.ports.claims import Fence
from notification_service.foundation.errors import ChannelUnavailableError
from notification_service.foundation.printable import shown

_MAX_REPLY_LENGTH = 300
_ACCEPTED, _REFUSED = Finding.ACCEPTED.value, Finding.DEAD.value


@dataclass(frozen=True, slots=True)
class _Result:
    said: Said
    attempt: Attempt
    service: PushService


class PushTransport:
    """Sends to the devices one after another. Each result is in the record before the next request goes out.

    The result of an only device is the verdict, which is written anyway.
    The fence is asked before the first request: it is about the message. `services`: those that are set up.
    """

    def __init__(self, services: Sequence[Service], max_concurrency: int) -> None:
        self.name = "+".join(sorted(each.kind for each in services))
        self.max_concurrency = max_concurrency
        self.services: Mapping[PushService, Service] = {each.kind: each for each in services}
        self._proven: set[PushService] = set()
        """Services that accepted a token: a refusal of another token is then about that token."""

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        if not isinstance(message, OutgoingPush):
            raise TypeError(f"push sends to devices, and this is a {type(message).__name__}")
        fence, results = _AskedOnce(before_handover), list[_Result]()
        for target in message.targets:
            if target.digest in message.settled or _is_away(target.service, results):
                continue
            result = await self._send(message, target, fence)
            results.append(result)
            if result.said.finding is Finding.FENCE_LOST:
                break
            if message.note is not None and len(message.targets) > 1:
                await message.note(result.attempt)
        return _verdict(message, results)

    async def check(self) -> str:
        """Logs in to each service without sending. Raises `ChannelUnavailableError`."""
        for kind, service in self.services.items():
            said = await service.check()
            if said.finding is not Finding.ACCEPTED:
                hint = said.hint or "its status page says whether it is down"
                raise ChannelUnavailableError(f"{kind.upper()}: {shown(said.reason)}: {hint}")
        return f"{' and '.join(each.upper() for each in self.services)} let us in"

    async def close(self) -> None:
        for each in self.services.values():
            await each.close()

    async def _send(self, message: OutgoingPush, target: Target, fence: "_AskedOnce") -> _Result:
        at, started = datetime.now(UTC), time.monotonic()
        said = self._believed(await self.services[target.service].send(message, target, fence), target.service)
        attempt = Attempt(
            at,
            said.finding.value,
            round((time.monotonic() - started) * 1000, 1),
            said.code,
            shown(f"{target.service}: {said.reason}".replace(target.device.token, "***"))[:_MAX_REPLY_LENGTH],
            device=target.digest,
        )
        return _Result(said, attempt, target.service)

    def _believed(self, said: Said, service: PushService) -> Said:
        if said.finding is Finding.ACCEPTED:
            self._proven.add(service)
        if said.finding is Finding.FOREIGN and service in self._proven:
            return replace(said, finding=Finding.DEAD)
        return said


class _AskedOnce:
    def __init__(self, before_handover: BeforeHandover) -> None:
        self._before_handover = before_handover
        self._held: Fence | None = None

    async def __call__(self) -> Fence:
        if self._held is None:
            fence = await self._before_handover()
            if fence is Fence.LOST:
                return fence
            self._held = fence
        return self._held


def _is_away(service: PushService, results: Sequence[_Result]) -> bool:
    """Whether the service was just found unavailable: its other devices need not be tried."""
    found = (each.said for each in results if each.service is service)
    return any(said.finding is Finding.UNAVAILABLE and not said.serves_others for said in found)


def _verdict(message: OutgoingPush, results: Sequence[_Result]) -> Tried:
    """It is sent when one device's service took it. Else what leaves most open decides."""
    earlier = list(message.settled.values())
    if _ACCEPTED in earlier or any(each.said.finding is Finding.ACCEPTED for each in results):
        return Accepted(_summary(message, results))
    for finding in (
        Finding.FENCE_LOST,
        Finding.IN_DOUBT,
        Finding.UNAVAILABLE,
        Finding.DEFERRED,
        Finding.UNSENDABLE,
        Finding.FOREIGN,
    ):
        if found := next((each for each in results if each.said.finding is finding), None):
            return _open_verdict(found, max(each.said.wait or 0.0 for each in results))
    return Refused(_summary(message, results), "unregistered", names_address=True)


def _open_verdict(result: _Result, longest_wait: float) -> Tried:
    said, attempt = result.said, result.attempt
    fingerprint = f"{result.service} {said.code} {said.reason.split(' ')[0]}"
    match said.finding:
        case Finding.FENCE_LOST:
            return HandoverRefused()
        case Finding.IN_DOUBT:
            return InDoubt(attempt)
        case Finding.UNAVAILABLE:
            return Unavailable(attempt, said.hint)
        case Finding.DEFERRED:
            return Deferred(attempt, longest_wait or None)
        case Finding.UNSENDABLE:
            return Unsendable(attempt, said.hint, fingerprint)
        case _:
            return Refused(attempt, said.reason.split(" ")[0], fingerprint)


def _summary(message: OutgoingPush, results: Sequence[_Result]) -> Attempt:
    """The attempt that closes the record. With one device, it is that device's."""
    if len(results) == 1 and not message.settled:
        return results[0].attempt
    outcomes = [*message.settled.values(), *(each.said.finding.value for each in results)]
    accepted = outcomes.count(_ACCEPTED)
    last = results[-1].attempt if results else None
    return Attempt(
        results[0].attempt.at if results else datetime.now(UTC),
        _ACCEPTED if accepted else _REFUSED,
        round(sum(each.attempt.duration_ms for each in results), 1),
        last.code if last else None,
        f"{accepted} of {len(message.targets)} devices",
    )
