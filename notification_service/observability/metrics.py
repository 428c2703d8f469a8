"""Prometheus metrics. Every label has a closed set of values: ids and addresses are never labels."""

import math
import platform
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import assert_never

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from notification_service import __version__
from notification_service.channels.breaker import State
from notification_service.contract.events import EVENT_TYPES
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.contract.outcomes import Bounced, Outcome, Sent, summarize
from notification_service.contract.remarks import Remark
from notification_service.delivery.observer import ClosedNotification, Stage
from notification_service.delivery.ports.channel import Attempt
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.delivery.ports.signals import StoredSignal
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done, Park, Retry, Settlement

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_DELAY_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400)
_MINUTES_BEFORE_SHOW = (0, 5, 15, 30, 60, 120, 360, 720, 1440, 4320, 10080)
SOURCES = ("ses", "sendgrid", "mailgun", "postmark", "report", "link")
"""Where signals come from. Another one, of a later version, counts as `other`."""
_ENHANCED_CODE = re.compile(r"[45]\.[0-7](?=\.)")


@dataclass(frozen=True, slots=True)
class Gauges:
    """Values that are read at each scrape. `talking`: mails in an SMTP transaction; `waiting`: mails before one.

    `breakers`: the state of each channel's breaker, by the name of its transport.
    """

    under_way: Callable[[], int]
    smtp_open: Callable[[], int]
    talking: Callable[[], int]
    waiting: Callable[[], int]
    breakers: Mapping[str, Callable[[], State]]
    consuming: Callable[[], bool]
    redis_away: Callable[[], bool]
    mongodb_away: Callable[[], bool]
    ledger_lag: Callable[[], float]
    domains_held: Callable[[], int]
    simulated: bool
    extensions_given_up: Callable[[], Collection[str]] = tuple
    login_age: Callable[[], float | None] = lambda: None


