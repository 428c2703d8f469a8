"""The mails as files."""

import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from notification_service.channels.email.mail import Attachment, Mail
from notification_service.cli.main import app
from notification_service.foundation.errors import ConfigurationError
from notification_service.preview import proofs
from notification_service.settings import load


def test_every_sample_is_there_in_every_language(tmp_path: Path) -> None:
    written = proofs.write(load(), tmp_path, every_language=True)
    assert {one.language for one in written} == {"en", "en_001", "es", "es_419", "fr", "de", "hi", "ja", "ar", "en_XA"}
    assert len({one.name for one in written}) == len(written)
    files = {f"{one.name}.{kind}" for one in written for kind in ("html", "txt", "eml")}
    assert {path.name for path in tmp_path.iterdir()} == {*files, "index.html"}
    assert "booking.confirmed.ar.eml" in files
    index = (tmp_path / "index.html").read_text("utf-8")
    assert set(re.findall(r'href="([^"]+)"', index)) == files


def test_without_a_language_the_files_name_none(tmp_path: Path) -> None:
    proofs.write(load(), tmp_path)
    assert (tmp_path / "booking.confirmed.eml").exists()
    assert not (tmp_path / "booking.confirmed.en.eml").exists()


def test_some_languages_are_chosen(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["preview", str(tmp_path), "--language", "es", "--language", "ja"])
    assert ran.exit_code == 0
    assert {path.stem.split(".")[-1] for path in tmp_path.glob("*.eml")} == {"es", "ja"}
    assert 'lang="es"' in (tmp_path / "booking.confirmed.es.html").read_text("utf-8")
    assert f"{len(list(tmp_path.glob('*.eml')))} mails in" in ran.output


def test_a_language_that_nobody_speaks_is_named_with_those_that_are_spoken(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'tlh' is unknown; there are en, "):
        proofs.write(load(), tmp_path / "out", languages=["tlh"])
    assert not (tmp_path / "out").exists()


def test_a_browser_shows_the_images_and_the_message_keeps_its_ids(tmp_path: Path) -> None:
    proofs.write(load(), tmp_path, languages=["en"])
    page = (tmp_path / "booking.confirmed.en.html").read_text("utf-8")
    assert 'src="data:image/png;base64,iVBOR' in page
    assert "cid:" not in page
    message = message_from_bytes((tmp_path / "booking.confirmed.en.eml").read_bytes(), policy=policy.default)
    assert [part["Content-ID"] for part in message.walk() if part["Content-ID"]] == ["<ticket-qr>"]


def test_only_an_images_source_is_exchanged() -> None:
    image = Attachment("a.png", "image/png", b"png", "a")
    html = '<p>cid:a</p><img src="cid:a"><img src="cid:b">'
    shown = proofs.with_images(Mail("", "", html, (image,)))
    assert shown == '<p>cid:a</p><img src="data:image/png;base64,cG5n"><img src="cid:b">'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"event_type":', r":1: Expecting value"),
        ("[]", r":1: it has to be an object with an event_type"),
        ('{"event_type": "payment.failed", "amount": {}}', r": amount is left out"),
        (b"\xff", r": 'utf-8' codec"),
    ],
)
def test_a_sample_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, said: str
) -> None:
    monkeypatch.setenv("TEMPLATES_DIR", str(tmp_path))
    (tmp_path / "_samples").mkdir()
    (tmp_path / "_samples/payment.failed.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError, match=r"sample /.+/payment\.failed\.json" + said):
        proofs.write(load(), tmp_path / "out")
