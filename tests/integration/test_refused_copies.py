"""What the broker refuses, one at a time on a real one: whom a refusal costs what, and what becomes of a delivery."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from pamqp.commands import Basic

from notification_service.broker.connection import BrokerConnection
from notification_service.broker.consumer import Consumer, Patience
from notification_service.broker.isolated_publisher import MessageRefusedError
from notification_service.broker.topology import AGAIN, PARKED
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Parked, ParkReason, Rejected, RejectReason
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from tests.integration.consuming import (
    DEFAULT_DELAYS_S,
    WORK,
    Handle,
    comes_to,
    consuming,
    depths,
    plan,
    seen,
)
from tests.stack.local import LocalStack

SMALL, LARGE = 5_000, 100_000
"""Bytes of what goes among others, and of what goes apart at once."""
SOON = Retry(0.1, counted=True, reason="busy")


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    """A broker that takes no more than 2,000 bytes, once `narrow` has been called."""
    yield stack.broker.add_vhost("refused")
    stack.broker.tell(max_message_size=stack.broker.largest_message)
    stack.broker.delete_vhost("refused")


@pytest.fixture
def narrow(stack: LocalStack) -> Callable[[], None]:
    return lambda: stack.broker.tell(max_message_size=2000)


def message(size: int, **headers: aio_pika.abc.FieldValue) -> aio_pika.Message:
    return aio_pika.Message(b"x" * size, headers=dict(headers), message_id=f"of {size}")


async def publish(url: str, size: int) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        properties = Basic.Properties(message_id="m1", delivery_mode=2)
        await channel.basic_publish(b"x" * size, routing_key=WORK, properties=properties)


async def done(_: InboundMessage) -> Settlement:
    return Done(None)


async def test_a_large_one_costs_no_session_and_no_other_its_publish(url: str, narrow: Callable[[], None]) -> None:
    narrow()
    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, done):
        results = await asyncio.gather(
            *(link.publish(message(each), PARKED) for each in (1, LARGE, 2, LARGE + 1, 3)), return_exceptions=True
        )
        assert [type(each) for each in results] == [
            type(None),
            MessageRefusedError,
            type(None),
            MessageRefusedError,
            type(None),
        ]
        assert link.consuming
        await link.publish(message(4), PARKED)
    assert await depths(url, PARKED) == [4]


async def test_a_small_one_costs_one_session_and_is_known_then(url: str, narrow: Callable[[], None]) -> None:
    narrow()
    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, done):
        with pytest.raises(ChannelPreconditionFailed):
            await link.publish(message(SMALL), PARKED)
        await seen(lambda: not link.consuming)
        await seen(lambda: link.consuming)
        for _ in range(3):
            with pytest.raises(MessageRefusedError, match="larger than configured max size"):
                await link.publish(message(SMALL), AGAIN)
        assert link.consuming
        await link.publish(message(4), PARKED)


async def test_whoever_was_under_way_beside_it_is_not_refused(url: str, narrow: Callable[[], None]) -> None:
    narrow()
    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, done):
        beside = [message(each) for each in range(10, 20)]
        refused = asyncio.gather(
            *(link.publish(each, PARKED) for each in (message(SMALL), *beside)), return_exceptions=True
        )
        await refused
        await seen(lambda: not link.consuming)
        await seen(lambda: link.consuming)
        await asyncio.gather(*(link.publish(each, AGAIN) for each in beside))
        assert link.consuming


async def test_what_no_frame_can_hold_costs_no_session(url: str) -> None:
    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, done):
        with pytest.raises(MessageRefusedError):
            await link.publish(message(1, far=2**70), PARKED)
        with pytest.raises(MessageRefusedError):
            await link.publish(message(LARGE, wide="x" * 140_000), PARKED)
        await link.publish(message(1), PARKED)
        assert link.consuming


async def test_a_lost_connection_blames_nobody(url: str, stack: LocalStack) -> None:
    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, done):
        await link.publish(message(LARGE), PARKED)
        stack.broker.ctl("close_all_connections", "--vhost", "refused", "as an operator does")
        await seen(lambda: not link.consuming)
        await seen(lambda: link.consuming)
        await link.publish(message(LARGE), PARKED)
        await link.publish(message(1), PARKED)
        assert not link._refused


async def test_what_cannot_wait_elsewhere_is_handled_again_and_acked_when_it_is_done(
    url: str, narrow: Callable[[], None]
) -> None:
    handled: list[tuple[int, bool]] = []

    async def handle(inbound: InboundMessage) -> Settlement:
        handled.append((inbound.attempt, inbound.unmovable))
        return Done(None) if inbound.unmovable else SOON

    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, handle):
        await publish(url, LARGE)
        await seen(lambda: handled)
        narrow()
        await seen(lambda: (1, True) in handled)
        await comes_to(url, **{WORK: 0, AGAIN: 0})
        assert link.consuming


@pytest.mark.parametrize("outcome", [Rejected(RejectReason.TOO_LARGE, ""), Parked(ParkReason.TEMPLATE_ERROR, "")])
async def test_what_cannot_be_parked_is_handled_once_more_and_acked(
    url: str, narrow: Callable[[], None], outcome: Rejected | Parked
) -> None:
    handled: list[bool] = []

    async def handle(inbound: InboundMessage) -> Settlement:
        handled.append(inbound.unmovable)
        return Park(outcome)

    async with consuming(BrokerConnection(url, plan(), prefetch=20), done):
        pass
    await publish(url, LARGE)
    narrow()
    async with consuming(BrokerConnection(url, plan(), prefetch=20), handle) as consumer:
        await seen(lambda: handled == [False, True])
        await seen(lambda: consumer.under_way == 0)
    assert await depths(url, WORK, PARKED, AGAIN) == [0, 0, 0]


async def fails(_: InboundMessage) -> Settlement:
    raise ValueError("no rule foresees this")


async def is_held(_: InboundMessage) -> Settlement:
    return Retry(0.1, counted=False, reason="another worker holds it")


@pytest.mark.parametrize("handle", [fails, is_held])
async def test_what_has_no_record_is_given_back_after_a_while_and_not_lost(
    url: str,
    narrow: Callable[[], None],
    handle: Handle,
) -> None:
    again: list[bool] = []

    async def seen_again(inbound: InboundMessage) -> Settlement:
        again.append(inbound.redelivered and not inbound.unmovable)
        return await handle(inbound)

    async with consuming(BrokerConnection(url, plan(), prefetch=20), done):
        pass
    await publish(url, LARGE)
    narrow()
    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, seen_again, Patience(max_wait_s=0.1, max_hold_s=0.3)):
        await seen(lambda: any(again))
        assert link.consuming
    await comes_to(url, **{WORK: 1})


async def test_a_shutdown_waits_for_nothing_that_waits_in_hand(url: str, narrow: Callable[[], None]) -> None:
    async def handle(_: InboundMessage) -> Settlement:
        return Retry(50, counted=False, reason="another worker holds it")

    async with consuming(BrokerConnection(url, plan(), prefetch=20), done):
        pass
    await publish(url, LARGE)
    narrow()
    link = BrokerConnection(url, plan(), prefetch=20)
    consumer = Consumer(link, handle, RetrySchedule(1, DEFAULT_DELAYS_S), NoObserver())
    running = asyncio.create_task(link.run({ChannelKind.EMAIL: consumer.on_message}))
    await seen(lambda: consumer.under_way == 1 and link._isolated._channel is None and link._refused)
    await asyncio.sleep(0.2)
    await link.stop_consuming()
    async with asyncio.timeout(5):
        assert await consumer.drain(30, lambda: None) == 0
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await comes_to(url, **{WORK: 1})
