"""A device whose service says that it is gone is not tried again; the person's other devices get their messages."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.channels.push.message import OutgoingPush
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.outcomes import Sent, Skipped, SkipReason
from notification_service.contract.suppressions import Cause, Evidence
from notification_service.delivery.device_check import DeviceCheck
from notification_service.delivery.ports.channel import (
    Accepted,
    Attempt,
    BeforeHandover,
    OutgoingMessage,
    Refused,
    Verdict,
)
from notification_service.delivery.settlements import Done, Retry
from tests.unit.fakes import FlakyList, refused
from tests.unit.phones import Phones, push

PUSH = ChannelKind.PUSH
A, B = "aa" * 32, "bb" * 32
NOW = datetime.now(UTC)


class Pushed(Phones):
    """`gone`: the tokens that their services refuse for good, with the HTTP status."""

    def __init__(self, gone: Mapping[str, int] | None = None, held: FlakyList | None = None) -> None:
        self.gone, self.held, self.tried = gone or {}, held or FlakyList(), list[str]()
        super().__init__(PUSH, suppression=DeviceCheck(self.held, push().address))

    async def handle(self, kind: str = "payment.failed", *devices: object, **changes: object) -> Done | Retry:
        self.channel.steps.append(self._to_each)
        settled = await super().handle(kind, device_tokens=list(devices), **changes)
        assert isinstance(settled, Done | Retry)
        return settled

    async def _to_each(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Verdict:
        assert isinstance(message, OutgoingPush)
        await before_handover()
        taken = None
        for target in message.targets:
            self.tried.append(target.device.token)
            code = self.gone.get(target.device.token)
            attempt = Attempt(NOW, "refused" if code else "accepted", 1, code or 200, "apns: x", device=target.digest)
            taken = taken or (None if code else attempt)
            # The only device's attempt is that of the verdict, as in the transport.
            if len(message.targets) == 1:
                return Accepted(attempt) if taken else Refused(attempt, "unregistered", names_address=True)
            assert message.note is not None
            await message.note(attempt)
        return Accepted(taken) if taken else refused("unregistered")


def fact(number: int) -> dict[str, str]:
    return {"event_id": f"evt-{number}", "booking_id": f"B-{number}", "transaction_id": f"T-{number}"}


async def test_a_dead_device_is_left_out_of_the_next_message_and_the_record_says_why() -> None:
    phones = Pushed({A: 410})
    assert await phones.handle("payment.failed", A, B, **fact(1)) == Done(Sent())
    assert await phones.handle("payment.failed", A, B, **fact(2)) == Done(Sent())
    assert phones.tried == [A, B, B]
    *_, record = phones.ledger.records.values()
    (remark,) = [each for each in record.remarks if each.startswith("device_tokens")]
    assert "1 of 2 on the list of suppressions (gone, told by sending 410 on" in remark
    assert A not in remark


async def test_a_person_all_of_whose_devices_are_gone_gets_nothing_and_is_asked_of_nobody() -> None:
    phones = Pushed({A: 410, B: 404})
    await phones.handle("payment.failed", A, B, **fact(1))
    settled = await phones.handle("payment.failed", A, B, **fact(2))
    assert isinstance(settled, Done)
    assert isinstance(settled.outcome, Skipped)
    assert settled.outcome.reason is SkipReason.SUPPRESSED
    assert "no device is left: 2 of 2" in settled.outcome.detail
    assert phones.tried == [A, B]


async def test_a_person_s_only_device_is_remembered_too() -> None:
    phones = Pushed({A: 410})
    await phones.handle("payment.failed", A, **fact(1))
    settled = await phones.handle("payment.failed", A, **fact(2))
    assert isinstance(settled, Done)
    assert isinstance(settled.outcome, Skipped)
    assert phones.tried == [A]


async def test_a_device_that_is_left_with_one_that_cannot_be_used_is_none() -> None:
    phones = Pushed({A: 410})
    await phones.handle("payment.failed", A, **fact(1))
    settled = await phones.handle("payment.failed", A, "short", **fact(2))
    assert isinstance(settled, Done)
    assert isinstance(settled.outcome, Skipped)


@pytest.mark.parametrize(("registered", "tried"), [(timedelta(days=-1), False), (timedelta(seconds=1), True)])
async def test_a_newer_registration_brings_it_back(*, registered: timedelta, tried: bool) -> None:
    phones = Pushed({A: 410})
    await phones.handle("payment.failed", A, B, **fact(1))
    anew = {"token": A, "registered_at": (NOW + registered).isoformat()}
    await phones.handle("payment.failed", anew, B, **fact(2))
    assert (phones.tried.count(A) == 2) is tried


async def test_the_time_brings_it_back() -> None:
    phones = Pushed()
    digest = (await phones.held.known(PUSH, A)).digest
    for days, number in ((31, 1), (29, 2)):
        at = NOW - timedelta(days=days)
        evidence = Evidence(source="sending", source_id=str(number), at=at, code="410")
        await phones.held.note(PUSH, digest, Cause.GONE, evidence)
        await phones.handle("payment.failed", A, B, **fact(number))
    assert phones.tried == [A, B, B]


async def test_what_a_person_put_on_the_list_stays_whatever_is_registered() -> None:
    phones = Pushed()
    digest = (await phones.held.known(PUSH, A)).digest
    await phones.held.note(PUSH, digest, Cause.BY_HAND, Evidence(source="jane", source_id="1", at=NOW))
    anew = {"token": A, "registered_at": (NOW + timedelta(days=1)).isoformat()}
    await phones.handle("payment.failed", anew, B, **fact(1))
    assert phones.tried == [B]


async def test_no_token_is_kept() -> None:
    phones = Pushed({A: 410})
    await phones.handle("payment.failed", A, B, **fact(1))
    page = await phones.held.page(limit=10)
    assert [each.channel for each in page.addresses] == [PUSH]
    assert A not in repr(page)


async def test_while_the_list_cannot_be_read_a_ticket_goes_to_all_and_others_wait() -> None:
    phones = Pushed({A: 410})
    await phones.handle("payment.failed", A, B, **fact(1))
    phones.held.down = True
    assert isinstance(await phones.handle("payment.failed", A, B, **fact(2)), Retry)
    assert await phones.handle("booking.confirmed", A, B, **fact(3)) == Done(Sent())
    assert phones.tried == [A, B, A, B]
