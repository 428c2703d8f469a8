"""A queue that stands already may drop what came back often: RabbitMQ 4 does, after 20 returns, unless it is told."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aio_pika
import pytest

from notification_service.broker import parking
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.topology import AGAIN, PARKED
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery.settlements import Done, Settlement
from tests.integration.consuming import WORK, comes_to, consuming, depths, named, plan, publish, seen
from tests.stack.local import LocalStack

RETURNS = 25
LIMIT = 20
"""RabbitMQ 4's own, where a queue says nothing."""


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    yield stack.broker.add_vhost("limits")
    stack.broker.delete_vhost("limits")


def at_once(url: str) -> BrokerConnection:
    """Its sessions that are lost are built up again without the pauses."""
    return BrokerConnection(url, plan(), prefetch=20, pauses_s=(0.01, 0.01))


def quorum(stack: LocalStack) -> dict[str, Any]:
    """A quorum queue as a booking system has it, with the limit that RabbitMQ 4 gives it by itself."""
    return {"x-queue-type": "quorum", **({} if stack.broker.version >= (4,) else {"x-delivery-limit": LIMIT})}


async def stands(url: str, arguments: dict[str, Any], name: str = WORK) -> None:
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).declare_queue(name, durable=True, arguments=arguments)


def has(taken: list[InboundMessage], times: int) -> bool:
    return len(taken) >= times


async def lose_the_channel(link: BrokerConnection) -> None:
    queue, _ = link._consumers[0]
    channel = await queue.channel.get_underlay_channel()
    await channel.basic_ack(4711)  # the broker closes the channel: it knows no such delivery


async def test_a_queue_that_says_nothing_drops_what_came_back_often(url: str, stack: LocalStack) -> None:
    """The trap itself: whoever leaves an event in such a queue loses it."""
    await stands(url, quorum(stack))
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).default_exchange.publish(aio_pika.Message(b"{}"), WORK)
    await give_back(url, LIMIT + 1)
    await comes_to(url, **{WORK: 0})


ALLOWED = 2
POLICY = {"delivery-limit": ALLOWED, "dead-letter-exchange": "", "dead-letter-routing-key": PARKED}
AT_LEAST_ONCE = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}


@pytest.mark.parametrize("strategy", [{}, AT_LEAST_ONCE], ids=["at most once", "at least once"])
async def test_what_a_policy_has_the_broker_park_is_listed_and_replayed(
    url: str, stack: LocalStack, strategy: dict[str, str]
) -> None:
    """The policy of docs/operations.md, with a smaller limit; its event names its type in the routing key alone."""
    await stands(url, {"x-queue-type": "quorum"})
    policy = json.dumps({**POLICY, **strategy})
    await asyncio.to_thread(
        stack.broker.ctl, "set_policy", "-p", "limits", "events", f"^{WORK}$", policy, "--apply-to", "queues"
    )
    taken = list[InboundMessage]()

    async def handle(inbound: InboundMessage) -> Settlement:
        taken.append(inbound)
        return Done(None)

    async with consuming(at_once(url), handle):
        pass  # so that all queues stand
    await publish(url, named("m1"))
    await give_back(url, ALLOWED + 1)
    await comes_to(url, **{WORK: 0, PARKED: 1})
    (parked,) = await parking.look(url, lambda _: True, max_bytes=1000)
    assert (parked.event_id, parked.event_type, parked.reason) == ("m1", "booking.confirmed", "broker(delivery_limit)")
    assert datetime.now(UTC) - parked.parked_at < timedelta(minutes=5)
    assert WORK in parked.detail
    await parking.replay(url, lambda each: each.event_type == "booking.confirmed", max_bytes=1000)
    async with consuming(at_once(url), handle):
        await comes_to(url, **{WORK: 0, PARKED: 0, AGAIN: 0})
        await seen(lambda: taken)
    assert [(each.message_id, each.routing_key) for each in taken] == [("m1", "booking.confirmed")]


async def give_back(url: str, times: int) -> None:
    """Take what is in the queue and give it back, again and again."""
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(WORK, ensure=False)
        for _ in range(times):
            async with asyncio.timeout(10):
                while (message := await queue.get(fail=False)) is None:  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(0.01)
            await message.nack(requeue=True)


@pytest.mark.parametrize("kind", ["quorum", "classic"])
async def test_an_event_whose_worker_loses_it_again_and_again_is_not_dropped(
    url: str, stack: LocalStack, kind: str
) -> None:
    await stands(url, quorum(stack) if kind == "quorum" else {"x-queue-type": "classic"})
    taken, goes_on = list[InboundMessage](), asyncio.Event()

    async def handle(inbound: InboundMessage) -> Settlement:
        taken.append(inbound)
        await goes_on.wait()
        return Done(None)

    link = at_once(url)
    async with consuming(link, handle):
        await publish(url, named("m1"))
        for times in range(1, RETURNS + 1):
            await seen(partial(has, taken, times))
            await lose_the_channel(link)
            await seen(lambda: not link.consuming)
            await seen(lambda: link.consuming)
        await seen(lambda: len(taken) > RETURNS)
        goes_on.set()
    await comes_to(url, **{WORK: 0, AGAIN: 0, PARKED: 0})
    assert {each.message_id for each in taken} == {"m1"}
    assert {each.routing_key for each in taken} == {"booking.confirmed"}
    assert [each.redelivered for each in taken] == [False, *[True] * RETURNS]
    assert await depths(url, WORK, AGAIN, PARKED) == [0, 0, 0]