class Metrics:
    """`provider`: the name of the mail provider, as in `channels/email/smtp/providers.py`."""

    def __init__(self, retry_schedule: RetrySchedule, provider: str) -> None:
        self.registry = CollectorRegistry()
        counter, histogram = partial(Counter, registry=self.registry), partial(Histogram, registry=self.registry)
        self._retry_schedule = retry_schedule
        self._provider = provider.lower()
        self._events = counter(
            "notification_events_total",
            "Messages settled, by event type and outcome; a repeated report of a fact counts too.",
            ("event_type", "outcome"),
        )
        self._retries = counter(
            "notification_retries_total",
            "Messages put into a retry queue, by its delay in seconds; counted: true if it used up a retry.",
            ("delay", "counted"),
        )
        self._handling = histogram(
            "notification_handling_seconds",
            "From receipt of a message to its settlement.",
            ("outcome",),
            buckets=_SECONDS,
        )
        self._closed = counter(
            "notifications_total",
            "Notifications closed, by template, channel, outcome and reason.",
            ("template", "channel", "outcome", "reason"),
        )
        stages = histogram(
            "notification_stage_seconds",
            "One stage of handling an event, waiting included.",
            ("stage",),
            buckets=_STAGE_SECONDS,
        )
        self._stages = {stage: stages.labels(stage) for stage in Stage}
        self._replies = counter(
            "notification_smtp_replies_total",
            "The last reply of each SMTP transaction, by class: 2xx, 4xx, 5xx, or none if the connection broke; "
            "relay is empty where there is no fallback.",
            ("provider", "relay", "reply"),
        )
        self._remarks = counter(
            "notification_remarks_total",
            "Fields of events that were left out of a mail or had an unexpected form, by field.",
            ("field",),
        )
        self._fallbacks = counter(
            "notification_experiment_fallbacks_total",
            "Messages sent by the control of a test because their variant could not be composed.",
            ("template",),
        )
        self._shadows = counter(
            "notification_shadow_renders_total",
            "Messages composed by a new template beside the one that is sent, by result: same, differs or failed.",
            ("template", "result"),
        )
        self._shadow_bytes = counter(
            "notification_shadow_bytes_total",
            "Size of the messages that both templates composed, by which of them: live or shadow.",
            ("template", "of"),
        )
        self._signals = counter(
            "notification_signals_total",
            "What became known about messages after they were sent, by source and kind.",
            ("source", "kind"),
        )
        self._policy_refusals = counter(
            "notification_policy_refusals_total",
            "Refusals by policy (5.7.x) that came as signals: they are about us, and no address is at fault.",
            ("source",),
        )
        self._feedback = counter(
            "notification_feedback_total",
            "The same about e-mails of ours, by template, class of mailbox provider and kind.",
            ("template", "mailbox", "kind"),
        )
        self._mailboxes = counter(
            "notification_accepted_total",
            "E-mails that the server took, by template and class of mailbox provider.",
            ("template", "mailbox"),
        )
        self._handed_over = histogram(
            "notification_handed_over_delay_seconds",
            "From the event's own time to its mail being composed.",
            ("template",),
            buckets=_DELAY_SECONDS,
        )
        self._accepted = histogram(
            "notification_accepted_delay_seconds",
            "From the event's own time to the server's 250 reply.",
            ("template",),
            buckets=_DELAY_SECONDS,
        )
        self._left = histogram(
            "notification_before_show_minutes",
            "Minutes before the show when its ticket was accepted; bucket 0 counts those that were too late.",
            buckets=_MINUTES_BEFORE_SHOW,
        )
        Info("notification_build", "Version of the service and of Python.", registry=self.registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=self.registry)

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None:
        match settlement:
            case Done(outcome) | Park(outcome):
                label = summarize(outcome).outcome if outcome else "ignored"
            case Retry(wait, counted, _, not_before, _):
                label = "waits"
                delay = self._retry_schedule.delay_within(wait) if not_before else self._retry_schedule.delay_for(wait)
                self._retries.labels(str(delay), str(counted).lower()).inc()
            case _:
                assert_never(settlement)
        self._events.labels(_event_type(inbound), label).inc()
        self._handling.labels(label).observe(seconds)

    def watched(self, inbound: InboundMessage) -> AbstractContextManager[InboundMessage]:
        return nullcontext(inbound)

    def timed(self, stage: Stage) -> "_Timed":
        return _Timed(self._stages[stage])

    def closed(self, closing: ClosedNotification) -> None:
        outcome = closing.outcome
        if closing.template not in TEMPLATES:
            return
        self._closed.labels(closing.template, closing.channel, summarize(outcome).outcome, _reason(outcome)).inc()
        if not isinstance(outcome, Sent):
            return
        if closing.mailbox:
            self._mailboxes.labels(closing.template, closing.mailbox).inc()
        for histogram, at in ((self._handed_over, closing.ready_at), (self._accepted, closing.closed_at)):
            if closing.event_at and at:
                histogram.labels(closing.template).observe(max(0.0, _seconds(closing.event_at, at)))
        if closing.show_at:
            self._left.observe(_seconds(closing.closed_at, closing.show_at) / 60)

    def signalled(self, stored: StoredSignal) -> None:
        """Count a signal. Gmail reports no single complaints, so there is no series of them to be read as none."""
        signal = stored.signal
        self._signals.labels(signal.source if signal.source in SOURCES else "other", signal.kind).inc()
        if stored.template in TEMPLATES and stored.mailbox:
            self._feedback.labels(stored.template, stored.mailbox, signal.kind).inc()

    def refused_by_policy(self, source: str) -> None:
        self._policy_refusals.labels(source if source in SOURCES else "other").inc()

    def remarked(self, remark: Remark) -> None:
        self._remarks.labels(remark.field).inc()

    def fell_back(self, template: str) -> None:
        self._fallbacks.labels(template).inc()

    def shadowed(self, result: ShadowResult) -> None:
        word = "failed" if result.size is None else "differs" if result.differs else "same"
        self._shadows.labels(result.name, word).inc()
        if result.size is not None:
            self._shadow_bytes.labels(result.name, "live").inc(result.live_size)
            self._shadow_bytes.labels(result.name, "shadow").inc(result.size)

    def attempted(self, attempt: Attempt, provider: str | None = None) -> None:
        """Count an SMTP transaction, including those that are retried at once. `provider`: that of a fallback."""
        reply = f"{attempt.code // 100}xx" if attempt.code else "none"
        self._replies.labels((provider or self._provider).lower(), attempt.relay or "", reply).inc()

    def watch(self, gauges: Gauges) -> None:
        gauge = partial(Gauge, registry=self.registry)
        for name, text, value in (
            ("jobs_under_way", "Messages being handled now.", gauges.under_way),
            ("smtp_connections", "SMTP sessions open now.", gauges.smtp_open),
            (
                "smtp_talking",
                "Mails in an SMTP transaction now, or next on a session that carries another one.",
                gauges.talking,
            ),
            (
                "smtp_extensions_given_up",
                "SMTP extensions that the server offers, that failed, and that are not used until the next start.",
                lambda: len(gauges.extensions_given_up()),
            ),
            ("smtp_waiting", "Mails that are ready and wait for an SMTP connection.", gauges.waiting),
            (
                "domains_held",
                "Domains whose server refuses the service; only mail to them is held back.",
                gauges.domains_held,
            ),
            ("consuming", "1 while the service consumes from RabbitMQ.", gauges.consuming),
            ("simulated", "1 while no mail is sent for real.", lambda: gauges.simulated),
            (
                "ledger_lag_seconds",
                "How long the oldest outcome has been waiting to be written to MongoDB.",
                gauges.ledger_lag,
            ),
            (
                "smtp_login_age_seconds",
                "Since the OAuth refresh token was last renewed; NaN if there is none or its age is unknown.",
                lambda: math.nan if (seconds := gauges.login_age()) is None else seconds,
            ),
        ):
            gauge(f"notification_{name}", text).set_function(value)
        available = gauge(
            "notification_channel_available",
            "1 while the channel's breaker is closed and every message is sent, 0 while it holds messages back.",
            ("channel",),
        )
        states = gauge(
            "notification_breaker_state", "1 for the current state of the channel's breaker.", ("channel", "state")
        )
        for channel, breaker in gauges.breakers.items():
            available.labels(channel).set_function(_is(breaker, State.CLOSED))
            for state in State:
                states.labels(channel, state).set_function(_is(breaker, state))
        away = gauge("notification_store_away", "1 while a store does not answer.", ("store",))
        away.labels("redis").set_function(gauges.redis_away)
        away.labels("mongodb").set_function(gauges.mongodb_away)

    def sms_costs(self, day_limit: Decimal | None) -> Callable[[str, int, Decimal | None], None]:
        """Add the metrics of what SMS cost, and return what counts one. `day_limit`: None where nothing limits it."""
        segments = Counter(
            "notification_sms_segments_total",
            "Segments of the SMS that the provider took, by country (ISO 3166).",
            ("country",),
            registry=self.registry,
        )
        costs = Counter(
            "notification_sms_cost_total",
            "What these SMS cost by SMS_PRICES, by country; a country without a price has no series.",
            ("country",),
            registry=self.registry,
        )
        limit = Gauge(
            "notification_sms_day_cost_limit",
            "What the SMS of a day cost at most, by SMS_MAX_PER_DAY and the highest price; NaN if nothing limits it.",
            registry=self.registry,
        )
        limit.set(math.nan if day_limit is None else float(day_limit))

        def count(country: str, number: int, cost: Decimal | None) -> None:
            segments.labels(country).inc(number)
            if cost is not None:
                costs.labels(country).inc(float(cost))

        return count

    def page(self) -> bytes:
        return generate_latest(self.registry)


class _Timed:
    __slots__ = ("_began", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._histogram.observe(time.perf_counter() - self._began)


def _is(breaker: Callable[[], State], state: State) -> Callable[[], float]:
    return lambda: breaker() is state


def _reason(outcome: Outcome) -> str:
    """The reason as a label. Of a bounce's code, which the server chooses, only class and subject (RFC 3463 §3)."""
    if isinstance(outcome, Bounced):
        found = _ENHANCED_CODE.search(outcome.code)
        return found.group() if found else "5"
    return str(summarize(outcome).reason or "")


def _event_type(inbound: InboundMessage) -> str:
    """The event type as a label; `other` for a routing key that the service does not know."""
    return inbound.routing_key if inbound.routing_key in EVENT_TYPES else "other"


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()
