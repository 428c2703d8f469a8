"""Every mail in every language: complete catalogues, the right direction, and no text outside the catalogues."""

import calendar
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from notification_service.channels.email.mail import Mail
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.template_loading import load
from notification_service.content import catalogues
from notification_service.content.branding import Brand
from notification_service.content.links import LinkPatterns
from notification_service.content.localization import Cinema, Defaults
from notification_service.content.profile import Policies, SenderProfile
from notification_service.contract.events import EVENT_TYPES, Event
from notification_service.contract.notification_rules import RULES
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import extraction
from tests.unit.test_templates import (
    EVENTS,
    RICH,
    TEMPLATES,
    Page,
    assert_reads_well,
    assert_same_facts,
    copied as copied,  # noqa: PLC0414 - a fixture
    event,
    spoil,
    text,
)

SPOKEN = ("en", "ar", "de", "es", "fr", "hi", "ja")
HOUSE = SenderProfile(
    Brand("Lumen", "help@lumen.example.com", "https://lumen.example.com/", "12 Harbour Street"),
    Defaults(
        "en_US", "America/New_York", "USD", {"amc theater": Cinema("1 Main Street", map_url="https://maps.example/")}
    ),
    LinkPatterns(retry="https://lumen.example.com/pay", booking="https://lumen.example.com/b/{booking_id}"),
    Policies({"default": "5-10", "paypal": "1"}, arrive_minutes=20),
)
RENDERER = load(TEMPLATES, HOUSE)
BARE = load(TEMPLATES, SenderProfile(Brand("Lumen")))

every_language = pytest.mark.parametrize("language", RENDERER.languages)
every_event = pytest.mark.parametrize("of", EVENTS.values(), ids=EVENTS)


def mail(of: Event, language: str | None = None, renderer: Renderer = RENDERER, **person: Any) -> Mail:  # noqa: ANN401
    who = Recipient("jane.smith@example.com", "Jane", "Smith", **person)
    return renderer.render(RULES[type(of)].template, of, who, language)


def test_the_languages_that_are_promised_are_there() -> None:
    assert sorted(RENDERER.languages) == sorted((*SPOKEN, catalogues.PSEUDO))


def test_every_sentence_is_translated_into_every_language() -> None:
    assert list(extraction.faults(TEMPLATES)) == []


def test_the_catalogues_are_up_to_date_with_the_templates(copied: Path) -> None:
    before = {path.name: path.read_bytes() for path in (TEMPLATES / catalogues.LANGUAGES).glob("*.po")}
    assert {path.name: path.read_bytes() for path in extraction.update(copied)} == before


@every_language
@every_event
@pytest.mark.parametrize("renderer", [RENDERER, BARE], ids=["full", "bare"])
def test_every_sample_reads_well_in_every_language(renderer: Renderer, of: Event, language: str) -> None:
    sent = mail(of, language, renderer)
    if language == "fr":  # which has a space before these two
        subject, body, html = (
            re.sub("(?: |\u00a0|&nbsp;)(?=[:?])", "", part) for part in (sent.subject, sent.text, sent.html)
        )
        assert_reads_well(Mail(subject, body, html))
    elif language != catalogues.PSEUDO:
        assert_reads_well(sent)
    assert_same_facts(sent)
    assert len(sent.html.encode()) < 40_000
    assert len(sent.subject) <= 60 or language == catalogues.PSEUDO


@every_language
def test_the_page_names_its_language_and_direction(language: str) -> None:
    tree = Page(mail(EVENTS["booking.confirmed"], language).html).tree
    tag = "en" if language == catalogues.PSEUDO else language
    assert (tree.get("lang", "")[:2], tree.get("dir")) == (tag[:2], "rtl" if language == "ar" else "ltr")


@every_event
def test_no_word_stands_outside_the_catalogues(of: Event) -> None:
    """In the pseudo-locale every word of ours has accents; what has none comes from the event, or was forgotten."""
    sent = mail(of, catalogues.PSEUDO, BARE)
    known = set(_words(repr(of.model_dump()))) | set(_words(" ".join((*calendar.day_name, *calendar.month_name))))
    for part in (sent.subject, sent.text, text(Page(sent.html).all("body")[0])):
        ours = [word for word in _words(part) if word.isascii() and not _cut_from(known, word)]
        assert set(ours) <= {"Lumen", "Jane", "PayPal", *_words(" ".join(_DATES))}


_DATES = ("Tue Thu Sun Dec Oct GMT UTC EST EDT JST", "Japan Central European Gulf India Standard Time")


def _cut_from(known: set[str], word: str) -> bool:
    """A title that is too long for the subject ends within a word."""
    return any(one.startswith(word) for one in known)


def _words(shown: str) -> list[str]:
    return re.findall(r"[^\W\d_]{3,}", shown)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_values_are_isolated_in_a_mail_that_runs_the_other_way(event_type: str) -> None:
    sent = mail(event(event_type, **RICH.get(event_type, {"booking_id": "BOOK-1"})), "ar")
    page = Page(sent.html)
    assert "\u2068BOOK-1\u2069" in sent.html
    assert "\u2068Lumen\u2069" in sent.text
    assert "\u2068" not in sent.subject
    assert "\u2068" not in page.all("title")[0].itertext()


