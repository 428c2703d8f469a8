"""What a gateway calls a payment."""

from typing import Any

import pytest

from notification_service.contract.notification_ids import Fact
from notification_service.contract.payment_ids import gateway_id
from tests.unit.fakes import notification


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ({"gateway_transaction_id": "gtw_1", "id": "evt_2"}, "gtw_1"),
        ({"id": "evt_2", "paymentId": "pay_1"}, "pay_1"),
        ({"razorpay_payment_id": "pay_1", "razorpay_order_id": "order_1"}, "pay_1"),
        ({"payment_intent": {"id": "pi_1"}}, "pi_1"),
        ({"TXN-ID": 4711}, "4711"),
        ({"pspReference": "8835"}, "8835"),
        ({"transaction": {"id": "T"}, "id": "evt_1"}, "T"),
        ({"payment": {"id": "P"}, "success": True}, "P"),
        ({"transactionResponse": {"transId": "60"}}, "60"),
        ({"txnid": "of the shop", "mihpayid": "403"}, "403"),
        ({"cf_payment_id": 1453}, "1453"),
        ({"CheckoutRequestID": "ws_CO_1"}, "ws_CO_1"),
        ({"id": 8835.0}, "8835"),
        ({"id": "not available"}, None),
        ({"gateway_transaction_id": "null", "charge_id": "ch_1"}, "ch_1"),
        ({"reference": "ORDER-1", "order_id": "1", "merchant_reference": "M"}, None),
        ({"gateway_status": "APPROVED"}, None),
        ({"id": True}, None),
        ({"id": ["a"]}, None),
        ({"id": 0}, None),
        ({"id": ""}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_surest_name_of_one_payment_is_taken(answer: dict[str, Any] | None, name: str | None) -> None:
    assert gateway_id(answer) == name


def fact(**fields: object) -> Fact:
    return notification({"booking_id": "B", "user_email": "a@b.example", **fields}, "payment.success").fact


def test_our_own_name_wins_and_the_gateway_s_is_another_of_the_same_payment() -> None:
    answer = {"id": "G"}
    named, nameless = (fact(transaction_id=text, gateway_response=answer) for text in ("T", None))
    assert named.key == "payment:T:succeeded"
    assert nameless.key == named.alias == nameless.alias
    assert fact(transaction_id="T").alias is None
    assert fact(booking_id="C", gateway_response=answer).key != nameless.key, "a test gateway counts from 1"


@pytest.mark.parametrize(
    ("own", "first", "known_as"),
    [
        (Fact("payment:T", alias="A"), "payment:T", "payment:T"),
        (Fact("payment:T", alias="A"), "A", "A"),
        (Fact("payment:T", alias="A"), "payment:S", "payment:T"),
        (Fact("A", alias="A"), "payment:T", "payment:T"),
        (Fact("A", alias="A"), "A", "A"),
        (Fact("event:e"), "event:e", "event:e"),
    ],
)
def test_a_named_and_a_nameless_report_are_one_fact_and_two_names_are_two(own: Fact, first: str, known_as: str) -> None:
    assert own.known_as(first).key == known_as
