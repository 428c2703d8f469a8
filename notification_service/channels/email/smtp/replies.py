"""Reads a reply of an SMTP server: who is to blame for a refusal, and how long the server asks us to wait.

RFC 5321 §4.2 (replies), RFC 3463 (enhanced status codes), RFC 4954 §6 (authentication).
Customers choose addresses at servers of their own, so what a server quotes of another server blames nobody.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum, auto

from notification_service.channels.email.smtp.refusal_causes import HINTS, Cause
from notification_service.channels.email.smtp.reply_codes import cause_of
from notification_service.channels.email.smtp.server_waits import server_wait_s

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_MAX_READ_LENGTH = 2000
"""Characters; RFC 5321 §4.5.3.1.5 allows 512 a line."""
_MAX_TEXT_LENGTH = 500

CLOSING = 421
"""The server closes this connection (RFC 5321 §3.8)."""
_TEMPORARY_CODES = ("2.2", "2.121", "2.122")
"""A mailbox that is full, or gets too much mail (Exchange Online): temporary, whatever the first digit says."""
_OVER_QUOTA = "2.2"
_WHAT_WE_SEND = re.compile(
    r"^(?!.*\brecipient).*\b(?:send(?:ing|er.?s?)?|outgoing|outbound|daily|hourly|monthly|relay)\b[^.;]{0,40}\b(?:quota|limit)",
    re.IGNORECASE,
)
"""Some servers say X.2.2 of the sender's quota too."""
_BAD_CONNECTION = "4.2"
_RECIPIENT_CAUSES = (Cause.RECIPIENT, Cause.ADDRESS, Cause.FULL)
_ADDRESS_CODES = ("1.1", "1.2", "1.3", "1.6", "1.10")
"""RFC 3463 §3.2 and RFC 7505: bad mailbox, bad system, bad syntax, mailbox moved, domain takes no mail."""
_MESSAGE_CODES = re.compile(r"[45]\.(?:2\.3|3\.4|6\.\d+)")
"""Size and characters of the message (RFC 3463). RFC 1870 and 6531 announce both at MAIL already."""

_GREYLIST = re.compile(r"gr[ea]y.?list", re.IGNORECASE)
_FOR_A_WHILE = re.compile(
    r"gr[ea]y.?list|\btemporar|\bmomentar|(?<!or )\blater\b|\bplease (?:re-?try|re-?send)\b"
    r"|\b(?:try|retry|re-?send|wait|again|back)\b[^.;:]{0,20}?\b(?:soon|shortly|in (?:a|an|\d+|some) \w+)\b"
    r"|\bsp.ter\b|\bplus tard\b|\bm.s tarde\b|\bpi. tardi\b|\bmais tarde\b|позже|稍后|稍後|しばらく",
    re.IGNORECASE,
)
"""Words of servers that say 5xx and mean 4xx."""
_ADDRESS = re.compile(r"<[^<>/]*>|(?<!\S)[^\s@]*@\S*")
_QUOTE = re.compile(
    r"\b(?:said|says|saying|answered|replied|responded|reported|gave|returned|sagte|antwortete|respondi.)\b"
    r"[^:'\"]{0,40}?(?:[:'\"]|\b[45]\d\d(?=[ -]))"
    r"|\bresponded with\b|\bremote (?:smtp |mail ?)?(?:host|server|mta|mx|system)\b"
    r"|\b(?:remote|last|delivery|smtp|transport|the) error\b.{0,12}?\b(?:was|is|from|message|returned)\b"
    r"|\berror (?:was|is|from)\b"
    r"|\b(?:response|reply|answer|diagnostic(?:.code)?)\s*:"
    r"|\b(?:unverified|undeliverable|unverifiable|unreachable) address\b|\bverif\w+ (?:failed\s*:|callout\b)"
    r"|\bcall-?(?:out|ahead|back)\b|\bcalled:|\blost connection with\b|\bconnect(?:ion|ing)? to \S"
    r"|\b(?:destination|upstream|downstream|next.?hop|recipient'?s?) (?:mail ?)?(?:server|host|mx|mta)\b"
    r"|(?<=[\s:;,(\"'\[=>-])[245]\d\d[ -]+#?[245]\.\d{1,3}\.\d{1,3}\b"
    r"|(?<=[:;,(\"'\[=])\s*[45]\d\d[ -](?=[^\d\s])",
    re.IGNORECASE,
)
"""Where the reply begins to quote another server."""
_QUOTED = re.compile(r"\bin (?:reply|response) to\b.{0,40}\bcommand\b", re.IGNORECASE)
"""Postfix writes this behind a quote, so all text before it may be the other server's."""

_VARYING = re.compile(
    r"https?://\S*|(?<!\S)\S*\d\S*|\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b"
    r"|\b(?!(?:[A-Z]+|[A-Z]?[a-z]{2,})+\b)(?=\w*[a-z])(?=\w*[A-Z])[A-Za-z]{8,}\b"
    r"|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|AM|PM|UTC|GMT)\b,?"
)
"""What differs between replies to one cause: links, queue ids, IP addresses, host names, times."""


class Phase(Enum):
    CONNECT = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()


class Blame(Enum):
    CHANNEL = auto()
    """Our login, our IP address, our network or the server itself; no message is at fault."""
    ACCOUNT = auto()
    """Our sender, client, quota or reputation, at a step where a recipient or a content could be refused as well."""
    MOMENT = auto()
    """The same message may be accepted later."""
    MESSAGE = auto()
    """This address or this content is refused for good."""


