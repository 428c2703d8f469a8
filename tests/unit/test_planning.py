"""Which event becomes which mail, and when two events are one fact."""

import itertools
from typing import Any, get_args

import pytest
from hypothesis import given, strategies as st

from notification_service.contract import notification_rules
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.events import EVENT_TYPES, Event, parse
from notification_service.contract.inbound import InboundMessage
from notification_service.contract.notification_ids import Fact, notification_id
from notification_service.contract.notification_rules import RULES
from notification_service.contract.outcomes import RejectReason
from notification_service.delivery import planning
from notification_service.delivery.planning import IgnoredEvent, UnreadableMessage, plan
from tests.samples import sample
from tests.unit.fakes import LARGEST, TEMPLATES, FirstReports, inbound, notification


def ids(*events: dict[str, Any]) -> list[str]:
    reports = FirstReports()
    return [reports.notification_id(notification(event)) for event in events]


def test_every_kind_of_event_has_a_rule_and_every_rule_a_folder_of_templates() -> None:
    assert set(RULES) == set(get_args(Event))
    assert set(notification_rules.TEMPLATES) == {
        folder.name for folder in TEMPLATES.iterdir() if folder.is_dir() and not folder.name.startswith("_")
    }


@pytest.mark.parametrize(
    ("event_type", "template"),
    [
        ("booking.confirmed", "booking_confirmation"),
        ("booking.cancelled", "booking_cancellation"),
        ("booking.refunded", "payment_refund"),
        ("payment.success", "payment_success"),
        ("payment.failed", "payment_failed"),
        ("payment.refund", "payment_refund"),
        ("payment.refunded", "payment_refund"),
    ],
)
def test_each_routing_key_becomes_its_mail(event_type: str, template: str) -> None:
    assert notification({"booking_id": "B", "transaction_id": "T"}, event_type).template == template


@pytest.mark.parametrize("event_type", ["booking.pending_payment", "payment.process", "", "x" * 300])
def test_anything_else_is_not_ours_whatever_it_holds(event_type: str) -> None:
    assert plan(inbound({"seats": 7}, event_type), max_bytes=LARGEST) == IgnoredEvent(event_type)


QUEUES = ["notification.again", "notification.express", "notification.booking_events", "booking_confirmed", "", "x.y"]
SPELLINGS = [
    "booking.cancelled",
    " booking.cancelled ",
    "BOOKING.CANCELLED",
    "BookingCancelledEvent",
    "booking_cancelled",
]


@pytest.mark.parametrize("routing_key", QUEUES)
@pytest.mark.parametrize("said", SPELLINGS)
def test_under_a_key_that_is_no_type_of_ours_the_body_says_which_it_is(routing_key: str, said: str) -> None:
    planned = notification({"event_type": said, "booking_id": "B"}, routing_key)
    assert (planned.template, planned.event.event_type) == ("booking_cancellation", "booking.cancelled")
    assert [each.field for each in planned.remarks] == ["event_type"] * (said.strip() != "booking.cancelled")


@pytest.mark.parametrize(
    "said",
    [
        *("com.acme.events.BookingCancelledEvent", "Acme.Events.BookingCancelled, Acme.Events, Version=1.0.0.0"),
        *("urn:message:Acme.Events:BookingCancelled", "Acme\\Events\\BookingCancelled", "acme/BookingCancelled"),
        *("booking.cancelled.v1", "BookingCancelledV2", "booking.canceled", "BookingCanceled", "BOOKING_CANCELED"),
    ],
)
def test_a_class_in_its_package_and_a_type_with_its_version_are_ours(said: str) -> None:
    """Acked as another's, the mail would be lost without a word."""
    assert notification({"event_type": said, "booking_id": "B"}, QUEUES[0]).event.event_type == "booking.cancelled"
    assert notification({"booking_id": "B"}, said).event.event_type == "booking.cancelled"


