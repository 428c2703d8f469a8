"""The gauges: values that are read at each scrape."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from notification_service.channels.admission import State

_Row = tuple[str, str, Callable[[], float]]
"""Name without its prefix, description, value."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Values that are read at each scrape. `talking`: mails in an SMTP transaction; `waiting`: mails before one.

    `smtp_open`, `talking`: by the relay's name, which is empty where there is one mail server. `breakers`: the state of
    each breaker, by the name of its channel and that of its relay.
    """

    under_way: Callable[[], int]
    smtp_open: Mapping[str, Callable[[], int]]
    talking: Mapping[str, Callable[[], int]]
    waiting: Callable[[], int]
    breakers: Mapping[tuple[str, str], Callable[[], State]]
    consuming: Callable[[], bool]
    redis_away: Callable[[], bool]
    mongodb_away: Callable[[], bool]
    ledger_lag: Callable[[], float]
    domains_held: Callable[[], int]
    simulated: bool
    extensions_given_up: Callable[[], Collection[str]] = tuple
    login_age: Callable[[], float | None] = lambda: None

    def watch(self, registry: CollectorRegistry) -> None:
        """Read these values at each scrape of the registry."""
        for name, text, value in (*self._of_work(), *self._of_mail()):
            Gauge(f"notification_{name}", text, registry=registry).set_function(value)
        self._watch_sessions(registry)
        self._watch_breakers(registry)
        away = Gauge("notification_store_away", "1 while a store does not answer.", ("store",), registry=registry)
        away.labels("redis").set_function(self.redis_away)
        away.labels("mongodb").set_function(self.mongodb_away)

    def _of_work(self) -> tuple[_Row, ...]:
        return (
            ("jobs_under_way", "Messages being handled now.", self.under_way),
            ("consuming", "1 while the service consumes from RabbitMQ.", self.consuming),
            (
                "ledger_lag_seconds",
                "How long the oldest outcome has been waiting to be written to MongoDB.",
                self.ledger_lag,
            ),
        )

    def _of_mail(self) -> tuple[_Row, ...]:
        return (
            (
                "smtp_extensions_given_up",
                "SMTP extensions that the server offers, that failed, and that are not used until the next start.",
                lambda: len(self.extensions_given_up()),
            ),
            ("smtp_waiting", "Mails that are ready and wait for an SMTP connection.", self.waiting),
            (
                "domains_held",
                "Domains whose server refuses the service; only mail to them is held back.",
                self.domains_held,
            ),
            ("simulated", "1 while no mail is sent for real.", lambda: self.simulated),
            (
                "smtp_login_age_seconds",
                "Since the OAuth refresh token was last renewed; NaN if there is none or its age is unknown.",
                lambda: math.nan if (seconds := self.login_age()) is None else seconds,
            ),
        )

    def _watch_sessions(self, registry: CollectorRegistry) -> None:
        for name, text, values in (
            ("smtp_connections", "SMTP sessions open now.", self.smtp_open),
            (
                "smtp_talking",
                "Mails in an SMTP transaction now, or next on a session that carries another one.",
                self.talking,
            ),
        ):
            gauge = Gauge(f"notification_{name}", text, ("relay",), registry=registry)
            for relay, value in values.items():
                gauge.labels(relay).set_function(value)

    def _watch_breakers(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        available = gauge(
            "notification_channel_available",
            "1 while the channel's breaker is closed and every message is sent, 0 while it holds messages back.",
            ("channel", "relay"),
        )
        states = gauge(
            "notification_breaker_state",
            "1 for the current state of the channel's breaker.",
            ("channel", "relay", "state"),
        )
        for (channel, relay), breaker in self.breakers.items():
            available.labels(channel, relay).set_function(_is(breaker, State.CLOSED))
            for state in State:
                states.labels(channel, relay, state).set_function(_is(breaker, state))


def _is(breaker: Callable[[], State], state: State) -> Callable[[], float]:
    return lambda: breaker() is state
