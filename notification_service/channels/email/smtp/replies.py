"""What a reply of an SMTP server means: who is to blame, and how long the server asks us to wait.

RFC 5321 §4.2 (replies), RFC 3463 (enhanced codes), RFC 4954 §6 (authentication). The only module that reads them.
Customers choose addresses at servers of their own, so what a server quotes of another one blames nobody.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum, auto

from notification_service.channels.email.smtp.reply_codes import HINTS, About, ground

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_MAX_READ_LENGTH = 2000
"""Characters; RFC 5321 §4.5.3.1.5 allows 512 a line."""
_MAX_TEXT_LENGTH = 500

CLOSING = 421
"""RFC 5321 §3.8: it closes this connection."""
_PASSING = ("2.2", "2.121", "2.122")
"""A full mailbox passes, whatever the first digit says, and so does one that gets too much (Exchange Online)."""
_BAD_CONNECTION = "4.2"
_OF_ONE_MAIL = (About.RECIPIENT, About.ADDRESS, About.FULL)
_ADDRESS_CODES = ("1.1", "1.2", "1.3", "1.6", "1.10")
"""RFC 3463 §3.2 and RFC 7505: bad mailbox, bad system, bad syntax, moved, no mail taken."""
_OF_THE_MESSAGE = re.compile(r"[45]\.(?:2\.3|3\.4|6\.\d+)")
"""Its size or its letters (RFC 3463): the message's even at MAIL, where RFC 1870 and 6531 have them told."""

_GREYLIST = re.compile(r"gr[ea]y.?list", re.IGNORECASE)
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
"""Where the words of a third server begin."""
_QUOTED = re.compile(r"\bin (?:reply|response) to\b.{0,40}\bcommand\b", re.IGNORECASE)
"""Postfix writes it behind the words of a third server, so all before it may be theirs."""

_AMOUNTS = {
    **dict.fromkeys(("a", "an", "one", "eine", "einer", "une", "un", "una"), 1.0),
    "half an": 0.5,
    "two": 2.0,
    "three": 3.0,
    "four": 4.0,
    "five": 5.0,
    "ten": 10.0,
    "fifteen": 15.0,
    "thirty": 30.0,
    "twelve": 12.0,
    "twenty": 20.0,
    "sixty": 60.0,
}
_UNITS = {
    **dict.fromkeys(("stunde", "h", "o", "u", "godz"), 3600),
    **dict.fromkeys(("d", "t", "j", "g"), 86400),
    "s": 1,
    "m": 60,
    "w": 604800,
}
"""By how they begin; a German hour begins like a second, and a Polish one like an Italian day."""
_UNIT = (
    r"(?:seconds?|secs?|sekunden?|secondes?|segundos?|s|minutes?|mins?|minuten?|minutos?|minut[aioye]?|m|"
    r"hours?|hrs?|stunden?|heures?|horas?|or[ae]|uur|uren|godzin\w?|h|"
    r"days?|tagen?|tage?|jours?|giorn[oi]|d.as?|dag(?:en)?|dni|d|weeks?)(?![a-z])"
)
_AMOUNT = rf"(?:\d{{1,7}}|\b(?:{'|'.join(sorted(_AMOUNTS, key=len, reverse=True))})(?=[ -]))"
_SPAN = rf"{_AMOUNT}\s?-?{_UNIT}(?:,? ?(?:and |und |et )?\d{{1,5}}\s?{_UNIT}){{0,3}}"
_CLOCK = r"\d{1,3}:\d\d:\d\d"
_AGAIN = (
    r"\b(?:try|tries|trying|retry\w*|retries|again|back|wait|waiting|resend|re-?submit\w*|return|gr[ea]y-?list\w*|defer\w*|delay\w*|"
    r"block\w*|banned|suspended|limited|later|unavailable|versuch\w*|erneut|r.essay\w*|attend\w*|int.nt\w*|esper\w*|patient\w*|"
    r"riprov\w*|tent\w*|probeer|opnieuw|spr.buj|ponownie|resets?|renew\w*|expires?|remaining)\b"
)
_WAIT = re.compile(
    rf"{_AGAIN}(?P<between>.{{0,60}}?)(?<![\w.:-])(?P<wait>{_CLOCK}|{_SPAN})"
    rf"|(?<![\w.:-])(?P<before>{_CLOCK}|{_SPAN}) (?:before|until|till|later|remaining|left|erneut)\b",
    re.IGNORECASE,
)
_WINDOW = re.compile(r"\b(?:last|past|previous|prior|per|every|than|rate|limit|of)\W*$|\bmessages?\b", re.IGNORECASE)
"""What stands before a number of hours that is no wait, but a time in which was counted."""
_PART = re.compile(rf"({_AMOUNT})\s?-?({_UNIT})", re.IGNORECASE)
_MAX_WAIT = 3 * 86400.0
"""Seconds: well within PARKING_DAYS and VERDICT_DAYS as they are by default."""

_VARYING = re.compile(
    r"https?://\S*|(?<!\S)\S*\d\S*|\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b"
    r"|\b(?!(?:[A-Z]+|[A-Z]?[a-z]{2,})+\b)(?=\w*[a-z])(?=\w*[A-Z])[A-Za-z]{8,}\b"
    r"|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|AM|PM|UTC|GMT)\b,?"
)
"""What differs from mail to mail: links, queue ids, addresses of hosts and their names, times."""


class Phase(Enum):
    CONNECT = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()


