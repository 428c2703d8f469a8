"""As `suppression_check`, for push: each of a person's devices is on the list by its own token, or is not."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.devices import Device
from notification_service.contract.outcomes import Skipped, SkipReason
from notification_service.contract.remarks import Remark
from notification_service.contract.suppressions import OURSELVES, Cause, Entry, Evidence, Kind, Standing, stopping
from notification_service.delivery.jobs import Job
from notification_service.delivery.ports.channel import REFUSED, Attempt, OptedOut, Refused
from notification_service.delivery.ports.directory import Recipient
from notification_service.delivery.ports.suppressions import Known, Suppressions
from notification_service.delivery.suppression_check import Cleared, keep, kind_of, read_list
from notification_service.foundation.addresses import NotAnAddressError

_TOLD = 3
"""Devices of which a remark says why they are left out."""


@dataclass(frozen=True, slots=True)
class DeviceCheck:
    """`usable`: the address of a recipient, which raises `NotAnAddressError` where no device can be sent to."""

    suppressions: Suppressions
    usable: Callable[[Recipient], str]
    time: timedelta = timedelta(days=30)

    async def check(self, job: Job, recipient: Recipient) -> Cleared | Skipped:
        """The recipient without the devices that are known to be gone. Raises `StoreUnavailableError`."""
        devices = [each for each in recipient.device_tokens if each.token]
        listed = await read_list(job, ChannelKind.PUSH, self._known(devices))
        if listed is None:
            return Cleared(recipient)
        job.device_digests = {device.digest: known.digest for device, known in zip(devices, listed, strict=True)}
        kind, now = kind_of(job, ChannelKind.PUSH, ()), datetime.now(UTC)
        left_out = {
            device.token: found
            for device, known in zip(devices, listed, strict=True)
            if (found := self._stopping(device, known.entries, kind, now))
        }
        if not left_out:
            return Cleared(recipient)
        said = _said(list(left_out.values()), len(devices))
        remaining = replace(
            recipient, device_tokens=tuple(each for each in recipient.device_tokens if each.token not in left_out)
        )
        try:
            self.usable(remaining)
        except NotAnAddressError:
            return Skipped(SkipReason.SUPPRESSED, f"no device is left: {said}")
        return Cleared(remaining, (Remark("device_tokens", f"are not all used: {said}"),))

    async def note(self, job: Job, said: Refused | OptedOut) -> None:
        """Keep that a person's only device is gone; of several, each has told by its own attempt before."""
        await self.note_part(job, said.attempt)

    async def note_part(self, job: Job, attempt: Attempt) -> None:
        """Keep that a device is gone. Best effort: the record has the attempt anyway."""
        digest = job.device_digests.get(attempt.device or "")
        if attempt.result != REFUSED or not digest:
            return
        evidence = Evidence(
            source=OURSELVES,
            source_id=f"{job.notification_id}:{job.owner}:{attempt.device}",
            at=attempt.at,
            code=str(attempt.code or "") or None,
            detail=attempt.reply or "",
            notification_id=job.notification_id,
        )
        await keep(self.suppressions, ChannelKind.PUSH, digest, Cause.GONE, evidence)

    async def _known(self, devices: Sequence[Device]) -> list[Known]:
        asked = (self.suppressions.known(ChannelKind.PUSH, device.token) for device in devices)
        return list(await asyncio.gather(*asked))

    def _stopping(self, device: Device, entries: Sequence[Entry], kind: Kind, now: datetime) -> Standing | None:
        counted = [each for each in entries if not _registered_since(device, each)]
        return stopping(counted, kind, now, self.time)


def _registered_since(device: Device, entry: Entry) -> bool:
    """Whether the app has registered the token after its service last said that it is gone."""
    at = device.registered_at
    if entry.cause is not Cause.GONE or at is None:
        return False
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return all(each.at < at for each in entry.evidence)


def _said(found: Sequence[Standing], devices: int) -> str:
    each = "; ".join(_why(one) for one in found[:_TOLD])
    more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return f"{len(found)} of {devices} on the list of suppressions ({each}{more})"


def _why(found: Standing) -> str:
    until = f"until {found.until:%Y-%m-%d} or until it is registered anew" if found.until else "until it is lifted"
    words = " ".join(filter(None, (found.latest.source, found.latest.code)))
    return f"{found.cause}, told by {words} on {found.latest.at:%Y-%m-%d}, {until}"
