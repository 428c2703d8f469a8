"""Tickets for Apple Wallet and Google Wallet, with certificates and keys that the tests make."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings, strategies as st
from PIL import Image

from notification_service import bootstrap, settings as service_settings
from notification_service.channels.email import template_loading
from notification_service.channels.email.mail import Mail
from notification_service.channels.email.rendering import Renderer
from notification_service.channels.email.wallet import apple
from notification_service.channels.email.wallet.apple import AppleWallet, read_signer
from notification_service.channels.email.wallet.google import MAX_LINK_LENGTH, GoogleWallet
from notification_service.channels.email.wallet.tickets import Wallets, WalletTicket
from notification_service.channels.service_keys import ServiceKey
from notification_service.content.branding import Brand
from notification_service.content.localization import Cinema, Defaults
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import parse
from notification_service.contract.notification_rules import RULES
from notification_service.delivery.ports.directory import Recipient
from notification_service.foundation.errors import ConfigurationError
from tests.fuzzing import examples
from tests.mails import programs
from tests.unit.test_templates import TEMPLATES

KEY, ISSUER_KEY, OTHER_KEY = (generate_private_key(65537, 2048) for _ in range(3))
NOW = datetime.now(UTC)
BRAND = Brand("Lumen & Sons")
LABELS = {"when": "When", "where": "Where", "seats": "Seats", "code": "Booking code", "address": "Address"}
TICKET = WalletTicket(
    booking_id="BOOK-1",
    code="TKT-8F3A",
    title="Amélie <b>",
    labels=LABELS,
    language="en-US",
    when="Tuesday, December 15, 8:00 PM",
    start=datetime(2026, 12, 15, 20, tzinfo=UTC),
    place="AMC Theater",
    address="1 Main Street, Springfield",
    seats="B5, B6",
    coordinates=(40.75, -73.99),
)
SECRET = "correct horse battery"


# ── certificates like Apple's ────────────────────────────────────────────────────────────────────────


def name(**parts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(getattr(NameOID, key), value) for key, value in parts.items()])


WWDR_NAME = name(COMMON_NAME="Apple Worldwide Developer Relations", ORGANIZATIONAL_UNIT_NAME="G4")
PASS_NAME = name(USER_ID="pass.example.lumen", COMMON_NAME="Pass Type ID", ORGANIZATIONAL_UNIT_NAME="TEAM123456")


def certificate(
    subject: x509.Name = PASS_NAME, key: RSAPrivateKey = KEY, signed_by: RSAPrivateKey = ISSUER_KEY, days: int = 90
) -> x509.Certificate:
    ca = subject == WWDR_NAME
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(WWDR_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=100))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signed_by, SHA256())
    )


WWDR = certificate(WWDR_NAME, ISSUER_KEY)
SIGNER = apple.Signer(
    certificate=certificate(), issuer=WWDR, key=KEY, pass_type="pass.example.lumen", team="TEAM123456"
)


def pem(of: x509.Certificate | RSAPrivateKey, password: str | None = None) -> bytes:
    if isinstance(of, x509.Certificate):
        return of.public_bytes(Encoding.PEM)
    sealed = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return of.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)


def files(folder: Path, **changed: bytes | None) -> dict[str, Any]:
    """The files of a house that are right, but for those changed; a file of None is not written."""
    contents = {"certificate": pem(certificate()), "key": pem(KEY), "wwdr": pem(WWDR)} | changed
    for each, content in contents.items():
        if content is not None:
            (folder / f"{each}.pem").write_bytes(content)
    return {each: folder / f"{each}.pem" for each in contents}


@pytest.fixture
def wallet(tmp_path: Path) -> AppleWallet:
    return AppleWallet(read_signer(**files(tmp_path)))


def unpacked(file: bytes | None) -> dict[str, bytes]:
    assert file is not None
    with zipfile.ZipFile(BytesIO(file)) as archive:
        assert archive.testzip() is None
        return {each: archive.read(each) for each in archive.namelist()}


# ── Apple Wallet ─────────────────────────────────────────────────────────────────────────────────────


def test_a_pass_has_the_ticket_and_its_house(wallet: AppleWallet) -> None:
    content = json.loads(unpacked(wallet.pass_file(TICKET, BRAND))["pass.json"])
    assert (content["passTypeIdentifier"], content["teamIdentifier"]) == ("pass.example.lumen", "TEAM123456")
    assert (content["organizationName"], content["formatVersion"]) == ("Lumen & Sons", 1)
    (barcode,) = content["barcodes"]
    assert barcode == {
        "format": "PKBarcodeFormatQR",
        "message": "TKT-8F3A",
        "messageEncoding": "iso-8859-1",
        "altText": "TKT-8F3A",
    }
    assert content["relevantDate"] == "2026-12-15T20:00+00:00"
    assert content["locations"] == [{"latitude": 40.75, "longitude": -73.99}]
    ticket = content["eventTicket"]
    shown = {one["key"]: one["value"] for fields in ticket.values() for one in fields}
    assert shown == {
        "title": "Amélie <b>",
        "where": "AMC Theater",
        "when": "Tuesday, December 15, 8:00 PM",
        "seats": "B5, B6",
        "code": "BOOK-1",
        "address": "1 Main Street, Springfield",
    }
    assert {one["label"] for fields in ticket.values() for one in fields if "label" in one} == set(LABELS.values())


def test_what_is_not_known_is_not_on_the_pass(wallet: AppleWallet) -> None:
    bare = WalletTicket(booking_id="B", code="B", title="T", labels=LABELS, language="en")
    content = json.loads(unpacked(wallet.pass_file(bare, BRAND))["pass.json"])
    assert not {"relevantDate", "locations"} & set(content)
    assert {one["key"] for fields in content["eventTicket"].values() for one in fields} == {"title", "code"}


def test_a_changed_booking_replaces_its_pass_and_another_does_not(wallet: AppleWallet) -> None:
    def serial(**changes: str) -> str:
        ticket = WalletTicket(**{**{f: getattr(TICKET, f) for f in TICKET.__slots__}, **changes})
        found: str = json.loads(unpacked(wallet.pass_file(ticket, BRAND))["pass.json"])["serialNumber"]
        return found

    assert serial(when="later", seats="A1") == serial()
    assert serial(booking_id="BOOK-2") != serial()


def test_the_manifest_names_every_file_and_the_icons_are_images(wallet: AppleWallet) -> None:
    found = unpacked(wallet.pass_file(TICKET, BRAND))
    listed = json.loads(found["manifest.json"])
    assert listed == {
        each: hashlib.sha1(content, usedforsecurity=False).hexdigest()
        for each, content in found.items()
        if each not in ("manifest.json", "signature")
    }
    for each, side in (("icon.png", 29), ("icon@2x.png", 58), ("icon@3x.png", 87)):
        picture = Image.open(BytesIO(found[each]))
        assert picture.size == (side, side)
        assert picture.getpixel((side - 1, side - 1)) == (0x7A, 0x21, 0x35)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_verifies_the_signature_and_refuses_a_changed_manifest(wallet: AppleWallet, tmp_path: Path) -> None:
    found = unpacked(wallet.pass_file(TICKET, BRAND))
    (tmp_path / "ca.pem").write_bytes(pem(WWDR))
    (tmp_path / "signature").write_bytes(found["signature"])

    def verified(manifest: bytes) -> int:
        (tmp_path / "manifest.json").write_bytes(manifest)
        given = ["-inform", "DER", "-in", "signature", "-content", "manifest.json", "-CAfile", "ca.pem"]
        command = ["openssl", "smime", "-verify", "-binary", *given, "-purpose", "any", "-out", "out"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert verified(found["manifest.json"]) == 0
    assert (tmp_path / "out").read_bytes() == found["manifest.json"]
    assert verified(found["manifest.json"].replace(b"icon", b"1con")) != 0


@pytest.mark.skipif(programs.EXTRACTOR is None, reason=f"needs {programs.INSTALL_EXTRACTOR}")
def test_kde_itinerary_reads_the_pass(wallet: AppleWallet, tmp_path: Path) -> None:
    file = tmp_path / "ticket.pkpass"
    content = wallet.pass_file(TICKET, BRAND)
    assert content is not None
    file.write_bytes(content)
    (read,) = programs.extracted(file)
    assert read["@type"] == "EventReservation"
    assert programs.value(read, "reservedTicket.ticketToken") == "qrCode:TKT-8F3A"
    assert programs.value(read, "reservationFor.name") == "Amélie <b>"
    assert read["pkpassPassTypeIdentifier"] == "pass.example.lumen"


@given(st.text(st.characters(exclude_categories=[]), min_size=1, max_size=200))
@settings(max_examples=examples(30), deadline=None)
def test_no_text_breaks_a_pass(text: str) -> None:
    ticket = WalletTicket(booking_id="B", code=text, title=text, labels=LABELS, language="en", place=text, seats=text)
    written = unpacked(AppleWallet(SIGNER).pass_file(ticket, Brand(text)))["pass.json"]
    # Swift's reader of JSON takes UTF-8 only, and no half of a surrogate pair.
    whole = text.encode("utf-8", "replace").decode()
    assert json.loads(written.decode("utf-8"))["eventTicket"]["primaryFields"][0]["value"] == whole
    assert not re.search(rb"\\u[dD][89abAB]", written)


def test_a_certificate_that_expires_while_the_service_runs_makes_no_pass() -> None:
    assert AppleWallet(SIGNER, clock=lambda: NOW + timedelta(days=91)).pass_file(TICKET, BRAND) is None


# ── files that stop the start ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"certificate": None}, "WALLET_APPLE_CERTIFICATE=.*cannot be read"),
        ({"key": None}, "WALLET_APPLE_KEY=.*cannot be read"),
        ({"wwdr": None}, "WALLET_APPLE_WWDR=.*cannot be read"),
        ({"certificate": b"no"}, "WALLET_APPLE_CERTIFICATE=.*is no certificate in PEM"),
        ({"key": b"no"}, "WALLET_APPLE_KEY=.*is no private key in PEM"),
        ({"key": pem(KEY, SECRET)}, "WALLET_APPLE_KEY_PASSWORD is not its password"),
        ({"key": pem(OTHER_KEY)}, "WALLET_APPLE_KEY=.*is not the key of WALLET_APPLE_CERTIFICATE"),
        (
            {"certificate": pem(certificate(days=-1))},
            r"WALLET_APPLE_CERTIFICATE=.*expired on \d{4}-\d\d-\d\d: renew it",
        ),
        ({"wwdr": pem(certificate(WWDR_NAME, ISSUER_KEY, days=-1))}, "WALLET_APPLE_WWDR=.*expired on"),
        ({"wwdr": pem(certificate(WWDR_NAME, OTHER_KEY, OTHER_KEY))}, "WALLET_APPLE_WWDR=.*is not Apple's.*that is G4"),
        ({"certificate": pem(certificate(name(COMMON_NAME="x")))}, "names no pass type"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_with_one_line(
    changed: dict[str, bytes | None], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_signer(**files(tmp_path, **changed))
    assert "\n" not in str(caught.value)
    assert "BEGIN" not in str(caught.value)


def test_a_key_with_a_password_is_read(tmp_path: Path) -> None:
    assert read_signer(**files(tmp_path, key=pem(KEY, SECRET)), password=SECRET).team == "TEAM123456"


def test_no_key_is_in_what_is_printed_of_a_signer(tmp_path: Path) -> None:
    assert "RSA" not in repr(read_signer(**files(tmp_path)))


# ── Google Wallet ────────────────────────────────────────────────────────────────────────────────────

GOOGLE = GoogleWallet(ServiceKey("wallet@lumen.example", "1", KEY), "3388000000012345678", clock=lambda: NOW)


def claims(link: str | None) -> dict[str, Any]:
    assert link is not None
    assert link.startswith("https://pay.google.com/gp/v/save/")
    assert len(link) <= MAX_LINK_LENGTH
    token = link.rpartition("/")[2]
    read: dict[str, Any] = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience="google")
    return read


def test_a_link_carries_the_signed_ticket() -> None:
    read = claims(GOOGLE.link(TICKET, BRAND))
    assert (read["iss"], read["typ"]) == ("wallet@lumen.example", "savetowallet")
    (show,), (ticket,) = read["payload"]["eventTicketClasses"], read["payload"]["eventTicketObjects"]
    assert show["eventName"]["defaultValue"] == {"language": "en-US", "value": "Amélie <b>"}
    assert show["dateTime"] == {"start": "2026-12-15T20:00+00:00"}
    assert show["venue"]["address"]["defaultValue"]["value"] == "1 Main Street, Springfield"
    assert ticket["classId"] == show["id"]
    assert ticket["barcode"] == {"type": "QR_CODE", "value": "TKT-8F3A"}
    assert ticket["seatInfo"]["seat"]["defaultValue"]["value"] == "B5, B6"
    assert all(each["id"].startswith("3388000000012345678.") for each in (show, ticket))


def test_openssl_verifies_the_token(tmp_path: Path) -> None:
    link = GOOGLE.link(TICKET, BRAND)
    assert link is not None
    signed, _, signature = link.rpartition("/")[2].rpartition(".")
    (tmp_path / "signed").write_text(signed)
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    (tmp_path / "key.pem").write_bytes(pem(certificate()))
    public = subprocess.run(
        ["openssl", "x509", "-in", "key.pem", "-pubkey", "-noout"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    (tmp_path / "public.pem").write_bytes(public)
    command = ["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"]
    assert b"Verified OK" in subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout


@given(text=st.text(st.characters(exclude_categories=[]), min_size=1, max_size=500), long=st.integers(1, 500))
@settings(max_examples=examples(30), deadline=None)
def test_a_link_is_short_enough_or_there_is_none(text: str, long: int) -> None:
    ticket = WalletTicket(
        booking_id="B", code="B", title=text[:long], labels=LABELS, language="ja", place=text, address=text, seats=text
    )
    link = GOOGLE.link(ticket, Brand(text))
    assert link is None or claims(link)["payload"]["eventTicketObjects"][0]["barcode"]["value"] == "B"


def test_a_long_address_is_left_out_before_the_link_is() -> None:
    ticket = WalletTicket(
        booking_id="B", code="B", title="映画", labels=LABELS, language="ja", place="新宿", address="東京都新宿区" * 50
    )
    (show,) = claims(GOOGLE.link(ticket, BRAND))["payload"]["eventTicketClasses"]
    assert "venue" not in show
    assert show["eventName"]["defaultValue"]["value"] == "映画"


# ── in a mail ────────────────────────────────────────────────────────────────────────────────────────

EVENT = {
    "event_id": "e1",
    "booking_id": "BOOK-1",
    "ticket_token": "TKT-8F3A",
    "movie_title": "Inception",
    "showtime": "2026-12-15 08:00 PM",
    "cinema_name": "AMC Theater",
    "seats": ["B5", "B6"],
    "timestamp": "2026-11-24T10:30:00Z",
}


def loaded(wallet: AppleWallet) -> Renderer:
    defaults = Defaults(time_zone="America/New_York", cinemas={"amc theater": Cinema("1 Main Street")})
    return template_loading.load(TEMPLATES, SenderProfile(BRAND, defaults), Wallets(wallet, GOOGLE))


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return loaded(AppleWallet(SIGNER))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for each, path in files(tmp_path).items():
        monkeypatch.setenv(f"WALLET_APPLE_{each.upper()}", str(path))
    account = {"client_email": "wallet@lumen.example", "private_key": pem(KEY).decode()}
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("WALLET_GOOGLE_SERVICE_ACCOUNT_FILE", str(tmp_path / "account.json"))
    monkeypatch.setenv("WALLET_GOOGLE_ISSUER_ID", "3388000000012345678")
    return tmp_path


def rendered(renderer: Renderer, event_type: str, language: str = "en", **fields: Any) -> Mail:  # noqa: ANN401 - JSON
    event = parse({**EVENT, **fields}, event_type)
    assert event is not None
    return renderer.render(RULES[type(event)].template, event, Recipient("jane@example.com"), language)


def passes(sent: Mail) -> list[bytes]:
    return [each.content for each in sent.attachments if each.media_type == "application/vnd.apple.pkpass"]


def test_a_confirmation_carries_pass_and_link(renderer: Renderer) -> None:
    sent = rendered(renderer, "booking.confirmed", "ar")
    (file,) = passes(sent)
    content = json.loads(unpacked(file)["pass.json"])
    (seats,) = (one for one in content["eventTicket"]["auxiliaryFields"] if one["key"] == "seats")
    assert (seats["label"], seats["value"]) == ("المقاعد", "B5, B6")
    for part in (sent.text, sent.html):
        assert "https://pay.google.com/gp/v/save/" in part
    (link,) = (line for line in sent.text.splitlines() if line.startswith("https://pay.google.com/"))
    assert claims(link)["payload"]["eventTicketObjects"][0]["barcode"]["value"] == "TKT-8F3A"


@pytest.mark.parametrize(
    ("event_type", "fields"),
    [
        ("booking.cancelled", {}),
        ("booking.confirmed", {"booking_id": None}),
        ("booking.confirmed", {"movie_title": None}),
        ("payment.success", {}),
    ],
)
def test_what_is_no_ticket_has_neither(event_type: str, fields: dict[str, Any], renderer: Renderer) -> None:
    sent = rendered(renderer, event_type, **fields)
    assert passes(sent) == []
    assert "pay.google.com" not in sent.text + sent.html
    assert "Wallet" not in sent.text + sent.html


def test_a_pass_that_cannot_be_made_leaves_the_mail_and_a_remark() -> None:
    expired = loaded(AppleWallet(SIGNER, clock=lambda: NOW + timedelta(days=91)))
    sent = rendered(expired, "booking.confirmed", seats=["座席" * 90] * 5)
    assert passes(sent) == []
    assert [str(remark) for remark in sent.remarks if "wallet" in str(remark)] == [
        "wallet goes without a pass: WALLET_APPLE_CERTIFICATE or WALLET_APPLE_WWDR has expired: renew it and restart",
        "wallet goes without a link to Google Wallet: the link would be too long for a browser",
    ]


@pytest.mark.usefixtures("house")
def test_the_settings_set_up_both_wallets() -> None:
    made = bootstrap.wallets(service_settings.load(None))
    assert isinstance(made.apple, AppleWallet)
    assert isinstance(made.google, GoogleWallet)


def test_a_house_without_a_wallet_imports_nothing_for_it() -> None:
    script = (
        "import sys; from notification_service import bootstrap, settings; "
        "assert bootstrap.wallets(settings.load(None)).apple is None; "
        "print([name for name in sys.modules if name.startswith('cryptography') or name in ('jwt', "
        "'notification_service.channels.email.wallet.apple', 'notification_service.channels.email.wallet.google')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("WALLET_APPLE_KEY", "WALLET_APPLE_CERTIFICATE is set, and WALLET_APPLE_KEY is not"),
        ("WALLET_GOOGLE_ISSUER_ID", "WALLET_GOOGLE_SERVICE_ACCOUNT_FILE is set, and WALLET_GOOGLE_ISSUER_ID is not"),
    ],
)
@pytest.mark.usefixtures("house")
def test_a_wallet_by_halves_stops_the_start(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=said):
        service_settings.load(None)


def test_the_password_of_the_key_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLET_APPLE_KEY_PASSWORD", SECRET)
    assert SECRET in service_settings.load(None).secrets()
