"""Prometheus metrics of the public listener, which is a process of its own. Every label has a closed set of values."""

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest

OTHER = "other"


class CallbackMetrics:
    """`providers`: the names that are listened to; requests for any other path count as `other`."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._providers = providers
        self._requests = Counter(
            "notification_callbacks_total",
            "Requests of providers, by provider and HTTP status.",
            ("provider", "status"),
            registry=self.registry,
        )
        self._heard = Counter(
            "notification_callback_signals_total",
            "Signals that were put into the queue, by provider.",
            ("provider",),
            registry=self.registry,
        )
        self._unreadable = Counter(
            "notification_callback_unreadable_total",
            "Events of signed requests whose form is not known, by provider.",
            ("provider",),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def answered(self, provider: str, status: int, signals: int = 0, unreadable: int = 0) -> None:
        name = provider if provider in self._providers else OTHER
        self._requests.labels(name, str(status)).inc()
        if signals:
            self._heard.labels(name).inc(signals)
        if unreadable:
            self._unreadable.labels(name).inc(unreadable)

    def refused(self, status: int) -> None:
        """Count an answer to what is no request that anybody could read."""
        self.answered(OTHER, status)

    def page(self) -> bytes:
        return generate_latest(self.registry)
