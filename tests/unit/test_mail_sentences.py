"""What the mails say is true of the event and the settings: every sample in every language."""

import re
from dataclasses import replace
from functools import cache
from typing import TypeVar

import pytest

from notification_service.channels.email.mail import Mail
from notification_service.channels.email.rendering import Renderer
from notification_service.content import catalogues, decline_reasons
from notification_service.content.cancellation_causes import BY_THE_CINEMA, Cause, cause
from notification_service.content.links import LinkPatterns
from notification_service.content.profile import Policies
from notification_service.contract.events import BookingCancelled, BookingConfirmed, Event, PaymentFailed
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.directory import Recipient
from tests.unit.test_catalogues import BARE, HOUSE, RENDERER, SPOKEN
from tests.unit.test_templates import EVENTS, RICH, TEMPLATES, Page, event, packed


def promising(policies: Policies) -> Renderer:
    """The house with other promises; its templates are compiled already."""
    return Renderer(RENDERER._templates, replace(HOUSE, policies=policies))


JANE = Recipient("jane.smith@example.com", "Jane", "Smith")
CANCELLING = promising(Policies(cancel_hours=2))
E = TypeVar("E", bound=Event)
TRANSLATIONS = catalogues.load(TEMPLATES)

every_language = pytest.mark.parametrize("language", SPOKEN)
every_house = pytest.mark.parametrize("house", [RENDERER, BARE], ids=["full", "bare"])
_made: dict[tuple[int, str | None, int, Recipient], tuple[Event, Mail]] = {}
"""The mails that several tests read, with the event, which keeps its id from being another's."""


def of_kind(kind: type[E]) -> list[E]:
    found: list[E] = [each for each in EVENTS.values() if isinstance(each, kind)]
    assert found
    return found


def mail(of: Event, language: str | None = None, house: Renderer = RENDERER, person: Recipient = JANE) -> Mail:
    key = id(of), language, id(house), person
    if key not in _made:
        _made[key] = of, house.render(RULES[type(of)].template, of, person, language)
    return _made[key][1]


@cache
def main_text(html: str) -> str:
    return packed(Page(html).texts("td", "main")[0])


@cache
def pattern(sentence: str, language: str, plural: str = "", number: int = 1) -> re.Pattern[str]:
    """The sentence in this language, whatever its values are, without spaces: lines break anywhere."""
    of = TRANSLATIONS[language]
    text = of.ngettext(sentence, plural, number) if plural else of.gettext(sentence)
    return re.compile(".+".join(re.escape(packed(part)) for part in re.split(r"%\(\w+\)s", text)))


def says(sent: Mail, language: str, sentence: str, plural: str = "", number: int = 1) -> bool:
    """Whether text and HTML both say it; they never differ."""
    wanted = pattern(sentence, language, plural, number)
    said = {bool(wanted.search(part)) for part in (packed(sent.text), main_text(sent.html))}
    assert len(said) == 1, f"one part says {sentence!r}, the other does not"
    return said.pop()


# ── a promise is made where a setting or an event is behind it ───────────────────────────────────────
CAN_CANCEL = (
    "You can cancel up to %(num)s hour before the showing.",
    "You can cancel up to %(num)s hours before the showing.",
)


@every_language
def test_a_mail_says_that_one_can_cancel_only_where_the_setting_says_so(language: str) -> None:
    for of in of_kind(BookingConfirmed):
        assert says(mail(of, language, CANCELLING), language, *CAN_CANCEL, 2)
        for house in (RENDERER, BARE):
            sent = mail(of, language, house)
            assert not says(sent, language, *CAN_CANCEL, 2)
            assert not says(sent, language, "You can cancel until the showing begins.")


@every_language
@every_house
def test_a_failed_payment_offers_what_can_still_be_done(house: Renderer, language: str) -> None:
    for of in of_kind(PaymentFailed):
        sent, again = mail(of, language, house), of.retry_possible is not False
        held = again and of.seats_held_until is not None
        assert says(sent, language, "We're holding them for you until %(when)s.") is held
        assert says(sent, language, "They're yours once you've paid, if they're still available.") is (
            again and not held
        )
        assert says(sent, language, "This payment can't be retried.") is not again
        assert says(sent, language, "To get your seats, please make a new booking.") is not again
        if not again:
            assert not says(sent, language, "Try another payment method.")
            assert not says(sent, language, "Try another card or payment method.")