TURNING = "\u202a\u202b\u202d\u202e\u202c\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("event_type", EVENT_TYPES)
@pytest.mark.parametrize(
    "turned",
    [
        "\u202e{}",
        "{}\u202e",
        "\u2067{}",
        "{}\u2069",
        "\u202d\u2066{}\u202c\u2069\u2069",
        "\u2068\u05d0{}",
        "\u05d0{}\u2067",
    ],
)
def test_no_text_of_an_event_turns_what_stands_around_it(event_type: str, language: str, turned: str) -> None:
    def odd(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        if isinstance(value, list):
            return list(map(odd, value))
        return turned.format(value) if isinstance(value, str) else value

    told = RICH.get(event_type, {"booking_id": "BOOK-1"})
    of = event(event_type, **{name: odd(value) for name, value in told.items()})
    sent = mail(of, language)
    for part in (sent.subject, sent.text, sent.html):
        assert not set(part) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067")
        depth = 0
        for mark in (character for character in part if character in "\u2068\u2069"):
            depth += 1 if mark == "\u2068" else -1
            assert depth in (0, 1)
        assert depth == 0


@given(st.text(st.sampled_from(TURNING + " a\u05d0\u0627\u00e9\u200f"), max_size=12))
def test_a_text_of_turns_alone_is_not_known(title: str) -> None:
    sent = mail(event("booking.confirmed", movie_title=title, seats=[title], cinema_name=title, booking_id="B1"))
    assert not set(sent.text + sent.html) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067")
    assert sent.text.count("\u2068") == sent.text.count("\u2069")


def test_the_events_language_wins_then_the_users_then_the_setting() -> None:
    ja = event("booking.confirmed", locale="ja-JP", booking_id="B1")
    plain = event("booking.confirmed", booking_id="B1")
    assert Page(mail(ja, locale="de").html).tree.get("lang") == "ja-JP"
    assert Page(mail(plain, locale="de").html).tree.get("lang") == "de"
    assert Page(mail(plain).html).tree.get("lang") == "en-US"


def test_a_language_that_nobody_speaks_falls_back_and_is_remarked() -> None:
    sent = mail(event("booking.confirmed", locale="pt-BR", booking_id="B1"))
    assert sent.remarks == (Remark("locale", "'pt-BR' has no catalogue: the mail is written in en_US"),)
    assert mail(event("booking.confirmed", booking_id="B1")).remarks == ()


def test_a_default_language_without_a_catalogue_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="DEFAULT_LOCALE=pt_BR has no catalogue under"):
        load(TEMPLATES, SenderProfile(Brand("Lumen"), Defaults("pt_BR")))


def test_a_spoiled_catalogue_stops_the_start(copied: Path) -> None:
    path = copied / catalogues.LANGUAGES / "es.po"
    path.write_text("what is this" + path.read_text("utf-8"), "utf-8")
    with pytest.raises(ConfigurationError, match=r"es\.po is no catalogue"):
        load(copied, HOUSE)


def test_a_catalogue_is_part_of_the_digest(copied: Path) -> None:
    before = load(copied, HOUSE).digest("payment_failed")
    path = copied / catalogues.LANGUAGES / "es.po"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    assert load(copied, HOUSE).digest("payment_failed") != before


@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [
        (lambda po: re.sub(r'(msgid "When"\nmsgstr) ".+"', r'\1 ""', po), "'When' is not translated"),
        (lambda po: po.replace('msgid "When"', '#, fuzzy\nmsgid "When"'), "'When' is marked as unsure (fuzzy)"),
        (lambda po: re.sub(r'msgid "When"\nmsgstr ".+"\n', "", po), "'When' is not in it: extract, then translate"),
        (lambda po: po + '\nmsgid "Gone"\nmsgstr "Ido"\n', "no template holds 'Gone' any more: extract"),
        (lambda po: re.sub(r'(msgid "When"\nmsgstr) ".+"', r'\1 "a < b"', po), "holds markup"),
        (lambda po: re.sub(r'(msgid "Your booking code is %\(code\)s."\nmsgstr) ".+"', r'\1 "%(cod)s"', po), "code"),
    ],
)
def test_what_a_translator_has_to_do_is_said(copied: Path, spoiled: Any, fault: str) -> None:  # noqa: ANN401
    path = copied / catalogues.LANGUAGES / "es.po"
    path.write_text(spoiled(path.read_text("utf-8")), "utf-8")
    found = list(extraction.faults(copied))
    assert len(found) == 1
    assert found[0].startswith("es.po: ")
    assert fault in found[0]


def test_a_new_sentence_comes_into_every_catalogue_and_an_old_one_goes(copied: Path) -> None:
    spoil(copied / "payment_failed/body.html", '{{ _("What else may help") }}', '{{ _("What may help") }}')
    spoil(copied / "payment_failed/body.txt", '{{ _("What else may help") }}', '{{ _("What may help") }}')
    for path in extraction.update(copied):
        written = path.read_text("utf-8")
        assert 'msgid "What may help"\nmsgstr ""' in written
        assert "What else may help" not in written


def test_the_brands_logo_stands_at_the_head_and_rides_along() -> None:
    from notification_service.content.branding import Logo  # noqa: PLC0415 - this test alone

    logo = Logo(b"\x89PNG\r\n\x1a\n", 160, 32)
    sent = load(TEMPLATES, SenderProfile(Brand("Lumen", logo=logo))).render(
        "payment_success", event("payment.success", booking_id="B1"), Recipient(None)
    )
    (image,) = Page(sent.html).all("img", "logo")
    assert (image.get("src"), image.get("alt"), image.get("width")) == (f"cid:{logo.content_id}", "Lumen", "160")
    assert [attachment.content_id for attachment in sent.attachments] == [logo.content_id]


@pytest.mark.parametrize(
    ("method", "said"),
    [("paypal", "within one business day."), ("card", "within 5\u201310 business days."), (None, "within 5\u201310")],
)
def test_a_refund_takes_as_long_as_the_setting_says(method: str | None, said: str) -> None:
    sent = mail(event("payment.refunded", booking_id="B1", payment_method=method))
    assert said in sent.text.replace("\n", " ")
    assert "business days" not in mail(event("payment.refunded", booking_id="B1"), renderer=BARE).text
