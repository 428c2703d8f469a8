"""A ticket does not wait behind a backlog of other mail, and the express lane may lose any message."""

import asyncio

import aio_pika
import pytest

from notification_service.broker.topology import EXPRESS
from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import event
from tests.stack.smtp_rules import Rule

BACKLOG = 300


def backlog() -> list[dict[str, object]]:
    return [fresh("booking.refunded", user_email=f"guest{number}@mail.example") for number in range(BACKLOG)]


def tickets(place: Place) -> list[int]:
    """Where in the order of all mails the tickets stand."""
    return [at for at, mail in enumerate(place.mails()) if mail.rcpt_to[0].startswith("ticket")]


def wait_for_empty(place: Place, *queues: str) -> None:
    until(lambda: sum(map(place.depth, queues)) == 0)


@pytest.mark.parametrize(("poison_guard", "early"), [("true", True), ("false", False)])
def test_a_ticket_overtakes_a_backlog_of_other_mail(place: Place, poison_guard: str, *, early: bool) -> None:
    ticket = fresh("booking.confirmed", user_email="ticket@mail.example")
    with place.service(RABBITMQ_EXPRESS_LANE=poison_guard):
        pass
    place.publish(*map(event, [*backlog(), ticket]))
    with place.service(RABBITMQ_EXPRESS_LANE=poison_guard) as service:
        until(lambda: list(place.outcomes().values()) == ["sent"] * (BACKLOG + 1), timeout=60)
        wait_for_empty(place, "notification.booking_events")
        (at,) = tickets(place)
        assert (at < BACKLOG // 2) is early
        if early:
            until(lambda: service.said("event.was_ahead"))
            assert not service.said("event.duplicate"), "its other copy is no second report"
            wait_for_empty(place, EXPRESS)


def test_two_workers_send_each_ticket_once(place: Place) -> None:
    sent = [fresh("booking.confirmed", user_email=f"ticket{number}@mail.example") for number in range(60)]
    with place.service(RABBITMQ_EXPRESS_LANE="true") as one, place.service(RABBITMQ_EXPRESS_LANE="true") as other:
        place.publish(*map(event, sent))
        until(lambda: set(place.outcomes().values()) == {"sent"} and len(place.outcomes()) == len(sent), timeout=60)
        wait_for_empty(place, "notification.booking_events", EXPRESS, "notification.retry.4s", "notification.again")
    assert len(place.mails()) == len(sent)
    assert not one.said("event.claimed_elsewhere") + other.said("event.claimed_elsewhere"), (
        "who comes second waits a moment, no round"
    )


def test_what_the_express_lane_loses_is_only_late(place: Place) -> None:
    with place.service(RABBITMQ_EXPRESS_LANE="true"):
        pass
    place.publish(event(fresh("booking.confirmed")))
    asyncio.run(_purge(place, EXPRESS))
    with place.service(RABBITMQ_EXPRESS_LANE="true"):
        until(lambda: list(place.outcomes().values()) == ["sent"])
    assert len(place.mails()) == 1


def test_the_express_lane_parks_nothing_and_retries_nothing(place: Place) -> None:
    """Each is deferred, refused or rejected in both copies: it has one record, and is parked once."""
    place.smtp.script(
        [
            Rule(at="rcpt", match="gone@", reply="550 5.1.1 no such user"),
            Rule(at="rcpt", match="later@", reply="450 4.2.1 busy", times=1),
        ]
    )
    gone, later = (fresh("booking.confirmed", user_email=f"{name}@mail.example") for name in ("gone", "later"))
    nobody = fresh("booking.confirmed", user_id="nobody", user_email=None, booking_id="BOOK-nobody")
    with place.service(RABBITMQ_EXPRESS_LANE="true") as service:
        place.publish(*map(event, (gone, later, nobody)))
        until(lambda: sorted(place.outcomes().values()) == ["bounced", "rejected", "sent"])
        until(lambda: place.depth("notification.parked") == 1)
        wait_for_empty(place, "notification.booking_events", EXPRESS, "notification.retry.1s", "notification.again")
    assert place.depth("notification.parked") == 1
    assert len(place.mails()) == 1
    assert len(service.said("event.retry_scheduled")) <= 1, "the ordinary copy's, where it joined the one ahead"


def test_a_ticket_beyond_a_limit_takes_one_turn(place: Place) -> None:
    """Four a minute for its domain: two tickets go at once, the third after its time. Each comes ahead of its other
    copy, which stands behind a backlog."""
    limited = {"RABBITMQ_EXPRESS_LANE": "true", "DOMAIN_MAILS_PER_MINUTE": '{"slow.example": 4}'}
    with place.service(**limited):
        pass
    sent = [fresh("booking.confirmed", user_email=f"ticket{number}@slow.example") for number in range(3)]
    place.publish(*map(event, [*backlog(), *sent]))
    with place.service(**limited) as service:
        until(lambda: len(place.mails()) == BACKLOG + 2, timeout=60)
        until(lambda: service.said("event.retry_scheduled"))
        wait_for_empty(place, "notification.booking_events", EXPRESS)
    # The longest delay is 4 s here, so it comes by until its time has come: how often depends on the machine.
    (waits,) = (line for line in service.said("event.retry_scheduled") if line["reason"] != "its time has not come")
    assert "DOMAIN_MAILS_PER_MINUTE" in waits["reason"]
    (waiting,) = (each for each in place.records() if each["outcome"] == "waiting")
    # Had its copy ahead taken this turn, it would have the next, a minute away.
    assert 20 < (waiting["due_at"] - waiting["created_at"]).total_seconds() < 45


def test_both_families_may_come_by_one_queue(place: Place) -> None:
    one = {"RABBITMQ_BOOKING_QUEUE": "all_events", "RABBITMQ_PAYMENT_QUEUE": "all_events"}
    with place.service(RABBITMQ_EXPRESS_LANE="true", **one):
        place.publish(event(fresh("booking.confirmed")), event(fresh("payment.success")))
        until(lambda: list(place.outcomes().values()) == ["sent", "sent"])
    assert len(place.mails()) == 2


def test_an_existing_express_queue_with_other_arguments_is_used_as_it_is(place: Place) -> None:
    asyncio.run(_declare(place, EXPRESS))
    with place.service(RABBITMQ_EXPRESS_LANE="true") as service:
        place.publish(event(fresh("booking.confirmed")))
        until(lambda: service.said("event.was_ahead"))
    assert len(place.mails()) == 1


async def _declare(place: Place, queue: str) -> None:
    connection = await aio_pika.connect(place.amqp_url)
    async with connection, connection.channel() as channel:
        await channel.declare_queue(queue, durable=True, arguments={"x-max-length": 7})


async def _purge(place: Place, queue: str) -> None:
    connection = await aio_pika.connect(place.amqp_url)
    async with connection, connection.channel() as channel:
        purged = await (await channel.get_queue(queue)).purge()
        assert purged.message_count == 1
