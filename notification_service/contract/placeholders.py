"""Recognises placeholders for unknown values in events and in the directory, and texts that are not a person's name."""

import re
import unicodedata

from notification_service.foundation.html_entities import unescaped
from notification_service.foundation.printable import is_blank

_PLACEHOLDERS = re.compile(
    r"[\W_]*(unknown|none|null|nil|nan|n/?a|undefined|not (available|provided|known|set))"
    r"([\W_]+(unknown|none|null|nil|nan|n/?a|undefined|user|customer|name|first|last|email"
    r"|movie|time|showtime|cinema|theat(er|re)|title|seats?))*[\W_]*",
    re.IGNORECASE,
)
_DASH = r"-\u2010-\u2015\u2212"
_PRINTED = re.compile(
    rf"\[object \w+\]|invalid ?date(?: ?time)?|(?-i:NaT)|%!\w\(.*\)|#(?:ref|value|name|num|div/0)[!?]"
    rf"|[:/. ]*[{_DASH}][{_DASH}:/. ]*|\[\s*\]|\{{\s*\}}|\"\s*\"|'\s*'",
    re.IGNORECASE,
)
"""What JavaScript, pandas, Go and spreadsheets print where there is no value; dashes; an empty list, object or text."""
_PRINTED_STARTS = frozenset("[{\"'%#:/.iIN-\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
"""Their first characters: a look at one spares most texts the pattern."""

_JOINERS = "\u200c\u200d"
"""Invisible, but Persian and Hindi are written with them."""

_NEVER_IN_NAMES = frozenset('@:/\\<>{}[]|=#%^*+~"!?\u3002\uff01\uff1f')
_LINK = re.compile(
    r"\w{2,}(\.|\s+\.\s*|\s*\((\.|dot)\)\s*)\w{2,}|\bwww\b|\bhttps?\b|\bdot\s+(com|net|org)\b", re.IGNORECASE
)
_ADVERTISEMENT = re.compile(r"\b(click|claim|prize|reward|bonus|winner|congratulations)\b", re.IGNORECASE)
_NOBODY = re.compile(
    r"((guest|user|customer|member|visitor|anonymous|deleted|unnamed|first|last|full|no|name|not|given|specified"
    r"|tbd|tba)[\W_]*)+",
    re.IGNORECASE,
)
"""What systems write for people whose name they do not know, and the names of their own fields."""
_MAX_NAME_LENGTH = 40
_MAX_WORDS = 6
_MAX_READ_LENGTH = 500


def known(text: object) -> str | None:
    """The text, stripped; None if it is not a text, if nobody sees any of it, or it is a placeholder like `unknown`."""
    if not isinstance(text, str):
        return None
    # JSON can contain half a surrogate pair, which no store or mail can encode.
    shown = text.encode("utf-8", "replace").decode().strip()
    if is_blank(shown) or _PLACEHOLDERS.fullmatch(shown):
        return None
    return None if shown[0] in _PRINTED_STARTS and _PRINTED.fullmatch(shown) else shown


def name(text: object) -> str | None:
    """A name for the greeting: one line of at most 40 characters; None if the text is not a name.

    People choose the names of their accounts. A text with a link, an address, a number or an amount, or a whole
    sentence, may be an advertisement, which our mails must not carry.
    """
    shown = known(text)
    if shown is None or len(shown) > _MAX_READ_LENGTH:
        return None
    shown = unescaped(shown)
    line = " ".join(_visible(shown).split())
    # Full-width letters and dots look, and make links, like the others.
    if known(line) is None or _NOBODY.fullmatch(line) or not _is_name(unicodedata.normalize("NFKC", line)):
        return None
    return line if len(line) <= _MAX_NAME_LENGTH else _shortened(line)


def _visible(text: str) -> str:
    spaced = "".join(" " if character in "\r\n\t\v\f\u2028\u2029" else character for character in text)
    return "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))


def _is_name(line: str) -> bool:
    if _NEVER_IN_NAMES & set(line) or len(line.split()) > _MAX_WORDS:
        return False
    if _LINK.search(line) or _ADVERTISEMENT.search(line):
        return False
    kinds = {unicodedata.category(character) for character in line}
    return not kinds & {"Sc", "Nd", "No"} and any(character.isalpha() for character in line)


def _shortened(line: str) -> str:
    whole_words = line[: _MAX_NAME_LENGTH + 1].rpartition(" ")[0]
    return whole_words or line[:_MAX_NAME_LENGTH]
