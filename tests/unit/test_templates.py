"""The e-mails as they are sent: every sample, and every event with fewer fields."""

import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

import pytest
from hypothesis import given, strategies as st

from notification_service.channels.email import rendering, template_loading
from notification_service.channels.email.mail import Mail
from notification_service.channels.email.rendering import Renderer
from notification_service.content.branding import Brand
from notification_service.content.links import LinkPatterns
from notification_service.content.profile import SenderProfile
from notification_service.content.templates import samples
from notification_service.contract.events import EVENT_TYPES, Event, parse
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError

TEMPLATES = Path(__file__).parents[2] / "templates"
PAYLOAD = "<img src=x onerror=alert(1)>{{7*7}}"
SHOP = "tickets.example.com"

FULL = Brand("Lumen & Sons", "help@lumen.example.com", f"https://{SHOP}/", "12 Harbour Street, Dublin")
PLAIN = Brand("Lumen")
JANE, SOMEBODY = Recipient("jane.smith@example.com", "Jane"), Recipient("jane.smith@example.com")


def load(brand: Brand, templates: Path = TEMPLATES) -> Renderer:
    return template_loading.load(templates, SenderProfile(brand, links=LinkPatterns(hosts=[SHOP])))


RENDERERS = {"full": (load(FULL), JANE), "plain": (load(PLAIN), SOMEBODY)}


def event(event_type: str, **fields: Any) -> Event:  # noqa: ANN401 - whatever JSON holds
    parsed = parse(fields, event_type)
    assert parsed is not None
    return parsed


def mail(of: Event, brand: str = "full") -> Mail:
    renderer, person = RENDERERS[brand]
    return renderer.render(RULES[type(of)].template, of, person)


EVENTS = {
    **dict(samples(TEMPLATES)),
    **{f"{event_type} of which nothing is known": event(event_type) for event_type in EVENT_TYPES},
}
RICH = {
    "booking.confirmed": {
        "booking_id": "BOOK-1",
        "movie_title": "Inception",
        "showtime": "2026-12-15 08:00 PM",
        "seats": ["B5", "B6"],
        "cinema_name": "AMC Theater",
        "total_amount": 30.0,
        "transaction_id": "txn-1",
    },
    "booking.cancelled": {
        "booking_id": "BOOK-1",
        "movie_title": "Inception",
        "showtime": "2026-12-15 08:00 PM",
        "seats": ["B5", "B6"],
        "cinema_name": "AMC Theater",
        "reason": "The projector is out of order",
        "cancelled_at": "2026-11-24T11:00:00Z",
        "refund_eligible": True,
        "refund_amount": 30.0,
    },
    "booking.refunded": {
        "booking_id": "BOOK-1",
        "movie_title": "Inception",
        "showtime": "2026-12-15 08:00 PM",
        "seats": ["B5", "B6"],
        "cinema_name": "AMC Theater",
        "timestamp": "2026-11-24T11:00:00Z",
        "transaction_id": "txn-1",
        "refund_amount": 20.0,
        "total_amount": 30.0,
        "refund_reason": "The projector is out of order",
    },
    "payment.success": {
        "booking_id": "BOOK-1",
        "timestamp": "2026-11-24T11:00:00Z",
        "transaction_id": "txn-1",
        "amount": 30.0,
        "payment_method": "credit_card",
    },
    "payment.failed": {
        "booking_id": "BOOK-1",
        "timestamp": "2026-11-24T11:00:00Z",
        "transaction_id": "txn-1",
        "amount": 30.0,
        "payment_method": "credit_card",
        "failure_reason": "Card expired",
        "error_code": "EXPIRED_CARD",
        "retry_possible": True,
        "retry_url": f"https://{SHOP}/pay/BOOK-1?again=1&from=mail",
    },
    "payment.refunded": {
        "booking_id": "BOOK-1",
        "timestamp": "2026-11-24T11:00:00Z",
        "original_transaction_id": "txn-1",
        "refund_transaction_id": "rfd-1",
        "refund_amount": 20.0,
        "payment_method": "credit_card",
        "reason": "The projector is out of order",
    },
}


