"""Apple Wallet: a `.pkpass` file, which is a signed ZIP archive of an event ticket."""

import hashlib
import json
import struct
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509.oid import NameOID

from notification_service.channels.email.wallet.tickets import WalletTicket
from notification_service.content.branding import Brand
from notification_service.foundation.errors import ConfigurationError

_CERTIFICATE, _KEY, _WWDR = "WALLET_APPLE_CERTIFICATE", "WALLET_APPLE_KEY", "WALLET_APPLE_WWDR"
_SERIALS = uuid.UUID("0b6f2f0e-3b2b-5d53-8f0c-0c9a3c1c9f57")
"""The namespace of serial numbers. It must never change: a changed booking would add a second pass to the wallet."""

_ICON_SIDES = {"icon.png": 29, "icon@2x.png": 58, "icon@3x.png": 87}
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of each file in the archive, so that equal passes differ by their signature only."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The house's pass type certificate with its key, and the certificate of Apple that issued it."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    key: RSAPrivateKey = field(repr=False)
    pass_type: str
    team: str

    @property
    def expires(self) -> datetime:
        return min(self.certificate.not_valid_after_utc, self.issuer.not_valid_after_utc)

    def sign(self, content: bytes) -> bytes:
        """Returns a detached signature (PKCS #7, RFC 2315), in DER."""
        builder = PKCS7SignatureBuilder().set_data(content).add_signer(self.certificate, self.key, SHA256())
        options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary]
        return builder.add_certificate(self.issuer).sign(Encoding.DER, options)


def read_signer(certificate: Path, key: Path, wwdr: Path, password: str | None = None) -> Signer:
    """Read the three PEM files. Raises `ConfigurationError`, which quotes nothing of them."""
    ours, theirs = _certificate(_CERTIFICATE, certificate), _certificate(_WWDR, wwdr)
    private = _private_key(key, password)
    if ours.public_key() != private.public_key():
        raise ConfigurationError(f"{_KEY}={key} is not the key of {_CERTIFICATE}={certificate}")
    try:
        ours.verify_directly_issued_by(theirs)
    except (ValueError, TypeError, InvalidSignature):
        issuer = _named(ours.issuer, NameOID.ORGANIZATIONAL_UNIT_NAME) or "another one"
        raise ConfigurationError(
            f"{_WWDR}={wwdr} is not Apple's certificate that issued {_CERTIFICATE}: that is {issuer}"
        ) from None
    pass_type = _named(ours.subject, NameOID.USER_ID)
    team = _named(ours.subject, NameOID.ORGANIZATIONAL_UNIT_NAME)
    if not pass_type or not team:
        raise ConfigurationError(
            f"{_CERTIFICATE}={certificate} names no pass type (UID) or no team (OU): take the one "
            "of a Pass Type ID from developer.apple.com"
        )
    return Signer(ours, theirs, private, pass_type, team)


def _certificate(setting: str, path: Path) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as problem:
        raise ConfigurationError(f"{setting}={path} cannot be read: {problem.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"{setting}={path} is no certificate in PEM") from None
    now = datetime.now(UTC)
    if found.not_valid_after_utc < now:
        raise ConfigurationError(f"{setting}={path} expired on {found.not_valid_after_utc:%Y-%m-%d}: renew it")
    if found.not_valid_before_utc > now:
        raise ConfigurationError(f"{setting}={path} is not valid before {found.not_valid_before_utc:%Y-%m-%d}")
    return found


def _private_key(path: Path, password: str | None) -> RSAPrivateKey:
    try:
        found = load_pem_private_key(path.read_bytes(), password.encode() if password else None)
    except OSError as problem:
        raise ConfigurationError(f"{_KEY}={path} cannot be read: {problem.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{_KEY}={path} is no private key in PEM, or WALLET_APPLE_KEY_PASSWORD is not its password"
        ) from None
    if not isinstance(found, RSAPrivateKey):
        raise ConfigurationError(f"{_KEY}={path} is no RSA key, as those of pass types are")
    return found


def _named(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else None


class AppleWallet:
    def __init__(self, signer: Signer, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._signer = signer
        self._clock = clock

    def pass_file(self, ticket: WalletTicket, brand: Brand) -> bytes | None:
        """Returns the pass; None where the certificate has expired: a phone would refuse it without a word."""
        if self._clock() >= self._signer.expires:
            return None
        files = {"pass.json": _json(self._content(ticket, brand)), **_images(brand)}
        manifest = _json(
            {name: hashlib.sha1(content, usedforsecurity=False).hexdigest() for name, content in files.items()}
        )
        return _archive({**files, "manifest.json": manifest, "signature": self._signer.sign(manifest)})

    def _content(self, ticket: WalletTicket, brand: Brand) -> dict[str, object]:
        colours = brand.palette
        content: dict[str, object] = {
            "formatVersion": 1,
            "passTypeIdentifier": self._signer.pass_type,
            "teamIdentifier": self._signer.team,
            "serialNumber": str(uuid.uuid5(_SERIALS, ticket.booking_id)),
            "organizationName": brand.name,
            "description": ticket.title,
            "logoText": brand.name,
            "backgroundColor": _rgb(colours.accent),
            "foregroundColor": _rgb(colours.on_accent),
            "labelColor": _rgb(colours.on_accent),
            "barcodes": [_barcode(ticket.code)],
            "eventTicket": _fields(ticket),
        }
        if ticket.start:
            content["relevantDate"] = ticket.start.isoformat(timespec="minutes")
        if ticket.coordinates:
            latitude, longitude = ticket.coordinates
            content["locations"] = [{"latitude": latitude, "longitude": longitude}]
        return content


def _barcode(code: str) -> dict[str, str]:
    encoding = "iso-8859-1" if code.isascii() else "utf-8"
    return {"format": "PKBarcodeFormatQR", "message": code, "messageEncoding": encoding, "altText": code}


def _fields(ticket: WalletTicket) -> dict[str, object]:
    """The front: film, then place, then time and seats. The back: booking code and address."""

    def field_of(key: str, value: str | None) -> list[dict[str, str]]:
        return [{"key": key, "label": ticket.labels[key], "value": value}] if value else []

    return {
        "primaryFields": [{"key": "title", "value": ticket.title}],
        "secondaryFields": field_of("where", ticket.place),
        "auxiliaryFields": [*field_of("when", ticket.when), *field_of("seats", ticket.seats)],
        "backFields": [*field_of("code", ticket.booking_id), *field_of("address", ticket.address)],
    }


def _rgb(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour[1:])
    return f"rgb({red}, {green}, {blue})"


def _json(content: Mapping[str, object]) -> bytes:
    # Halves of surrogate pairs become question marks: strict readers of JSON refuse the whole file for one of them.
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _images(brand: Brand) -> dict[str, bytes]:
    """The icon, which Apple requires: a square of the brand's colour. The logo, where there is one."""
    icons = {name: _square(side, brand.palette.accent) for name, side in _ICON_SIDES.items()}
    return icons | ({"logo.png": brand.logo.png, "logo@2x.png": brand.logo.png} if brand.logo else {})


def _square(side: int, colour: str) -> bytes:
    """A PNG of one colour."""
    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    lines = (b"\0" + bytes.fromhex(colour[1:]) * side) * side
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _archive(files: Mapping[str, bytes]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _OLDEST), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
