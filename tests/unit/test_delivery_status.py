"""One final status in whatever order, and however often, signals come."""

from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given, strategies as st

from notification_service.contract.delivery_status import Delivery, DeliveryStatus, furthest, of_signal
from notification_service.contract.signals import SignalKind

BEGIN = datetime(2026, 11, 29, tzinfo=UTC)
DELIVERIES = st.builds(
    Delivery,
    st.sampled_from(DeliveryStatus),
    st.integers(0, 3).map(lambda seconds: BEGIN + timedelta(seconds=seconds)),
    st.sampled_from(["", "4.2.2", "5.1.1"]),
)


@given(st.lists(DELIVERIES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(deliveries: list[Delivery], chance: object) -> None:
    shuffled = [*deliveries, *deliveries]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert reduce(furthest, shuffled) == reduce(furthest, deliveries)


@given(DELIVERIES, DELIVERIES)
def test_it_never_goes_back(first: Delivery, second: Delivery) -> None:
    found = furthest(first, second)
    order = list(DeliveryStatus)
    assert found in (first, second)
    assert order.index(found.status) == max(order.index(first.status), order.index(second.status))


def test_clicks_and_subscriptions_say_nothing_of_the_delivery() -> None:
    silent = {kind for kind in SignalKind if of_signal(kind, BEGIN, None) is None}
    assert silent == {SignalKind.CLICKED, SignalKind.UNSUBSCRIBED, SignalKind.RESUBSCRIBED}
    bounced = of_signal(SignalKind.BOUNCED, BEGIN.replace(microsecond=123456), "5.1.1")
    assert bounced == Delivery(DeliveryStatus.FAILED, BEGIN.replace(microsecond=123000), "5.1.1")
