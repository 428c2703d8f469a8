"""The SMTP server's certificates, good and bad, from an authority that lives as long as its folder."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import trustme

Certificate = Literal["good", "expired", "self-signed", "wrong-host"]


def authority(ca_file: Path) -> trustme.CA:
    """Return the authority of this file; the first call writes it, the key beside it."""
    key_file = ca_file.with_suffix(".key")
    if ca_file.exists() and key_file.exists():
        return trustme.CA.from_pem(ca_file.read_bytes(), key_file.read_bytes())
    ca = trustme.CA()
    ca.private_key_pem.write_to_path(key_file)
    ca.cert_pem.write_to_path(ca_file)
    return ca


def server_context(ca_file: Path, certificate: Certificate) -> ssl.SSLContext:
    """Return a TLS context that presents the certificate asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    ca = authority(ca_file)
    if certificate == "self-signed":
        _serve_itself(trustme.CA(), context)
    else:
        _leaf(ca, certificate).configure_cert(context)
    return context


def _leaf(ca: trustme.CA, certificate: Certificate) -> trustme.LeafCert:
    if certificate == "expired":
        now = datetime.now(UTC)
        month_ago, yesterday = now - timedelta(days=30), now - timedelta(days=1)
        return ca.issue_cert("localhost", "127.0.0.1", not_before=month_ago, not_after=yesterday)
    if certificate == "wrong-host":
        return ca.issue_cert("elsewhere.example")
    return ca.issue_cert("localhost", "127.0.0.1")


def _serve_itself(ca: trustme.CA, context: ssl.SSLContext) -> None:
    with ca.private_key_pem.tempfile() as key, ca.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
