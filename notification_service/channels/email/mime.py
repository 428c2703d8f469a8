"""Writes a mail as MIME: header values that cannot inject anything, parts in the order that clients expect."""

import base64
import binascii
import hashlib
import re
import textwrap
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import encode_rfc2231, format_datetime
from functools import cached_property, lru_cache

import idna

from notification_service.channels.email.encoded_words import encoded
from notification_service.channels.email.mail import Attachment, Mail, OutgoingEmail
from notification_service.contract.outcomes import RejectReason
from notification_service.contract.variants import control_name
from notification_service.delivery.ports.composer import MessageIds
from notification_service.foundation.addresses import wire_local

_ENCODED_WORD = re.compile(r"=\?|\?=")
_JOINERS = "\u200c\u200d"
"""Invisible, but Persian, Hindi and many emoji are written with them."""

_ISOLATES = "\u2068\u2069"
_MAX_SUBJECT_LENGTH = 200
_MAX_NAME_LENGTH = 100
_MAX_DISPLAY_NAME_LENGTH = 60
_MAX_HEADER_LINE_LENGTH = 78
"""RFC 5322 §2.1.1."""

_MAX_CACHED_LINES = 1024
_MAX_CACHED_LENGTH = 1000
"""Longer lines are not cached, so that the text of one event cannot fill the memory."""

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_TOKEN = re.compile(r"[!-$&-<>@-~]{1,200}")
_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')


class AttachmentError(ValueError):
    """An attachment exceeds the limit, or has an invalid file name."""

    reason = RejectReason.ATTACHMENT


@dataclass(frozen=True)
class SenderIdentity:
    """The sender of the mails. `domain`: the right side of Message-IDs and other generated ids.

    `return_path`: the envelope sender of a notification's mail, where it is not the address. `tag`: a header line by
    which the server's reports name the notification.
    """

    address: str
    name: str
    return_path: Callable[[str], str] | None = None
    tag: Callable[[str], str] | None = None

    @cached_property
    def sender(self) -> str:
        """The address for the header, and for the envelope where there is no return path."""
        return _wire_address(self.address)

    def envelope_sender(self, notification_id: str) -> str:
        return self.return_path(notification_id) if self.return_path else self.sender

    @cached_property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]

    @cached_property
    def display_name(self) -> str:
        """Without the specials of RFC 5322, and short: a long name folds into a second address (pitfalls.md, 17)."""
        return clean(_SPECIALS.sub(" ", self.name), _MAX_DISPLAY_NAME_LENGTH)


def message_id(notification_id: str, domain: str) -> str:
    """Returns the Message-ID (RFC 5322 §3.6.4), which is the same for every attempt of a notification."""
    return f"<{notification_id}@{domain}>"


def clean(text: str, max_length: int, keep: str = "") -> str:
    """Returns a value that is safe in a header: one line, no control or direction characters, no encoded words.

    `keep`: characters that stay all the same.
    Python 3.11.7 decodes an encoded word in a value, and writes a CR LF in it to the header (pitfalls.md, 17).
    """
    if text.isprintable():
        return _shortened(text, max_length)
    spaced = "".join(" " if character in "\r\n\t\v\f\u2028\u2029" else character for character in text)
    kept = "".join(c for c in spaced if c in _JOINERS or c in keep or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return _shortened(kept, max_length)


def clean_subject(text: str) -> str:
    """Returns the subject, cleaned, with the isolates (UAX 9) around a title of another direction if each is closed."""
    subject = clean(text, _MAX_SUBJECT_LENGTH, keep=_ISOLATES)
    # Isolates cannot be printed.
    return subject if subject.isprintable() or _balanced(subject) else clean(text, _MAX_SUBJECT_LENGTH)


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == _ISOLATES[0]) - (character == _ISOLATES[1])
        if depth < 0:
            return False
    return depth == 0


def _shortened(text: str, max_length: int) -> str:
    while _ENCODED_WORD.search(text):
        text = _ENCODED_WORD.sub("", text)
    return " ".join(text.split())[:max_length].rstrip()