@every_language
@every_house
def test_where_money_may_have_moved_nobody_is_asked_to_pay_again(house: Renderer, language: str) -> None:
    for of in of_kind(PaymentFailed):
        sent, unsure = mail(of, language, house), decline_reasons.may_still_be_charged(decline_reasons.reason(of))
        ask_us = "If the payment still shows on your account, do not pay again: contact us first."
        ask_the_bank = "If the payment still shows on your account, do not pay again: ask your bank first."
        assert says(sent, language, ask_us) is (unsure and house is RENDERER)
        assert says(sent, language, ask_the_bank) is (unsure and house is BARE)
        assert says(sent, language, "You haven't been charged.") is decline_reasons.nothing_charged(of)


BY_THE_REFERENCES = (
    "Ask your bank first: they can find the refund by the reference above.",
    "Ask your bank first: they can find the refund by the references above.",
)


@every_language
@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_bank_is_pointed_to_references_only_where_some_are_above(known: int, language: str) -> None:
    ids = ["original_transaction_id", "refund_transaction_id"][:known]
    sent = mail(event("payment.refunded", booking_id="B1", **dict.fromkeys(ids, "ref-1")), language)
    assert any(says(sent, language, *BY_THE_REFERENCES, number) for number in (1, 2)) is bool(known)
    if known:
        assert says(sent, language, *BY_THE_REFERENCES, known)


@every_language
def test_no_text_of_a_gateway_or_an_operator_is_repeated(language: str) -> None:
    for of in EVENTS.values():
        sent = mail(of, language)
        for name in ("failure_reason", "cancellation_reason", "reason", "refund_reason"):
            raw = packed(getattr(of, name, None) or "")
            if raw:
                assert raw not in packed(sent.subject + sent.text) + main_text(sent.html)


# ── by cause ─────────────────────────────────────────────────────────────────────────────────────────
@every_language
def test_a_cancellation_speaks_by_its_cause(language: str) -> None:
    for of in of_kind(BookingCancelled):
        sent, found = mail(of, language), cause(of)
        assert says(sent, language, "You requested this cancellation.") is (found is Cause.CUSTOMER)
        assert says(sent, language, "We're sorry that this showing can't take place.") is (found is Cause.SHOW)
        assert says(sent, language, "See other showings") is (found in BY_THE_CINEMA)
        assert not says(mail(of, language, BARE), language, "See other showings")
        assert says(sent, language, "Didn't request this?") is (found in (None, Cause.CUSTOMER))


@every_language
@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Payment timeout", "We didn't receive your payment in time, so your seats have been released."),
        ("Payment failed", "Your payment didn't go through, so your seats have been released."),
    ],
)
def test_where_nobody_paid_no_ticket_becomes_invalid(reason: str, said: str, language: str) -> None:
    sent = mail(event("booking.cancelled", **{**RICH["booking.cancelled"], "reason": reason}), language)
    assert says(sent, language, said)
    for sentence in (
        "The tickets are no longer valid.",
        "The seats have been released, and the tickets are no longer valid.",
        "You requested this cancellation.",
    ):
        assert not says(sent, language, sentence)


def test_who_never_paid_hears_nothing_of_refunds() -> None:
    fields = {**RICH["booking.cancelled"], "reason": "Payment timeout", "refund_eligible": False, "refund_amount": None}
    sent = mail(event("booking.cancelled", **fields), "en")
    assert "refund" not in sent.text.lower()
    assert "refund" not in sent.html.lower()
    assert "Your refund" in mail(event("booking.cancelled", **{**fields, "refund_amount": 30.0}), "en").text


def test_a_reader_without_a_code_is_not_asked_for_it() -> None:
    house = Renderer(RENDERER._templates, replace(HOUSE, policies=Policies(cancel_hours=2), links=LinkPatterns()))
    code = "Contact us with your booking code:"
    assert says(mail(event("booking.confirmed", booking_id="B1"), "en", house), "en", code)
    assert not says(mail(event("booking.confirmed"), "en", house), "en", code)


@every_language
def test_where_the_cinema_cancels_the_refund_comes_before_the_details(language: str) -> None:
    of = event("booking.cancelled", **{**RICH["booking.cancelled"], "reason": "Show cancelled"})
    (shown,) = Page(mail(of, language).html).texts("td", "main")
    refund, when = (TRANSLATIONS[language].gettext(word) for word in ("Your refund", "When"))
    assert shown.index(refund) < shown.index(when)