class Page(HTMLParser):
    """The html as a tree. Reading it fails where a tag is closed that is not the one open."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self._builder = TreeBuilder()
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.tree: Element = self._builder.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in self.VOID:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def all(self, tag: str, css_class: str = "") -> list[Element]:
        found = self.tree.iter(tag)
        return [one for one in found if not css_class or css_class in one.get("class", "").split()]

    def texts(self, tag: str, css_class: str = "") -> list[str]:
        return [squeezed(text(one)) for one in self.all(tag, css_class)]

    @property
    def facts(self) -> dict[str, str]:
        """Each row of the table, and the code on the stub."""
        rows = [list(row) for row in self.all("tr") if row.find("th") is not None]
        facts = {squeezed(text(label)): squeezed(text(value)) for label, value in rows}
        stubs = [one for one in self.all("p") if one.find("span") is not None]
        return facts | {squeezed(stub.text or ""): squeezed(text(stub[-1])) for stub in stubs}


def text(element: Element) -> str:
    return "".join(element.itertext())


def squeezed(words: str) -> str:
    return " ".join(words.split())


def packed(words: str) -> str:
    """Without spaces: the text part breaks its lines elsewhere, and splits a word that no line holds."""
    return "".join(words.split())


everything = pytest.mark.parametrize("brand", RENDERERS)
every_event = pytest.mark.parametrize("of", EVENTS.values(), ids=EVENTS)


def assert_reads_well(sent: Mail) -> None:
    page = Page(sent.html)
    # What machines read has names that look like links.
    shown = re.sub(r"<script.*?</script>", "", sent.html, flags=re.DOTALL)
    for part in (sent.subject, sent.text, shown):
        assert not re.search(r"\bNone\b|\bnull\b|\bUnknown\b|\bundefined\b|\$0\.00|Decimal\(", part)
        assert "http:" not in part
        assert "click here" not in part.lower()
    for part in (sent.subject, sent.text, *page.texts("body"), *page.texts("title")):
        assert "  " not in part
        assert not re.search(r" [,.;:]|,[,.]|\.\.|\(\)|!", part)
    assert sent.subject
    assert sent.subject == squeezed(sent.subject)
    assert all(len(line) <= 78 or re.fullmatch(r"https://\S+", line) for line in sent.text.splitlines())
    for cell in [*page.all("th"), *page.all("td"), *page.all("p")]:
        assert squeezed(text(cell)), "an empty cell or paragraph"


# ── what every mail is ───────────────────────────────────────────────────────────────────────────────


@everything
@every_event
def test_a_mail_shows_nothing_that_is_not_known(of: Event, brand: str) -> None:
    assert_reads_well(mail(of, brand))


@pytest.mark.parametrize("event_type", RICH)
@given(data=st.data())
def test_a_mail_reads_well_whatever_is_missing(event_type: str, data: st.DataObject) -> None:
    kept = data.draw(st.sets(st.sampled_from(sorted(RICH[event_type]))))
    of = event(event_type, **{name: value for name, value in RICH[event_type].items() if name in kept})
    sent = mail(of, data.draw(st.sampled_from(sorted(RENDERERS))))
    assert_reads_well(sent)
    assert_same_facts(sent)


@everything
@every_event
def test_the_html_says_what_it_is(of: Event, brand: str) -> None:
    sent = mail(of, brand)
    page = Page(sent.html)
    assert sent.html.startswith("<!DOCTYPE html>")
    assert (page.tree.get("lang"), page.tree.get("dir")) == ("en-US", "ltr")
    assert page.texts("title") == [sent.subject]
    names = {meta.get("name"): meta.get("content") for meta in page.all("meta")}
    assert names["color-scheme"] == names["supported-color-schemes"] == "light dark"
    assert "viewport" in names
    assert page.all("meta")[0].get("charset") == "utf-8"
    headings = [one.tag for one in page.tree.iter() if re.fullmatch(r"h[1-6]", one.tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) <= {"h2"}


@everything
@every_event
def test_the_html_brings_nothing_from_outside_and_asks_for_nothing(of: Event, brand: str) -> None:
    sent = mail(of, brand)
    page = Page(sent.html)
    assert len(sent.html.encode()) < 40_000
    assert {one.tag for one in page.tree.iter()} <= {
        *("html", "head", "meta", "title", "style", "body", "div", "table", "tbody", "tr", "th", "td"),
        *("h1", "h2", "p", "a", "br", "img", "span"),
        # What machines read of a booking: it is data, and no client runs it.
        *(["script"] if "application/ld+json" in sent.html else []),
    }
    assert not re.search(r"url\(|@import|@font-face|\bsrc=\"(?!cid:)|\bon\w+=", sent.html)
    assert {script.get("type") for script in page.all("script")} <= {"application/ld+json"}
    assert all(re.match("https://|mailto:", link.get("href", "")) for link in page.all("a"))
    layout = [table for table in page.all("table") if "facts" not in table.get("class", "")]
    assert {table.get("role") for table in layout} == {"presentation"}


@everything
@every_event
def test_styles_stand_on_their_elements_and_only_what_cannot_stays_a_rule(of: Event, brand: str) -> None:
    page = Page(mail(of, brand).html)
    (kept,) = page.texts("style")
    assert all(f"@media {what}" in kept for what in ("(prefers-color-scheme: dark)", "(max-width: 600px)", "print"))
    assert all(one.get("style") for one in [*page.all("h1"), *page.all("p"), *page.all("th"), *page.all("a")])
    (preheader,) = page.all("div", "preheader")
    assert "display: none" in preheader.get("style", "")


@everything
@every_event
def test_the_preheader_adds_to_the_subject(of: Event, brand: str) -> None:
    sent = mail(of, brand)
    (preheader,) = Page(sent.html).texts("div", "preheader")
    assert preheader
    assert preheader.rstrip(".") not in sent.subject


def assert_same_facts(sent: Mail) -> None:
    page = Page(sent.html)
    for label, value in page.facts.items():
        assert packed(f"{label}:{value}") in packed(sent.text)
    for link in page.all("a"):
        whole = link.get("href", "").removeprefix("mailto:")
        assert whole in sent.text.splitlines(), "a link stands whole on a line of its own"


@everything
@every_event
def test_the_text_part_holds_the_same_facts(of: Event, brand: str) -> None:
    assert_same_facts(mail(of, brand))


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@pytest.mark.parametrize("brand", RENDERERS)
def test_a_payload_in_every_text_is_shown_as_it_is(event_type: str, brand: str) -> None:
    fields = type(event(event_type)).model_fields
    texts = {name for name, field in fields.items() if field.annotation == str | None}
    of = event(event_type, seats=[PAYLOAD], **dict.fromkeys(texts, PAYLOAD))
    renderer, _ = RENDERERS[brand]
    sent = renderer.render(RULES[type(of)].template, of, Recipient("jane.smith@example.com", PAYLOAD))
    page = Page(sent.html)
    assert {image.get("src") for image in page.all("img")} <= {"cid:ticket-qr"}
    assert "<img src=x" not in sent.html
    assert f"Hello {PAYLOAD}," in page.texts("body")[0]
    assert PAYLOAD in page.facts["Booking code"]
    assert f"Booking code: {PAYLOAD}" in sent.text
    assert "49" not in page.texts("body")[0] + sent.text
    assert_same_facts(sent)


def test_a_text_with_line_breaks_forges_no_line() -> None:
    sent = mail(event("booking.confirmed", movie_title="Inception\r\n\r\nTotal: $1.00\u2028Seats: A1"))
    assert sent.subject.count("\n") == 0
    assert "You're booked: Inception Total: $1.00 Seats: A1" in sent.text
    assert not [line for line in sent.text.splitlines() if line.startswith(("Total", "Seats"))]


@every_event
def test_an_ordinary_subject_fits_on_a_phone(of: Event) -> None:
    assert len(mail(of).subject) <= 60


# ── what each kind says ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("booking.confirmed", "You're booked: Inception, Tue, Dec 15, 8:00 PM"),
        ("booking.cancelled", "Cancelled: Inception, Tue, Dec 15, 8:00 PM"),
        ("booking.refunded", "Your refund of $20.00 is on its way"),
        ("payment.success", "Payment received: $30.00"),
        ("payment.failed", "Your payment of $30.00 did not go through"),
        ("payment.refunded", "Your refund of $20.00 is on its way"),
    ],
)
def test_the_subject_says_the_fact_first(event_type: str, subject: str) -> None:
    assert mail(event(event_type, **RICH[event_type])).subject == subject


def test_a_confirmation_says_what_when_where_and_how_many() -> None:
    page = Page(mail(event("booking.confirmed", **RICH["booking.confirmed"])).html)
    assert page.texts("h1") == ["Inception"]
    assert page.facts == {
        "When": "Tuesday, December 15, 2026, 8:00 PM",
        "Where": "AMC Theater",
        "Seats": "B5, B6",
        "Tickets": "2",
        "Total": "$30.00",
        "Payment reference": "txn-1",
        "Booking code": "BOOK-1",
    }


@pytest.mark.parametrize(
    ("fields", "said", "unsaid"),
    [
        ({"refund_eligible": True, "refund_amount": 30}, "You get back $30.00", "no refund"),
        ({"refund_eligible": True}, "You get your money back", "no refund"),
        ({"refund_eligible": False}, "There is no refund", "get back"),
        ({"refund_eligible": False, "refund_amount": 30}, "There is no refund", "$30.00"),
        ({}, "If you have paid and a refund is due", "get back"),
    ],
)
def test_a_cancellation_promises_no_more_money_than_is_known(fields: dict[str, Any], said: str, unsaid: str) -> None:
    (body,) = Page(mail(event("booking.cancelled", **fields)).html).texts("body")
    assert said in body
    assert unsaid not in body


def test_a_failed_payment_says_first_what_it_means_for_the_seats_then_why_then_offers_one_button() -> None:
    sent = mail(event("payment.failed", **RICH["payment.failed"]))
    page = Page(sent.html)
    (body,) = page.texts("div", "preheader")
    (main,) = page.texts("td", "main")
    assert body.startswith("Your seats are not confirmed yet.")
    assert main.index("seats are not confirmed") < main.index("card has expired") < main.index("Try the payment again")
    assert [link.get("href") for link in page.all("a", "button")] == [RICH["payment.failed"]["retry_url"]]
    (drawn_for_outlook,) = re.findall(r'<v:roundrect href="([^"]+)"', sent.html)
    assert unescape(drawn_for_outlook) == RICH["payment.failed"]["retry_url"]
    assert "charged" not in sent.html + sent.text


@pytest.mark.parametrize(
    ("fields", "buttons"),
    [
        ({"retry_url": "https://elsewhere.example.com/pay"}, [FULL.site_url]),
        ({"retry_url": "javascript:alert(1)"}, [FULL.site_url]),
        ({"retry_possible": False, "retry_url": f"https://{SHOP}/pay"}, [FULL.site_url]),
    ],
)
def test_a_failed_payment_without_a_trusted_way_to_retry_leads_to_the_site(
    fields: dict[str, Any], buttons: list[str | None]
) -> None:
    of = event("payment.failed", **fields)
    assert [one.get("href") for one in Page(mail(of).html).all("a", "button")] == buttons
    assert Page(mail(of, "plain").html).all("a") == []


def test_a_raw_code_is_the_reason_only_where_no_other_is_known() -> None:
    assert "this reason: E-4711" in mail(event("payment.failed", error_code="E-4711")).text
    said = mail(event("payment.failed", error_code="DECLINED", failure_reason="Card expired")).text
    assert "The card has expired." in said
    assert "DECLINED" not in said


@pytest.mark.parametrize("method", ["upi", "bank_transfer", "wallet", "paypal", "cash"])
@pytest.mark.parametrize(
    "code",
    ["expired_card", "payment_collect_request_expired", "Bank transfer failed", "limit_exceeded", "not_supported"],
)
@pytest.mark.parametrize(
    ("language", "card"),
    [
        ("en", "card"),
        ("de", "karte"),
        ("es", "tarjeta"),
        ("fr", "carte"),
        ("hi", "कार्ड"),
        ("ja", "カード"),
        ("ar", "بطاق"),
    ],
)
def test_a_payment_without_a_card_says_nothing_of_one(language: str, card: str, code: str, method: str) -> None:
    renderer, person = RENDERERS["full"]
    of = event(
        "payment.failed", payment_method=method, failure_reason=code, gateway_response={"gateway_status": "DECLINED"}
    )
    sent = renderer.render("payment_failed", of, person, language)
    assert card not in sent.text.casefold()
    assert card not in re.sub(r"<style.*?</style>|<[^>]*>", "", sent.html, flags=re.DOTALL).casefold()
    assert language != "en" or "Nothing was charged" not in sent.text


def test_an_expired_request_to_pay_says_so() -> None:
    of = event("payment.failed", payment_method="upi", error_code="payment_collect_request_expired")
    assert "The time for this payment ran out before it was complete." in " ".join(mail(of).text.split())


def test_a_zone_without_a_short_name_is_written_out() -> None:
    when = Page(mail(EVENTS["booking.confirmed.long"]).html).facts["When"]
    assert re.search(r", 11:45 PM Central European (Standard|Summer) Time$", when)


def test_a_refund_names_both_transactions() -> None:
    facts = Page(mail(event("payment.refunded", **RICH["payment.refunded"])).html).facts
    assert (facts["Payment"], facts["Refund reference"], facts["Back to"]) == ("txn-1", "rfd-1", "Credit card")


def test_the_total_of_a_booking_is_not_taken_for_its_refund() -> None:
    sent = mail(event("booking.refunded", total_amount=30))
    assert "$30.00" not in sent.subject
    assert "Booking total: $30.00" in sent.text


# ── what loading proves ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


def spoil(path: Path, words: str, instead: str) -> int:
    """Put `instead` for `words`, and say on which line that was."""
    before = path.read_text("utf-8")
    assert before.count(words) == 1
    path.write_text(before.replace(words, instead), "utf-8")
    return before[: before.index(words)].count("\n") + 1


@pytest.mark.parametrize(
    ("file", "words", "instead"),
    [
        ("payment_failed/body.html", '{{ _("What else may help") }}', "{% if %}"),
        ("payment_failed/body.txt", '{{ _("What else may help") }}', "{{ event.amount|dollars }}"),
        ("booking_confirmation/body.txt", '{{ _("On the day") }}', "{{ movie }}"),
        ("booking_cancellation/body.html", '{{ _("Your money") }}', "{{ event.movie }}"),
        ("payment_refund/subject.txt", '{{ _("Your refund is on its way") }}', "{{ event.reason.first }}"),
        ("_base/layout.html", "{{ words.footer_why(brand) }}", "{{ brand.nom }}"),
        ("_base/parts.txt", '{{ _("Hello', '{% if %} {{ _("Hello'),
        ("_base/style.css", ".masthead {", ".card .masthead {"),
        ("_base/parts.html", 'class="eyebrow"', 'class="{{ eyebrow }}"'),
    ],
)
def test_a_wrong_template_is_named_with_its_line(copied: Path, file: str, words: str, instead: str) -> None:
    line = spoil(copied / file, words, instead)
    with pytest.raises(ConfigurationError, match=rf"{re.escape(file)}:{line}: "):
        load(FULL, copied)


@pytest.mark.parametrize("file", ["payment_failed/body.txt", "payment_refund/subject.txt", "_base/style.css"])
def test_a_missing_template_is_named(copied: Path, file: str) -> None:
    (copied / file).unlink()
    with pytest.raises(ConfigurationError, match=rf"{re.escape(file)} is missing under TEMPLATES_DIR"):
        load(FULL, copied)


@pytest.mark.parametrize("file", ["_base/layout.html", "_base/parts.html", "_base/parts.txt"])
def test_a_missing_shared_part_is_named_with_the_line_that_asks_for_it(copied: Path, file: str) -> None:
    (copied / file).unlink()
    with pytest.raises(ConfigurationError, match=rf"body\.(txt|html):\d: '{re.escape(file)}' not found"):
        load(FULL, copied)


def test_the_digest_changes_with_the_template_and_with_what_it_shares(copied: Path) -> None:
    before = load(FULL, copied)
    assert before.digest("payment_failed") != before.digest("payment_success")
    spoil(copied / "payment_failed/body.txt", "What else may help", "What may help")
    after = load(FULL, copied)
    assert after.digest("payment_failed") != before.digest("payment_failed")
    assert after.digest("payment_success") == before.digest("payment_success")
    spoil(copied / "_base/layout.html", "Questions? We are", "Questions? We will be")
    assert load(FULL, copied).digest("payment_success") != after.digest("payment_success")


def test_long_lines_are_wrapped_and_links_are_not() -> None:
    link = f"https://{SHOP}/{'x' * 100}"
    assert rendering.tidy_text(f"\n\n{'word ' * 40}\n\n\n\n{link}\n{'y' * 100}\n") == (
        "\n".join([" ".join(["word"] * 15)] * 2 + [" ".join(["word"] * 10)]) + f"\n\n{link}\n{'y' * 78}\n{'y' * 22}\n"
    )
