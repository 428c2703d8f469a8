"""Messages that came in, and whose copies the broker refuses: they cost nobody his session, and none is lost."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aio_pika
import pytest
from pamqp.commands import Basic

from tests.e2e.test_deployed import DEAD_LETTERS, QUEUES, deploy
from tests.samples import fresh
from tests.stack.place import Place, Service, until
from tests.stack.publisher import EXCHANGE, Publication, event
from tests.stack.smtp_rules import Rule

BESIDE = 150
PATIENCE = 120.0
SMALL = 40_000
"""Bytes: far above an ordinary event."""
QUORUM = pytest.param(None, id="quorum")
CLASSIC = pytest.param({"x-dead-letter-exchange": DEAD_LETTERS}, id="classic, as deployed")


@contextmanager
def accepting(place: Place, size: int) -> Iterator[None]:
    """The broker takes no message that is larger; those that it has, it delivers."""
    place.stack.broker.tell(max_message_size=size)
    try:
        yield
    finally:
        place.stack.broker.tell(max_message_size=place.stack.broker.largest_message)


def beside(number: int = BESIDE) -> list[Publication]:
    return [event(fresh("payment.success", transaction_id=f"tx-{each}")) for each in range(number)]


def publish_odd(place: Place, body: bytes, headers: dict[str, Any], routing_key: str = "booking.confirmed") -> None:
    """As a producer that writes its frame itself: what the one frame of its headers holds is as long as it may be."""

    async def send() -> None:
        async with await aio_pika.connect(place.amqp_url) as connection:
            channel = await (await connection.channel()).get_underlay_channel()
            properties = Basic.Properties(headers=headers, delivery_mode=2)
            await channel.basic_publish(body, exchange=EXCHANGE, routing_key=routing_key, properties=properties)

    asyncio.run(send())


def sessions_lost(service: Service) -> int:
    return len(service.said("broker.lost")) + len(service.said("broker.unavailable"))


def is_done(place: Place, events: int) -> bool:
    return len(place.outcomes()) == events and not {"pending", "waiting"} & set(place.outcomes().values())


def emptied(place: Place) -> bool:
    return not any(place.stack.broker.unacked(place.database_name).values()) and not any(map(place.depth, QUEUES))


def made(place: Place, arguments: dict[str, Any] | None) -> None:
    """Its queues stand before the service is there, ours or those of the booking system."""
    if arguments is not None:
        deploy(place, arguments, bound=True)
    with place.service():
        pass


@pytest.mark.parametrize("arguments", [QUORUM, CLASSIC])
def test_a_rejected_event_that_no_queue_takes_is_in_its_record_and_costs_no_session(
    place: Place, arguments: dict[str, Any] | None
) -> None:
    made(place, arguments)
    place.publish(Publication("booking.confirmed", b"x" * 3 * 2**20, "too-large"))
    with accepting(place, 2**20), place.service() as service:
        place.publish(*beside())
        until(lambda: is_done(place, BESIDE + 1), timeout=PATIENCE)
        until(lambda: emptied(place), timeout=PATIENCE)
        assert sessions_lost(service) == 0
        (told,) = service.said("event.not_parked")
        assert (told["outcome"], told["reason"], told["event_id"]) == ("rejected", "too_large", "too-large")
    assert len(place.mails()) == BESIDE
    assert place.outcomes()["too-large"] == "rejected"
    assert not any(record.get("possible_duplicate") for record in place.records())
    assert place.depth("notification.parked") == 0


@pytest.mark.parametrize("arguments", [QUORUM, CLASSIC])
@pytest.mark.parametrize(
    "headers",
    [{"x-baggage": "x" * 130_500}, {f"x-baggage-{each}": "x" * 100 for each in range(1090)}],
    ids=["one", "many"],
)
def test_headers_that_fill_a_frame_are_not_copied_and_the_event_takes_its_retry(
    place: Place, headers: dict[str, Any], arguments: dict[str, Any] | None
) -> None:
    made(place, arguments)
    laden = fresh("payment.failed", transaction_id="laden")
    publish_odd(place, json.dumps(laden).encode(), headers, "payment.failed")
    publish_odd(place, b"no json", headers)
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 busy", times=3)])
    with place.service() as service:
        place.publish(*beside(30))
        until(lambda: is_done(place, 32), timeout=PATIENCE)
        until(lambda: emptied(place), timeout=PATIENCE)
        assert sessions_lost(service) == 0
        assert service.said("copy.shortened")
    assert place.outcomes()[laden["event_id"]] == "sent"
    assert place.depth("notification.parked") == 1
    assert len(place.mails()) == 31


def test_a_small_message_that_the_broker_refuses_costs_one_session_and_then_goes_bare(place: Place) -> None:
    """Nobody can know beforehand; among others it is seen once, and then it goes apart."""
    made(place, None)
    place.publish(Publication("booking.confirmed", b"x" * SMALL, "too-large"))
    with accepting(place, SMALL // 2), place.service() as service:
        place.publish(*beside(50))
        until(lambda: is_done(place, 51), timeout=PATIENCE)
        until(lambda: emptied(place), timeout=PATIENCE)
        assert sessions_lost(service) <= 1
    assert len(place.mails()) == 50


def padded(size: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of an event
    return fresh("payment.success", note="x" * size, **fields)


def test_what_no_retry_queue_takes_is_held_unacked_and_then_sent(place: Place) -> None:
    made(place, None)
    large = padded(100_000, transaction_id="large")
    place.publish(event(large))
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 busy", times=1)])
    with accepting(place, SMALL), place.service() as service:
        until(lambda: place.outcomes().get(large["event_id"]) == "sent")
        until(lambda: emptied(place))
        assert service.said("event.unmovable")
        assert sessions_lost(service) == 0
    assert len(place.mails()) == 1


def command(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return place.command(*words)


def test_what_could_not_wait_is_parked_in_its_record_and_replayed_from_there(place: Place) -> None:
    made(place, None)
    large = padded(100_000, transaction_id="large")
    place.publish(event(large))
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 busy", times=2)])
    with accepting(place, SMALL), place.service() as service:
        until(lambda: place.outcomes().get(large["event_id"]) == "parked")
        until(lambda: emptied(place))
        assert sessions_lost(service) == 0
        assert service.said("event.not_parked")
        record = place.record(large["event_id"])
        assert record
        assert record["reason"] == "unmovable"
        assert record["event_data"]["note"] == large["note"]
        refused = command(place, "bounced", "replay", "--code", "unmovable", "--yes")
        assert refused.returncode == 1
        assert "max_message_size" in refused.stderr
    with place.service():
        done = command(place, "bounced", "replay", "--code", "unmovable", "--yes")
        assert done.returncode == 0, done.stderr
        assert "1 published again" in done.stdout
        until(lambda: place.outcomes().get(large["event_id"]) == "sent")
    assert len(place.mails()) == 1
    assert command(place, "reconcile").returncode == 0


def test_of_what_is_parked_one_that_the_broker_refuses_stays_and_the_others_are_replayed(place: Place) -> None:
    made(place, None)
    with place.service(MAX_EVENT_BYTES="1000"):
        place.publish(event(padded(2000)), event(padded(100_000, event_id="large")), event(padded(2000)))
        until(lambda: place.depth("notification.parked") == 3)
    with accepting(place, SMALL):
        done = command(place, "parked", "replay", "--yes")
    assert done.returncode == 1
    assert "2 published again" in done.stdout
    assert "max_message_size" in done.stderr
    assert "large" in done.stderr
    assert (place.depth("notification.again"), place.depth("notification.parked")) == (2, 1)
