"""Several groups of workers behind a consistent-hash exchange, by settings alone: docs/scale.md."""

from collections import defaultdict
from collections.abc import Iterator

import aio_pika
import pytest
from aio_pika import ExchangeType, Message

from notification_service.broker import lenient_decoding, topology
from tests.stack.rabbitmq import Broker, LocalNode, find_broker

GROUPS = ("1", "2")
BOOKINGS = 60


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = find_broker(tmp_path_factory.mktemp("hashed"), {})
    if not isinstance(broker, LocalNode):
        pytest.skip("the plugins of a container are its own")
    broker.plugins = ("rabbitmq_consistent_hash_exchange",)
    with broker:
        yield broker


def _plan(group: str) -> topology.Topology:
    return topology.plan(
        exchange=f"movie_app_events.{group}",
        booking_queue=f"notification.booking_events.{group}",
        payment_queue=f"notification.payment_events.{group}",
        delays=(5,),
        parking_seconds=60,
        express=False,
    )


@pytest.mark.soak
async def test_all_events_of_a_booking_reach_one_group_of_workers(broker: Broker) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        producers = await channel.declare_exchange("movie_app_events", ExchangeType.TOPIC, durable=True)
        by_booking = await channel.declare_exchange(
            "movie_app_events.by_booking",
            ExchangeType.X_CONSISTENT_HASH,
            durable=True,
            arguments={"hash-header": "booking_id"},
        )
        await by_booking.bind(producers, "#")
        for group in GROUPS:
            own = await channel.declare_exchange(f"movie_app_events.{group}", ExchangeType.TOPIC, durable=True)
            await own.bind(by_booking, "1")
            async with await lenient_decoding.connect(broker.url, timeout=5) as ours:
                await topology.declare(ours, _plan(group))
        for number in range(BOOKINGS):
            for event_type in ("booking.confirmed", "payment.success", "booking.cancelled"):
                message = Message(b"{}", headers={"booking_id": f"B{number}"})
                await producers.publish(message, event_type, mandatory=True)
        found = {group: await _taken(channel, group) for group in GROUPS}
    assert sum(len(events) for bookings in found.values() for events in bookings.values()) == 3 * BOOKINGS
    assert not set(found["1"]) & set(found["2"])
    assert all(len(bookings) > BOOKINGS / 6 for bookings in found.values())
    for bookings in found.values():
        for events in bookings.values():
            assert events == ["booking.confirmed", "booking.cancelled", "payment.success"]


async def _taken(channel: aio_pika.abc.AbstractChannel, group: str) -> dict[str, list[str]]:
    """The events that wait for a group, by booking; those of its booking queue first."""
    taken = defaultdict[str, list[str]](list)
    for family in ("booking", "payment"):
        queue = await channel.get_queue(f"notification.{family}_events.{group}")
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            taken[str(message.headers["booking_id"])].append(message.routing_key or "")
    return taken
