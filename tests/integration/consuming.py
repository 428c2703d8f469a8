"""A link and a consumer on a virtual host of a real broker, and what its queues hold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aio_pika
from pamqp.commands import Basic

from notification_service.broker import topology
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.consumer import Consumer, Patience
from notification_service.broker.topology import Topology
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Settlement

PATIENCE = 60.0
WORK = "b"
DEFAULT_DELAYS_S = (1, 2)
Handle = Callable[[InboundMessage], Awaitable[Settlement]]


def plan() -> Topology:
    return topology.plan(
        exchange="events",
        booking_queue=WORK,
        payment_queue="p",
        delays=DEFAULT_DELAYS_S,
        parking_seconds=600,
        express=False,
    )


@asynccontextmanager
async def consuming(
    link: BrokerConnection, handle: Handle, patience: Patience | None = None
) -> AsyncIterator[Consumer]:
    schedule = RetrySchedule(1, DEFAULT_DELAYS_S)
    consumer = Consumer(link, handle, schedule, NoObserver(), patience=patience or Patience())
    running = asyncio.create_task(link.run({ChannelKind.EMAIL: consumer.on_message}))
    await seen(lambda: link.consuming)
    try:
        yield consumer
    finally:
        await link.stop_consuming()
        await consumer.drain(5, lambda: None)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def seen(look: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not look():  # noqa: ASYNC110 - nobody tells when it is so
            await asyncio.sleep(0.01)


async def publish(url: str, *properties: Basic.Properties, routing_key: str = "booking.confirmed") -> None:
    """One message for each, in this order, as a producer that writes its properties itself."""
    async with await aio_pika.connect(url) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        for each in properties:
            await channel.basic_publish(b"{}", exchange="events", routing_key=routing_key, properties=each)


def named(name: str) -> Basic.Properties:
    return Basic.Properties(message_id=name, delivery_mode=2)


async def depths(url: str, *names: str) -> list[int]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = [await channel.declare_queue(name, passive=True) for name in names]
        return [queue.declaration_result.message_count or 0 for queue in declared]


async def comes_to(url: str, **wanted: int) -> None:
    """Wait until these queues hold so many messages that nobody has in hand."""
    async with asyncio.timeout(PATIENCE):
        while await depths(url, *wanted) != list(wanted.values()):  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.1)
