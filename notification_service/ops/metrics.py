"""What Prometheus reads: events by ending, retries, waiting time, connections, the breaker."""

from collections.abc import Callable
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from notification_service.channels.breaker import State
from notification_service.events import EVENT_TYPES
from notification_service.notices import Delivery
from notification_service.outcomes import Outcome, summarize
from notification_service.settlements import Done, Later, Park, Settlement

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._settled = Counter(
            "notifications_total",
            "Deliveries settled, by event type, outcome and reason.",
            ("event_type", "outcome", "reason"),
            registry=self.registry,
        )
        self._retries = Counter(
            "notification_retries_total",
            "Deliveries put on the retry ladder; counted: those that used up a retry.",
            ("event_type", "counted"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "notification_handling_seconds",
            "From delivery to settlement.",
            ("outcome",),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def observe(self, delivery: Delivery, settlement: Settlement, seconds: float) -> None:
        match settlement:
            case Done(outcome) | Park(outcome):
                word, reason = _words(outcome)
                self._settled.labels(_kind(delivery), word, reason).inc()
            case Later(_, counted, _):
                word = "waits"
                self._retries.labels(_kind(delivery), str(counted).lower()).inc()
            case _:
                assert_never(settlement)
        self._seconds.labels(word).observe(seconds)

    def watch(
        self,
        *,
        under_way: Callable[[], int],
        smtp_open: Callable[[], int],
        breaker: Callable[[], State],
        simulated: bool,
    ) -> None:
        """Gauges that are read when they are asked for."""
        _gauge(self.registry, "notification_jobs_under_way", "Deliveries being handled now.", under_way)
        _gauge(self.registry, "notification_smtp_connections", "SMTP sessions open now.", smtp_open)
        _gauge(
            self.registry,
            "notification_channel_closed",
            "1 while the breaker lets every mail through, 0 while it holds mail back.",
            lambda: breaker() is State.CLOSED,
        )
        _gauge(self.registry, "notification_simulated", "1 while no mail is sent for real.", lambda: simulated)

    def page(self) -> bytes:
        return generate_latest(self.registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, value: Callable[[], float]) -> None:
    Gauge(name, text, registry=registry).set_function(value)


def _words(outcome: Outcome | None) -> tuple[str, str]:
    if outcome is None:
        return "ignored", ""
    told = summarize(outcome)
    return told.outcome, str(told.reason or "")


def _kind(delivery: Delivery) -> str:
    """A routing key is the sender's to choose, so only ours become labels."""
    return delivery.routing_key if delivery.routing_key in EVENT_TYPES else "other"
