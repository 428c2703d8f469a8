"""Counts the segments of an SMS as networks do (3GPP TS 23.038, TS 23.040), since each of them is paid for. Pure.

A text in the GSM 7-bit alphabet has 160 septets in one segment, else 153 in each; a text with any other character is
UCS-2, with 70 units of 16 bits in one segment, else 67 in each. Neither an escape sequence nor a surrogate pair is
split between two segments.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Written as an escape and a character, so that each takes two septets."""

_GSM_SINGLE, _GSM_EACH = 160, 153
_UCS2_SINGLE, _UCS2_EACH = 70, 67

_CURRENCIES = {
    "\u20a1": "CRC",
    "\u20a6": "NGN",
    "\u20a9": "KRW",
    "\u20aa": "ILS",
    "\u20ab": "VND",
    "\u20b1": "PHP",
    "\u20b2": "PYG",
    "\u20b4": "UAH",
    "\u20b5": "GHS",
    "\u20b8": "KZT",
    "\u20b9": "INR",
    "\u20ba": "TRY",
    "\u20bd": "RUB",
}
_TWINS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a\u02b9\u02bb\u02bc\u0060\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212", "-"),
        **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a", " "),
        **dict.fromkeys("\u202f\u205f\u3000\t", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff\u00ad\u061c\u200e\u200f", None),
        **dict.fromkeys("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", None),
        **dict.fromkeys("\u00ae\u2120\u2122", None),
        **dict.fromkeys("\u00b7\u2022\u2027\u2219\u22c5", "-"),
        **dict.fromkeys("\u00f7\u2044\u2215", "/"),
        "\u2026": "...",
        "\u00d7": "x",
        **_CURRENCIES,
    }
)
"""Characters that have a twin in the alphabet which reads the same. Invisible ones and trademark signs are left out."""


@dataclass(frozen=True, slots=True)
class Segments:
    """`sizes`: of each segment, in septets or in units of 16 bits. `outside`: what keeps the text out of GSM-7."""

    encoding: str
    sizes: tuple[int, ...]
    outside: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.sizes)


def prepared(text: str) -> str:
    """The text in NFC, with the twins of typographic characters where the whole text then is in the GSM alphabet."""
    composed = unicodedata.normalize("NFC", text)
    twin = with_twins(composed)
    return composed if _outside(twin) else twin


def with_twins(text: str) -> str:
    """Ligatures, fractions, raised digits and full-width letters are written in plain ones (Unicode's NFKC)."""
    return "".join(each if _is_in_alphabet(each) else _plain(each) for each in text.translate(_TWINS))


def _plain(character: str) -> str:
    return unicodedata.normalize("NFKC", character).translate(_TWINS)


def _is_in_alphabet(character: str) -> bool:
    return character in _BASIC or character in _EXTENDED


def measure(text: str) -> Segments:
    if outside := _outside(text):
        units = [len(each.encode("utf-16-be", "surrogatepass")) // 2 for each in text]
        return Segments("UCS-2", _split(units, _UCS2_SINGLE, _UCS2_EACH), outside)
    septets = [2 if each in _EXTENDED else 1 for each in text]
    return Segments("GSM-7", _split(septets, _GSM_SINGLE, _GSM_EACH))


def _outside(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in text if not _is_in_alphabet(each)))


def _split(sizes: Iterable[int], single: int, each: int) -> tuple[int, ...]:
    """Fill segments in order; a character that does not fit whole begins the next one."""
    sizes = list(sizes)
    if sum(sizes) <= single:
        return (sum(sizes),)
    filled = [0]
    for size in sizes:
        if filled[-1] + size > each:
            filled.append(0)
        filled[-1] += size
    return tuple(filled)
