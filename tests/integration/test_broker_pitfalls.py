"""The traps of the broker, one at a time on a real one: what our link and consumer make of each."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.exceptions import DeliveryError
from pamqp.commands import Basic

from notification_service.broker import lenient_decoding, parking
from notification_service.broker.connection import BrokerConnection
from notification_service.broker.consumer import Consumer, Patience
from notification_service.broker.topology import AGAIN, PARKED
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Parked, ParkReason
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Settlement
from tests.integration.consuming import (
    DEFAULT_DELAYS_S,
    PATIENCE,
    WORK,
    comes_to,
    consuming,
    depths,
    named,
    plan,
    publish,
    seen,
)
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import Place, Service, until
from tests.stack.publisher import event

UNFORESEEN = Park(Parked(ParkReason.INTERNAL_ERROR, "no rule foresees this"))


@pytest.fixture
def url(stack: LocalStack) -> Iterator[str]:
    yield stack.broker.add_vhost("traps-broker")
    stack.broker.delete_vhost("traps-broker")


async def test_a_channel_error_ends_no_job_and_the_redelivery_joins_it(url: str) -> None:
    jobs, goes_on = Jobs(), asyncio.Event()
    deliveries: list[bool] = []
    works: list[str] = []

    async def work() -> Settlement:
        works.append("began")
        await goes_on.wait()
        works.append("ended")
        return Done(None)

    async def handle(inbound: InboundMessage) -> Settlement:
        deliveries.append(inbound.redelivered)
        return await jobs.run("one notification", work if not works else done)

    async def done() -> Settlement:
        return Done(None)

    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, handle) as consumer:
        await publish(url, named("m1"))
        await seen(lambda: works)
        queue, _ = link._consumers[0]
        channel = await queue.channel.get_underlay_channel()
        await channel.basic_ack(4711)  # the broker closes the channel: it knows no such delivery
        await seen(lambda: len(deliveries) == 2)
        assert works == ["began"], "the job did not live through the loss of its channel"
        assert consumer.under_way == 2
        goes_on.set()
        await seen(lambda: consumer.under_way == 0)
    assert deliveries == [False, True]
    assert works == ["began", "ended"]
    assert await depths(url, WORK, PARKED, AGAIN) == [0, 0, 0]


async def test_what_a_drain_ends_is_in_its_queue_again_and_not_dead_lettered(url: str) -> None:
    async def hangs(_: InboundMessage) -> Settlement:
        await asyncio.sleep(PATIENCE)
        return Done(None)

    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, hangs) as consumer:
        await publish(url, *(named(f"m{number}") for number in range(5)))
        await seen(lambda: consumer.under_way == 5)
        await link.stop_consuming()
        assert await consumer.drain(0.1, lambda: None) == 5
    await comes_to(url, **{WORK: 5})
    assert await depths(url, PARKED, AGAIN) == [0, 0]


async def test_a_virtual_host_that_is_not_there_is_named_as_the_fault(stack: LocalStack) -> None:
    with pytest.raises(lenient_decoding.LOST, match="does not open the virtual host"):
        await lenient_decoding.connect(stack.broker.url_of("nowhere"), timeout=5)


async def test_a_session_that_fails_half_way_through_consuming_leaves_nothing_behind(url: str) -> None:
    """Somebody else has one of the queues for himself: ours is refused after the one before it was taken."""
    taken: list[str | None] = []

    async def handle(inbound: InboundMessage) -> Settlement:
        taken.append(inbound.message_id)
        return Done(None)

    async def nothing(_: object) -> None: ...

    link = BrokerConnection(url, plan(), prefetch=20)
    async with await aio_pika.connect(url) as stranger:
        payments = await (await stranger.channel()).declare_queue("p", durable=True)
        tag = await payments.consume(nothing, exclusive=True)
        consumer = Consumer(link, handle, RetrySchedule(1, DEFAULT_DELAYS_S), NoObserver())
        running = asyncio.create_task(link.run({ChannelKind.EMAIL: consumer.on_message}))
        await seen(lambda: link.problem and "exclusive" in link.problem)
        assert not link.consuming
        await payments.cancel(tag)
        await seen(lambda: link.consuming)
        await publish(url, named("m1"))
        await seen(lambda: taken == ["m1"])
    await link.stop_consuming()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


class Moody(BrokerConnection):
    """A link on which the first publish fails in a way that nobody foresaw."""

    failed = False

    async def publish(self, message: aio_pika.Message, queue: str) -> None:
        if not self.failed:
            self.failed = True
            raise ValueError("no rule foresees this either")
        await super().publish(message, queue)


async def test_an_error_while_it_is_settled_leaves_nothing_unacked_for_ever(url: str) -> None:
    async def handle(_: InboundMessage) -> Settlement:
        return UNFORESEEN

    async with consuming(Moody(url, plan(), prefetch=20), handle, Patience(requeue_pause_s=0.1)):
        await publish(url, named("m1"))
        await comes_to(url, **{WORK: 0, PARKED: 1})


class Raw(str):
    """A text that a careless producer writes in another encoding than UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return "café".encode("latin-1")


