"""A message moved to another queue of ours."""

import gzip
import time
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import DeliveredMessage
from hypothesis import given, strategies as st
from pamqp import encode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from notification_service.broker.messages import bare, copied, read
from notification_service.broker.topology import AGAIN, EXPRESS, retry_queue
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.inbound import InboundMessage, body_id

WORK = "notification.booking_events"
SOON = int(time.time()) + 3600
OURS = {
    "x-attempt": 3,
    "x-event-type": "payment.failed",
    "x-replay": "a wish",
    "x-suspect": True,
    "x-not-before": SOON,
    "x-turns": 2,
}


def message(
    body: bytes = b"{}",
    queue: str | None = AGAIN,
    routing_key: str = "booking.confirmed",
    **properties: Any,  # noqa: ANN401 - AMQP's own kinds
) -> AbstractIncomingMessage:
    """As the consumer of this queue gets it, or, without one, who takes it out of its queue."""
    header = ContentHeader(properties=Basic.Properties(**properties))
    delivered = DeliveredMessage(
        delivery=Basic.Deliver(queue, 1, False, "", routing_key) if queue else Basic.GetOk(1, False, "", routing_key),  # noqa: FBT003 - pamqp's own signature
        header=header,
        body=body,
        channel=None,  # type: ignore[arg-type]  # nothing is settled here
    )
    return aio_pika.IncomingMessage(delivered)


def test_a_copy_of_a_message_without_an_id_is_the_same_event() -> None:
    """Left to itself, aiormq makes an id up when it publishes."""
    assert copied(message(b"abc"), {}).message_id == body_id(b"abc")
    assert copied(message(message_id="m-1"), {}).message_id == "m-1"


def test_a_header_that_cannot_be_written_again_is_left_out() -> None:
    copy = copied(message(headers={"x-odd": b"\xff", "x-even": "kept", "x-number": 7}), {"x-attempt": 1})
    assert copy.headers == {"x-even": "kept", "x-number": 7, "x-attempt": 1}


def test_what_earlier_stays_wrote_is_left_out() -> None:
    assert copied(message(headers={"x-death": "d", "x-reason": "r", "x-first-death-queue": "q"}), {}).headers == {}


def facts(delivery: InboundMessage) -> tuple[object, ...]:
    return (
        delivery.attempt,
        delivery.routing_key,
        delivery.replay,
        delivery.redelivered,
        delivery.not_before,
        delivery.limits_passed,
    )


NOTHING = (0, "booking.confirmed", None, False, None, 0)
ALL = (3, "payment.failed", "a wish", True, SOON, 2)


def test_headers_of_ours_count_on_what_came_from_a_queue_of_ours() -> None:
    assert facts(read(message(headers=OURS))) == ALL
    for queue in (WORK, EXPRESS, "notification.payment_events", "q"):
        assert facts(read(message(queue=queue, headers=OURS))) == NOTHING


@pytest.mark.parametrize(
    ("died_in", "expected"),
    [(None, ALL), (AGAIN, ALL), (retry_queue(ChannelKind.EMAIL, 30), ALL), (WORK, NOTHING), (EXPRESS, NOTHING)],
)
def test_what_the_broker_parked_has_the_headers_of_where_it_died(
    died_in: str | None, expected: tuple[object, ...]
) -> None:
    """A look into the parking queue takes a message without a consumer."""
    death = {"x-first-death-queue": died_in} if died_in else {}
    assert facts(read(message(queue=None, headers={**OURS, **death}))) == expected


@pytest.mark.parametrize(
    "odd",
    [
        {"x-attempt": "many", "x-event-type": 5, "x-replay": 7, "x-turns": "9"},
        {"x-attempt": -1, "x-not-before": -1, "x-turns": -1, "x-replay": ""},
        {"x-attempt": True, "x-not-before": 4102444800, "x-replay": "x" * 201},
        {"x-not-before": 10**15, "x-turns": 1.5, "x-replay": ["a"]},
        {"x-not-before": "soon", "x-suspect": 0},
    ],
    ids=str,
)
def test_what_we_would_not_have_written_does_not_count_anywhere(odd: dict[str, Any]) -> None:
    assert facts(read(message(headers=odd))) == NOTHING


