"""Reads delivery reports (RFC 3464) and complaints (RFC 5965) out of mails that others wrote. Pure.

Anybody can send such a mail: it counts only where it holds the envelope sender of one of our mails, with its MAC.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from email.utils import parsedate_to_datetime
from enum import StrEnum

from notification_service.contract.signals import REPORT, Signal
from notification_service.feedback import bounce_texts, status_fields
from notification_service.feedback.details import mailbox_or_none, one_line
from notification_service.feedback.return_path import ReturnPath
from notification_service.feedback.status_fields import RecipientStatus, field

MAX_BYTES = 1024 * 1024
"""What is read of one mail. Whoever returns a whole mail writes the status above it."""

_MAX_PARTS = 200
_MAX_DEPTH = 40
_MAX_SCANNED = 64 * 1024
_MAX_AHEAD = timedelta(minutes=5)
_BLANK_BEFORE_COLON = re.compile(rb"^([A-Za-z-]{1,40})[ \t]{1,4}:", re.MULTILINE)
"""The obsolete form of a field (RFC 5322 §4.5), which the standard library takes for the end of the headers."""
_TAG = re.compile(r"</?[a-z!][^<>@]{0,2000}>", re.IGNORECASE)
"""Of HTML, but not an address in angle brackets."""
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_FEEDBACK_TYPES = ("message/feedback-report",)
_RECEIPT_TYPES = ("message/disposition-notification", "message/global-disposition-notification")
_ORIGINAL_TYPES = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
_ADDRESSED_TO = (
    *("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Rcpt-To", "Resent-To", "Cc"),
    *("X-Forwarded-To", "Apparently-To", "Received", "References", "In-Reply-To"),
)


class NoSignal(StrEnum):
    """Why a mail says nothing that counts."""

    NOT_A_REPORT = "not a report"
    UNTRUSTED = "no envelope sender of ours in it"


@dataclass(frozen=True, slots=True)
class _Report:
    statuses: list[RecipientStatus]
    fields: list[Message]
    originals: list[str]


def signals(content: bytes, return_path: ReturnPath, now: datetime) -> list[Signal] | NoSignal:
    """What a mail reports, a signal for each recipient; an empty list where nothing of it counts.

    `content`: the mail as it lies in a mailbox. Whatever it holds, nothing is raised.
    """
    try:
        begin = _BLANK_BEFORE_COLON.sub(rb"\1:", content[:MAX_BYTES])
        return _read(message_from_bytes(begin), begin, return_path, now)
    except Exception:  # noqa: BLE001 - the standard library's parser raises whatever a stranger can make it raise
        return NoSignal.NOT_A_REPORT


def _read(message: Message, content: bytes, return_path: ReturnPath, now: datetime) -> list[Signal] | NoSignal:
    report = _report(message)
    if report is None:
        return NoSignal.NOT_A_REPORT
    notification_id = return_path.notification_in(_texts(message, report))
    if notification_id is None:
        return NoSignal.UNTRUSTED
    name = str(message.get("Message-ID", "")).strip().encode("utf-8", "replace") or content
    digest = hashlib.sha256(notification_id.encode() + b"\x1f" + name).hexdigest()[:32]
    at = _date(message, now)
    return [
        Signal(
            source=REPORT,
            source_id=f"{digest}.{index}",
            kind=each.kind,
            at=at,
            notification_id=notification_id,
            address=each.address,
            code=each.code,
            detail=one_line(each.detail, each.address),
        )
        for index, each in enumerate(report.statuses)
        if each.kind is not None
    ]


def _report(message: Message) -> _Report | None:
    """None for what is no report: a reader's automatic answer, a receipt of reading (RFC 8098), any other mail."""
    fields: list[Message] = []
    originals: list[str] = []
    texts: list[str] = []
    statuses: list[RecipientStatus] = []
    for part in _own_parts(message):
        kind = part.get_content_type()
        if kind in _RECEIPT_TYPES:
            return None
        if kind in _STATUS_TYPES or kind in _FEEDBACK_TYPES:
            blocks = status_fields.blocks_of(part)
            fields += blocks
            statuses += _complaints(blocks) if kind in _FEEDBACK_TYPES else status_fields.statuses(blocks)
        elif kind in _ORIGINAL_TYPES:
            originals.append(_head_of(part))
        elif part.get_content_maintype() in ("text", "application") and not part.is_multipart():
            texts.append(_decoded(part))
    if bounce_texts.is_from_a_mailer(message):
        statuses = _explained(statuses, message, texts) if statuses else _from_text(message, texts)
    return _Report(statuses, fields, [*originals, *texts]) if statuses or fields else None


