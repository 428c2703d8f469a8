"""What gateways and banks write is sorted into reasons that a person understands, and nothing more is claimed."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from notification_service.events import PaymentFailed, parse
from notification_service.reasons import Reason, nothing_charged, reason


def failed(**fields: Any) -> PaymentFailed:  # noqa: ANN401 - whatever JSON holds
    event = parse(fields, "payment.failed")
    assert isinstance(event, PaymentFailed)
    return event


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("insufficient_funds", Reason.FUNDS),
        ("INSUFFICIENT-FUNDS", Reason.FUNDS),
        ("51", Reason.FUNDS),
        ("expired_card", Reason.EXPIRED),
        ("Card expired", Reason.EXPIRED),
        ("54", Reason.EXPIRED),
        ("incorrect_cvc", Reason.DETAILS),
        ("invalid_number", Reason.DETAILS),
        ("invalid_expiry_year", Reason.DETAILS),
        ("AVS_MISMATCH", Reason.DETAILS),
        ("withdrawal_count_limit_exceeded", Reason.LIMIT),
        ("61", Reason.LIMIT),
        ("authentication_required", Reason.CHECK),
        ("3DS failed", Reason.CHECK),
        ("fraudulent", Reason.SUSPECTED),
        ("stolen_card", Reason.SUSPECTED),
        ("pickup_card", Reason.SUSPECTED),
        ("card_not_supported", Reason.UNSUPPORTED),
        ("currency_not_supported", Reason.UNSUPPORTED),
        ("processing_error", Reason.TECHNICAL),
        ("Gateway timeout", Reason.TECHNICAL),
        ("91", Reason.TECHNICAL),
        ("user_cancelled", Reason.CANCELLED),
        ("do_not_honor", Reason.DECLINED),
        ("generic_decline", Reason.DECLINED),
        ("05", Reason.DECLINED),
        ("E-4711", None),
        ("", None),
        ("Something else entirely", None),
    ],
)
def test_a_code_names_its_reason(code: str, found: Reason | None) -> None:
    assert reason(failed(error_code=code)) is found
    assert reason(failed(failure_reason=code)) is found
    assert reason(failed(gateway_response={"error_code": code})) is found


def test_a_finer_word_wins_over_declined() -> None:
    assert reason(failed(error_code="DECLINED", failure_reason="Card expired")) is Reason.EXPIRED
    assert reason(failed(error_code="DECLINED")) is Reason.DECLINED


def test_a_text_that_leaves_it_open_says_no_more_than_declined() -> None:
    event = failed(failure_reason="Insufficient funds or card declined", gateway_response={"error_code": "DECLINED"})
    assert reason(event) is Reason.DECLINED


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"error_code": "expired_card", "gateway_response": {"gateway_status": "DECLINED"}}, True),
        ({"error_code": "expired_card"}, False),
        ({"error_code": "processing_error", "gateway_response": {"gateway_status": "DECLINED"}}, False),
        ({"gateway_response": {"gateway_status": "DECLINED"}}, False),
        ({"error_code": "expired_card", "gateway_response": {"gateway_status": "PENDING"}}, False),
        ({"error_code": "expired_card", "gateway_response": {"gateway_status": ["DECLINED"]}}, False),
    ],
)
def test_nothing_charged_is_only_said_where_it_is_known(fields: dict[str, Any], known: bool) -> None:  # noqa: FBT001
    assert nothing_charged(failed(**fields)) is known


@given(st.text(max_size=300), st.dictionaries(st.text(max_size=12), st.text() | st.integers() | st.none()))
def test_no_answer_of_a_gateway_raises(text: str, answer: dict[str, Any]) -> None:
    event = failed(failure_reason=text, error_code=text, gateway_response={**answer, "error_code": [text]})
    assert reason(event) in (None, *Reason)
    nothing_charged(event)


@pytest.mark.parametrize("answer", [{"last4": "4242"}, {"last4": 4242}, {"card_last_four": "0001"}])
def test_the_last_digits_of_a_card_are_found(answer: dict[str, Any]) -> None:
    assert failed(gateway_response=answer).last_four == str(next(iter(answer.values())))
    assert failed(gateway_response={"last4": "42425"}).last_four is None
    assert failed(gateway_response={"last4": "<b>1"}).last_four is None
    assert failed().last_four is None