class Blame(Enum):
    CHANNEL = auto()
    """Our login, our address, our network, their server: no message is at fault."""
    ACCOUNT = auto()
    """Our sender, client, quota or reputation, said where a recipient or a content could have been refused."""
    MOMENT = auto()
    """Not now: the same mail may be accepted later."""
    MESSAGE = auto()
    """This address or this content, for good."""


@dataclass(frozen=True, slots=True)
class ReplyVerdict:
    """`session`: on a session that was used before, a fresh one may do at once. `hint`: what an operator can do."""

    blame: Blame
    code: str
    """The enhanced code where the server gave one, else the three digits."""
    wait: float | None
    """Seconds that the server named."""
    session: bool = False
    hint: str = ""
    names_address: bool = False
    """It says that there is nobody of this address: how often it is said tells nothing of us."""


def read(phase: Phase, code: int, text: str, recipient: str = "") -> ReplyVerdict:
    text = text[:_MAX_READ_LENGTH]
    words = own_words(text)
    own = _enhanced(words)
    about = _about_either(code, own, words, _without_name(words, recipient))
    # What is quoted blames nobody, but may name what becomes of this one mail.
    enhanced = own or _enhanced(text)
    return ReplyVerdict(
        _blame(phase, code, enhanced, about),
        enhanced or str(code),
        _named_wait(text),
        session=_is_refusal(code) and about is About.SESSION,
        hint=HINTS.get(about, "") if about else "",
        names_address=about is About.ADDRESS or (enhanced or "")[2:] in _ADDRESS_CODES,
    )


def own_words(text: str) -> str:
    """What the server says for itself: without addresses, and without what it quotes of another server."""
    words = " ".join(_ADDRESS.sub(" ", text[:_MAX_READ_LENGTH]).split())
    quote = _QUOTE.search(words)
    if quote:
        return words[: quote.start()].rstrip()
    return "" if _QUOTED.search(words) else words


def _without_name(words: str, recipient: str) -> str:
    """Without the recipient's name and domain, where they stand by themselves: `User dmarc unknown`."""
    names = sorted(filter(None, recipient.rpartition("@")[::2]), key=len, reverse=True)
    if not any(name.casefold() in words.casefold() for name in names):
        return words
    return re.sub(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?![\w-]|\.\w)", " ", words, flags=re.IGNORECASE)


def _enhanced(text: str) -> str | None:
    found = _ENHANCED.search(text)
    return found.group() if found else None


def _is_refusal(code: int) -> bool:
    return 400 <= code < 600  # noqa: PLR2004 - RFC 5321 §4.2.1


def _about_either(code: int, enhanced: str | None, words: str, nameless: str) -> About | None:
    """Customers choose their names: what is about the recipient without them is not about us because of them."""
    about = _about(code, enhanced, nameless)
    return about if nameless == words or about in _OF_ONE_MAIL else _about(code, enhanced, words)


def _about(code: int, enhanced: str | None, words: str) -> About | None:
    if code < 500 and _GREYLIST.search(words):  # noqa: PLR2004 - RFC 5321 §4.2.1
        return About.RECIPIENT
    detail = enhanced[2:] if enhanced else ""
    if detail in _PASSING:
        return About.FULL
    about = ground(code, enhanced, words)
    # RFC 3463: X.4.2 is a connection that went bad, such as one that was idle for too long.
    return about or (About.SESSION if detail == _BAD_CONNECTION else None)


def _blame(phase: Phase, code: int, enhanced: str | None, about: About | None) -> Blame:
    # A reply that RFC 5321 does not allow here: the conversation cannot be trusted.
    if phase is Phase.CONNECT or not _is_refusal(code):
        return Blame.CHANNEL
    passes = code < 500 or about is About.FULL or (enhanced or "")[2:] in _PASSING  # noqa: PLR2004 - RFC 5321 §4.2.1
    passing = Blame.MOMENT if passes else Blame.MESSAGE
    if phase is Phase.MAIL:
        # Nobody was named yet but us, and no size: what is refused here is refused to all.
        return passing if enhanced and _OF_THE_MESSAGE.fullmatch(enhanced) else Blame.CHANNEL
    if about in _OF_ONE_MAIL:
        return passing
    # Behind a relay may stand a customer's server that closes: one domain alone shuts the channel for nobody else.
    return Blame.ACCOUNT if about is not None or code == CLOSING else passing


def _named_wait(text: str) -> float | None:
    for found in _WAIT.finditer(" ".join(text.split())):
        if found["wait"] and _WINDOW.search(found["between"]):
            continue
        return min(_seconds(found["wait"] or found["before"]), _MAX_WAIT)
    return None


def _seconds(span: str) -> float:
    if ":" in span:
        hours, minutes, seconds = map(int, span.split(":"))
        return hours * 3600.0 + minutes * 60 + seconds
    return sum(_amount(amount) * _unit(unit.lower()) for amount, unit in _PART.findall(span))


def _amount(text: str) -> float:
    return float(text) if text.isdigit() else _AMOUNTS[text.lower()]


def _unit(unit: str) -> int:
    return next(seconds for beginning, seconds in _UNITS.items() if unit.startswith(beginning))


def fingerprint(code: int, text: str, recipient: str = "") -> str:
    """Of what a server says for itself, without what differs from mail to mail: 16 hexadecimal digits.

    Equal for equal refusals.
    """
    words = own_words(text)
    kept = " ".join(re.findall(r"[^\W_]+", _VARYING.sub(" ", _without_name(words, recipient)).lower()))
    return hashlib.sha256(f"{code} {_enhanced(words) or ''} {kept}".encode()).hexdigest()[:16]


def one_line(text: str) -> str:
    """A reply's text for a log line or a record: one line, printable, bounded."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MAX_TEXT_LENGTH]
