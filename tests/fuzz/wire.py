"""Two looks at the bytes of a mail: by the standard library's parser, and line by line without it."""

import email
import re
from email import policy
from email.errors import NonASCIILocalPartDefect
from email.header import decode_header
from email.message import EmailMessage

from notification_service.channels.email.mail import OutgoingEmail

ALWAYS = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "Feedback-ID",
    "X-Event-ID",
    "X-Notification-ID",
    "X-Entity-Ref-ID",
    "MIME-Version",
    "Content-Type",
)
SHAPES = (
    ["multipart/alternative", "text/plain", "text/html"],
    ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"],
)
_FIELD = re.compile(rb"([!-9;-~]+): (.*)\Z", re.DOTALL)
_FORGED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def assert_is_ours(envelope: OutgoingEmail, *, recipient: str, sender: str, with_references: bool) -> None:
    assert (envelope.sender, envelope.recipient) == (sender, recipient)
    due = sorted([*ALWAYS, *(["References"] if with_references else [])])
    assert sorted(name for name, _ in _raw_fields(envelope.content)) == due
    _assert_parsed(envelope, due)


def _raw_fields(content: bytes) -> list[tuple[str, str]]:
    """Name and value of each header field, read as RFC 5322 §2.2 says and nothing else."""
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content), "a line end that is not CRLF, or a NUL"
    assert max(map(len, content.split(b"\r\n"))) <= 998
    head, blank, _ = content.partition(b"\r\n\r\n")
    assert blank
    fields = []
    for field in re.sub(rb"\r\n(?=[ \t])", b"", head).split(b"\r\n"):
        found = _FIELD.match(field)
        assert found, f"{field!r} is no header field"
        fields.append((found[1].decode("ascii"), _decoded(found[2])))
    return fields


def _decoded(value: bytes) -> str:
    """As a reader sees it, its encoded words decoded: still one line without control characters."""
    pieces = decode_header(value.decode("utf-8"))
    text = "".join(each if isinstance(each, str) else each.decode(charset or "ascii") for each, charset in pieces)
    assert not _FORGED.search(text), f"{text!r} is more than a line"
    assert not re.search(r"=\?[^ ?]+\?[bqBQ]\?", text), "decoded twice it would be something else"
    return text


def _assert_parsed(envelope: OutgoingEmail, due: list[str]) -> None:
    message = email.message_from_bytes(envelope.content, policy=policy.default)
    if envelope.needs_smtputf8:  # raw UTF-8 in headers, RFC 6532, which the parser of bytes does not read
        message = email.message_from_string(envelope.content.decode(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert sorted(message.keys()) == due
    assert [defect for part in message.walk() for defect in part.defects] == []
    defects = [defect for value in message.values() for defect in value.defects]
    assert [defect for defect in defects if not isinstance(defect, NonASCIILocalPartDefect)] == []
    assert envelope.needs_smtputf8 or not defects
    assert [each.addr_spec for each in message["to"].addresses] == [envelope.recipient]
    assert [each.addr_spec for each in message["from"].addresses] == [envelope.sender]
    parts = [part.get_content_type() for part in message.walk()]
    assert parts in SHAPES
