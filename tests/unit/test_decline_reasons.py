"""Texts of gateways and banks are mapped to reasons, and nothing more is claimed."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from notification_service.content import decline_reasons
from notification_service.content.decline_codes import Reason
from notification_service.content.decline_reasons import (
    by_card,
    error_code,
    may_still_be_charged,
    nothing_charged,
    reason,
)
from notification_service.contract.events import PaymentFailed, parse


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
        ("InsufficientFunds", Reason.FUNDS),
        ("card_declined_insufficient_funds", Reason.FUNDS),
        ("Not enough balance", Reason.FUNDS),
        ("Expired Card", Reason.EXPIRED),
        ("The card has expired.", Reason.EXPIRED),
        ("CVC Declined", Reason.DETAILS),
        ("Your card was declined.", Reason.DECLINED),
        ("Card declined: insufficient funds", Reason.FUNDS),
        ("Declined by the issuing bank", Reason.DECLINED),
        ("Lost or stolen card", Reason.SUSPECTED),
        ("Daily limit exceeded", Reason.LIMIT),
        ("payment_collect_request_expired", Reason.TIMED_OUT),
        ("Checkout session expired", Reason.TIMED_OUT),
        ("OTP expired", Reason.TIMED_OUT),
        ("Expired payment link", Reason.TIMED_OUT),
        ("Authorization has expired", Reason.TIMED_OUT),
        ("Payment canceled by user", Reason.CANCELLED),
        ("Connection lost", Reason.TECHNICAL),
        ("Rate limit exceeded", Reason.TECHNICAL),
        ("Concurrency error", Reason.TECHNICAL),
        ("Transaction not successful: insufficient funds", Reason.FUNDS),
        ("No fraud detected, card declined", Reason.DECLINED),
        ("Do not honor", Reason.DECLINED),
    ],
)
def test_a_code_names_its_reason(code: str, found: Reason | None) -> None:
    assert reason(failed(error_code=code)) is found
    assert reason(failed(failure_reason=code)) is found
    assert reason(failed(gateway_response={"error_code": code})) is found


@pytest.mark.parametrize(
    "text",
    [
        "Bank transfer failed",
        "Transfer declines to start",
        "insufficient_fundz",
        "Escape key pressed",
        "Scan failed",
        "Zipped payload invalid",
        "Unlimited plan",
        "API daily limit exceeded",
        "Too many retries",
        "Token expired",
        "Gift card expired",
        "Expired",
        "Expiredish card",
        "Desktop app failed",
        "invalid_request_error",
        "Invalid number of seats",
        "invalid parameter: account",
        "cancel_failed",
        "Cancellation failed",
        "Suspected network partition",
        "Ancestry lookup",
        "Not declined",
        "The card was not declined",
        "No fraud detected",
        "The card has not expired",
        "Card isn't expired",
        "Insufficient funds?",
        "insufficient_funds: false",
        "insufficient_funds=false",
        "If your card has expired, update it",
        "The card may have expired",
        "Insufficient funds or expired card",
        "Exceeded",
        "Frauditor unavailable",
        "Restricted seats",
        "User system",
        "x" * 5000 + " insufficient funds",
    ],
)
@pytest.mark.parametrize("method", [None, "card", "bank_transfer", "upi"])
def test_a_text_that_names_no_cause_for_certain_names_none(text: str, method: str | None) -> None:
    event = failed(failure_reason=text, payment_method=method, gateway_response={"gateway_status": "DECLINED"})
    assert reason(event) is None
    assert not nothing_charged(event)


CARDS = ["card", "credit_card", "Debit Card", "VISA", "visa ****4242", "mastercard", "CreditCard", "amex"]
OTHERS = [
    *("upi", "UPI", "bank_transfer", "bankTransfer", "wallet", "netbanking", "paypal", "PayPal", "cash", "gift_card"),
    *("google_pay", "sepa_debit", "direct debit", "iDEAL", "pix", "Paytm"),
]
OF_A_CARD = ["expired_card", "Card expired", "incorrect_cvc", "54", "lost_card", "card_not_supported", "card_declined"]


@pytest.mark.parametrize("method", CARDS)
@pytest.mark.parametrize("code", OF_A_CARD)
def test_of_a_card_it_is_said_where_one_was_used(method: str, code: str) -> None:
    event = failed(payment_method=method, error_code=code)
    assert reason(event) is not None
    assert by_card(event)


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("code", OF_A_CARD)
def test_of_a_card_nothing_is_said_where_none_was_used(method: str, code: str) -> None:
    event = failed(payment_method=method, error_code=code, gateway_response={"gateway_status": "DECLINED"})
    assert reason(event) is None
    assert error_code(event) is None
    assert not by_card(event)
    assert not nothing_charged(event)


@pytest.mark.parametrize(
    ("method", "code", "found"),
    [
        ("upi", "Z9", Reason.FUNDS),
        ("upi", "U69", Reason.TIMED_OUT),
        ("upi", "ZA", Reason.CANCELLED),
        ("card", "ZA", None),
        (None, "IR", None),
        ("upi", "insufficient_funds", Reason.FUNDS),
        ("wallet", "insufficient_balance", Reason.FUNDS),
        ("paypal", "INSTRUMENT_DECLINED", Reason.DECLINED),
        ("paypal", "fraud_suspected", Reason.DECLINED),
        ("upi", "91", None),
    ],
)
def test_a_code_means_what_it_means_for_its_way_of_paying(method: str | None, code: str, found: Reason | None) -> None:
    assert reason(failed(payment_method=method, error_code=code)) is found


def test_the_numbers_of_a_processor_are_read_from_its_own_field_only() -> None:
    assert reason(failed(gateway_response={"processor_response_code": "2001"})) is Reason.FUNDS
    assert reason(failed(gateway_response={"processor_response_code": 2004}, payment_method="card")) is Reason.EXPIRED
    assert reason(failed(gateway_response={"processor_response_code": "2004"}, payment_method="paypal")) is None
    assert reason(failed(error_code="2001")) is None


SOME_WORDS = """bank transfer failed insufficient funds card expired declined by not no the rate limit exceeded network
    error fraud suspected session link or if cvv invalid number concurrency lost cancel payment cancelled user"""
WORDS = st.sampled_from([*SOME_WORDS.split()])


def known_phrase_in(words: list[str]) -> bool:
    """Told apart by another way than the product's own: as a text between blanks."""
    text = f" {' '.join(word for word in words if word != 'the')} "
    phrases = {" ".join(phrase) for _, table in decline_reasons._KNOWN.values() for phrase in table}
    codes = {code for table, _ in decline_reasons._KNOWN.values() for code in table}
    return "".join(words) in codes or any(f" {phrase} " in text for phrase in phrases)