def compose(
    mail: Mail, to: str, sender_identity: SenderIdentity, ids: MessageIds, *, max_attachment_bytes: int
) -> OutgoingEmail:
    """Returns the finished message (RFC 5322, RFC 2046), with CRLF line ends.

    `max_attachment_bytes`: of all attachments together. Raises `AttachmentError`.
    """
    _check(mail.attachments, max_attachment_bytes)
    # RFC 6532: where an address needs UTF-8, all headers use it.
    recipient = _wire_address(to)
    needs_utf8 = not (recipient + sender_identity.sender).isascii()
    head = _head(mail, recipient, sender_identity, ids, needs_utf8=needs_utf8)
    return OutgoingEmail(
        notification_id=ids.notification_id,
        template=ids.template,
        sender=sender_identity.envelope_sender(ids.notification_id),
        recipient=recipient,
        content=head + _body(mail),
        subject=mail.subject,
        remarks=mail.remarks,
        needs_smtputf8=needs_utf8,
    )


def _head(mail: Mail, recipient: str, sender_identity: SenderIdentity, ids: MessageIds, *, needs_utf8: bool) -> bytes:
    """The headers, without those of the content. Each value is one clean line already."""
    domain, sender = sender_identity.domain, sender_identity.sender
    name, subject = sender_identity.display_name, clean_subject(mail.subject)
    lines = [
        f"From: {_phrase(name, needs_utf8=needs_utf8)} <{sender}>" if name else f"From: {sender}",
        f"To: {recipient}",
        _folded(f"Subject: {subject if needs_utf8 or subject.isascii() else encoded(subject, len('Subject: '))}"),
        f"Date: {_date(ids.date.replace(microsecond=0))}",
        f"Message-ID: {message_id(ids.notification_id, domain)}",
        *([f"References: <booking.{_thread(ids.booking_id)}@{domain}>"] if ids.booking_id else ()),
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: OOF, AutoReply",
        # Gmail groups complaints by the last field, so it is the same in all mails.
        f"Feedback-ID: {control_name(ids.template)}:{domain}",
        f"X-Event-ID: {_token(ids.event_id)}",
        f"X-Notification-ID: {ids.notification_id}",
        f"X-Entity-Ref-ID: {ids.notification_id}",
        *(_unsubscribe(mail.unsubscribe) if mail.unsubscribe else ()),
        *([sender_identity.tag(ids.notification_id)] if sender_identity.tag else ()),
        "MIME-Version: 1.0\r\n",
    ]
    return "\r\n".join(lines).encode()


def _unsubscribe(link: str) -> tuple[str, str]:
    """RFC 2369 and, for one click, RFC 8058. The relay's DKIM signature has to cover both.

    The link is one word: folded, it would leave the header's first line empty, which some readers take for no value.
    """
    return f"List-Unsubscribe: <{link}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"