def test_a_copy_takes_no_header_of_ours_from_a_message() -> None:
    for queue in (WORK, AGAIN):
        assert copied(message(queue=queue, headers={**OURS, "x-else": 1}), {"x-turns": 1}).headers == {
            "x-else": 1,
            "x-turns": 1,
        }


def test_a_copy_is_packed_as_its_message_is() -> None:
    packed = gzip.compress(b"{}")
    copy = copied(message(packed, content_encoding="gzip", content_type="application/json"), {})
    assert (copy.body, copy.content_encoding, copy.content_type) == (packed, "gzip", "application/json")


@pytest.mark.parametrize("queue", [WORK, AGAIN, "notification.express"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_came_with_the_name_of_a_queue_is_of_the_type_that_its_body_says(queue: str, *, packed: bool) -> None:
    body = b'{"event_type": "booking.cancelled"}'
    came = (
        message(gzip.compress(body), queue, queue, content_encoding="gzip") if packed else message(body, queue, queue)
    )
    assert read(came).routing_key == "booking.cancelled"
    assert read(message(b"{}", queue, queue)).routing_key == queue
    assert read(message(b"broken", queue, queue)).routing_key == queue
    assert read(message(body, queue, "booking.confirmed")).routing_key == "booking.confirmed"


FRAME = 8192
"""Bytes of the smallest frame that RabbitMQ 4 can be set to."""
short = st.text(max_size=60)
written = st.dictionaries(
    short,
    st.one_of(
        st.text(max_size=6000),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.booleans(),
        st.binary(max_size=300),
        st.lists(st.text(max_size=5), max_size=3),
        st.none(),
        st.datetimes(),
    ),
    max_size=80,
)
SLIP = {"x-attempt": 1, "x-event-type": "payment.failed", "x-detail": "é" * 250, "tracestate": "a" * 512}


class Laden:
    """Only what a copy asks of a message: no frame would carry all of these."""

    body, content_type, content_encoding, message_id = b"{}", "c" * 255, "e" * 255, "m" * 255
    correlation_id, timestamp, type, app_id = "k" * 255, None, "t" * 255, "a" * 255

    def __init__(self, headers: dict[str, Any]) -> None:
        self.headers = headers


@given(written)
def test_whatever_a_producer_wrote_a_copy_can_be_written_and_fits_a_frame(headers: dict[str, Any]) -> None:
    copy = copied(Laden(headers), SLIP)  # type: ignore[arg-type]
    assert len(ContentHeader(properties=copy.properties, body_size=2).marshal()) < FRAME
    assert len(encode.field_table(dict(copy.headers))) <= 4096 + 4
    assert copy.headers.items() >= SLIP.items()


@pytest.mark.parametrize(
    "headers",
    [{"x-big": "x" * 130_000}, {f"x-{each}": "x" * 100 for each in range(1300)}, {"x-far": 1e300}, {"x": 2**64}],
    ids=["one", "many", "a double", "too long a number"],
)
def test_what_is_too_much_stays_behind_and_what_is_short_is_kept(headers: dict[str, Any]) -> None:
    copy = copied(Laden({**headers, "x-tenant": "south"}), SLIP)  # type: ignore[arg-type]
    assert copy.headers["x-tenant"] == "south"
    assert len(encode.field_table(dict(copy.headers))) <= 4096 + 4


def test_no_copy_asks_the_broker_for_further_queues() -> None:
    assert copied(message(headers={"CC": "q", "BCC": "q", "cc": "kept"}), {}).headers == {"cc": "kept"}


def test_a_bare_copy_is_the_same_event_without_what_its_producer_wrote() -> None:
    packed = gzip.compress(b"{}")
    came = message(packed, headers={"x-tenant": "south"}, content_encoding="gzip", correlation_id="c", message_type="t")
    copy = bare(came, {"x-attempt": 1, "x-replay": None})
    assert (copy.body, copy.headers, copy.content_encoding) == (packed, {"x-attempt": 1}, "gzip")
    assert (copy.message_id, copy.correlation_id, copy.type) == (body_id(packed), None, None)
