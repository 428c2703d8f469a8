"""One mail as the bytes that go out: headers that cannot be forged, parts in the order that clients expect."""

import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.generator import BytesGenerator
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime
from io import BytesIO

import idna

from notification_service.outcomes import RejectReason
from notification_service.ports import Envelope
from notification_service.rendering import Attachment, Mail

_FORGERY = re.compile(r"=\?|\?=")
_JOINERS = "\u200c\u200d"
"""Invisible, but Persian, Hindi and many emoji are written with them."""

_LONGEST_SUBJECT = 200
_LONGEST_NAME = 100
_LONGEST_DISPLAY_NAME = 60
_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')


class AttachmentError(ValueError):
    """An attachment breaks a limit, or its name is none."""

    reason = RejectReason.ATTACHMENT


class _Policy(EmailPolicy):
    """SMTP's line ends and folding, but an unbroken value is never turned into encoded words (traps 18, 21).

    Python 3.11 loses the space between two words that it encodes (RFC 2047 §6.2), so texts that need it are encoded
    as one here.
    """

    def _fold(self, name: str, value: str, refold_binary: bool = False) -> str:  # noqa: FBT001, FBT002 - stdlib's own
        if value.isascii() and " " not in value.strip():
            return f"{name}: {value.strip()}{self.linesep}"
        if name in ("Subject", "From") and not value.isascii() and not self.utf8:
            text, bracket, address = value.rpartition(" <") if name == "From" else (value, "", "")
            encoded = Header(text.strip('"') if bracket else text, "utf-8", self.max_line_length, name)
            return f"{name}: {encoded.encode(linesep=self.linesep)}{bracket}{address}{self.linesep}"
        return super()._fold(name, value, refold_binary)  # type: ignore[misc, no-any-return]  # not in typeshed


