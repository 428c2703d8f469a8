"""Finds the currency that a code, number, symbol or word means. Nothing is guessed."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from babel import Locale
from babel.core import get_global
from babel.numbers import get_currency_name

from notification_service.foundation.caching import bounded_cache

_CACHE_SIZE = 256
_MAX_LENGTH = 40
_NUMBERS = (
    "008 ALL 012 DZD 032 ARS 036 AUD 044 BSD 048 BHD 050 BDT 051 AMD 052 BBD 060 BMD 064 BTN 068 BOB "
    "072 BWP 084 BZD 090 SBD 096 BND 104 MMK 108 BIF 116 KHR 124 CAD 132 CVE 136 KYD 144 LKR 152 CLP "
    "156 CNY 170 COP 174 KMF 188 CRC 192 CUP 203 CZK 208 DKK 214 DOP 222 SVC 230 ETB 232 ERN 238 FKP "
    "242 FJD 262 DJF 270 GMD 292 GIP 320 GTQ 324 GNF 328 GYD 332 HTG 340 HNL 344 HKD 348 HUF 352 ISK "
    "356 INR 360 IDR 364 IRR 368 IQD 376 ILS 388 JMD 392 JPY 398 KZT 400 JOD 404 KES 408 KPW 410 KRW "
    "414 KWD 417 KGS 418 LAK 422 LBP 426 LSL 430 LRD 434 LYD 446 MOP 454 MWK 458 MYR 462 MVR 480 MUR "
    "484 MXN 496 MNT 498 MDL 504 MAD 512 OMR 516 NAD 524 NPR 532 XCG 533 AWG 548 VUV 554 NZD 558 NIO "
    "566 NGN 578 NOK 586 PKR 590 PAB 598 PGK 600 PYG 604 PEN 608 PHP 634 QAR 643 RUB 646 RWF 654 SHP "
    "682 SAR 690 SCR 702 SGD 704 VND 706 SOS 710 ZAR 728 SSP 748 SZL 752 SEK 756 CHF 760 SYP 764 THB "
    "776 TOP 780 TTD 784 AED 788 TND 800 UGX 807 MKD 818 EGP 826 GBP 834 TZS 840 USD 858 UYU 860 UZS "
    "882 WST 886 YER 901 TWD 924 ZWG 925 SLE 926 VED 927 UYW 928 VES 929 MRU 930 STN 933 BYN 934 TMT "
    "936 GHS 938 SDG 940 UYI 941 RSD 943 MZN 944 AZN 946 RON 947 CHE 948 CHW 949 TRY 950 XAF 951 XCD "
    "952 XOF 953 XPF 967 ZMW 968 SRD 969 MGA 970 COU 971 AFN 972 TJS 973 AOA 976 CDF 977 BAM 978 EUR "
    "979 MXV 980 UAH 981 GEL 984 BOV 985 PLN 986 BRL 990 CLF 997 USN "
)
"""ISO 4217, list one of 1 January 2026: numbers and codes, without metals and units of the IMF."""

_SYMBOLS = {
    "€": "EUR", "₹": "INR", "₽": "RUB", "₺": "TRY", "₪": "ILS", "₫": "VND", "₴": "UAH", "₦": "NGN", "₱": "PHP",
    "₡": "CRC", "₲": "PYG", "₵": "GHS", "₸": "KZT", "₮": "MNT", "฿": "THB", "៛": "KHR", "₭": "LAK", "₼": "AZN",
    "₾": "GEL", "֏": "AMD", "৳": "BDT", "؋": "AFN", "zł": "PLN", "kč": "CZK", "ft": "HUF", "лв": "BGN", "руб": "RUB",  # noqa: RUF001 - Cyrillic
    "грн": "UAH", "tl": "TRY", "rm": "MYR", "rp": "IDR", "s/": "PEN", "us$": "USD", "u$s": "USD", "ca$": "CAD",
    "c$": "CAD NIO", "a$": "AUD", "au$": "AUD", "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "sg$": "SGD", "nt$": "TWD",
    "mx$": "MXN", "r$": "BRL", "cn¥": "CNY", "jp¥": "JPY", "円": "JPY", "元": "CNY TWD HKD", "원": "KRW",
    "¥": "JPY CNY", "₩": "KRW KPW", "£": "GBP EGP FKP GIP LBP SDG SHP SSP SYP", "kr": "SEK NOK DKK ISK",
    "₨": "INR PKR LKR NPR MUR SCR", "rs": "INR PKR LKR NPR MUR SCR", "lei": "RON MDL", "fr": "CHF XAF XOF XPF",
    "$": "USD CAD AUD NZD MXN SGD HKD TWD ARS CLP COP UYU BBD BMD BND BSD BZD CVE DOP FJD GYD JMD KYD LRD NAD SBD SRD "
    "TTD XCD XCG",
}  # fmt: skip
"""Symbols of CLDR and abbreviations, without their last dot, and the currencies that use them."""

_USUAL = {frozenset(_SYMBOLS[sign].split()): code for sign, code in (("£", "GBP"), ("₩", "KRW"))}
"""Shared symbols that stand for one currency alone: the others add a letter, or are hardly used abroad."""


def resolve(name: str, likely: str) -> str | None:
    """Returns the ISO 4217 code of a currency's name. `likely`: the code to prefer where the name has several.

    None where the name is unknown or ambiguous, such as `$` where `likely` is no dollar.
    """
    return likeliest(meant(name), likely)


def likeliest(codes: frozenset[str], likely: str) -> str | None:
    """Returns `likely` if it is one of the codes, else the only one; None where there are several."""
    if likely in codes:
        return likely
    return next(iter(codes)) if len(codes) == 1 else _USUAL.get(codes)


@bounded_cache(_CACHE_SIZE)
def meant(name: str) -> frozenset[str]:
    """Returns all currencies with this name; of several words, such as `US$ USD`, those that all of them name."""
    word = _word(name)
    found = _named(word)
    if found or " " not in word or len(word) > _MAX_LENGTH:
        return found
    return frozenset.intersection(*map(_named, map(_word, word.split())))


def _named(word: str) -> frozenset[str]:
    if not word or len(word) > _MAX_LENGTH:
        return frozenset()
    code = word.upper()
    if len(code) == 3 and code.isascii() and code in _codes():  # noqa: PLR2004 - as ISO 4217 has it
        return frozenset({code})
    return _known().get(word, frozenset())


def _word(name: str) -> str:
    return " ".join(name.replace("\uffe5", "¥").casefold().split()).strip("().:")


@cache
def _codes() -> frozenset[str]:
    """Every code that CLDR names, without those for no currency and for tests."""
    return frozenset(Locale("en").currencies) - {"XXX", "XTS"}


@cache
def _known() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for sign, codes in _SYMBOLS.items():
        found[sign] |= set(codes.split())
    for number, code in zip(_NUMBERS.split()[::2], _NUMBERS.split()[1::2], strict=True):
        found[number].add(code)
        found[number.lstrip("0")].add(code)
    for name, code in _english():
        found[name].add(code)
        found[name.split()[-1]].add(code)
    return {word: frozenset(codes) for word, codes in found.items()}


def _english() -> list[tuple[str, str]]:
    """English names, singular and plural, of the currencies that are legal tender somewhere today."""
    territories = get_global("territory_currencies").values()
    current = {code for money in territories for code, _, ends, tender in money if tender and ends is None}
    names = [
        (get_currency_name(code, count, "en"), code) for code in sorted(current & _codes()) for count in (None, 1, 2)
    ]
    return [(name.casefold(), code) for name, code in names]