def _thread(booking_id: str) -> str:
    return hashlib.sha256(booking_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


_date = lru_cache(8)(format_datetime)  # many mails go out in one second


@lru_cache(8)  # the sender's name is the same in every mail
def _phrase(name: str, *, needs_utf8: bool) -> str:
    """A display name (RFC 5322 §3.2.5), quoted where needed. `SenderIdentity` removed the specials but for the dot."""
    if not name.isascii() and not needs_utf8:
        return encoded(name, len("From: "))
    return name if _ATOMS.fullmatch(name) else f'"{name}"'


def _folded(line: str) -> str:
    """The line folded at its spaces (RFC 5322 §2.2.3), and nowhere else (pitfalls.md, 18, 21)."""
    if len(line) <= _MAX_HEADER_LINE_LENGTH or "\r\n" in line:
        return line
    return "\r\n ".join(
        textwrap.wrap(
            line, _MAX_HEADER_LINE_LENGTH - 1, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        )
    )


def _token(text: str) -> str:
    """The value in printable ASCII, percent-encoded where needed, so that it never folds."""
    if _PLAIN_TOKEN.fullmatch(text):
        return text
    return "".join(
        c if "!" <= c <= "~" and c not in "%=?" else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace"))
        for c in text
    )[:200]


def _body(mail: Mail) -> bytes:
    text, html = _text_part(mail.text, "plain"), _text_part(mail.html, "html")
    inline = [_file_part(attachment) for attachment in mail.attachments if attachment.content_id]
    attached = [_file_part(attachment) for attachment in mail.attachments if not attachment.content_id]
    # A digest of the content: equal mails have equal bytes, and no content can contain its own boundary.
    mark = hashlib.sha256(b"".join((text, html, *inline, *attached))).hexdigest()[:32]
    shown = _multipart("related", mark, [html, *inline]) if inline else html
    body = _multipart("alternative", mark, [text, shown])
    return _multipart("mixed", mark, [body, *attached]) if attached else body


def _multipart(kind: str, mark: str, parts: list[bytes]) -> bytes:
    # Quoted-printable and base64 cannot contain "=_", and no kind is a prefix of another.
    boundary = f"=_{kind}_{mark}".encode()
    return b"".join(
        (
            b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n' % (kind.encode(), boundary),
            *(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts),
            b"--%b--\r\n" % boundary,
        )
    )


def _text_part(text: str, subtype: str) -> bytes:
    """A text part, encoded by C code: `set_content` takes milliseconds for the same (pitfalls.md, 19)."""
    return b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%b' % (
        subtype.encode(),
        _quoted(text),
    )


def _quoted(text: str) -> bytes:
    """Encode as quoted-printable (RFC 2045 §6.7), line by line: nine of ten are equal in all mails of a language."""
    lines = (text.replace("\r\n", "\n") if "\r" in text else text).split("\n")
    # One long line is rare enough to quote the whole text anew.
    return b"\r\n".join(map(_cached_quoted_line if max(map(len, lines)) <= _MAX_CACHED_LENGTH else _quoted_line, lines))


def _quoted_line(line: str) -> bytes:
    # `istext=False` encodes a carriage return instead of reading it as a line end.
    return binascii.b2a_qp(line.encode("utf-8", "replace"), istext=False).replace(b"\n", b"\r\n")


_cached_quoted_line = lru_cache(_MAX_CACHED_LINES)(_quoted_line)
"""`lru_cache` drops lines with names in time. `bounded_cache` would take half as long again."""


def _file_part(attachment: Attachment) -> bytes:
    disposition = "inline" if attachment.content_id else "attachment"
    lines = [
        f"Content-Type: {attachment.media_type}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {disposition}; {_filename(attachment.filename)}",
        *([f"Content-ID: <{attachment.content_id}>"] if attachment.content_id else ()),
    ]
    head = "".join(f"{line}\r\n" for line in lines).encode()
    return head + b"\r\n" + base64.encodebytes(attachment.content).replace(b"\n", b"\r\n")


def _filename(name: str) -> str:
    """The parameter of RFC 2183; that of RFC 2231 where the name is not ASCII."""
    if not name.isascii():
        return f"filename*={encode_rfc2231(name, 'utf-8')}"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'filename="{quoted}"'


def _check(attachments: tuple[Attachment, ...], max_bytes: int) -> None:
    size = sum(len(attachment.content) for attachment in attachments)
    if size > max_bytes:
        raise AttachmentError(
            f"the attachments have {size} bytes together, and MAX_ATTACHMENT_BYTES allows {max_bytes}"
        )
    for attachment in attachments:
        name = attachment.filename
        if not name or name in (".", "..") or any(c in name for c in "/\\\0") or clean(name, _MAX_NAME_LENGTH) != name:
            raise AttachmentError(f"{clean(name, _MAX_NAME_LENGTH)!r} is no file name for an attachment")


def _wire_address(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{wire_local(local)}@{_ascii_domain(domain)}"


def _ascii_domain(domain: str) -> str:
    """Encode by IDNA 2008. Python's codec is IDNA 2003, and would turn `straße.example` into `strasse.example`."""
    return domain if domain.isascii() else idna.encode(domain).decode("ascii")