def _own_parts(message: Message) -> Iterator[Message]:
    """The parts of the report, without those of the mail that it returns: a mail may quote another report."""
    left = [(message, 0)]
    for _ in range(_MAX_PARTS):
        if not left:
            return
        part, depth = left.pop(0)
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list) and depth < _MAX_DEPTH:
            left[:0] = [(each, depth + 1) for each in payload if isinstance(each, Message)]
        else:
            yield part


def _from_text(message: Message, texts: list[str]) -> list[RecipientStatus]:
    """A report whose parts have lost their types, or one in words alone."""
    blocks = [block for text in texts if "final-recipient:" in text.lower() for block in _plain_blocks(text)]
    found = list(status_fields.statuses(blocks))
    return found or next(filter(None, (list(bounce_texts.statuses(message, text)) for text in texts)), [])


def _explained(statuses: list[RecipientStatus], message: Message, texts: list[str]) -> list[RecipientStatus]:
    """Where the fields say no more than that it failed, as Exim's do, the words about the same address say why."""
    if not any(each.says_no_cause for each in statuses):
        return statuses
    told = {each.address: each for text in texts for each in bounce_texts.statuses(message, text)}
    return [told.get(each.address, each) if each.says_no_cause else each for each in statuses]


def _plain_blocks(text: str) -> list[Message]:
    part = Message()
    part.set_payload(text[:_MAX_SCANNED])
    return status_fields.blocks_of(part)


def _complaints(blocks: list[Message]) -> Iterator[RecipientStatus]:
    for block in blocks[:1]:
        kind = field(block, "Feedback-Type").lower()
        address = mailbox_or_none(field(block, "Original-Rcpt-To").strip("<>"))
        detail = f"Feedback-Type: {kind}" if kind else ""
        yield RecipientStatus(status_fields.COMPLAINTS.get(kind), address, None, detail)


def _texts(message: Message, report: _Report) -> Iterator[str]:
    """Where the envelope sender of our mail may stand, the most telling first."""
    for name in _ADDRESSED_TO:
        yield from (_bounded(value) for value in message.get_all(name, []))
    for block in report.fields:
        yield from (_bounded(value) for value in block.values())
    yield from report.originals


def _bounded(value: object) -> str:
    return "".join(str(value)[:_MAX_SCANNED].split())


def _head_of(part: Message) -> str:
    """The headers of the mail that a report returns, without the folding that may stand inside an address."""
    payload = part.get_payload()
    if isinstance(payload, list):
        heads = (each for each in payload[:1] if isinstance(each, Message))
        return "\n".join(_bounded(value) for each in heads for value in each.values())
    return _decoded(part).partition("\n\n")[0]


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return str(part.get_payload())[:_MAX_SCANNED].replace("\r\n", "\n")
    try:
        text = payload.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        text = payload.decode("utf-8", "replace")
    if part.get_content_subtype() == "html":
        text = _TAG.sub("", text)
    return text[:_MAX_SCANNED].replace("\r\n", "\n")


def _date(message: Message, now: datetime) -> datetime:
    """When the report was written; now, where it names no time or one to come."""
    try:
        written = parsedate_to_datetime(str(message.get("Date", "")))
        at = written.astimezone(UTC) if written.tzinfo else written.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return now
    return at if at <= now + _MAX_AHEAD else now
