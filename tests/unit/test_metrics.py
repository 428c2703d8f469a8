"""What Prometheus is told: closed sets only, and clocks that mean what they say."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from notification_service.channels.admission import State
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Bounced, Outcome, Parked, ParkReason, Sent
from notification_service.delivery.observer import ClosedNotification, Stage
from notification_service.delivery.ports.channel import Attempt
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Retry
from notification_service.observability.gauges import Gauges
from notification_service.observability.metrics import Metrics

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def watched() -> Metrics:
    metrics = Metrics(RetrySchedule(3, (5, 30)), "Gmail")
    metrics.watch(
        Gauges(
            under_way=lambda: 3,
            smtp_open={"smtp": lambda: 2, "smtp-fallback": lambda: 5},
            talking={"smtp": lambda: 1, "smtp-fallback": lambda: 3},
            waiting=lambda: 4,
            breakers={
                ("smtp", "smtp"): lambda: State.OPEN,
                ("smtp", "smtp-fallback"): lambda: State.CLOSED,
                ("webhook", ""): lambda: State.CLOSED,
            },
            consuming=lambda: True,
            redis_away=lambda: True,
            mongodb_away=lambda: False,
            domains_held=lambda: 2,
            ledger_lag=lambda: 0,
            simulated=False,
        )
    )
    metrics.sms_costs(None)
    return metrics


def closing(
    outcome: Outcome, *, template: str = "booking_confirmation", show_at: datetime | None = None
) -> ClosedNotification:
    late = timedelta(seconds=20)
    return ClosedNotification(template, "smtp", outcome, NOON, NOON + timedelta(seconds=2), NOON + late, show_at)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_the_clocks_of_a_ticket() -> None:
    metrics = watched()
    metrics.closed(closing(Sent(), show_at=NOON + timedelta(minutes=45)))
    of = {"template": "booking_confirmation"}
    assert value(metrics.registry, "notification_handed_over_delay_seconds_sum", **of) == 2
    assert value(metrics.registry, "notification_accepted_delay_seconds_sum", **of) == 20
    left = value(metrics.registry, "notification_before_show_minutes_sum")
    assert left == pytest.approx(45 - 20 / 60)


def test_a_ticket_after_its_show_is_in_the_bucket_of_those_that_came_too_late() -> None:
    metrics = watched()
    metrics.closed(closing(Sent(), show_at=NOON - timedelta(minutes=1)))
    assert value(metrics.registry, "notification_before_show_minutes_bucket", le="0.0") == 1


def test_what_did_not_go_out_moves_no_clock() -> None:
    metrics = watched()
    metrics.closed(closing(Parked(ParkReason.RETRIES_EXHAUSTED, ""), show_at=NOON))
    assert not value(metrics.registry, "notification_accepted_delay_seconds_count", template="booking_confirmation")
    assert value(metrics.registry, "notification_before_show_minutes_count") == 0
    assert value(
        metrics.registry,
        "notifications_total",
        template="booking_confirmation",
        channel="smtp",
        outcome="parked",
        reason="retries_exhausted",
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [("550 5.1.1", "5.1"), ("5.7.26", "5.7"), ("554", "5"), ("550 eve@evil.example", "5"), ("", "5")],
)
def test_no_text_of_a_server_becomes_a_label(code: str, reason: str) -> None:
    metrics = watched()
    metrics.closed(closing(Bounced(code, "said somebody")))
    labels = {"template": "booking_confirmation", "channel": "smtp", "outcome": "bounced", "reason": reason}
    assert value(metrics.registry, "notifications_total", **labels) == 1


def test_no_text_of_a_producer_becomes_a_label() -> None:
    metrics = watched()
    metrics.settled(InboundMessage(b"{}", "eve@evil.example", None), Done(None), 0.1)
    metrics.closed(closing(Sent(), template="eve@evil.example"))
    assert value(metrics.registry, "notification_events_total", event_type="other", outcome="ignored") == 1
    assert b"evil" not in metrics.page()


def test_retries_are_counted_by_their_delay() -> None:
    metrics = watched()
    metrics.settled(
        InboundMessage(b"{}", "booking.confirmed", None), Retry(12, counted=True, reason="421 eve@evil"), 0.1
    )
    assert value(metrics.registry, "notification_retries_total", delay="30", counted="true") == 1
    assert b"evil" not in metrics.page()


@pytest.mark.parametrize(("code", "reply"), [(250, "2xx"), (451, "4xx"), (550, "5xx"), (None, "none")])
def test_replies_are_counted_by_class_and_provider(code: int | None, reply: str) -> None:
    metrics = watched()
    metrics.attempted(Attempt(NOON, "x", 1.0, code))
    assert value(metrics.registry, "notification_smtp_replies_total", provider="gmail", relay="", reply=reply) == 1


def test_a_stage_that_raises_has_taken_its_time() -> None:
    metrics = watched()
    with pytest.raises(ValueError, match="x"), metrics.timed(Stage.COMPOSE):
        raise ValueError("x")
    assert value(metrics.registry, "notification_stage_seconds_count", stage="compose") == 1


def test_gauges_are_read_when_they_are_asked_for() -> None:
    registry = watched().registry
    assert value(registry, "notification_breaker_state", channel="smtp", relay="smtp", state="open") == 1
    assert value(registry, "notification_breaker_state", channel="smtp", relay="smtp", state="closed") == 0
    assert value(registry, "notification_breaker_state", channel="smtp", relay="smtp-fallback", state="closed") == 1
    assert value(registry, "notification_channel_available", channel="smtp", relay="smtp") == 0
    assert value(registry, "notification_channel_available", channel="smtp", relay="smtp-fallback") == 1
    assert value(registry, "notification_breaker_state", channel="webhook", relay="", state="closed") == 1
    assert value(registry, "notification_channel_available", channel="webhook", relay="") == 1
    assert value(registry, "notification_smtp_connections", relay="smtp") == 2
    assert value(registry, "notification_smtp_connections", relay="smtp-fallback") == 5
    assert value(registry, "notification_smtp_talking", relay="smtp-fallback") == 3
    assert value(registry, "notification_store_away", store="redis") == 1
    assert value(registry, "notification_smtp_waiting") == 4
