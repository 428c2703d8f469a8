"""Each check passes every sample, and finds the one fault that it is for."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from notification_service import bootstrap
from notification_service.channels.email.mail import Attachment, Mail
from notification_service.cli.main import app
from notification_service.content import catalogues
from notification_service.content.catalogues import PSEUDO
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import checks, proofs
from notification_service.preview.checks import CHECKS, Findings
from notification_service.preview.mail_reader import MailReading, html_content, read
from notification_service.preview.proofs import Proof
from notification_service.settings import load

SETTINGS = load()
RENDERER = bootstrap.load_renderer(SETTINGS)
SAMPLES = {sample.name: notification for sample, notification in proofs.mailed(SETTINGS)}
GOOD = proofs.proof(SETTINGS, RENDERER, "booking.confirmed", SAMPLES["booking.confirmed"], "en")
COMMAND = CliRunner()

Spoil = Callable[[Mail, bytes], tuple[Mail, bytes]]


def html(old: str, new: str) -> Spoil:
    def spoil(mail: Mail, raw: bytes) -> tuple[Mail, bytes]:
        assert old in mail.html
        return replace(mail, html=mail.html.replace(old, new, 1)), raw

    return spoil


def text(old: str, new: str) -> Spoil:
    def spoil(mail: Mail, raw: bytes) -> tuple[Mail, bytes]:
        assert old in mail.text
        return replace(mail, text=mail.text.replace(old, new, 1)), raw

    return spoil


def raw(old: bytes, new: bytes) -> Spoil:
    def spoil(mail: Mail, raw: bytes) -> tuple[Mail, bytes]:
        assert old in raw
        return mail, raw.replace(old, new, 1)

    return spoil


def attached(*attachments: Attachment) -> Spoil:
    return lambda mail, raw: (replace(mail, attachments=attachments), raw)


def subject(words: str) -> Spoil:
    return lambda mail, raw: (replace(mail, subject=words), raw)


BODY = "</body>"
LOGO = Attachment("logo.png", "image/png", b"", "logo")
WRONG: list[tuple[Callable[[MailReading], Findings], Spoil, str]] = [
    (checks.parts, raw(b"text/plain;", b"text/html;"), "text/html, text/html"),
    (checks.parts, raw(b'"=_alternative', b'"=_altered'), "does not parse cleanly"),
    (checks.headers, raw(b"Subject: ", b"Subject: Twice\r\nSubject: "), "occurs 2 times"),
    (checks.headers, raw(b"\r\nDate: ", b"\r\nX-Date: "), "the header Date is missing"),
    (checks.sizes, html(BODY, "<p>" + "x" * 40_000 + "</p>" + BODY), "the html has "),
    (checks.sizes, raw(b"\r\n--=_alternative", b"x\r\n" * 40_000 + b"\r\n--=_alternative"), "without attach"),
    (checks.subject, raw(b"Subject: ", b"Subject: " + b"x" * 60), "characters"),
    (checks.subject, raw(b"Subject: ", b"Subject:\r\nX-Subject: "), "the subject is empty"),
    (checks.lines, raw(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 999 + b"\r\n\r\n"), "a line has 1007 bytes"),
    (checks.lines, raw(b"\r\n\r\n", b"\n\r\n"), "does not end with CR LF"),
    (checks.links, html(BODY, '<a href="http://example.com/">Site</a>' + BODY), "'http://example.com/'"),
    (checks.links, html(BODY, '<a href="javascript:alert(1)">Site</a>' + BODY), "'javascript:alert(1)'"),
    (checks.links, html(BODY, '<a href="/help">Help</a>' + BODY), "'/help'"),
    (checks.links, html(BODY, '<!--[if mso]><v:a href="x:y">Help</v:a><![endif]-->' + BODY), "'x:y'"),
    (checks.inline_images, attached(), "no part has the Content-ID 'ticket-qr'"),
    (
        checks.inline_images,
        lambda mail, raw: attached(*mail.attachments, LOGO)(mail, raw),
        "'logo' is attached",
    ),
    (checks.inline_images, html("cid:ticket-qr", "http://example.com/a.png"), "neither inline nor https"),
    (checks.inline_images, html(BODY, "<style>p{background:url(data:x)}</style>" + BODY), "'data:x'"),
    (checks.images, html('width="200"', ""), "no width"),
    (checks.images, html('height="200"', 'height="auto"'), "no height"),
    (checks.images, html('alt="', 'title="'), "no alt"),
    (checks.facts, text("Where: ", "Place: "), "the text does not say 'Where: "),
    (checks.facts, text("Total: $", "Total: € "), "the text does not say 'Total: $"),
    (checks.unknown_values, html(BODY, "<p>At None</p>" + BODY), "the html says 'None'"),
    (checks.unknown_values, text("Where: ", "Where: null, "), "the text says 'null'"),
    (checks.unknown_values, text("Where: ", "Where: %(name)s"), "the text says '%(name)s'"),
    (checks.unknown_values, text("Where: ", "{{ event.name }}"), "the text says '{{ event'"),
    (checks.unknown_values, subject("Hello undefined"), "the subject says 'undefined'"),
    (checks.holes, html(BODY, "<p>Come at  on the day</p>" + BODY), "the html has two spaces in 'at  on'"),
    (checks.holes, text("Where: ", "Where:  "), "the text has two spaces in 'Where:  "),
    (checks.holes, subject("Booked:  , today"), "the subject has two spaces"),
    (checks.empty_rows, html(BODY, "<p> <b></b>\n</p>" + BODY), "1 <p> in the html"),
    (checks.empty_rows, html("</td></tr>", "</td><td></td></tr>"), "1 <td> in the html"),
    (checks.empty_rows, text("Where: ", "Where:\n\n"), "a row 'Where' without a value"),
    (checks.empty_rows, text("\n\n", "\n\n\n"), "two empty lines"),
    (checks.columns, text("\n\n", "\n" + "\u6620" * 40 + "\n"), "has 80 columns, and 78 are allowed"),
    (checks.columns, text("\n\n", "\n\u3002\n"), "begins with \u3002"),
]


@pytest.mark.parametrize(("check", "spoil", "what"), WRONG)
def test_a_check_stops_a_mail_that_is_wrong(check: Callable[[MailReading], Findings], spoil: Spoil, what: str) -> None:
    found = [finding for finding in check(read(GOOD.template, *spoil(GOOD.mail, GOOD.message))) if what in finding.what]
    assert found
    assert all(finding.remedy for finding in found)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_lets_a_good_mail_pass_and_is_known_to_fail(check: Callable[[MailReading], Findings]) -> None:
    assert list(check(read(GOOD.template, GOOD.mail, GOOD.message))) == []
    assert check in {wrong for wrong, _, _ in WRONG}


@pytest.mark.parametrize("language", RENDERER.languages)
def test_no_sample_has_a_finding(language: str) -> None:
    made = [proofs.proof(SETTINGS, RENDERER, name, notification, language) for name, notification in SAMPLES.items()]
    assert [f"{one.name}: {finding}" for one in made for finding in checks.findings(one)] == []


def test_a_decoration_may_be_without_words_and_a_cell_of_the_layout_without_content() -> None:
    found = html_content('<table><tr><td></td></tr></table><a href="https://a.example/"><img src="cid:a" alt=""></a>')
    assert found.empty == []


def test_only_the_pseudo_locale_may_have_a_long_subject() -> None:
    spoiled = GOOD.message.replace(b"Subject: ", b"Subject: " + b"x" * 60)
    for language, expected in (("en", 1), (PSEUDO, 0)):
        made = Proof(GOOD.sample, language, GOOD.template, GOOD.mail, spoiled)
        assert len(list(checks.findings(made))) == expected


# ── the commands ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, whose catalogues are as the templates want them."""
    copy = tmp_path / "templates"
    shutil.copytree(bootstrap.templates_directory(SETTINGS), copy)
    monkeypatch.setenv("TEMPLATES_DIR", str(copy))
    return copy