@pytest.mark.parametrize(
    "said",
    ["payment_intent.payment_failed", "refund.booking.confirmed", "confirmed", "no.kind.v1", "v1", ",", "...", "\\"],
)
def test_the_end_of_another_name_is_no_type_of_ours(said: str) -> None:
    assert isinstance(plan(inbound({"event_type": said, "booking_id": "B"}, "q"), max_bytes=LARGEST), IgnoredEvent)


@pytest.mark.parametrize(
    "said", ["BookingConfirmedEvent", "booking.cancelled", "no.kind", "Booking.Confirmed", 7, [], {}, True]
)
def test_the_routing_key_wins_over_the_body_and_the_mail_is_remarked(said: object) -> None:
    planned = notification({"event_type": said, "booking_id": "B"}, "booking.confirmed")
    assert planned.template == "booking_confirmation"
    (remark,) = planned.remarks
    assert remark.field == "event_type"
    assert "booking.confirmed" in str(remark)


@pytest.mark.parametrize("said", [None, "", " ", "booking.confirmed", " booking.confirmed "])
def test_a_body_that_says_nothing_else_is_not_remarked(said: object) -> None:
    assert notification({"event_type": said, "booking_id": "B"}, "booking.confirmed").remarks == ()


def test_both_spellings_of_a_refund_are_one_type() -> None:
    assert notification({"event_type": "payment.refund", "booking_id": "B"}, "payment.refunded").remarks == ()


@pytest.mark.parametrize("routing_key", ["Booking.Confirmed", "BOOKING.CONFIRMED"])
def test_a_key_in_another_case_is_a_type_where_the_body_names_none(routing_key: str) -> None:
    assert notification({"booking_id": "B"}, routing_key).template == "booking_confirmation"
    assert (
        notification({"booking_id": "B", "event_type": "booking.cancelled"}, routing_key).template
        == "booking_cancellation"
    )


@given(st.text() | st.sampled_from(EVENT_TYPES), st.text() | st.sampled_from(EVENT_TYPES))
def test_an_event_is_read_under_a_type_of_ours_that_its_key_or_its_body_names(routing_key: str, said: str) -> None:
    made = inbound({"booking_id": "B", "event_type": said}, routing_key)
    typed = planning.under_its_type(made, max_bytes=LARGEST).routing_key
    planned = plan(made, max_bytes=LARGEST)
    if routing_key in EVENT_TYPES or said in EVENT_TYPES:
        assert isinstance(planned, planning.Notification)
    if isinstance(planned, planning.Notification):
        assert planned.event.event_type == typed
        assert typed == routing_key or routing_key not in EVENT_TYPES
    else:
        assert planned == IgnoredEvent(typed)


# ── one fact, one notification ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("event_type", ["booking.confirmed", "booking.cancelled", "payment.success", "payment.failed"])
def test_one_fact_under_two_event_ids_is_one_notification(event_type: str) -> None:
    data = sample(event_type)
    first, second = ids({**data, "event_id": "one"}, {**data, "event_id": "two", "user_email": "else@x.example"})
    assert first == second


def test_facts_of_different_bookings_and_of_different_kinds_are_apart() -> None:
    kinds = [
        {"event_type": kind, "booking_id": booking, "transaction_id": payment, "original_transaction_id": payment}
        for kind in EVENT_TYPES
        if kind not in ("payment.refund", "booking.refunded")
        for booking, payment in (("B1", "T1"), ("B2", "T2"))
    ]
    assert len(set(ids(*kinds))) == len(kinds) >= 10


NAMELESS = {"event_type": "booking.refunded", "booking_id": "B", "transaction_id": "T"}
FIRST = {
    "event_type": "payment.refunded",
    "booking_id": "B",
    "original_transaction_id": "T",
    "refund_transaction_id": "R1",
}
SAME_SPELT_OTHERWISE = {**FIRST, "event_type": "payment.refund"}
SECOND = {**FIRST, "refund_transaction_id": "R2"}
NAMELESS_FROM_PAYMENTS = {**FIRST, "refund_transaction_id": ""}


@pytest.mark.parametrize("order", list(itertools.permutations([NAMELESS, FIRST, SAME_SPELT_OTHERWISE])))
def test_one_refund_is_one_notification_in_whatever_order_its_reports_come(order: tuple[dict[str, Any], ...]) -> None:
    assert len(set(ids(*order))) == 1


