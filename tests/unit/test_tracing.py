"""The spans of a delivery, by OpenTelemetry's own exporter into memory."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Rejected, RejectReason, Sent
from notification_service.delivery.observer import NoObserver, Stage
from notification_service.delivery.settlements import Done, Park, Settlement
from notification_service.foundation.trace_context import Trace
from notification_service.observability.tracing import Tracing

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True, state="congo=t61")


@pytest.fixture
def memory() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


def _spans(
    memory: InMemorySpanExporter, inbound: InboundMessage, settlement: Settlement | None
) -> tuple[dict[str, ReadableSpan], Trace]:
    """What was exported, and the trace under which the delivery was worked on."""
    tracing = Tracing(NoObserver(), memory)
    with tracing.watched(inbound) as watched:
        with pytest.raises(ZeroDivisionError), tracing.timed(Stage.COMPOSE):
            raise ZeroDivisionError("jane@example.com")
        with tracing.timed(Stage.SEND):
            pass
        if settlement is not None:
            tracing.settled(watched, settlement, 0.1)
    tracing.close()
    assert watched.trace is not None
    return {span.name: span for span in memory.get_finished_spans()}, watched.trace


def _delivery(trace: Trace | None) -> InboundMessage:
    return InboundMessage(b"{}", "booking.confirmed", trace=trace)


def test_one_span_for_the_delivery_and_one_for_each_stage_below_it(memory: InMemorySpanExporter) -> None:
    spans, _ = _spans(memory, _delivery(TRACE), Done(Sent()))
    whole = spans["process booking.confirmed"]
    assert set(spans) == {"process booking.confirmed", "compose", "send"}
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == TRACE.span_id
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE.trace_id}
    assert all(spans[stage].parent == whole.context for stage in ("compose", "send"))
    assert spans["compose"].status.status_code is StatusCode.ERROR
    assert (whole.attributes or {})["notification.outcome"] == "sent"


def test_what_is_published_on_names_our_span_and_keeps_the_state(memory: InMemorySpanExporter) -> None:
    spans, ours = _spans(memory, _delivery(TRACE), Done(Sent()))
    assert (ours.trace_id, ours.state, ours.sampled) == (TRACE.trace_id, "congo=t61", True)
    assert ours.span_id == f"{spans['process booking.confirmed'].context.span_id:016x}"


def test_an_event_without_a_trace_begins_one_and_no_span_holds_an_address(memory: InMemorySpanExporter) -> None:
    spans, _ = _spans(memory, _delivery(None), Park(Rejected(RejectReason.SCHEMA, "jane@example.com")))
    assert spans["process booking.confirmed"].parent is None
    assert not [span for span in spans.values() if "jane" in span.to_json()]


def test_a_trace_that_is_not_sampled_stays_so(memory: InMemorySpanExporter) -> None:
    spans, ours = _spans(memory, _delivery(Trace(TRACE.trace_id, TRACE.span_id, sampled=False)), Done(Sent()))
    assert not spans
    assert (ours.trace_id, ours.sampled) == (TRACE.trace_id, False)


_WITHOUT = """
import sys
sys.modules["opentelemetry"] = None  # what an extra that is not installed looks like
import asyncio
from contextlib import AsyncExitStack
from notification_service import settings
from notification_service.bootstrap import optional_parts
from notification_service.foundation.errors import ConfigurationError
from notification_service.delivery.observer import NoObserver
metrics = NoObserver()
assert optional_parts.observer(settings.load(None), metrics, AsyncExitStack()) is metrics
import os
os.environ["TRACING_ENDPOINT"] = "http://127.0.0.1:1/v1/traces"
try:
    optional_parts.observer(settings.load(None), metrics, AsyncExitStack())
except ConfigurationError as problem:
    print(problem)
"""


def test_without_the_extra_the_service_runs_and_says_what_is_missing_where_it_is_asked_for() -> None:
    done = subprocess.run((sys.executable, "-c", _WITHOUT), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "TRACING_ENDPOINT needs the extra: pip install 'notification-service[tracing]'" in done.stdout
