"""What RabbitMQ and aio-pika do in the traps, and what our link and consumer make of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from pamqp import commands, frame

from notification_service.broker import topology
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.signal_queue import SignalConsumer
from notification_service.broker.topology import AGAIN, PARKED, QueueSpec, Topology, TopologyError
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.delivery.settlements import Done, Settlement
from tests.integration.consuming import WORK, comes_to, consuming, depths, named, plan, publish, seen
from tests.stack.local import LocalStack


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    yield stack.broker.add_vhost("traps")
    stack.broker.delete_vhost("traps")


@dataclass
class Seen:
    """What a handler was given."""

    deliveries: list[InboundMessage] = field(default_factory=list)

    async def __call__(self, inbound: InboundMessage) -> Settlement:
        self.deliveries.append(inbound)
        return Done(None)


def link_to(url: str) -> BrokerConnection:
    return BrokerConnection(url, plan(), prefetch=20)


async def test_a_handler_that_raises_leaves_nothing_unacked_for_ever(url: str) -> None:
    async def broken(_: InboundMessage) -> Settlement:
        raise RuntimeError("no rule foresees this")

    async with consuming(link_to(url), broken):
        await publish(url, named("m1"))
        await comes_to(url, **{PARKED: 1})
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(PARKED)
        message = await queue.get(no_ack=True)
        assert message is not None
        assert message.headers["x-reason"] == "parked(internal_error)"
    assert await depths(url, WORK, AGAIN) == [0, 0]


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
        await publish(url, named("m1"))
        assert (await asyncio.wait_for(arrived.get(), 10)).body == b"{}"


@pytest.mark.parametrize("queue", ["b", AGAIN])
async def test_ready_is_who_consumes_and_a_cancelled_consumer_is_built_up_again(url: str, queue: str) -> None:
    handler, link = Seen(), link_to(url)
    async with consuming(link, handler):
        async with await aio_pika.connect(url) as connection:
            await (await connection.channel()).queue_delete(queue)
        await seen(lambda: not link.consuming)
        assert link.problem
        await seen(lambda: link.consuming)
        await publish(url, named("m1"))
        await seen(lambda: handler.deliveries)


async def test_no_queue_of_ours_has_a_delivery_limit_that_a_version_chose() -> None:
    for queue in (*plan().fed, *plan().own):
        assert queue.arguments["x-queue-type"] == "quorum"
        if not queue.name.startswith("notification.retry"):
            assert queue.arguments["x-delivery-limit"] >= 1000, queue.name


async def test_what_is_published_when_it_says_that_it_is_ready_arrives(url: str) -> None:
    handler = Seen()
    async with consuming(link_to(url), handler):
        for key in ("booking.confirmed", "payment.refund"):
            await publish(url, named("m1"), routing_key=key)
        await seen(lambda: len(handler.deliveries) == 2)
    assert {each.routing_key for each in handler.deliveries} == {"booking.confirmed", "payment.refund"}


@asynccontextmanager
async def falling_silent(accepted: list[int]) -> AsyncIterator[str]:
    """The URL of a broker that falls silent as soon as a connection is open; its heartbeats are missed after 6 s."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def read() -> None:
            size = int.from_bytes((await reader.readexactly(7))[3:])
            await reader.readexactly(size + 1)

        await reader.readexactly(8)
        for expected, answer in (
            (1, commands.Connection.Start(server_properties={"capabilities": {"publisher_confirms": True}})),
            (2, commands.Connection.Tune(channel_max=2047, frame_max=131072, heartbeat=1)),
            (0, commands.Connection.OpenOk()),
        ):
            writer.write(frame.marshal(answer, 0))
            for _ in range(expected):
                await read()
        accepted.append(len(accepted))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/?heartbeat=1"


async def ignore(_: object) -> None: ...


async def take(_: bytes) -> bool:
    return True


async def test_a_broker_that_falls_silent_while_queues_are_declared_is_tried_again() -> None:
    """aiormq then cancels its own reader, and passes that on to whoever waits for an answer."""
    events: list[int] = []
    signals: list[int] = []
    async with falling_silent(events) as url, falling_silent(signals) as other:
        link = BrokerConnection(url, plan(), prefetch=1, pauses_s=(0.1, 0.2))
        consuming_events = asyncio.create_task(link.run({ChannelKind.EMAIL: ignore}))
        consuming_signals = asyncio.create_task(SignalConsumer(other, take).run())
        running = [consuming_events, consuming_signals]
        await seen(lambda: any(each.done() for each in running) or (len(events) > 2 and len(signals) > 1))
        assert not any(each.done() for each in running)
        for each in running:
            each.cancel()
        await asyncio.wait(running)
        assert all(each.cancelled() for each in running)