@pytest.mark.parametrize("order", list(itertools.permutations([NAMELESS, FIRST, SECOND, NAMELESS_FROM_PAYMENTS])))
def test_two_refund_ids_are_two_notifications_in_whatever_order(order: tuple[dict[str, Any], ...]) -> None:
    by_event = dict(zip([str(event) for event in order], ids(*order), strict=True))
    assert by_event[str(FIRST)] != by_event[str(SECOND)]
    assert by_event[str(NAMELESS)] == by_event[str(NAMELESS_FROM_PAYMENTS)]
    first_named = next(event for event in order if event.get("refund_transaction_id"))
    assert by_event[str(NAMELESS)] == by_event[str(first_named)]


def test_a_refund_without_a_payment_is_told_apart_by_its_booking() -> None:
    first, second, other = ids(
        {"event_type": "booking.refunded", "booking_id": "B1"},
        {"event_type": "payment.refunded", "booking_id": "B1"},
        {"event_type": "booking.refunded", "booking_id": "B2"},
    )
    assert first == second != other


def test_the_samples_of_one_refund_are_one_fact() -> None:
    one, two = ids(sample("booking.refunded"), sample("payment.refunded"))
    assert one == two


def test_a_payment_without_an_id_is_told_apart_by_its_event() -> None:
    data = {"event_type": "payment.failed", "booking_id": "B"}
    one, two, again = ids({**data, "event_id": "a"}, {**data, "event_id": "b"}, {**data, "event_id": "a"})
    assert one != two
    assert one == again


NIL = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("unset", [NIL, NIL.replace("-", ""), "0", 0, "null", "-", "[object Object]"])
def test_payments_are_not_one_because_the_ids_of_both_were_never_set(unset: object) -> None:
    """The nil UUID, or a zero, is what programs send for an id that was never set: the second receipt was lost."""
    data = {"event_type": "payment.success", "transaction_id": unset, "gateway_response": {"payment_id": unset}}
    one, two = ids({**data, "event_id": "a", "booking_id": "B"}, {**data, "event_id": "b", "booking_id": "C"})
    assert one != two
    refund = {"event_type": "payment.refunded", "original_transaction_id": unset, "refund_transaction_id": unset}
    one, two = ids({**refund, "booking_id": "B"}, {**refund, "booking_id": "C"})
    assert one != two


@pytest.mark.parametrize("unset", [NIL, "null", "undefined", 0, "-"])
def test_events_are_not_one_because_both_have_no_id(unset: object) -> None:
    data = {"event_type": "payment.failed", "event_id": unset, "gateway_response": {}}
    one, two = ids({**data, "booking_id": "B"}, {**data, "booking_id": "C"})
    assert one != two


@pytest.mark.parametrize("unset", [NIL, "-", "[object Object]"])
def test_bookings_are_not_one_because_both_have_no_id(unset: str) -> None:
    """Read as an id, the second person's confirmation would be a repetition of the first."""
    planned = plan(inbound({"booking_id": unset, "user_email": "jane@guests.example"}), max_bytes=LARGEST)
    assert isinstance(planned, UnreadableMessage)
    assert planned.outcome.reason is RejectReason.SCHEMA


PINNED = [
    "22dfbb1241042e65dac74618250eea32",
    "2941f52b4c411645a660f1567f89f397",
    "afeb44043602a529e0a22d9128a68e30",
    "512db2f4cc58f8a3da8901da414d6477",
    "dda9787fbb3c8086041528c3ade54fa5",
]
PINNED_PLAIN = "52f165dbc6dddcf24d76b0639d55795e"

# ── the ids ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_ids_are_the_same_in_every_version_for_ever() -> None:
    # Whoever changes one of these sends every mail of the last days again.
    assert (
        ids(sample("booking.confirmed"), sample("payment.success"), sample("payment.failed"), FIRST, SECOND) == PINNED
    )
    assert notification_id(Fact("booking:B:confirmed"), None, "booking_confirmation", ChannelKind.EMAIL) == PINNED_PLAIN