def _add(templates: Path, part: str, line: str) -> None:
    """A line before the end of a booking confirmation's content."""
    path = templates / "booking_confirmation" / part
    before, end, after = path.read_text("utf-8").rpartition("{% endblock %}")
    path.write_text(before + line + "\n" + end + after, "utf-8")


def test_check_says_what_is_wrong_where_and_what_to_do(templates: Path) -> None:
    _add(templates, "body.html", '<p>At  noon: <a href="http://example.com/">see</a></p>')
    ran = COMMAND.invoke(app, ["template", "check", "--language", "en"])
    said = ran.output.splitlines()
    assert ran.exit_code == 1
    assert (
        "booking.confirmed.en: the link 'http://example.com/' is neither https nor mailto: "
        "give it in full, or leave it out" in said
    )
    assert any(line.startswith("booking.confirmed.en: the html has two spaces in 'At  noon:'") for line in said)
    told = COMMAND.invoke(app, ["template", "check", "--language", "en", "--json"])
    findings = json.loads(told.stdout)["findings"]
    assert told.exit_code == 1
    assert len(findings) == len(said) - 1
    assert "booking.confirmed.en" in {finding["where"] for finding in findings}
    assert all(finding["what"] and finding["remedy"] for finding in findings)
    assert said[-1] == f"{len(SAMPLES)} mails in en checked: {len(said) - 1} to mend"


