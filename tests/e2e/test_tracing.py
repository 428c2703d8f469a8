"""A trace through the real broker: in with the event, out with what is published on, and to a collector."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import aio_pika
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from notification_service.delivery.observer import Stage
from tests.samples import fresh
from tests.stack.place import Place, until
from tests.stack.publisher import Publication, event
from tests.stack.smtp_rules import Rule

pytestmark = pytest.mark.cold

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "congo=t61rcWkgMzE"}


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP collector: where it listens, and what it was sent so far."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sent = ExportTraceServiceRequest.FromString(body)
            spans.extend(span for part in sent.resource_spans for scope in part.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def traced(publication: Publication, headers: dict[str, str]) -> Publication:
    return replace(publication, headers=headers)


def parked_headers(place: Place) -> dict[str, object]:
    async def look() -> dict[str, object]:
        connection = await aio_pika.connect(place.amqp_url)
        async with connection, connection.channel() as channel:
            queue = await channel.get_queue("notification.parked", ensure=False)
            message = await queue.get()
            await message.nack(requeue=True)
            return dict(message.headers)

    return asyncio.run(look())


def test_a_trace_goes_through_every_stage_and_a_retry_to_the_collector(place: Place) -> None:
    data = fresh("booking.confirmed")
    place.smtp.script([Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=1)])
    with collector() as (endpoint, spans), place.service(TRACING_ENDPOINT=endpoint) as service:
        place.publish(traced(event(data), HEADERS))
        until(lambda: place.outcomes().get(data["event_id"]) == "sent")
        service.terminate()
        until(lambda: service.exit_code == "0")
    ours = [span for span in spans if span.trace_id.hex() == TRACE_ID]
    whole = [span for span in ours if span.name.startswith("process")]
    first, second = sorted(whole, key=lambda span: span.start_time_unix_nano)
    assert first.parent_span_id.hex() == SPAN_ID
    assert second.parent_span_id == first.span_id
    assert {span.trace_state for span in ours} == {HEADERS["tracestate"]}
    below = [{span.name for span in ours if span.parent_span_id == each.span_id} for each in (first, second)]
    assert below == [{*Stage, second.name} - {Stage.OUTCOME}, set(Stage)]
    closed = service.said("notification.closed")[0]
    assert (closed["trace_id"], closed["span_id"]) == (TRACE_ID, second.span_id.hex())
    assert data["booking_id"] not in str(spans)
    assert "example.com" not in str(spans)


def test_without_tracing_the_context_is_logged_and_passed_on_as_it_came(place: Place) -> None:
    good = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    with place.service() as service:
        place.publish(traced(event(good), HEADERS))
        until(lambda: place.depth("notification.parked") == 1)
    headers = parked_headers(place)
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    for name in ("notification.closed", "event.parked"):
        (line,) = service.said(name)
        assert (line["trace_id"], line["span_id"]) == (TRACE_ID, SPAN_ID)


def test_a_malformed_context_is_ignored_and_goes_no_further(place: Place) -> None:
    data = fresh("payment.success", user_id="nobody", booking_id="BOOK-nobody")
    with place.service() as service:
        place.publish(traced(event(data), {"traceparent": "00-zero-one-01", "tracestate": "a=b"}))
        until(lambda: place.depth("notification.parked") == 1)
    assert not {"traceparent", "tracestate"} & set(parked_headers(place))
    assert "trace_id" not in service.said("event.parked")[0]


def test_a_collector_that_is_away_holds_nothing_up(place: Place) -> None:
    data = fresh("booking.confirmed")
    with place.service(TRACING_ENDPOINT="http://127.0.0.1:9/v1/traces") as service:
        place.publish(event(data))
        until(lambda: place.outcomes() == {data["event_id"]: "sent"})
        service.terminate()
        until(lambda: service.exit_code == "0", timeout=30)
