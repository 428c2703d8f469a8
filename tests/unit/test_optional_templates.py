"""A template that readers may unsubscribe from says so itself; its mail then carries the way out, and no other does."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from notification_service import bootstrap
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mail import Mail
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.links import LinkPatterns
from notification_service.content.profile import SenderProfile
from notification_service.content.reader_links import Click, LinkRole, ReaderLinks, read_click, read_unsubscribe
from notification_service.contract.events import BookingConfirmed, PaymentFailed
from notification_service.contract.notification_rules import TEMPLATES
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError
from notification_service.foundation.keyed_tokens import TokenKeys
from notification_service.settings import Settings, load as load_settings
from tests.samples import sample
from tests.unit.fakes import TEMPLATES as FOLDER
from tests.unit.test_pipeline import SENDER

EXAMPLE = Path(__file__).parents[1] / "examples" / "booking_reminder"
ID, DIGEST = "0123456789abcdef" * 2, "fedcba9876543210" * 2
KEYS = TokenKeys({1: "a key of some length for the tests"})
BASE = "https://links.cinema.example"
JANE = Recipient("jane@guests.example", "Jane", tracking_consent=True)
PROFILE = SenderProfile(
    Brand("Cinema"),
    links=LinkPatterns(
        hosts={"cinema.example"},
        booking="https://cinema.example/bookings/{booking_id}",
        support="https://cinema.example/help",
    ),
)


@pytest.fixture(scope="module")
def composer(tmp_path_factory: pytest.TempPathFactory) -> EmailComposer:
    """With the example beside the five mails."""
    folder = tmp_path_factory.mktemp("templates") / "templates"
    shutil.copytree(FOLDER, folder)
    shutil.copytree(EXAMPLE, folder / EXAMPLE.name)
    renderer = load(folder, PROFILE, names=(*TEMPLATES, EXAMPLE.name))
    links = ReaderLinks(KEYS, BASE, clicks=True)
    return EmailComposer(renderer, SENDER, max_attachment_bytes=100_000, reader_links=links)


def made(
    composer: EmailComposer, template: str, *, digest: str = DIGEST, to: Recipient = JANE
) -> tuple[Mail, EmailMessage]:
    event = BookingConfirmed.model_validate(sample("booking.confirmed", locale="fr"))
    ids = MessageIds(ID, "evt-1", template, "B-1", datetime.now(UTC), digest)
    mail, envelope = composer.proof(event, to, ids)
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return mail, message


def test_none_of_the_five_is_optional_and_the_example_is(composer: EmailComposer) -> None:
    assert composer.renderer.optional_templates == {"booking_reminder"}


def test_an_optional_mail_carries_both_headers_and_a_link_in_each_part(composer: EmailComposer) -> None:
    mail, message = made(composer, "booking_reminder")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    (link,) = re.fullmatch(r"<(https://\S+)>", message["List-Unsubscribe"]).groups()  # type: ignore[union-attr]
    base, _, token = link.rpartition("/")
    assert base == f"{BASE}/u"
    subscription = read_unsubscribe(KEYS, token)
    assert subscription is not None
    assert (subscription.notification_id, subscription.address_digest, subscription.language) == (ID, DIGEST, "fr")
    assert link in mail.text
    assert f'href="{link}"' in mail.html
    assert "jane" not in link


@pytest.mark.parametrize("template", ["booking_confirmation"])
def test_a_ticket_carries_neither(composer: EmailComposer, template: str) -> None:
    mail, message = made(composer, template)
    assert message["List-Unsubscribe"] is None
    assert message["List-Unsubscribe-Post"] is None
    assert "/u/" not in mail.html + mail.text


def test_without_a_digest_no_link_promises_what_it_cannot_do(composer: EmailComposer) -> None:
    mail, message = made(composer, "booking_reminder", digest="")
    assert message["List-Unsubscribe"] is None
    assert "/u/" not in mail.html + mail.text


@pytest.mark.parametrize(
    "said", ["optional = 1", 'optional = "yes"', "optional = true\nopen_pixel = true", "optional", "[optional]"]
)
def test_a_configuration_that_says_anything_else_stops_the_start(said: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "templates")
    (tmp_path / "templates" / "payment_success" / "template.toml").write_text(said)
    with pytest.raises(ConfigurationError, match=r"payment_success/template\.toml"):
        load(tmp_path / "templates", PROFILE)


def settings(**changes: str) -> Settings:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in changes.items():
            environment.setenv(name, value)
        return load_settings(None)


def test_an_optional_template_without_a_way_out_stops_the_start_with_one_line() -> None:
    all_of_it = {"CALLBACK_URL": BASE, "LINK_KEYS": "1:8f3b6e0c59d24a7f91e6"}
    assert bootstrap.reader_links(settings(**all_of_it), {"booking_reminder"}) is not None
    for name in all_of_it:
        less = {each: value for each, value in all_of_it.items() if each != name}
        with pytest.raises(ConfigurationError, match=f"template booking_reminder is optional.*needs {name}") as caught:
            bootstrap.reader_links(settings(**less), {"booking_reminder"})
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="needs a SUPPRESSION that is not false"):
        bootstrap.reader_links(settings(**all_of_it, SUPPRESSION="false"), {"booking_reminder"})
    with pytest.raises(ConfigurationError, match="https"):
        bootstrap.reader_links(settings(**all_of_it | {"CALLBACK_URL": "http://links.example"}), {"booking_reminder"})
    assert bootstrap.reader_links(settings(), frozenset()) is None, "what is off makes nothing"


# ── counted links ────────────────────────────────────────────────────────────────────────────────────
def test_who_agrees_gets_counted_links_in_html_and_plain_ones_in_text(composer: EmailComposer) -> None:
    mail, _ = made(composer, "booking_confirmation")
    (link,) = re.findall(rf'href="({BASE}/c/[^"]+)"', mail.html)[:1]
    token, target = urlsplit(link).path.rpartition("/")[2], parse_qs(urlsplit(link).query)["u"][0]
    assert target.startswith("https://cinema.example/bookings/")
    assert read_click(KEYS, token, target) == Click(ID, LinkRole.BOOKING)
    assert f'href="{target}"' not in mail.html
    assert target in mail.text
    assert "/c/" not in mail.text
    assert f'"{BASE}' not in mail.html.partition("application/ld+json")[2].partition("</script>")[0]


def test_who_does_not_agree_gets_the_mail_as_it_always_was(composer: EmailComposer) -> None:
    off = EmailComposer(composer.renderer, SENDER, max_attachment_bytes=100_000)
    plain, _ = made(off, "booking_confirmation")
    mail, _ = made(composer, "booking_confirmation", to=replace(JANE, tracking_consent=False))
    assert (mail.html, mail.text) == (plain.html, plain.text)
    assert BASE not in mail.html


def test_the_link_to_pay_again_is_counted_too(composer: EmailComposer) -> None:
    said = sample("payment.failed", retry_url="https://cinema.example/pay?x=1", retry_possible=True)
    event = PaymentFailed.model_validate(said)
    ids = MessageIds(ID, "evt-1", "payment_failed", "B-1", datetime.now(UTC))
    mail, _ = composer.proof(event, JANE, ids)
    links = {
        click.role
        for link in re.findall(rf'href="({BASE}/c/[^"]+)"', mail.html)
        if (click := read_click(KEYS, urlsplit(link).path[3:], parse_qs(urlsplit(link).query)["u"][0]))
    }
    assert links == {LinkRole.RETRY, LinkRole.SUPPORT}
