"""The fields of a delivery status or a feedback report: blocks of header lines (RFC 3464 §2.1, RFC 5965 §3)."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from typing import TypeGuard

from notification_service.channels.email.smtp import replies
from notification_service.channels.email.smtp.replies import Blame, Phase
from notification_service.contract.signals import SignalKind
from notification_service.feedback.details import enhanced_code, mailbox_or_none

_MAX_BLOCKS = 100
_KINDS = {
    **dict.fromkeys(("failed", "failure", "expired", "undeliverable", "bounced", "rejected"), SignalKind.BOUNCED),
    **dict.fromkeys(("delayed", "deferred"), SignalKind.DEFERRED),
    "delivered": SignalKind.DELIVERED,
}
"""The words of RFC 3464, and what gateways and services write instead.

`relayed` and `expanded` say that nobody will report further: nothing is learnt (RFC 3464 §2.3.3).
"""
_SILENT = ("relayed", "expanded")
COMPLAINTS = {
    "abuse": SignalKind.COMPLAINED,
    "fraud": SignalKind.COMPLAINED,
    "virus": SignalKind.COMPLAINED,
    "other": SignalKind.COMPLAINED,
    "opt-out": SignalKind.UNSUBSCRIBED,
    "opt-out-list": SignalKind.UNSUBSCRIBED,
}
"""RFC 5965 §7.3. `not-spam` and `auth-failure` (RFC 6591) are no complaints."""
_BASIC_CODE = re.compile(r"(?<![\d.])([45])\d\d(?![\d.])")
_NO_MAILBOX, _FULL, _EXPIRED, _ABOUT_US = "5.1.1", "5.2.2", "4.4.7", "5.7.0"
_TRIED_FOR_LONG = re.compile(r"retry timeout exceeded|retry time not reached|in the queue too long", re.IGNORECASE)
"""How Exim and qmail say that all of their tries were put off."""
_POLICY = re.compile(
    r"\bspam\b|\bpolic(?:y|ies)\b|\bbl(?:ack|ock)[ -]?list|\breputation\b"
    r"|\b(?:message|mail|host|sender|ip|connection) (?:was |is |has |been )*blocked\b",
    re.IGNORECASE,
)
"""What a server says of our content or of us, where it names no address."""


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What a report says of one recipient. `kind` is None where it says nothing that counts."""

    kind: SignalKind | None
    address: str | None
    code: str | None
    detail: str

    @property
    def says_no_cause(self) -> bool:
        """Whether it says nothing but that the mail failed."""
        return self.kind is SignalKind.BOUNCED and self.detail in ("", "5.0.0")


def blocks_of(part: Message) -> list[Message]:
    """The blocks of fields in one part, also where a gateway has encoded it or changed its type."""
    payload = part.get_payload()
    if isinstance(payload, list):
        listed = [each for each in payload if isinstance(each, Message)]
        if any(each.keys() for each in listed):
            # Of other types than message/delivery-status the parser reads one block alone; the rest is its text.
            rest = (block for each in listed for block in _blocks(_text(each)))
            return [*listed, *rest][:_MAX_BLOCKS]
        payload = "\n".join(_text(each) for each in listed)
    text = payload if isinstance(payload, str) else ""
    encoded = str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64"
    return _blocks(_from_base64(text) if encoded else text)


def _text(block: Message) -> str:
    payload = block.get_payload()
    return payload if isinstance(payload, str) else ""


def _blocks(text: str) -> list[Message]:
    lines = text.replace("\r\n", "\n").strip("\n")
    return [message_from_string(each) for each in re.split(r"\n[ \t]*\n", lines)[:_MAX_BLOCKS] if each]


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split())).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return text


def field(block: Message, name: str) -> str:
    """The value on one line; empty where it is missing."""
    return " ".join(str(block.get(name, "")).split())


def statuses(blocks: list[Message]) -> Iterator[RecipientStatus]:
    """Of each recipient that the blocks name. One without an action is read by its status."""
    for block in blocks:
        if any(field(block, name) for name in ("Final-Recipient", "Original-Recipient")) or (
            field(block, "Action") and field(block, "Status")
        ):
            yield _status(block)


def _status(block: Message) -> RecipientStatus:
    diagnostic = field(block, "Diagnostic-Code")
    addresses = (_typed_address(field(block, name)) for name in ("Original-Recipient", "Final-Recipient"))
    address = next(filter(None, addresses), None)
    code = judged_code(field(block, "Status"), diagnostic, address)
    action = field(block, "Action").partition(" ")[0].strip(";,.").lower()
    if action == "expired" and not _is_telling(code):
        code = _EXPIRED
    return RecipientStatus(_kind(action, code), address, code, diagnostic or field(block, "Status"))


def _typed_address(value: str) -> str | None:
    """The address behind its type, as in `rfc822; jane@example.com` (RFC 3464 §2.1.2)."""
    kind, separator, address = value.rpartition(";")
    if separator and kind.strip().lower() not in ("rfc822", "utf-8", "smtp", "internet"):
        return None
    return mailbox_or_none(address.strip().strip("<>"))


def _kind(action: str, code: str | None) -> SignalKind | None:
    if action in _SILENT:
        return None
    by_code = {"5": SignalKind.BOUNCED, "4": SignalKind.DEFERRED}
    return _KINDS.get(action) or by_code.get((code or "")[:1])


def judged_code(status: str, diagnostic: str, address: str | None) -> str | None:
    """The most telling enhanced status code (RFC 3463).

    Some servers write `5.0.0` whatever happened, and the true code into the diagnostic; others write words alone, which
    are read as a reply to RCPT is.
    """
    given, said = enhanced_code(status), enhanced_code(diagnostic)
    if _is_telling(given):
        return given
    if _is_telling(said) and (given is None or said[0] == given[0]):
        return said
    basic = _BASIC_CODE.search(diagnostic)
    code = given or said or (f"{basic[1]}.0.0" if basic else None)
    words = diagnostic[basic.end() :] if basic else diagnostic
    number = int(basic[0]) if basic else 550
    # The words behind the code are the server's own: what stands before them would pass for a quote.
    return _by_words(code, number, words, address or "") if code and code[0] == "5" else code


def _is_telling(code: str | None) -> TypeGuard[str]:
    """Whether it says more than its class: X.Y.0 is "other or undefined" (RFC 3463 §3), and 5.7.0 about us."""
    return code is not None and (not code.endswith(".0") or code.startswith("5.7."))


def _by_words(code: str, number: int, words: str, address: str) -> str:
    if number < 500 or _TRIED_FOR_LONG.search(words):  # noqa: PLR2004 - RFC 5321 §4.2.1
        return _EXPIRED
    verdict = replies.read(Phase.RCPT, number, words, address)
    if verdict.names_address:
        return _NO_MAILBOX
    if verdict.blame is Blame.MESSAGE:
        return _ABOUT_US if _POLICY.search(replies.without_quotes(words)) else code
    return _FULL if verdict.blame is Blame.MOMENT else _ABOUT_US
