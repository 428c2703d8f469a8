"""What a signal does to the list: once, in any order, for the address that it names."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.signals import REPORT, Signal, SignalKind
from notification_service.contract.suppressions import Cause, Kind, stopping
from notification_service.delivery.ports.signals import StoredSignal
from notification_service.feedback.suppression import ADDRESS_DIGEST, SuppressionHandler
from notification_service.stores.memory.suppressions import MemorySuppressions

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
JANE = "jane@guests.example"
BOUNCE = Signal(
    source="ses", source_id="1", kind=SignalKind.BOUNCED, at=NOW, code="5.1.1", address=JANE, notification_id="a" * 32
)


class Desk:
    def __init__(self) -> None:
        self.suppressions = MemorySuppressions()
        self.alerts: list[str] = []
        self.handler = SuppressionHandler(self.suppressions, self.alerts.append)

    async def learn(self, *signals: Signal, digest: str | None = None) -> None:
        for signal in signals:
            await self.handler(StoredSignal(signal, address_digest=digest))

    async def digest(self) -> str:
        return (await self.suppressions.known(ChannelKind.EMAIL, JANE)).digest

    async def causes(self, address: str = JANE) -> set[Cause]:
        """Those that stop an optional message now."""
        known = await self.suppressions.known(ChannelKind.EMAIL, address)
        kind, time = Kind(optional=True), timedelta(days=30)
        return {each.cause for each in known.entries if stopping([each], kind, NOW + MINUTE, time)}


async def test_a_bounce_puts_the_address_on_the_list_that_it_names_and_no_other() -> None:
    desk = Desk()
    await desk.learn(BOUNCE, digest="of another recipient of the same notification")
    assert await desk.causes() == {Cause.GONE}
    assert (await desk.suppressions.page(limit=9)).addresses[0].digest == await desk.digest()
    assert len((await desk.suppressions.page(limit=9)).addresses) == 1


async def test_without_an_address_the_record_says_whose_it_is() -> None:
    desk = Desk()
    await desk.learn(replace(BOUNCE, address=None), digest=await desk.digest())
    assert await desk.causes() == {Cause.GONE}


async def test_a_link_of_ours_says_whose_it_is_whatever_the_record_says_by_now() -> None:
    desk = Desk()
    own = {ADDRESS_DIGEST: await desk.digest()}
    left = Signal(
        source="link", source_id="1", kind=SignalKind.UNSUBSCRIBED, at=NOW, address="new@x.example", extra=own
    )
    await desk.learn(left, replace(left, source="mailgun", source_id="2", address=None))
    assert await desk.causes() == {Cause.UNSUBSCRIBED}
    assert await desk.causes("new@x.example") == set()


async def test_a_signal_of_nobody_changes_nothing() -> None:
    desk = Desk()
    await desk.learn(replace(BOUNCE, address=None))
    assert not (await desk.suppressions.page(limit=9)).addresses


@pytest.mark.parametrize("code", ["5.7.1", "5.7.26"])
async def test_a_refusal_of_us_is_an_alert_and_stops_nothing(code: str) -> None:
    desk = Desk()
    await desk.learn(replace(BOUNCE, code=code))
    assert desk.alerts == ["ses"]
    assert await desk.causes() == set()


async def test_the_same_signal_five_times_is_one() -> None:
    desk = Desk()
    await desk.learn(*[replace(BOUNCE, code="5.4.4")] * 5)
    assert await desk.causes() == set(), "it takes two to count"
    await desk.learn(replace(BOUNCE, code="5.4.4", source_id="2"))
    assert await desk.causes() == {Cause.FAILING}


async def test_one_report_in_a_mailbox_counts_once_however_many_recipients_it_names() -> None:
    desk = Desk()
    report = replace(BOUNCE, source=REPORT, code="5.4.4")
    await desk.learn(*(replace(report, source_id=f"0123.{index}") for index in range(5)))
    assert await desk.causes() == set(), "it takes two to count"
    await desk.learn(replace(report, source_id="4567.0"))
    assert await desk.causes() == {Cause.FAILING}


async def test_who_came_back_after_they_left_is_subscribed_in_whatever_order_it_is_learnt() -> None:
    for order in itertools.permutations((0, 1, 2)):
        desk = Desk()
        own = {ADDRESS_DIGEST: await desk.digest()}
        story = [
            Signal(source="link", source_id=str(at), kind=kind, at=NOW - (3 - at) * MINUTE, extra=own)
            for at, kind in enumerate((SignalKind.UNSUBSCRIBED, SignalKind.RESUBSCRIBED, SignalKind.UNSUBSCRIBED))
        ]
        await desk.learn(*(story[at] for at in order))
        assert await desk.causes() == {Cause.UNSUBSCRIBED}
        await desk.learn(replace(story[1], source_id="9", at=NOW))
        assert await desk.causes() == set()


async def test_a_complaint_is_kept_beside_the_bounce() -> None:
    desk = Desk()
    await desk.learn(BOUNCE, replace(BOUNCE, kind=SignalKind.COMPLAINED, code=None, source_id="2"))
    assert await desk.causes() == {Cause.GONE, Cause.COMPLAINED}
