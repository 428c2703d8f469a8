"""The mail server is down, and the events stand in a queue that drops what comes back often."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aio_pika
import pytest

from tests.e2e.test_second_channel import all_are, both
from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.inspection import end_well
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp import SmtpServer
from tests.stack.webhook import Webhook

PATIENCE = 90
ALLOWED = 5.0
"""Seconds that the broker lets a delivery be held: a small part of what the service would take by itself."""
QUEUES = ("notification.booking_events", "notification.payment_events")


@pytest.fixture
def impatient(place: Place) -> Iterator[Place]:
    broker = place.stack.broker
    broker.tell(consumer_timeout=round(ALLOWED * 1000), channel_tick_interval=500)
    yield place
    broker.tell(consumer_timeout=1_800_000, channel_tick_interval=60_000)


def stand(place: Place, arguments: dict[str, Any]) -> None:
    async def declare() -> None:
        async with await aio_pika.connect(place.amqp_url) as connection:
            channel = await connection.channel()
            for queue in QUEUES:
                await channel.declare_queue(queue, durable=True, arguments=arguments)

    asyncio.run(declare())


@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_an_outage_costs_the_broker_its_patience_once(impatient: Place, own_smtp: SmtpServer, kind: str) -> None:
    """What the broker allows is known when it has said so; nothing is held as long from then on."""
    stand(impatient, {"x-queue-type": kind})
    judge = Judge(impatient)
    with own_smtp:
        pass  # its certificates are there from then on
    with impatient.service(SMTP_PORT=str(own_smtp.port), SMTP_CA_FILE=str(own_smtp.ca_file)) as service:
        judge.publish(*(fresh("booking.confirmed") for _ in range(5)))
        until(lambda: service.said("broker.lost"), timeout=PATIENCE)
        assert f"Timeout value used: {ALLOWED * 1000:.0f} ms" in service.said("broker.lost")[0]["reason"]
        until(lambda: {*impatient.outcomes().values()} == {"waiting"}, timeout=PATIENCE)
        time.sleep(2 * ALLOWED)
        assert len(service.said("broker.lost")) == 1
        with own_smtp:
            until(lambda: len(own_smtp.mails()) == 5, timeout=PATIENCE)
            until(lambda: {*impatient.outcomes().values()} == {"sent"}, timeout=PATIENCE)
            end_well(service)
    assert impatient.depth("notification.parked") == 0


def test_an_outage_of_a_further_channel_costs_the_broker_its_patience_once_too(impatient: Place) -> None:
    events = [fresh("booking.confirmed") for _ in range(5)]
    with Webhook() as webhook:
        webhook.stop()
        with both(impatient, webhook) as service:
            impatient.publish(*map(event, events))
            until(lambda: service.said("broker.lost"), timeout=PATIENCE)
            until(lambda: all_are(impatient, "waiting", *events, channels=("push",)), timeout=PATIENCE)
            time.sleep(2 * ALLOWED)
            assert len(service.said("broker.lost")) == 1
            webhook.start()
            until(lambda: all_are(impatient, "sent", *events), timeout=PATIENCE)
            end_well(service)
        assert (len(webhook.references), len(impatient.mails()), impatient.depth("notification.parked")) == (5, 5, 0)