# Stated by hand: a table of the code under test would agree with it.
@pytest.mark.parametrize(
    ("code", "method", "said"),
    [
        ("insufficient_funds", "credit_card", "Try another card or payment method."),
        ("insufficient_funds", "upi", "Try another payment method."),
        ("expired_card", "credit_card", "Try another card or payment method."),
        ("incorrect_cvc", "credit_card", "Check the number, expiry date, security code and billing address"),
        ("authentication_required", "credit_card", "confirm the payment when your bank asks you to"),
        ("stolen_card", "credit_card", "ask your bank why it was stopped"),
        ("do_not_honor", "debit_card", "ask your bank why it was stopped"),
        ("processing_error", "credit_card", "Please wait a few minutes"),
        ("user_cancelled", "credit_card", "Start the payment again to complete your booking."),
        ("checkout_session_expired", "upi", "Start the payment again to complete your booking."),
        ("E-4711", "upi", "Try another payment method."),
    ],
)
def test_a_failed_payment_says_the_next_step_for_its_reason(code: str, method: str, said: str) -> None:
    sent = mail(event("payment.failed", booking_id="B1", error_code=code, payment_method=method), "en")
    assert packed(said) in packed(sent.text)


# ── the way of payment ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("sent", ["credit_card", "CreditCard", "creditCard", "CREDIT-CARD", "Credit card"])
def test_a_way_of_payment_is_known_in_any_spelling(sent: str) -> None:
    receipt = mail(event("payment.success", booking_id="B1", payment_method=sent), "de")
    assert "Bezahlt mit: Kreditkarte" in receipt.text


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("4111111111111111", "\u2022\u2022\u2022\u2022 1111"),
        ("visa 4111 1111 1111 1111", "Visa \u2022\u2022\u2022\u2022 1111"),
        ("card:3782-822463-10005", "Card:\u2022\u2022\u2022\u2022 0005"),
        ("Visa ****4242", "Visa ****4242"),
        ("credit_card_4242", "Credit card 4242"),
        ("przelewy24", "Przelewy24"),
        ("afterpay_clearpay", "Afterpay clearpay"),
    ],
)
def test_of_a_cards_number_the_last_four_digits_are_shown(sent: str, shown: str) -> None:
    """PCI DSS 3.4: a mail is no place for more of it."""
    receipt = mail(event("payment.success", booking_id="B1", payment_method=sent))
    assert f"Paid with: {shown}" in receipt.text
    assert not re.search(r"4111|3782", receipt.text + receipt.html)


@pytest.mark.parametrize("sent", ["pm_1JqL2e2eZvKYlo2C", "1", 3, "4242", "7c9e6679-7425-40de-944b-e07fc1f90ae7"])
def test_a_token_or_a_number_names_no_way_of_payment(sent: object) -> None:
    receipt = mail(event("payment.success", booking_id="B1", payment_method=sent))
    assert "Paid with" not in receipt.text + receipt.html


# ── one name for one id ──────────────────────────────────────────────────────────────────────────────
IDS = {
    "booking_id": "Booking code",
    "transaction_id": "Payment reference",
    "original_transaction_id": "Payment reference",
    "refund_transaction_id": "Refund reference",
    "ticket_token": "Ticket code",
}


@every_language
def test_an_id_has_one_name_in_all_mails(language: str) -> None:
    for of in EVENTS.values():
        facts = {packed(label): packed(value) for label, value in Page(mail(of, language).html).facts.items()}
        names = {packed(TRANSLATIONS[language].gettext(name)): name for name in IDS.values()}
        for field, name in IDS.items():
            value = packed(getattr(of, field, None) or "")
            called = {
                names.get(label) for label, shown in facts.items() if value and shown.strip("\u2068\u2069") == value
            }
            assert called - {None} <= {name}, field


# ── a subject ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("locale", ["ar", "ar-EG", "ar-MA", "de", "en-GB", "es-AR", "es-US", "fr-CA", "hi", "ja"])
@pytest.mark.parametrize("title", ["Inception", "12 Angry Men and One Very Long Night at the Movies"])
def test_a_subject_never_cuts_the_hour(locale: str, title: str) -> None:
    of = event("booking.confirmed", **{**RICH["booking.confirmed"], "movie_title": title}, locale=locale)
    sent = mail(of)
    assert re.search(r"(?:8|20)(?::|h| h )00", sent.subject), sent.subject
    assert len(sent.subject) <= 60
    assert not sent.subject.endswith("…")


def test_a_subject_has_the_year_of_a_show_that_is_far_off() -> None:
    of = event(
        "booking.confirmed",
        **{**RICH["booking.confirmed"], "showtime": "2027-12-15 20:00", "timestamp": "2026-11-24T10:30:00Z"},
    )
    assert mail(of).subject == "Booking confirmed: Inception – Dec 15, 2027"  # noqa: RUF001 - a dash


