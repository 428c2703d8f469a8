"""The queues as data."""

import pytest

from notification_service.broker import topology
from notification_service.broker.topology import AGAIN, EXPRESS, PARKED, Topology, channel_by_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.foundation.errors import ConfigurationError


def plan(booking: str = "b", payment: str = "p", *, express: bool = True) -> Topology:
    return topology.plan(
        exchange="events",
        booking_queue=booking,
        payment_queue=payment,
        delays=(5, 30),
        parking_seconds=600,
        express=express,
    )


def test_one_queue_may_be_fed_with_both_families_and_is_consumed_once() -> None:
    assert plan("both", "both").consumed == ("both", EXPRESS, AGAIN)


def test_the_express_lane_is_there_only_where_it_is_asked_for() -> None:
    assert EXPRESS in plan(express=True).consumed
    without = plan(express=False)
    assert EXPRESS not in without.consumed
    assert all(queue.name != EXPRESS for queue in (*without.fed, *without.own))


@pytest.mark.parametrize("name", [AGAIN, PARKED, EXPRESS, "notification.retry.5s"])
def test_no_queue_of_ours_is_fed_by_the_booking_system(name: str) -> None:
    """What comes by the express lane is acked whatever becomes of it."""
    for booking, payment in ((name, "p"), ("b", name)):
        with pytest.raises(ConfigurationError, match=name):
            plan(booking, payment, express=False)


def test_a_further_channel_has_queues_of_its_own() -> None:
    """A retry of one channel never reaches another, and the queue's name says whose it is."""
    topic = "booking.confirmed"
    email, push = topology.plan(
        exchange="events",
        booking_queue="b",
        payment_queue="p",
        delays=(5, 30),
        parking_seconds=600,
        express=True,
        others={ChannelKind.PUSH: (topic,)},
    ).channels
    assert [(queue.name, queue.bound_to) for queue in push.fed] == [("notification.push", (topic,))]
    assert push.consumed == ("notification.push", "notification.push.again")
    assert [queue.name for queue in push.retries] == ["notification.push.retry.5s", "notification.push.retry.30s"]
    assert {queue.arguments["x-dead-letter-routing-key"] for queue in push.retries} == {"notification.push.again"}
    for channel in (email, push):
        own = (*channel.fed, channel.again, *channel.retries)
        assert {channel_by_queue(queue.name) for queue in own} == {channel.channel}
