"""A message moved to another queue of ours."""

from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from notification_service.broker.consumer import copied, read
from notification_service.notices import body_id


def message(body: bytes = b"{}", **properties: Any) -> AbstractIncomingMessage:  # noqa: ANN401 - AMQP's own kinds
    header = ContentHeader(properties=Basic.Properties(**properties))
    delivered = DeliveredMessage(
        delivery=Basic.Deliver("tag", 1, False, "", "booking.confirmed"),  # noqa: FBT003 - pamqp's own signature
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


def test_headers_that_we_did_not_write_are_not_trusted() -> None:
    delivery = read(message(headers={"x-attempt": "many", "x-event-type": 5}))
    assert (delivery.attempt, delivery.routing_key) == (0, "booking.confirmed")
