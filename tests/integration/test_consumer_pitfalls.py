"""What RabbitMQ and aio-pika do in the traps, and what our link and consumer make of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from notification_service.broker import topology
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.consumer import Consumer
from notification_service.broker.topology import AGAIN, PARKED, QueueSpec, Topology, TopologyError
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Settlement
from tests.stack.local import LocalStack

DEFAULT_DELAYS_S = (1, 2)
Handle = Callable[[InboundMessage], Awaitable[Settlement]]


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    yield stack.broker.add_vhost("traps")
    stack.broker.delete_vhost("traps")


def plan() -> Topology:
    return topology.plan(
        exchange="events",
        booking_queue="b",
        payment_queue="p",
        delays=DEFAULT_DELAYS_S,
        parking_seconds=600,
        express=False,
    )


@dataclass
class Seen:
    """What a handler was given."""

    deliveries: list[InboundMessage] = field(default_factory=list)

    async def __call__(self, inbound: InboundMessage) -> Settlement:
        self.deliveries.append(inbound)
        return Done(None)


@asynccontextmanager
async def consuming(url: str, handle: Handle, most: int = 1) -> AsyncIterator[BrokerConnection]:
    link = BrokerConnection(url, plan(), prefetch=20)
    retry_schedule = RetrySchedule(most, DEFAULT_DELAYS_S)
    consumer = Consumer(link, handle, retry_schedule, NoObserver())
    running = asyncio.create_task(link.run({ChannelKind.EMAIL: consumer.on_message}))
    await until(lambda: link.consuming)
    try:
        yield link
    finally:
        await link.stop_consuming()
        await consumer.drain(5, lambda: None)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(look: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110 - nobody tells when it is so
            await asyncio.sleep(0.005)


async def publish(url: str, key: str = "booking.confirmed") -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("events")
        await exchange.publish(aio_pika.Message(b"{}", message_id="m1"), key, mandatory=True)


async def depth(url: str, queue: str) -> int:
    async with await aio_pika.connect(url) as connection:
        declared = await (await connection.channel()).declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def test_a_handler_that_raises_leaves_nothing_unacked_for_ever(url: str) -> None:
    async def broken(_: InboundMessage) -> Settlement:
        raise RuntimeError("no rule foresees this")

    async with consuming(url, broken):
        await publish(url)
        async with asyncio.timeout(30):
            while await depth(url, PARKED) == 0:  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.1)
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(PARKED)
        message = await queue.get(no_ack=True)
        assert message is not None
        assert message.headers["x-reason"] == "parked(internal_error)"
    assert [await depth(url, name) for name in ("b", AGAIN)] == [0, 0]


async def test_a_refused_declaration_costs_no_other_channel(url: str) -> None:
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    async with await aio_pika.connect(url) as connection:
        await topology.declare(connection, plan())
        consumed = await (await connection.channel()).get_queue("b")
        await consumed.consume(arrived.put, no_ack=True)
        (email,) = plan().channels
        again = QueueSpec(AGAIN, {"x-queue-type": "classic"})
        other = Topology("events", (replace(email, again=again),), plan().parked)
        with pytest.raises(TopologyError, match=AGAIN):
            await topology.declare(connection, other)
        await publish(url)
        assert (await asyncio.wait_for(arrived.get(), 10)).body == b"{}"


@pytest.mark.parametrize("queue", ["b", AGAIN])
async def test_ready_is_who_consumes_and_a_cancelled_consumer_is_built_up_again(url: str, queue: str) -> None:
    seen = Seen()
    async with consuming(url, seen) as link:
        async with await aio_pika.connect(url) as connection:
            await (await connection.channel()).queue_delete(queue)
        await until(lambda: not link.consuming)
        assert link.problem
        await until(lambda: link.consuming)
        await publish(url)
        await until(lambda: seen.deliveries)


async def test_no_queue_of_ours_has_a_delivery_limit_that_a_version_chose() -> None:
    for queue in (*plan().fed, *plan().own):
        assert queue.arguments["x-queue-type"] == "quorum"
        if not queue.name.startswith("notification.retry"):
            assert queue.arguments["x-delivery-limit"] >= 1000, queue.name


async def test_what_is_published_when_it_says_that_it_is_ready_arrives(url: str) -> None:
    seen = Seen()
    async with consuming(url, seen):
        for key in ("booking.confirmed", "payment.refund"):
            await publish(url, key)
        await until(lambda: len(seen.deliveries) == 2)
    assert {each.routing_key for each in seen.deliveries} == {"booking.confirmed", "payment.refund"}
