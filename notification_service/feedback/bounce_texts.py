"""Bounces in words alone: qmail, older versions of Exim, and what gateways leave of a report. Pure.

Only what a mailer says of itself is read so: a reader's own automatic answer may quote anything.
"""

import re
from collections.abc import Iterator
from email.message import Message

from notification_service.contract.signals import SignalKind
from notification_service.feedback.details import mailbox_or_none
from notification_service.feedback.status_fields import RecipientStatus, judged_code

_MAILER = re.compile(
    r"mailer-?daemon|postmaster|mail delivery (?:sub)?system|mailsystem|mail-?daemon|<>", re.IGNORECASE
)
_SAYS_SO = re.compile(
    r"qmail-send program|created automatically by mail delivery software|could not be delivered"
    r"|unable to deliver|wasn't able to deliver|undeliver(?:able|ed)|delivery (?:has )?failed"
    r"|delivery to the following|couldn't be delivered|has not been delivered|returned mail|did not reach",
    re.IGNORECASE,
)
_DELAYED = re.compile(
    r"has not yet been delivered|will (?:be|keep) (?:re)?tr(?:ied|ying)|delivery is delayed|warning message only"
    r"|do not need to (?:do anything|resend)",
    re.IGNORECASE,
)
_COPY = re.compile(
    r"^-{2,}.{0,80}(?:copy of (?:the|your) message|original message|headers follow|body (?:of|follows)).*$",
    re.IGNORECASE | re.MULTILINE,
)
_QMAIL = re.compile(r"^<([^<>\s]{3,320})>:[ \t]*\n?((?:(?!<[^<>\s]+>:)[^\n]*\S[^\n]*\n?){0,20})", re.MULTILINE)
_EXIM = re.compile(r"^ {2}([^\s<>@]{1,64}@[^\s<>@]{1,255})\s*\n((?: {4}[^\n]*\n?){0,20})", re.MULTILINE)
_FAILED_HEADER = "X-Failed-Recipients"
_MAX_TEXT = 64 * 1024
_MAX_RECIPIENTS = 50


def is_from_a_mailer(message: Message) -> bool:
    """Whether the report's own headers name a mailer as its author, or no author at all (RFC 5321 §4.5.5)."""
    named = " ".join(str(message.get(name, "")) for name in ("From", "Return-Path", "Sender"))
    return bool(_MAILER.search(named)) or message.get(_FAILED_HEADER) is not None


def statuses(message: Message, text: str) -> Iterator[RecipientStatus]:
    """Of each recipient that the words name, above the copy of the mail. `text`: the report's own."""
    own = _above_the_copy(text[:_MAX_TEXT].replace("\r\n", "\n"))
    if not (is_from_a_mailer(message) and (_SAYS_SO.search(own) or message.get(_FAILED_HEADER) is not None)):
        return
    kind = SignalKind.DEFERRED if _DELAYED.search(own) else SignalKind.BOUNCED
    found = [*_QMAIL.finditer(own), *_EXIM.finditer(own)][:_MAX_RECIPIENTS]
    for each in found:
        yield _status(kind, each[1], " ".join(each[2].split()))
    if not found:
        named = str(message.get(_FAILED_HEADER, "")).split(",")[:_MAX_RECIPIENTS]
        for address in filter(None, map(str.strip, named)):
            yield _status(kind, address, " ".join(own.split()))


def _status(kind: SignalKind, address: str, reason: str) -> RecipientStatus:
    mailbox = mailbox_or_none(address)
    code = judged_code("" if kind is SignalKind.DEFERRED else "5.0.0", reason, mailbox)
    return RecipientStatus(kind, mailbox, code, reason)


def _above_the_copy(text: str) -> str:
    found = _COPY.search(text)
    return text[: found.start()] if found else text
