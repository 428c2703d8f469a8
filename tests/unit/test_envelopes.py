"""An event inside another object, or with its fields under other spellings, becomes its mail like any other."""

import base64
import json
from typing import Any

import pytest

from notification_service.contract import events
from notification_service.contract.bodies import JsonObject
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Rejected, RejectReason
from notification_service.delivery.planning import IgnoredEvent, Notification, UnreadableMessage, plan
from tests.unit.fakes import LARGEST

FIELDS = {
    "event_id": "evt-1",
    "booking_id": "B1",
    "user_email": "jane@guests.example",
    "movie_title": "Inception",
    "showtime": "2030-12-15 19:30",
    "seats": ["B5", "B6"],
    "total_amount": 30.0,
    "transaction_id": "T1",
    "timestamp": "2026-11-24T10:30:00Z",
}
QUEUE = "notification.booking_events"


def planned(body: object, routing_key: str = "booking.confirmed", **more: Any) -> Any:  # noqa: ANN401 - any plan
    return plan(InboundMessage(json.dumps(body).encode(), routing_key, **more), max_bytes=LARGEST)


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def encoded(body: object) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


SPELLINGS = {
    "camel": camel,
    "pascal": lambda name: "".join(map(str.title, name.split("_"))),
    "upper": str.upper,
    "kebab": lambda name: name.replace("_", "-"),
    "initials": lambda name: camel(name).replace("Id", "ID"),
    "with blanks": lambda name: f" {name} ",
}
WITHOUT_IDS = {name: value for name, value in FIELDS.items() if name not in ("event_id", "timestamp")}
WRAPPED: dict[str, object] = {
    "CloudEvents": {"specversion": "1.0", "id": "evt-1", "time": FIELDS["timestamp"], "data": WITHOUT_IDS},
    "EventBridge": {"id": "evt-1", "detail-type": "x", "time": FIELDS["timestamp"], "detail": WITHOUT_IDS},
    "MassTransit": {"messageId": "m", "message": {camel(name): value for name, value in FIELDS.items()}},
    "SNS": {"Type": "Notification", "MessageId": "m", "Message": json.dumps(FIELDS)},
    "data": {"data": FIELDS},
    "payload as text": {"payload": json.dumps(FIELDS)},
    "change data capture": {"schema": {}, "payload": {"before": None, "after": FIELDS, "op": "c"}},
    "JSON:API": {"data": {"type": "booking", "id": "B1", "attributes": FIELDS}},
    "some beside it": {"eventId": "evt-1", "timestamp": FIELDS["timestamp"], "data": {**WITHOUT_IDS, "event_id": None}},
    "a list of one": [FIELDS],
    "a batch of one": {"Records": [{"eventSource": "x", "body": json.dumps(FIELDS)}]},
    "a text": json.dumps(FIELDS),
    "CloudEvents in base64": {"specversion": "1.0", "id": "evt-1", "data_base64": encoded(FIELDS)},
    "Pub/Sub": {"message": {"data": encoded(FIELDS), "messageId": "m", "attributes": {"type": "x"}}},
    "Celery, by place": [[FIELDS], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
    "Celery, by name": [["x"], FIELDS, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
    "its ids outside": {"event_id": "evt-1", "booking_id": "B1", "timestamp": FIELDS["timestamp"], "data": WITHOUT_IDS},
    "an extension": {"specversion": "1.0", "eventid": "evt-1", "bookingid": "B1", "data": {**FIELDS, "event_id": "x"}},
    "in parts": {
        "event": {"id": "evt-1", "type": "booking.confirmed"},
        "timestamp": FIELDS["timestamp"],
        "booking": {"id": "B1", "seats": ["B5", "B6"], "totalAmount": 30.0, "showtime": FIELDS["showtime"]},
        "user": {"email": FIELDS["user_email"], "name": "Jane"},
        "movie": {"title": "Inception"},
        "transaction": {"id": "T1"},
    },
    "Celery 3": {"id": "c", "task": "x", "args": [], "kwargs": FIELDS},
    "Kombu": {"body": encoded(FIELDS), "properties": {"body_encoding": "base64"}},
    "beside its class": ["com.cinema.BookingConfirmedEvent", FIELDS],
    "beside its headers": {"metadata": {"eventId": "evt-1", "occurredAt": FIELDS["timestamp"]}, "body": WITHOUT_IDS},
    "beside the time": {"eventId": "evt-1", "sentTime": FIELDS["timestamp"], "message": WITHOUT_IDS},
}


def assert_is_the_event(found: object) -> None:
    assert isinstance(found, Notification)
    assert found.event == events.parse(FIELDS, "booking.confirmed")
    assert found.event_id == "evt-1"


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
def test_the_fields_are_known_in_any_spelling_of_their_names(spelt: Any) -> None:  # noqa: ANN401 - of names
    found = planned({spelt(name): value for name, value in FIELDS.items()})
    assert_is_the_event(found)
    assert [str(each) for each in found.remarks] == ["event has fields under other spellings of their names"]


@pytest.mark.parametrize("body", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapped_event_is_found(body: object) -> None:
    assert_is_the_event(planned(body))


def test_what_was_sent_stays_in_the_record_beside_what_was_read() -> None:
    body = {"specversion": "1.0", "id": "evt-1", "data": FIELDS}
    found = planned(body)
    assert isinstance(found.data, JsonObject)
    assert not found.data.exact
    assert json.loads(found.data.text or "") == body
    assert found.data["booking_id"] == "B1"
    again = plan(InboundMessage((found.data.text or "").encode(), "booking.confirmed"), max_bytes=LARGEST)
    assert isinstance(again, Notification)
    assert (again.event, again.event_id, again.fact) == (found.event, found.event_id, found.fact)


@pytest.mark.parametrize(
    "body",
    [
        FIELDS,
        {**FIELDS, "seatType": "recliner", "Ünïcode": 1, "": 2, "1": 3},
        {**FIELDS, "data": {"booking_id": "other"}, "payload": FIELDS | {"booking_id": "other"}},
        {**FIELDS, "bookingId": "other"},
        {**FIELDS, "user": {"email": "other@x.example"}, "movie": {"title": "other"}, "event": {"id": "other"}},
        {**FIELDS, "data": {"booking_id": "other", "cinema_name": "other"}},
        {**FIELDS, "data": {"movie_title": "other", "cinema": "other", "currency": ""}, "body": None, "content": [1]},
        {**FIELDS, "booking_id": "B1", "Message": json.dumps({"booking_id": "other"})},
    ],
)
def test_an_event_that_is_plain_is_taken_as_it_is(body: dict[str, Any]) -> None:
    found = planned(body)
    assert_is_the_event(found)
    assert found.data == body
    assert found.data.exact
    assert found.remarks == ()


@pytest.mark.parametrize(
    "body",
    [
        {"booking_id": None, "data": FIELDS},
        {"bookingId": "", "payload": FIELDS},
        {"gateway_response": {"transaction_id": "T9", "booking_id": "B9"}},
        {"data": {"object": {"id": "pi_1"}}},
        {"data": "{" * 5000},
        {"data": '{"a": ' * 9},
        {"data": {"data": {"data": {"data": FIELDS}}}},
        {"data": [FIELDS, FIELDS]},
        {"events": [FIELDS, FIELDS]},
        {"data_base64": "e30="},
        {"data_base64": "e"},
        {"data": "\ud800"},
        {"metadata": {"booking_id": "B1", "user_email": "actor@staff.example"}, "body": {}},
    ],
)
def test_what_no_object_says_for_certain_is_refused_with_a_record(body: dict[str, Any]) -> None:
    found = planned(body)
    assert isinstance(found, UnreadableMessage)
    assert isinstance(found.outcome, Rejected)
    assert found.outcome.reason is RejectReason.SCHEMA
    assert found.data == body or found.data["booking_id"] == ""


def test_what_an_event_says_itself_counts_before_what_is_inside_of_it() -> None:
    inside = {"refund_eligible": True, "refund_amount": 30, "cinema_name": "", "movie_title": "Up"}
    found = planned(
        {"booking_id": "B1", "refund_eligible": False, "refund_amount": 0, "data": inside}, "booking.cancelled"
    )
    assert (found.event.refund_eligible, found.event.refund_amount, found.event.movie_title) == (False, None, "Up")
    assert "data" not in found.data  # in base64 it would hide an address from the mask


@pytest.mark.parametrize(
    "body",
    [
        {"movie": {"id": "B1", "title": "Up"}, "gateway": {"transaction_id": "T1"}, "user": {"id": "7"}},
        {"booking": {"id": {"x": 1}}},
        {"bookings": {"id": "B1"}, "refund": {"id": "R1", "amount": 5}},
    ],
)
def test_an_id_in_an_object_of_another_name_is_nobody_s(body: dict[str, Any]) -> None:
    assert isinstance(planned(body), UnreadableMessage)


def test_a_payment_may_stand_beside_the_booking_it_is_for() -> None:
    payment = {"transactionId": "T1", "amount": 30, "currency": "EUR", "paymentMethod": "card"}
    found = planned({"bookingId": "B1", "payment": payment, "user": {"id": "7"}}, "payment.success").event
    assert (found.transaction_id, found.amount.said, found.currency, found.user_id) == ("T1", "30", "EUR", "7")


def test_a_user_may_stand_beside_the_booking() -> None:
    booking = {name: value for name, value in FIELDS.items() if name != "user_email"}
    assert_is_the_event(planned({"booking": booking, "user": {"email": FIELDS["user_email"]}}))


def test_an_object_with_ids_of_its_own_is_an_event_and_no_part_of_a_name() -> None:
    found = planned({"booking": {"id": 5, **FIELDS}})
    assert_is_the_event(found)


def test_the_headers_of_an_envelope_are_no_part_of_its_event() -> None:
    """Its user may be the clerk who made the booking."""
    found = planned({"metadata": {"user_id": "clerk", "user_email": "clerk@staff.example"}, "body": WITHOUT_IDS})
    assert (found.event.user_id, found.event.user_email) == (None, FIELDS["user_email"])


def test_several_events_in_one_body_are_to_be_published_one_by_one() -> None:
    refused = planned([FIELDS, {**FIELDS, "booking_id": "B2"}])
    assert refused.outcome.detail == (
        "the body is a list of 2 objects, and a message is one event: publish each of them by itself, then discard this"
    )


@pytest.mark.parametrize("body", [[FIELDS, FIELDS], [], [[FIELDS]], "text", '"{', ["{}"]])
def test_several_events_and_none_in_one_body_are_refused(body: object) -> None:
    assert isinstance(planned(body), UnreadableMessage)


TYPED: list[object] = [
    {"eventType": "BookingConfirmed", **FIELDS},
    {"type": "booking.confirmed", **FIELDS},
    {"event": "booking.confirmed", **FIELDS},
    {"EventName": "Booking_Confirmed", **FIELDS},
    {"event_type": " ", "type": "booking.confirmed", **FIELDS},
    {"event": "booking.confirmed", "data": FIELDS},
    {"specversion": "1.0", "type": "com.cinema.booking.confirmed.v1", "data": FIELDS},
    {"specversion": "1.0", "type": "com.cinema.BookingConfirmed", "data": FIELDS},
    {"detail-type": "Booking Confirmed", "detail": FIELDS},
    {"messageType": ["urn:message:Cinema.Events:BookingConfirmed", "urn:message:Cinema:Event"], "message": FIELDS},
    {"type": "event", "data": {"eventType": "booking.confirmed", **FIELDS}},
    {"event_type": "BookingConfirmedIntegrationEvent", **FIELDS},
    {"event_type": "BookingConfirmedDomainEvent", **FIELDS},
    {"event_type": "BookingConfirmedMessage", **FIELDS},
    {"pattern": "booking.confirmed", "data": FIELDS},
    {"routing_key": "booking.confirmed", "payload": FIELDS},
    {"topic": "booking.confirmed", "payload": FIELDS},
    {"task": "booking.confirmed", "args": [FIELDS], "kwargs": {}},
    {"metadata": {"event_type": "booking.confirmed"}, "body": FIELDS},
    ["com.cinema.BookingConfirmedEvent", FIELDS],
]


@pytest.mark.parametrize("body", TYPED)
def test_under_a_queues_name_the_type_is_found_under_its_other_names(body: object) -> None:
    """Acked as another's, the mail would be lost without a word."""
    assert isinstance(planned(body, QUEUE), Notification)
    assert isinstance(planned(body), Notification)


@pytest.mark.parametrize("named", ["booking.confirmed", "com.cinema.events.BookingConfirmedEvent"])
def test_the_message_may_name_the_type_where_its_body_does_not(named: str) -> None:
    assert isinstance(planned(FIELDS, QUEUE, type_name=named), Notification)
    assert isinstance(planned({**FIELDS, "event_type": "booking.pending"}, QUEUE, type_name=named), IgnoredEvent)
    found = planned(FIELDS, "booking.confirmed", type_name="payment.failed")
    assert found.event.event_type == "booking.confirmed"


@pytest.mark.parametrize(
    "body",
    [
        {"event_type": "booking.pending_payment", "type": "booking.confirmed", **FIELDS},
        {"type": "booking", **FIELDS},
        {"type": ["x", 7, None, {}], **FIELDS},
        {"type": "refund.booking.confirmed", **FIELDS},
        {"type": "com.booking.confirmed", **FIELDS},
        {"type": "dead.cinema.booking.confirmed", **FIELDS},
        {"type": "Message", **FIELDS},
    ],
)
def test_an_event_of_another_type_stays_another_s(body: dict[str, Any]) -> None:
    assert isinstance(planned(body, QUEUE), IgnoredEvent)