@dataclass(frozen=True, slots=True)
class ReplyVerdict:
    """`session_spent`: the reply is about this session alone. `hint`: what an operator can do."""

    blame: Blame
    code: str
    """The enhanced code where the server gave one, else the three digits."""
    wait: float | None
    """Seconds that the server asks us to wait."""
    session_spent: bool = False
    hint: str = ""
    names_address: bool = False
    """The reply says that the address does not exist. However often it comes, it is not about us."""


def read(phase: Phase, code: int, text: str, recipient: str = "") -> ReplyVerdict:
    """Returns who is to blame for a reply that is no success, and what follows from it."""
    text = text[:_MAX_READ_LENGTH]
    own_text = without_quotes(text)
    own_code = _enhanced(own_text)
    nameless = _without_name(own_text, recipient)
    cause = _cause(code, own_code, own_text, nameless) if is_refusal(code) else Cause.PROTOCOL
    # A quoted code blames nobody, but may say what becomes of this one message.
    enhanced = own_code or _enhanced(text)
    return ReplyVerdict(
        _blame(phase, code, enhanced, cause, passing=_is_passing(code, own_code, nameless, cause)),
        enhanced or str(code),
        server_wait_s(text),
        session_spent=is_refusal(code) and cause is Cause.SESSION,
        hint=HINTS.get(cause, "") if cause else "",
        names_address=cause is Cause.ADDRESS or (enhanced or "")[2:] in _ADDRESS_CODES,
    )


def without_quotes(text: str) -> str:
    """Returns the server's own text: without addresses, and without what it quotes of another server."""
    bare = " ".join(_ADDRESS.sub(" ", text[:_MAX_READ_LENGTH]).split())
    quote = _QUOTE.search(bare)
    if quote:
        return bare[: quote.start()].rstrip()
    return "" if _QUOTED.search(bare) else bare


def _without_name(text: str, recipient: str) -> str:
    """Remove the recipient's local part and domain where they stand alone, as in `User dmarc unknown`."""
    names = sorted(filter(None, recipient.rpartition("@")[::2]), key=len, reverse=True)
    if not any(name.casefold() in text.casefold() for name in names):
        return text
    return re.sub(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?![\w-]|\.\w)", " ", text, flags=re.IGNORECASE)


def _enhanced(text: str) -> str | None:
    found = _ENHANCED.search(text)
    return found.group() if found else None


def is_refusal(code: int) -> bool:
    """Whether a reply says no, for now or for good; what is neither this nor the wanted code may answer anything."""
    return 400 <= code < 600  # noqa: PLR2004 - RFC 5321 §4.2.1


def _cause(code: int, enhanced: str | None, text: str, nameless: str) -> Cause | None:
    """The cause by the text without the recipient's name, which customers choose, else by the whole text."""
    cause = _cause_in(code, enhanced, nameless)
    return cause if nameless == text or cause in _RECIPIENT_CAUSES else _cause_in(code, enhanced, text)


def _cause_in(code: int, enhanced: str | None, text: str) -> Cause | None:
    if code < 500 and _GREYLIST.search(text):  # noqa: PLR2004 - RFC 5321 §4.2.1
        return Cause.RECIPIENT
    detail = enhanced[2:] if enhanced else ""
    if detail == _OVER_QUOTA and _WHAT_WE_SEND.search(text):
        return Cause.QUOTA
    if detail in _TEMPORARY_CODES:
        return Cause.FULL
    # RFC 3463: X.4.2 is a bad connection, such as one that was idle for too long.
    return cause_of(code, enhanced, text) or (Cause.SESSION if detail == _BAD_CONNECTION else None)


def _is_passing(code: int, enhanced: str | None, text: str, cause: Cause | None) -> bool:
    """Whether the refusal is for a while: by its first digit, else by its enhanced code or its words.

    An address that does not exist stays refused whatever else is said: "unknown user, check it and try again later".
    """
    if code < 500 or cause is Cause.FULL:  # noqa: PLR2004 - RFC 5321 §4.2.1
        return True
    if cause is Cause.ADDRESS or (enhanced and enhanced[2:] in _ADDRESS_CODES):
        return False
    return bool((enhanced and enhanced[0] == "4") or _FOR_A_WHILE.search(text))


def _blame(phase: Phase, code: int, enhanced: str | None, cause: Cause | None, *, passing: bool) -> Blame:
    if phase is Phase.CONNECT:
        return Blame.CHANNEL
    if not is_refusal(code):
        # RFC 5321 does not allow it here. One recipient alone, whose server may say so, must not stop the others.
        return Blame.CHANNEL if phase is Phase.MAIL else Blame.ACCOUNT
    blame = Blame.MOMENT if passing or (enhanced or "")[2:] in _TEMPORARY_CODES else Blame.MESSAGE
    if phase is Phase.MAIL:
        # Only our sender was named yet, so the server refuses every message of ours.
        return blame if enhanced and _MESSAGE_CODES.fullmatch(enhanced) else Blame.CHANNEL
    if cause in _RECIPIENT_CAUSES:
        return blame
    # A relay may pass on the 421 of a customer's own server: one domain alone must not stop the others.
    return Blame.ACCOUNT if cause is not None or code == CLOSING else blame


def fingerprint(code: int, text: str, recipient: str = "") -> str:
    """Returns 16 hexadecimal digits that are equal for refusals of one wording.

    Quotes and what differs from message to message do not count.
    """
    own_text = without_quotes(text)
    kept = " ".join(re.findall(r"[^\W_]+", _VARYING.sub(" ", _without_name(own_text, recipient)).lower()))
    return hashlib.sha256(f"{code} {_enhanced(own_text) or ''} {kept}".encode()).hexdigest()[:16]


def one_line(text: str) -> str:
    """Returns a reply's text for a log line or a record: one line, printable, at most 500 characters."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MAX_TEXT_LENGTH]