def test_a_subject_shows_the_beginning_of_a_showtime_that_names_no_time() -> None:
    of = event("booking.confirmed", movie_title="Inception", showtime="whenever the moon is full over the harbour")
    assert mail(of).subject == "Booking confirmed: Inception – whenever the moon is fu…"  # noqa: RUF001 - a dash


# ── as the language writes it ────────────────────────────────────────────────────────────────────────
@every_house
def test_japanese_has_no_space_between_sentences_and_no_narrow_colon(house: Renderer) -> None:
    for of in EVENTS.values():
        sent = mail(of, "ja", house)
        for part in (sent.subject, sent.text, *Page(sent.html).texts("p"), *Page(sent.html).texts("th")):
            assert not re.search(r"[。、] |[\u3040-\u30ff\u4e00-\u9fff]:(?!//)", part)


@pytest.mark.parametrize(
    ("language", "minutes", "said"),
    [
        ("en", 1, "about 1 minute early"),
        ("en", 20, "about 20 minutes early"),
        ("de", 1, "etwa 1 Minute früher"),
        ("ar", 1, "بنحو دقيقة واحدة"),
        ("ar", 2, "بنحو دقيقتين"),
        ("ar", 3, "بنحو 3 دقائق"),
        ("ar", 10, "بنحو 10 دقائق"),
        ("ar", 11, "بنحو 11 دقيقة"),
        ("ar", 100, "بنحو 100 دقيقة"),
        ("ar", 103, "بنحو 103 دقائق"),
    ],
)
def test_a_plural_is_a_plural(language: str, minutes: int, said: str) -> None:
    house = promising(Policies(arrive_minutes=minutes))
    assert packed(said) in packed(mail(event("booking.confirmed", booking_id="B1"), language, house).text)


@pytest.mark.parametrize(
    ("days", "said"), [("1", "يوم عمل واحد"), ("1-2", "يومي عمل"), ("5-10", "10 أيام عمل"), ("10-15", "15 يوم عمل")]
)
def test_a_range_of_days_has_the_plural_of_its_end(days: str, said: str) -> None:
    house = promising(Policies({"default": days}))
    assert packed(said) in packed(mail(event("payment.refunded", booking_id="B1"), "ar", house).text)


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en-US", "Movie: Inception"),
        ("en", "Movie: Inception"),
        ("en-GB", "Film: Inception"),
        ("en-IN", "Film: Inception"),
        ("en-AU", "Film: Inception"),
        ("es-ES", "Butacas: B5, B6"),
        ("es", "Butacas: B5, B6"),
        ("es-MX", "Asientos: B5, B6"),
        ("es-AR", "Asientos: B5, B6"),
        ("es-419", "Asientos: B5, B6"),
    ],
)
def test_a_region_reads_its_own_words_and_the_rest_in_its_language(locale: str, said: str) -> None:
    sent = mail(event("booking.refunded", **RICH["booking.refunded"], locale=locale))
    assert said in sent.text
    assert ("Refund: " if locale.startswith("en") else "Reembolso: ") in sent.text


@pytest.mark.parametrize(
    ("language", "person", "said"),
    [
        ("de", JANE, "Guten Tag Jane!\n"),
        ("ja", JANE, "Smith Jane 様\n"),
        ("ja", Recipient(None, "Jane"), "Jane 様\n"),
        ("hi", JANE, "नमस्ते Jane जी,\n"),
        ("en", JANE, "Hello Jane,\n"),
    ],
)
def test_a_reader_is_greeted_as_the_language_does(language: str, person: Recipient, said: str) -> None:
    assert said in mail(event("payment.success", booking_id="B1"), language, person=person).text


# ── a receipt ────────────────────────────────────────────────────────────────────────────────────────
def test_a_receipt_lists_what_was_bought_with_fees_and_tax_where_they_are_known() -> None:
    facts = Page(mail(EVENTS["payment.success.items"], "en").html).facts
    assert facts["2 \u00d7 Standard seat"] == "$24.00"
    assert facts["1 \u00d7 Popcorn <large> & drink"] == "$8.50"
    assert facts["Item"] == "1 \u00d7 Poster"
    assert (facts["Fees"], facts["Tax"], facts["Amount"]) == ("$1.50", "$2.50", "$36.50")
    assert not {"Fees", "Tax", "Item"} & set(Page(mail(EVENTS["payment.success"], "en").html).facts)


def test_items_that_cannot_be_read_cost_only_themselves() -> None:
    of = event("payment.success", booking_id="B1", items=[7, {"name": "Popcorn"}, {"amount": 3}, "x"], fees="odd")
    assert Page(mail(of, "en").html).facts["Item"] == "Popcorn"
    assert "Item" not in Page(mail(event("payment.success", items="Popcorn"), "en").html).facts
