"""Phone numbers with their country prefix (E.164), however they are spelled: read from a text, and found in one. Pure.

Numbering plans are not known here. National numbers, without a prefix, are therefore not recognised.
"""

import re
import unicodedata
from collections.abc import Iterator

from notification_service.foundation.addresses import NotAnAddressError

MIN_DIGITS, MAX_DIGITS = 7, 15
"""With the country prefix. The longest is E.164's; the shortest numbers in use have seven."""

_SEPARATORS = r"[ \t.()/\-\u2010-\u2015\u2212]"
_IN_TEXT = re.compile(rf"(?<![\w+])\+{_SEPARATORS}{{0,2}}(?!0)\d(?:{_SEPARATORS}{{0,3}}\d){{{MIN_DIGITS - 1},19}}")
_TRUNK_ZERO = re.compile(r"\(0\)")
"""The zero of national dialling, which `+49 (0) 151 …` shows and an international call leaves out."""
_BRACKETED_PREFIX = re.compile(r"^\(\s*((?:\+|00)[\s\d]+)\)")
"""`(+49) 151 …`, or the whole number in brackets."""
_SCHEME = re.compile(r"(?:tel|sms):(?://)?", re.IGNORECASE)
_INTERNATIONAL = re.compile(r"(?:\+|00)[\s(]{0,2}(?!0)\d")
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def is_number(text: str) -> bool:
    """Whether the text is meant as a phone number with its country prefix: `+49 …`, `0049 …` or `tel:+49 …`."""
    plain = _plain(text)
    return _INTERNATIONAL.match(plain) is not None and not any(each.isalpha() or each == "@" for each in plain)


def read_e164(text: str) -> str:
    """The number without separators, such as `+4915112345678`. Raises `NotAnAddressError`, which does not repeat it."""
    if not is_number(text):
        raise NotAnAddressError("a phone number begins with its country prefix, such as +49")
    plain = _plain(text)
    plain = f"+{plain[2:]}" if plain.startswith("00") else plain
    if _IN_TEXT.fullmatch(plain) is None or not MIN_DIGITS <= len(_digits(plain)) <= MAX_DIGITS:
        raise NotAnAddressError(f"a phone number has {MIN_DIGITS} to {MAX_DIGITS} digits, and is the only one given")
    return f"+{_digits(plain)}"


def numbers_in(text: str) -> Iterator[str]:
    """Every number in the text, without separators.

    Digits behind a blank may belong to the number or to the next word, so each place where it may end is tried. That
    confuses no two people: in a numbering plan no number is the beginning of another.
    """
    if "+" not in text and "\uff0b" not in text:
        return
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    for found in _IN_TEXT.finditer(text):
        yield from _ends(found.group(), whole=not text[found.end() : found.end() + 1].isdecimal())


def _ends(spelled: str, *, whole: bool) -> Iterator[str]:
    """`whole`: the digits end where the text does; otherwise the last of its groups goes on, and is no part of it."""
    groups = re.findall(r"\d+", _TRUNK_ZERO.sub(" ", spelled))
    digits = ""
    for each in groups if whole else groups[:-1]:
        digits += _digits(each)
        if MIN_DIGITS <= len(digits) <= MAX_DIGITS:
            yield f"+{digits}"


def _plain(text: str) -> str:
    plain = _HIDDEN.sub("", unicodedata.normalize("NFKC", text)).strip()
    return _TRUNK_ZERO.sub("", _BRACKETED_PREFIX.sub(r"\1", _SCHEME.sub("", plain, count=1)))


def _digits(text: str) -> str:
    """In ASCII, also those of other scripts."""
    return "".join(str(int(each)) for each in text if each.isdecimal())
