"""Prometheus metrics. Every label has a closed set of values: ids and addresses are never labels."""

import math
import platform
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from decimal import Decimal
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
from notification_service.observability.gauges import Gauges
from notification_service.observability.series import EventSeries, MailSeries, SignalSeries, VariantSeries, WaitSeries

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there

SOURCES = ("ses", "sendgrid", "mailgun", "postmark", "twilio", "report", "link")
"""Where signals come from. Another one, of a later version, counts as `other`."""
_ENHANCED_CODE = re.compile(r"[45]\.[0-7](?=\.)")


class Metrics:
    """`provider`: the name of the mail provider, as in `channels/email/smtp/providers.py`."""

    def __init__(self, retry_schedule: RetrySchedule, provider: str) -> None:
        self.registry = CollectorRegistry()
        self._retry_schedule = retry_schedule
        self._provider = provider.lower()
        self._events = EventSeries(self.registry)
        self._waits = WaitSeries(self.registry)
        self._mails = MailSeries(self.registry)
        self._signals = SignalSeries(self.registry)
        self._variants = VariantSeries(self.registry)
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
                self._waits.retries.labels(str(delay), str(counted).lower()).inc()
            case _:
                assert_never(settlement)
        self._events.events.labels(_event_type(inbound), label).inc()
        self._events.handling.labels(label).observe(seconds)

    def watched(self, inbound: InboundMessage) -> AbstractContextManager[InboundMessage]:
        return nullcontext(inbound)

    def timed(self, stage: Stage) -> "_Timed":
        return _Timed(self._events.stages[stage])

    def closed(self, closing: ClosedNotification) -> None:
        outcome = closing.outcome
        if closing.template not in TEMPLATES:
            return
        self._events.closed.labels(
            closing.template, closing.channel, summarize(outcome).outcome, _reason(outcome)
        ).inc()
        if not isinstance(outcome, Sent):
            return
        if closing.mailbox:
            self._mails.mailboxes.labels(closing.template, closing.mailbox).inc()
        for histogram, at in ((self._mails.handed_over, closing.ready_at), (self._mails.accepted, closing.closed_at)):
            if closing.event_at and at:
                histogram.labels(closing.template).observe(max(0.0, _seconds(closing.event_at, at)))
        if closing.show_at:
            self._mails.left.observe(_seconds(closing.closed_at, closing.show_at) / 60)

    def signalled(self, stored: StoredSignal) -> None:
        """Count a signal. Gmail reports no single complaints, so there is no series of them to be read as none."""
        signal = stored.signal
        self._signals.signals.labels(signal.source if signal.source in SOURCES else "other", signal.kind).inc()
        if stored.template in TEMPLATES and stored.mailbox:
            self._signals.feedback.labels(stored.template, stored.mailbox, signal.kind).inc()

    def refused_by_policy(self, source: str) -> None:
        self._signals.policy_refusals.labels(source if source in SOURCES else "other").inc()

    def remarked(self, remark: Remark) -> None:
        self._events.remarks.labels(remark.field).inc()

    def held_back(self, channel: str, setting: str) -> None:
        self._waits.held_back.labels(channel, setting).inc()

    def fell_back(self, template: str) -> None:
        self._variants.fallbacks.labels(template).inc()

    def shadowed(self, result: ShadowResult) -> None:
        word = "failed" if result.size is None else "differs" if result.differs else "same"
        self._variants.shadows.labels(result.name, word).inc()
        if result.size is not None:
            self._variants.shadow_bytes.labels(result.name, "live").inc(result.live_size)
            self._variants.shadow_bytes.labels(result.name, "shadow").inc(result.size)

    def attempted(self, attempt: Attempt, provider: str | None = None) -> None:
        """Count an SMTP transaction, including those that are retried at once. `provider`: that of a fallback."""
        reply = f"{attempt.code // 100}xx" if attempt.code else "none"
        self._mails.replies.labels((provider or self._provider).lower(), attempt.relay or "", reply).inc()

    def watch(self, gauges: Gauges) -> None:
        """Read these values at each scrape."""
        gauges.watch(self.registry)

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
