"""OpenTelemetry spans: one for each message, with one for each stage below it. Needs the extra `tracing`."""

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
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.delivery.settlements import Done, Park, Retry, Settlement
from notification_service.foundation.trace_context import Trace

_TIMEOUT_S = 5


class Tracing:
    """Records spans, and passes every call on to `observer`. Spans are exported by a thread, and dropped if that fails.

    They have no ids and no addresses; the log lines with the same trace_id have the ids.
    """

    def __init__(self, observer: Observer, exporter: SpanExporter) -> None:
        self._observer = observer
        resource = Resource.create({SERVICE_NAME: "notification-service", SERVICE_VERSION: __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("notification_service", __version__)

    @contextmanager
    def watched(self, inbound: InboundMessage) -> Iterator[InboundMessage]:
        """Replace the trace of the message by this span, for what is logged and published from here on."""
        event_type = inbound.routing_key if inbound.routing_key in EVENT_TYPES else "other"
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.rabbitmq.destination.routing_key": event_type,
            "notification.attempt": inbound.attempt,
        }
        with (
            self._observer.watched(inbound) as watched,
            self._span(f"process {event_type}", SpanKind.CONSUMER, _parent(inbound.trace), attributes) as span,
        ):
            yield replace(watched, trace=_trace_of(span, inbound.trace))

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        with self._observer.timed(stage), self._span(stage, SpanKind.INTERNAL):
            yield

    def held_back(self, channel: str, setting: str) -> None:
        self._observer.held_back(channel, setting)

    def fell_back(self, template: str) -> None:
        self._observer.fell_back(template)

    def shadowed(self, result: ShadowResult) -> None:
        self._observer.shadowed(result)

    def remarked(self, remark: Remark) -> None:
        self._observer.remarked(remark)

    def closed(self, closing: ClosedNotification) -> None:
        summary = summarize(closing.outcome)
        trace.get_current_span().set_attribute("notification.template", closing.template)
        if summary.reason:
            trace.get_current_span().set_attribute("notification.reason", str(summary.reason))
        self._observer.closed(closing)

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None:
        trace.get_current_span().set_attribute("notification.outcome", _outcome(settlement))
        self._observer.settled(inbound, settlement, seconds)

    def close(self) -> None:
        """Export the remaining spans. Blocks, for seconds if the collector does not answer."""
        self._provider.shutdown()

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        parent: Context | None = None,
        attributes: dict[str, AttributeValue] | None = None,
    ) -> Iterator[Span]:
        """A span that records no text of an exception, which may contain an address."""
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as problem:
                span.set_status(Status(StatusCode.ERROR, type(problem).__name__))
                raise


def exporter(endpoint: str) -> SpanExporter:
    """Export to a collector by OTLP over HTTP, such as `http://collector:4318/v1/traces`."""
    return OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)


def _parent(parent: Trace | None) -> Context:
    if parent is None:
        return Context()
    context = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([parent.state] if parent.state else []),
    )
    return trace.set_span_in_context(NonRecordingSpan(context), Context())


def _trace_of(span: Span, parent: Trace | None) -> Trace:
    context = span.get_span_context()
    state = parent.state if parent else None
    return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled, state)


def _outcome(settlement: Settlement) -> str:
    match settlement:
        case Retry():
            return "waits"
        case Park(outcome):
            return summarize(outcome).outcome
        case Done(outcome):
            return summarize(outcome).outcome if outcome else "ignored"