class Microseconds(datetime):
    """A moment that a careless producer writes in microseconds, where AMQP wants seconds."""

    def timestamp(self) -> float:
        return super().timestamp() * 1_000_000


NOW = Microseconds(2026, 11, 25, tzinfo=UTC)
AWKWARD = {
    "a timestamp in microseconds": Basic.Properties(message_id="bad", timestamp=NOW),
    "a content type in Latin-1": Basic.Properties(message_id="bad", content_type=Raw("x")),
    "a header's name in Latin-1": Basic.Properties(message_id="bad", headers={Raw("x"): "x"}),
}


@pytest.mark.parametrize("properties", AWKWARD.values(), ids=AWKWARD)
async def test_properties_that_cannot_be_read_stop_no_message_and_it_can_be_parked(
    url: str, properties: Basic.Properties
) -> None:
    await parks_both(url, properties, "booking.confirmed")


async def test_a_routing_key_that_cannot_be_read_stops_no_message_and_it_can_be_parked(url: str) -> None:
    await parks_both(url, named("bad"), Raw("x"))


async def parks_both(url: str, properties: Basic.Properties, routing_key: str) -> None:
    async def handle(_: InboundMessage) -> Settlement:
        return UNFORESEEN

    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, handle):
        async with await aio_pika.connect(url) as connection:
            work = await (await connection.channel()).get_queue(WORK)
            await work.bind("events", "#")  # as an owner of the queue may have bound it
        await publish(url, properties, routing_key=routing_key)
        await publish(url, named("good"))
        await comes_to(url, **{WORK: 0, PARKED: 2})
        assert link.problem is None
    parked = await parking.look(url, lambda _: True, max_bytes=1000)
    assert "good" in {each.event_id for each in parked}
    assert {(each.reason, each.body) for each in parked} == {("parked(internal_error)", b"{}")}


async def test_what_cannot_be_written_in_a_header_can_be_parked(url: str) -> None:
    """A lone surrogate, as JSON can bring it into what is said of an event."""

    async def handle(_: InboundMessage) -> Settlement:
        return Park(Parked(ParkReason.INTERNAL_ERROR, "half \ud800 of a letter"))

    async with consuming(BrokerConnection(url, plan(), prefetch=20), handle):
        await publish(url, named("m1"))
        await comes_to(url, **{WORK: 0, PARKED: 1})
    (parked,) = await parking.look(url, lambda _: True, max_bytes=1000)
    assert parked.detail == "half ? of a letter"


async def test_a_publish_to_a_missing_queue_raises_and_the_queues_are_built_anew(url: str) -> None:
    async def handle(_: InboundMessage) -> Settlement:
        return Done(None)

    link = BrokerConnection(url, plan(), prefetch=20)
    async with consuming(link, handle):
        async with await aio_pika.connect(url) as connection:
            await (await connection.channel()).queue_delete(PARKED)
        with pytest.raises(DeliveryError):
            await link.publish(aio_pika.Message(b"{}"), PARKED)
        await seen(lambda: not link.consuming)
        await seen(lambda: link.consuming)
        await link.publish(aio_pika.Message(b"{}"), PARKED)
    await comes_to(url, **{PARKED: 1})


def readyz(service: Service) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/readyz", timeout=10) as answer:
            status, page = answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        status, page = problem.code, problem.read()
    return status, json.loads(page)["parts"]["rabbitmq"]["state"]


def test_readyz_follows_the_consumers_and_not_the_connection(place: Place) -> None:
    """The queue is deleted, and the service may not create it again before its rights are back."""
    broker, vhost = place.stack.broker, place.database_name
    with place.service() as service:
        assert readyz(service) == (200, "consuming")
        broker.ctl("set_permissions", "-p", vhost, "guest", "^$", ".*", ".*")
        broker.ctl("delete_queue", "-p", vhost, "notification.booking_events")
        until(lambda: readyz(service) == (503, "not consuming"), timeout=PATIENCE)
        assert service.running
        broker.ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        until(lambda: readyz(service) == (200, "consuming"), timeout=PATIENCE)
        # Trap 30: ready means that what is published now has a queue.
        place.publish(event(fresh("booking.confirmed")))
        until(lambda: list(place.outcomes().values()) == ["sent"], timeout=PATIENCE)
