"""Spans for OpenTelemetry: one for a delivery, with one for each stage below it. Needs the extra `tracing`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util.types import AttributeValue

from notification_service import __version__
from notification_service.contract.events import EVENT_TYPES
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import summarize
from notification_service.contract.remarks import Remark
from notification_service.delivery.observer import ClosedNotification, Observer, Stage
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.foundation.trace_context import Trace

_TIMEOUT_S = 5


class Tracing:
    """Observes beside `beside`. Spans leave from a thread of their own, and are dropped where nobody takes them.

    They carry no ids and no addresses: the log lines with the same trace_id have those.
    """

    def __init__(self, beside: Observer, exporter: SpanExporter) -> None:
        self._beside = beside
        resource = Resource.create({SERVICE_NAME: "notification-service", SERVICE_VERSION: __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("notification_service", __version__)

    @contextmanager
    def watched(self, inbound: InboundMessage) -> Iterator[InboundMessage]:
        """The delivery's trace is our span from here on, in what is logged and in what is published on."""
        event_type = inbound.routing_key if inbound.routing_key in EVENT_TYPES else "other"
        about: dict[str, AttributeValue] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.rabbitmq.destination.routing_key": event_type,
            "notification.attempt": inbound.attempt,
        }
        with (
            self._beside.watched(inbound) as watched,
            self._span(f"process {event_type}", SpanKind.CONSUMER, _parent(inbound.trace), about) as span,
        ):
            yield replace(watched, trace=_trace_of(span, inbound.trace))

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        with self._beside.timed(stage), self._span(stage, SpanKind.INTERNAL):
            yield

    def remarked(self, remark: Remark) -> None:
        self._beside.remarked(remark)

    def closed(self, closing: ClosedNotification) -> None:
        told = summarize(closing.outcome)
        trace.get_current_span().set_attribute("notification.template", closing.template)
        if told.reason:
            trace.get_current_span().set_attribute("notification.reason", str(told.reason))
        self._beside.closed(closing)

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None:
        trace.get_current_span().set_attribute("notification.outcome", _word(settlement))
        self._beside.settled(inbound, settlement, seconds)

    def close(self) -> None:
        """Send what is left; blocks for seconds where nobody answers."""
        self._provider.shutdown()

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, parent: Context | None = None, about: dict[str, AttributeValue] | None = None
    ) -> Iterator[Span]:
        """Without the text of an exception, which may hold an address."""
        with self._tracer.start_as_current_span(
            name, parent, kind, about, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as problem:
                span.set_status(Status(StatusCode.ERROR, type(problem).__name__))
                raise


def exporter(endpoint: str) -> SpanExporter:
    """To a collector's OTLP over HTTP, such as `http://collector:4318/v1/traces`."""
    return OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)


def _parent(named: Trace | None) -> Context:
    if named is None:
        return Context()
    context = SpanContext(
        trace_id=int(named.trace_id, 16),
        span_id=int(named.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if named.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([named.state] if named.state else []),
    )
    return trace.set_span_in_context(NonRecordingSpan(context), Context())


def _trace_of(span: Span, named: Trace | None) -> Trace:
    context = span.get_span_context()
    state = named.state if named else None
    return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled, state)


def _word(settlement: Settlement) -> str:
    match settlement:
        case Retry():
            return "waits"
        case Park(outcome):
            return summarize(outcome).outcome
        case Done(outcome):
            return summarize(outcome).outcome if outcome else "ignored"
