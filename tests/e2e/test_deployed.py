"""Beside a booking system as it is deployed: its queues, its bindings, its validator."""

import asyncio
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from notification_service.stores.mongo.schema import VALIDATOR
from tests.samples import CONTRACT, fresh, sample
from tests.stack.place import RECORDS, Place, until
from tests.stack.publisher import event

QUEUES = {"notification.booking_events": "booking.#", "notification.payment_events": "payment.#"}
DEAD_LETTERS = "movie_app_events.dlx"


def deploy(place: Place, arguments: dict[str, Any], *, bound: bool) -> None:
    """What stands in the broker and the database before the service is started for the first time."""

    async def declare(channel: AbstractChannel) -> None:
        exchange = await channel.declare_exchange("movie_app_events", aio_pika.ExchangeType.TOPIC, durable=True)
        await channel.declare_exchange(DEAD_LETTERS, aio_pika.ExchangeType.DIRECT, durable=True)
        for name, keys in QUEUES.items():
            queue = await channel.declare_queue(name, durable=True, arguments=arguments)
            if bound:
                await queue.bind(exchange, keys)

    _ask(place, declare)
    place.database.create_collection(RECORDS, validator=VALIDATOR)
    for field in ("event_id", "recipient", "notification_type", "created_at"):
        place.database[RECORDS].create_index(field)


def _ask(place: Place, question: Any) -> Any:  # noqa: ANN401 - one helper for questions of any kind
    async def ask() -> Any:  # noqa: ANN401 - as above
        connection = await aio_pika.connect(place.amqp_url)
        async with connection, connection.channel() as channel:
            return await question(channel)

    return asyncio.run(ask())


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "not bound yet"])
def test_all_events_end_as_they_should_on_the_queues_that_stand_there(place: Place, *, bound: bool) -> None:
    arguments: dict[str, Any] = {"x-dead-letter-exchange": DEAD_LETTERS}
    deploy(place, arguments, bound=bound)
    with place.service() as service:
        place.publish(*(event(sample(name)) for name in CONTRACT))
        until(lambda: len(place.outcomes()) == 6 and set(place.outcomes().values()) == {"sent"})
        until(lambda: all(place.depth(queue) == 0 for queue in QUEUES))
    assert len(place.mails()) == 5
    assert not [line for line in service.lines() if line["level"] in ("warning", "error")]

    async def declare_again(channel: AbstractChannel) -> None:
        for name in QUEUES:
            await channel.declare_queue(name, durable=True, arguments=arguments)

    _ask(place, declare_again)  # raises where any argument had been changed


def test_an_unknown_event_is_acked_and_one_debug_line(place: Place) -> None:
    deploy(place, {"x-dead-letter-exchange": DEAD_LETTERS}, bound=True)
    with place.service() as service:
        place.publish(event(sample("booking.pending_payment")), event({"event_type": "payment.process"}))
        until(lambda: len(service.said("event.not_ours")) == 2)
        until(lambda: place.depth("notification.booking_events") == 0)
    assert {line["level"] for line in service.said("event.not_ours")} == {"debug"}
    assert not place.records()


def test_deployed_queues_with_other_arguments_are_used_as_they_are(place: Place) -> None:
    deploy(place, {"x-max-length": 100_000, "x-message-ttl": 3_600_000}, bound=True)
    data = fresh("booking.confirmed")
    with place.service():
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})


def test_an_empty_broker_gets_quorum_queues(place: Place) -> None:
    with place.service():
        listed = place.stack.broker.ctl("list_queues", "-p", place.database_name, "name", "type", "--quiet")
    kinds = dict(line.split() for line in listed.splitlines() if line.startswith("notification."))
    assert set(kinds.values()) == {"quorum"}
    assert {*QUEUES, "notification.again", "notification.parked"} < set(kinds)


def test_a_queue_of_ours_with_other_arguments_is_explained_and_waited_for(place: Place) -> None:
    async def declare(channel: AbstractChannel) -> None:
        await channel.declare_queue("notification.parked", durable=True)

    async def delete(channel: AbstractChannel) -> None:
        await channel.queue_delete("notification.parked")

    _ask(place, declare)
    service = place.service(STARTUP_TIMEOUT="1")
    service.start()
    said = until(lambda: service.said("broker.mismatch"))
    assert "notification.parked" in said[0]["problem"]
    assert "delete it" in said[0]["problem"]
    assert service.running
    _ask(place, delete)
    service.wait_ready(30)