_POLICY = _Policy(linesep=SMTP.linesep, max_line_length=SMTP.max_line_length)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who the mails come from. `domain` stands on the right side of every id that we make up."""

    address: str
    name: str

    @property
    def domain(self) -> str:
        return _ascii_domain(self.address.rpartition("@")[2])


@dataclass(frozen=True, slots=True)
class Ids:
    """What the headers say about where a mail comes from."""

    notification_id: str
    event_id: str
    template: str
    booking_id: str | None
    date: datetime


def message_id(notification_id: str, domain: str) -> str:
    """The same for every try of a notification (RFC 5322 §3.6.4)."""
    return f"<{notification_id}@{domain}>"


def clean(text: str, longest: int) -> str:
    """A value that is safe in a header: one line, no control or bidi characters, nothing that reads as encoded.

    Python 3.11.7 decodes an encoded word in a value and writes its CR LF out (trap 17).
    """
    spaced = "".join(" " if character in "\r\n\t\v\f\u2028\u2029" else character for character in text)
    kept = "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    while _FORGERY.search(kept):
        kept = _FORGERY.sub("", kept)
    return " ".join(kept.split())[:longest].rstrip()


def compose(mail: Mail, to: str, letterhead: Letterhead, ids: Ids, *, most_attached: int) -> Envelope:
    """The finished message (RFC 5322, RFC 2046), with CRLF line ends.

    `most_attached`: the bytes that all attachments may have together. Raises `AttachmentError`.
    """
    _check(mail.attachments, most_attached)
    message = _body(mail)
    _put_headers(message, mail, to, letterhead, ids)
    out = BytesIO()
    needs_utf8 = not (to.rpartition("@")[0] + letterhead.address.rpartition("@")[0]).isascii()
    # RFC 6532: where an address has to be UTF-8 anyway, the headers are too.
    BytesGenerator(out, policy=_POLICY.clone(utf8=True) if needs_utf8 else _POLICY).flatten(message)
    return Envelope(
        notification_id=ids.notification_id,
        template=ids.template,
        sender=_wire_address(letterhead.address),
        recipient=_wire_address(to),
        content=out.getvalue(),
        needs_smtputf8=needs_utf8,
    )


def _put_headers(message: EmailMessage, mail: Mail, to: str, letterhead: Letterhead, ids: Ids) -> None:
    name, domain = _display_name(letterhead.name), letterhead.domain
    message["From"] = _header_address(letterhead.address, name)
    message["To"] = _header_address(to)
    message["Subject"] = clean(mail.subject, _LONGEST_SUBJECT)
    message["Date"] = format_datetime(ids.date)
    message["Message-ID"] = message_id(ids.notification_id, domain)
    if ids.booking_id:
        thread = hashlib.sha256(ids.booking_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        message["References"] = f"<booking.{thread}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    # Gmail sums complaints up by its last field, which has to stay the same.
    message["Feedback-ID"] = f"{ids.template}:{domain}"
    message["X-Event-ID"] = _token(ids.event_id)
    message["X-Notification-ID"] = ids.notification_id
    message["X-Entity-Ref-ID"] = ids.notification_id
    message["MIME-Version"] = "1.0"


def _token(text: str) -> str:
    """A value that is pure printable ASCII, percent-encoded where it is not, so that it never folds."""
    return "".join(
        c if "!" <= c <= "~" and c not in "%=?" else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace"))
        for c in text
    )[:200]


def _body(mail: Mail) -> EmailMessage:
    inline = [attachment for attachment in mail.attachments if attachment.content_id]
    attached = [attachment for attachment in mail.attachments if not attachment.content_id]
    html = _text_part(mail.html, "html")
    shown = _multipart("related", [html, *map(_file_part, inline)]) if inline else html
    body = _multipart("alternative", [_text_part(mail.text, "plain"), shown])
    return _multipart("mixed", [body, *map(_file_part, attached)]) if attached else body


def _multipart(kind: str, parts: list[EmailMessage]) -> EmailMessage:
    message = EmailMessage(_POLICY)
    # The boundary is drawn from the content, so that the same mail is the same bytes.
    leaves = (leaf for part in parts for leaf in part.walk() if not leaf.is_multipart())
    seed = hashlib.sha256(b"".join(str(leaf.get_payload()).encode("utf-8", "replace") for leaf in leaves)).hexdigest()
    message["Content-Type"] = f'multipart/{kind}; boundary="=_{kind}_{seed[:32]}"'
    message.set_payload(parts)  # type: ignore[arg-type]  # typeshed wants one message type
    return message


def _text_part(text: str, subtype: str) -> EmailMessage:
    """Quoted-printable by the C encoder: `set_content` takes milliseconds for the same (trap 19)."""
    part = EmailMessage(_POLICY)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    encoded = binascii.b2a_qp(text.encode("utf-8", "replace"), istext=True)
    part.set_payload(encoded.decode("ascii"))
    return part


def _file_part(attachment: Attachment) -> EmailMessage:
    media_type, *parameters = attachment.media_type.split("; ")
    maintype, _, subtype = media_type.partition("/")
    part = EmailMessage(_POLICY)
    part.set_content(
        attachment.content,
        maintype=maintype,
        subtype=subtype,
        disposition="inline" if attachment.content_id else "attachment",
        filename=clean(attachment.filename, _LONGEST_NAME),
        cid=f"<{attachment.content_id}>" if attachment.content_id else None,
        params=dict(parameter.split("=", 1) for parameter in parameters),
    )
    return part


def _check(attachments: tuple[Attachment, ...], most: int) -> None:
    size = sum(len(attachment.content) for attachment in attachments)
    if size > most:
        raise AttachmentError(f"the attachments have {size} bytes together, and MAX_ATTACHMENT_BYTES allows {most}")
    for attachment in attachments:
        name = attachment.filename
        if not name or name in (".", "..") or any(c in name for c in "/\\\0") or clean(name, _LONGEST_NAME) != name:
            raise AttachmentError(f"{clean(name, _LONGEST_NAME)!r} is no file name for an attachment")


def _display_name(text: str) -> str:
    """Without the specials of RFC 5322, and short: a long quoted name is folded into a second address (trap 17)."""
    return clean(_SPECIALS.sub(" ", text), _LONGEST_DISPLAY_NAME)


def _wire_address(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{_ascii_domain(domain)}"


def _header_address(address: str, name: str = "") -> Address:
    """Built from its parts: `addr_spec` refuses letters that RFC 6531 allows before the @."""
    local, _, domain = _wire_address(address).rpartition("@")
    return Address(name, local, domain)


def _ascii_domain(domain: str) -> str:
    """IDNA 2008: Python's own codec knows 2003, and would send mail for `straße.example` to `strasse.example`."""
    return domain if domain.isascii() else idna.encode(domain).decode("ascii")