def test_the_template_and_the_channel_are_part_of_the_id() -> None:
    fact = Fact("booking:B:confirmed")
    assert len({notification_id(fact, None, t, c) for t in ("a", "b") for c in ("email", "sms")}) == 4


@pytest.mark.parametrize(
    ("data", "message_id", "expected"),
    [
        ({"event_id": "evt_1"}, "m-1", "evt_1"),
        ({"event_id": " evt_1 "}, "m-1", "evt_1"),
        ({"event_id": 17}, "m-1", "17"),
        ({}, "m-1", "m-1"),
        ({"event_id": ""}, "m-1", "m-1"),
        ({"event_id": None}, "m-1", "m-1"),
        ({"event_id": True}, "m-1", "m-1"),
        ({"event_id": "null"}, "m-1", "m-1"),
        ({"event_id": NIL}, "m-1", "m-1"),
    ],
)
def test_the_event_id_falls_back_to_the_message_id(data: dict[str, Any], message_id: str, expected: str) -> None:
    planned = plan(inbound({"booking_id": "B", **data}, message_id=message_id), max_bytes=LARGEST)
    assert isinstance(planned, planning.Notification | UnreadableMessage)
    assert planned.event_id == expected


def test_without_any_id_the_digest_of_the_body_stands_for_it() -> None:
    one, two, again = (notification({"booking_id": booking}).event_id for booking in ("B", "C", "B"))
    assert one.startswith("sha256:")
    assert one != two
    assert one == again


@pytest.mark.parametrize("wrap", ["%s", '{"data": %s}'])
def test_a_name_that_occurs_twice_with_two_values_is_remarked(wrap: str) -> None:
    """The mail goes to the second address; whoever looks for it finds out why."""
    body = (
        '{"booking_id": "B", "user_email": "a@x.example", "seats": ["A"], "user_email": "b@x.example", "seats": ["A"]}'
    )
    planned = plan(InboundMessage((wrap % body).encode(), "booking.confirmed"), max_bytes=LARGEST)
    assert isinstance(planned, planning.Notification)
    assert planned.event.user_email == "b@x.example"
    told = [str(each) for each in planned.remarks]
    assert [each for each in told if "twice" in each] == [
        "event has user_email twice with different values: the last one counts"
    ]


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_that_names_neither_booking_nor_payment_is_rejected(event_type: str) -> None:
    data = {"event_id": "e", "user_email": "a@b.example", "booking_id": "", "transaction_id": "  "}
    planned = plan(inbound(data, event_type), max_bytes=LARGEST)
    assert isinstance(planned, UnreadableMessage)
    assert planned.event_id == "e"
    assert planned.outcome.reason is RejectReason.SCHEMA
    assert planned.data == data


def test_the_same_unreadable_bytes_have_the_same_digest() -> None:
    one, two, again = (plan(inbound(body), max_bytes=LARGEST) for body in (b"{", b"[", b"{"))
    assert isinstance(one, UnreadableMessage)
    assert isinstance(two, UnreadableMessage)
    assert isinstance(again, UnreadableMessage)
    assert one.digest == again.digest != two.digest


def test_a_body_never_shows_in_a_repr() -> None:
    made = inbound({"booking_id": "B", "user_email": "canary@x.example"})
    assert "canary" not in repr(made)
    assert parse({}, "booking.confirmed") is not None


@pytest.mark.parametrize("awkward", ["x" * 201, "a\0b", "\ud800", "a\nb", "\u202e"], ids=ascii)
def test_an_id_that_nothing_could_hold_is_known_by_its_digest(awkward: str) -> None:
    told = notification({**sample("booking.confirmed"), "event_id": awkward}).event_id
    assert told.startswith("sha256:")
    assert told == notification({**sample("booking.confirmed"), "event_id": awkward, "extra": 1}).event_id


def test_an_ordinary_id_is_kept_as_it_is() -> None:
    assert notification({**sample("booking.confirmed"), "event_id": "evt_b\u00e9_1"}).event_id == "evt_b\u00e9_1"
