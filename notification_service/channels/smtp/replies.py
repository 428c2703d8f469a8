"""What a reply of an SMTP server means: who is to blame, and how long the server asks us to wait.

RFC 5321 §4.2 (replies), RFC 3463 (enhanced codes), RFC 4954 §6 (authentication). The only module that reads them.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum, auto

_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_WAIT = re.compile(
    r"\b(?:in|after|for|wait|within)\b\D{0,20}?(\d{1,5})\s*(s|sec|second|m|min|minute|h|hour)s?\b", re.IGNORECASE
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_WAIT = 24 * 3600.0
_LONGEST_TEXT = 500

_CHANNEL_CODES = frozenset({421, 454, 530, 534, 535, 538})
_RELAYING = re.compile(r"(?<![\w.@-])relay(?:ing|ed)?(?![\w@-]|\.\w)", re.IGNORECASE)
"""The word as a word: in an address it is somebody's name, and no reason to stop every mail."""


_VARYING = re.compile(r"\S*@\S*|\S*\d\S*")
"""What differs from mail to mail: addresses, queue ids, times, links with an id."""


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
class Reading:
    blame: Blame
    code: str
    """The enhanced code where the server gave one, else the three digits."""
    wait: float | None
    """Seconds that the server named."""


def read(phase: Phase, code: int, text: str) -> Reading:
    enhanced = _ENHANCED.search(text)
    return Reading(
        _blame(phase, code, text, mailbox_full=enhanced is not None and enhanced.group(2, 3) == ("2", "2")),
        enhanced.group() if enhanced else str(code),
        _named_wait(text),
    )


def _blame(phase: Phase, code: int, text: str, *, mailbox_full: bool) -> Blame:
    if phase is Phase.CONNECT or code in _CHANNEL_CODES or _RELAYING.search(text):
        return Blame.CHANNEL
    # Not a reply that RFC 5321 allows here: the conversation cannot be trusted.
    if not 400 <= code < 600:  # noqa: PLR2004 - RFC 5321 §4.2.1
        return Blame.CHANNEL
    # A full mailbox (X.2.2) passes, whatever the first digit says.
    if code < 500 or mailbox_full:  # noqa: PLR2004 - RFC 5321 §4.2.1
        return Blame.MOMENT
    return Blame.CHANNEL if phase is Phase.MAIL else Blame.MESSAGE


def _named_wait(text: str) -> float | None:
    found = _WAIT.search(text)
    if found is None:
        return None
    return min(float(found.group(1)) * _SECONDS[found.group(2)[0].lower()], _LONGEST_WAIT)


def fingerprint(code: int, text: str) -> str:
    """Of a reply without addresses, ids and numbers, 16 hexadecimal digits: equal for equal refusals."""
    kept = " ".join(_VARYING.sub(" ", text).lower().split())
    return hashlib.sha256(f"{code} {kept}".encode()).hexdigest()[:16]


def one_line(text: str) -> str:
    """A reply's text for a log line or a record: one line, printable, bounded."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_TEXT]