@given(st.lists(WORDS, max_size=8), st.sampled_from([None, "card", "upi", "bank_transfer"]))
def test_without_a_known_code_or_a_phrase_of_whole_words_there_is_no_reason(words: list[str], method: str) -> None:
    event = failed(failure_reason=" ".join(words), payment_method=method)
    if not known_phrase_in(words):
        assert reason(event) is None


@given(
    st.sampled_from(
        sorted({" ".join(phrase) for phrase in decline_reasons._KNOWN[decline_reasons._Method.UNKNOWN][1]})
    ),
    st.text("qwxz", min_size=1, max_size=3),
    st.booleans(),
)
def test_a_phrase_inside_longer_words_is_none(phrase: str, letters: str, before: bool) -> None:  # noqa: FBT001
    glued = f"{letters}{phrase}{letters}" if before else phrase.replace(" ", letters) + letters
    assert reason(failed(failure_reason=glued)) is None or known_phrase_in(glued.split())


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
        ({"error_code": "insufficient_funds", "gateway_response": {"gateway_status": "DECLINED"}}, False),
        (
            {
                "error_code": "insufficient_funds",
                "payment_method": "card",
                "gateway_response": {"gateway_status": "DECLINED"},
            },
            True,
        ),
        (
            {
                "error_code": "insufficient_funds",
                "payment_method": "upi",
                "gateway_response": {"gateway_status": "DECLINED"},
            },
            False,
        ),
        (
            {
                "error_code": "expired_card",
                "failure_reason": "Declined after the amount was debited",
                "gateway_response": {"gateway_status": "DECLINED"},
            },
            False,
        ),
        ({"error_code": "expired_card", "gateway_response": {"gateway_status": "DECLINED", "captured": True}}, False),
        ({"error_code": "expired_card", "gateway_response": {"gateway_status": "DECLINED", "captured": False}}, True),
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


@pytest.mark.parametrize(
    "text",
    [
        *(
            "java.net.SocketTimeoutException: Read timed out",
            "ECONNREFUSED 10.0.0.5:5432",
            "See https://shop.example/x",
        ),
        *(
            'Traceback (most recent call last): File "/app/pay.py", line 3, in pay',
            "OperationalError: password=hunter2",
        ),
        *(
            "{'a': 1}",
            "<p>Odd</p>",
            "at com.acme.Pay.charge(Pay.java:7)",
            "charge() failed",
            "success",
            "OK",
            "Approved",
        ),
        *("Blocked by Radar rule", "highest_risk_level", "AML check failed", "Sanctions hit: customer on OFAC list"),
        *("Refused | FRAUD", "Customer is on the blacklist"),
    ],
)
@pytest.mark.parametrize("method", ["card", "upi", None])
def test_what_is_not_written_for_the_payer_is_not_shown(text: str, method: str | None) -> None:
    event = failed(failure_reason=text, payment_method=method)
    assert reason(event) is None
    assert error_code(event) is None


@pytest.mark.parametrize(
    "text",
    [
        *("HTTP 402 Payment Required", "Invalid VPA", "Karte abgelaufen", "Lost connection to bank", "EXPIRED"),
        *("ERROR: bank offline (7)", "Payment not approved", "No exceptional case", "Beneficiary bank offline"),
    ],
)
def test_the_words_of_a_gateway_are_no_code(text: str) -> None:
    assert error_code(failed(failure_reason=text, payment_method="upi")) is None


@pytest.mark.parametrize("code", ["E-4711", "U30", "ERR_17", "ACQUIRER_CLOSED", "7"])
def test_an_unknown_code_is_shown_as_a_code(code: str) -> None:
    assert error_code(failed(error_code=code)) == code
    assert error_code(failed(error_code=code, failure_reason="Something odd")) == code


@pytest.mark.parametrize(
    ("text", "may"),
    [("", True), ("Gateway timeout", True), ("Checkout session expired", True), ("Odd", True), ("Card expired", False)],
)
def test_a_payment_whose_end_is_unknown_may_still_be_charged(text: str, *, may: bool) -> None:
    assert may_still_be_charged(reason(failed(failure_reason=text))) is may