def test_check_is_content_with_what_is_right(templates: Path) -> None:
    ran = COMMAND.invoke(app, ["template", "check", "--language", "en"])
    assert ran.exit_code == 0
    assert ran.output == f"{len(SAMPLES)} mails in en checked: nothing to mend\n"


def test_check_names_a_sentence_that_is_not_translated(templates: Path) -> None:
    _add(templates, "body.html", '<p>{{ _("Popcorn is on us.") }}</p>')
    ran = COMMAND.invoke(app, ["template", "check", "--language", "de"])
    assert ran.exit_code == 1
    assert "de.po: 'Popcorn is on us.' is not in it: extract, then translate: see " in ran.output
    assert "es.po" not in ran.output


def test_check_names_file_and_line_of_what_cannot_be_rendered_in_one_language(templates: Path) -> None:
    """The load proves each template without values in every language, and with them in one only."""
    line = "{% if event.movie_title and style.language == 'de' %}{{ 1 / 0 }}{% endif %}"
    _add(templates, "body.txt", line)
    row = (templates / "booking_confirmation/body.txt").read_text("utf-8").splitlines().index(line) + 1
    ran = COMMAND.invoke(app, ["template", "check", "--language", "en", "--language", "de"])
    assert ran.exit_code == 1
    assert f"booking.confirmed.de: it cannot be rendered ({templates}/booking_confirmation/body.txt:{row}" in ran.output
    assert "booking.confirmed.en:" not in ran.output


def test_check_refuses_a_language_that_nobody_speaks() -> None:
    with pytest.raises(ConfigurationError, match="'tlh' is unknown"):
        checks.run(SETTINGS, ["tlh"])


def test_extract_brings_the_catalogues_up_to_date_and_counts_what_they_lack(templates: Path) -> None:
    COMMAND.invoke(app, ["template", "extract"])
    before = COMMAND.invoke(app, ["template", "extract"]).output.splitlines()
    assert len(before) == len(list((templates / "_languages").glob("*.po")))
    assert all(": was up to date, " in line for line in before)
    _add(templates, "body.html", '<p>{{ _("Popcorn is on us.") }}</p>')
    after = COMMAND.invoke(app, ["template", "extract"]).output.splitlines()
    for line in after:
        path, _, said = line.partition(": ")
        if catalogues.base_of(Path(path)):  # it has only what differs
            continue
        assert 'msgid "Popcorn is on us."' in Path(path).read_text("utf-8")
        assert said.startswith("brought up to date, ")
        assert said.endswith(" to translate or to mend")
