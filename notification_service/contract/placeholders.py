"""What stands for "not known" in events and in the directory, and what is no name of a person."""

import re
import unicodedata

from notification_service.foundation.html_entities import unescaped

_PLACEHOLDERS = re.compile(
    r"[\W_]*(unknown|none|null|nil|nan|n/?a|undefined|not (available|provided|known|set))"
    r"([\W_]+(unknown|none|null|nil|nan|n/?a|undefined|user|customer|name|first|last|email"
    r"|movie|time|showtime|cinema|theat(er|re)|title|seats?))*[\W_]*",
    re.IGNORECASE,
)
_JOINERS = "\u200c\u200d"
"""Invisible, but Persian and Hindi are written with them."""

_NEVER_IN_NAMES = frozenset('@:/\\<>{}[]|=#%^*+~"!?\u3002\uff01\uff1f')
_LINK = re.compile(r"\w{2,}(\.|\s+\.\s*)\w{2,}|\bwww\b|\bhttps?\b|\bdot\s+(com|net|org)\b", re.IGNORECASE)
_MAX_NAME_LENGTH = 40
_MAX_WORDS = 6
_MAX_READ_LENGTH = 500


def known(text: object) -> str | None:
    """The text, or None where it is none, is blank, or says in a producer's words that it is not known."""
    if not isinstance(text, str):
        return None
    # JSON can spell half a surrogate pair, which nothing behind us can write.
    shown = text.encode("utf-8", "replace").decode().strip()
    return None if not shown or _PLACEHOLDERS.fullmatch(shown) else shown


def name(text: object) -> str | None:
    """A name as a mail may greet by it: one line of at most 40 characters, or None where it is no name.

    Anybody writes what they like into their account. What holds a link, an address, a number or an amount, or is a
    sentence, advertises something: our mail must not say it for them.
    """
    shown = known(text)
    if shown is None or len(shown) > _MAX_READ_LENGTH:
        return None
    shown = unescaped(shown)
    line = " ".join(_visible(shown).split())
    # Full-width letters and dots read, and lead, like the others.
    if known(line) is None or not _is_name(unicodedata.normalize("NFKC", line)):
        return None
    return line if len(line) <= _MAX_NAME_LENGTH else _shortened(line)


def _visible(text: str) -> str:
    spaced = "".join(" " if character in "\r\n\t\v\f\u2028\u2029" else character for character in text)
    return "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))


def _is_name(line: str) -> bool:
    if _NEVER_IN_NAMES & set(line) or _LINK.search(line) or len(line.split()) > _MAX_WORDS:
        return False
    kinds = {unicodedata.category(character) for character in line}
    return not kinds & {"Sc", "Nd", "No"} and any(character.isalpha() for character in line)


def _shortened(line: str) -> str:
    whole_words = line[: _MAX_NAME_LENGTH + 1].rpartition(" ")[0]
    return whole_words or line[:_MAX_NAME_LENGTH]
