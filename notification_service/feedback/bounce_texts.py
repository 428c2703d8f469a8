"""Bounces in words alone: qmail, older versions of Exim, and what gateways leave of a report. Pure.

Only what a mailer says of itself is read so: a reader's own automatic answer may quote anything.
"""

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

from notification_service.contract.signals import SignalKind
from notification_service.feedback.details import mailbox_or_none
from notification_service.feedback.status_fields import RecipientStatus, judged_code

_MAILER = re.compile(r"mailer.?daemon|post_?master|mail deliver(?:y|er)? |mailsystem|mail-?daemon|<\s*>", re.IGNORECASE)
_SAYS_SO = re.compile(
    r"qmail-send program|created automatically by mail delivery software|could not be delivered"
    r"|unable to deliver|wasn't able to deliver|(?<!still )undeliver(?:able|ed)|delivery (?:has )?fail(?:ed|ure)"
    r"|delivery to the following|couldn't be delivered|(?:was|has) not (?:been )?delivered|returned mail"
    r"|did not reach|(?:were|was) rejected|had (?:permanent|fatal|delivery) (?:fatal )?errors"
    r"|failure (?:notice|reasons)|error has occurred while attempting to deliver|notification: error"
    r"|user unknown|unknown user"
    # The same in other languages, as Exchange, Gmail and carriers write it.
    r"|unzustellbar|nicht zugestellt|non remis|pas (?:pu )?être (?:remis|distribué)"
    r"|no se (?:ha (?:podido )?|pudo |puede )entrega|não (?:foi (?:possível)?|pôde|é possível)[^.]{0,20} ?entreg"
    r"|mancato recapito|impossibile recapitare|non (?:è stato |può essere )?recapita|niet (?:worden )?(?:bezorg|bestel)"
    r"|не (?:может быть |удалось |было )?достав|недоставлен"
    r"|送信できませんでした|配信できません|配信不能|退信|未能送达|无法送达|無法(?:傳遞|送達)|未能傳遞"
    r"|nie (?:można|udało się|została?) dostarcz|niedostarcz|nebyl[ao]? (?:možné )?doruč|nedoruč"
    r"|(?:inte|ikke) (?:kunne )?lever|olevere|ei voitu toimittaa|teslim edilemedi"
    r"|(?:전달|배달|전송)(?:할 수 없|하지 못|되지 않)|تعذر تسليم|لم يتم تسليم|(?:डिलीवर|वितरित) नहीं",
    re.IGNORECASE,
)
_REFUSAL = re.compile(r"^[^\w\n]{0,8}5\d\d[ -]", re.MULTILINE)
"""A line with a server's refusal, which needs no language."""
_DELAYED = re.compile(
    r"has not yet been delivered|will (?:be|keep) (?:re)?tr(?:ied|ying)|delivery is delayed|warning message only"
    r"|do not need to (?:do anything|resend)|attempts will continue|still undelivered|\bdelayed \d+ hours",
    re.IGNORECASE,
)
_COPY = re.compile(
    r"^[ \t]{0,8}-{2,20}.{0,80}(?:copy of (?:the|your) message|original message|headers follow"
    r"|body (?:of|follows)|unsent message|returned message).*$"
    r"|^[ \t]{0,8}(?:below is a copy of (?:the|your) .{0,20}message|original message (?:headers )?follows)\b.*$",
    re.IGNORECASE | re.MULTILINE,
)
_QMAIL = re.compile(r"^<([^<>\s]{3,320})>:[ \t]*\n?((?:(?!<[^<>\s]+>:)[^\n]*\S[^\n]*\n?){0,20})", re.MULTILINE)
_EXIM = re.compile(r"^ {2}([^\s<>@]{1,64}@[^\s<>@]{1,255})\s*\n((?: {4}[^\n]*\n?){0,20})", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:@]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_FAILED_HEADER = "X-Failed-Recipients"
_MAX_TEXT = 64 * 1024
_MAX_HEAD = 2000
_MAX_RECIPIENTS = 50


def is_from_a_mailer(message: Message) -> bool:
    """Whether a mailer is named as the report's author, or nobody is (RFC 5321 §4.5.5).

    An empty Return-Path is not enough: a reader's automatic answer has one too (RFC 3834 §3.3).
    """
    named = [_head(message, name) for name in ("From", "Sender") if message[name]]
    return not named or bool(_MAILER.search(" ".join(named))) or message.get(_FAILED_HEADER) is not None


def statuses(message: Message, text: str) -> Iterator[RecipientStatus]:
    """Of each recipient that the words name, above the copy of the mail. `text`: the report's own."""
    own = _above_the_copy(text[:_MAX_TEXT].replace("\r\n", "\n"))
    if not (is_from_a_mailer(message) and _says_so(message, own)):
        return
    kind = SignalKind.DEFERRED if _DELAYED.search(f"{_head(message, 'Subject')}\n{own}") else SignalKind.BOUNCED
    found = [*_QMAIL.finditer(own), *_EXIM.finditer(own)][:_MAX_RECIPIENTS]
    for each in found:
        yield _status(kind, each[1], each[2] if each[2].strip() else _reason(own))
    if not found:
        yield _status(kind, _named(message, own), _reason(own))


def _says_so(message: Message, own: str) -> bool:
    if message.get(_FAILED_HEADER) is not None:
        return True
    said = f"{_head(message, 'Subject')}\n{own}"
    return bool(_SAYS_SO.search(said) or _DELAYED.search(said) or _REFUSAL.search(own))


def _reason(own: str) -> str:
    """What the server said, where a line holds that; else all of it."""
    refusal = _REFUSAL.search(own)
    return own[refusal.start() :] if refusal else own


def _named(message: Message, own: str) -> str:
    """The recipient in whatever format: the first address that is none of the report's own; empty without one."""
    if failed := _head(message, _FAILED_HEADER).partition(",")[0].strip():
        return failed
    heads = " ".join(_head(message, name) for name in ("From", "Sender", "To", "Reply-To")).lower()
    named = (each[0].rstrip(".") for each in _ADDRESS.finditer(own))
    return next((each for each in named if each.lower() not in heads), "")


def _head(message: Message, name: str) -> str:
    """Encoded words are decoded (RFC 2047), where that can be done."""
    value = str(message.get(name, ""))[:_MAX_HEAD]
    try:
        return str(make_header(decode_header(value)))
    except (MessageError, LookupError, ValueError):
        return value


def _status(kind: SignalKind, address: str, said: str) -> RecipientStatus:
    mailbox, reason = mailbox_or_none(address), " ".join(said.split())
    code = judged_code("" if kind is SignalKind.DEFERRED else "5.0.0", reason, mailbox)
    return RecipientStatus(kind, mailbox, code, reason)


def _above_the_copy(text: str) -> str:
    found = _COPY.search(text)
    return text[: found.start()] if found else text
