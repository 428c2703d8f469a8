"""Judges phone numbers before anybody pays for them: E.164, and a kind of number that gets SMS. Pure.

The numbering plans are those of libphonenumber. The only module that knows it.
"""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult

from notification_service.delivery.ports.directory import NO_TEXT
from notification_service.foundation.addresses import NotAnAddressError

_MAX_LENGTH = 40
_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
_KINDS = {
    PhoneNumberType.FIXED_LINE: "a fixed line",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.VOIP: "a number of internet telephony",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, which forwards calls",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.UAN: "a company's number",
    PhoneNumberType.VOICEMAIL: "a voicemail",
}
_LENGTHS = {
    ValidationResult.TOO_SHORT: "it has too few digits for its country",
    ValidationResult.TOO_LONG: "it has too many digits for its country",
    ValidationResult.INVALID_LENGTH: "its country has no numbers of this length",
    ValidationResult.INVALID_COUNTRY_CODE: "no country has its prefix",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "its area code is missing",
}
_BLANK = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
"""What stands for a blank in texts that were set by a program, such as a no-break space between two groups."""
_DIGIT = re.compile(r"\d")
"""Of any script: Arabic, Devanagari and full-width ones are spellings of the same number."""
_LONG_VOWEL = "\u30fc"
"""Typed for a dash on Japanese keyboards, where it is a letter."""
_SCHEME = re.compile(r"(?:tel|sms):", re.IGNORECASE)
_BEHIND_AREA_CODE = re.compile(r"^([+\uff0b]?(?:[ ()]*\d){2,6}[ )]*)/(?=[ ]?\d[\d -]{4,}$)")
"""The slash in `0151/12345678`, which separates no second number."""
_INTERNATIONAL = re.compile(r"00[\s(.\-]{0,2}(?!0)\d")
"""00 in place of the plus sign, as most countries dial abroad. Where a default country is set, its own rule counts."""
_IN_FRONT = re.compile(r"^[^\w+\uff0b*#\-\u2010-\u2015\u2212]+")
"""What stands before a number that was copied out of a text or a table: a bracket, a quotation mark, a symbol."""
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")
"""Characters that are copied along with a number, such as the marks of a page that is written from the right."""


def read_number(text: str, default_country: str | None) -> str:
    """The number in E.164, such as `+4915112345678`.

    `default_country`: two letters (ISO 3166), whose national numbers are accepted; None: only numbers with a prefix
    are. Raises `NotAnAddressError` with the reason, which never repeats the number.
    """
    plain = _SCHEME.sub("", _INVISIBLE.sub("", text).strip(), count=1)
    plain = _DIGIT.sub(lambda each: str(int(each[0])), plain).replace(_LONG_VOWEL, "-")
    plain = _BEHIND_AREA_CODE.sub(r"\1 ", _BLANK.sub(" ", plain))
    _check_text(plain)
    plain = _IN_FRONT.sub("", plain)
    if default_country is None and _INTERNATIONAL.match(plain):
        plain = f"+{plain[2:]}"
    if not plain.startswith(("+", "\uff0b")) and default_country is None:
        raise NotAnAddressError("it has no country prefix (+49…), and SMS_DEFAULT_COUNTRY is not set")
    try:
        number = phonenumbers.parse(plain, default_country)
    except NumberParseException as problem:
        raise NotAnAddressError(_REASONS.get(problem.error_type, "it is no phone number")) from None
    _check(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def country_of(number: str) -> str:
    """The country (ISO 3166) of a number in E.164, by which it is priced; `ZZ` where it has none."""
    return str(phonenumbers.region_code_for_number(phonenumbers.parse(number)) or "ZZ")


def is_country(name: str) -> bool:
    """Whether it is a country (ISO 3166, two capital letters) with phone numbers of its own."""
    return name in phonenumbers.SUPPORTED_REGIONS


def _check_text(text: str) -> None:
    """Letters are refused before parsing: `Call +49…` would be read as a number with letters for digits."""
    if not text:
        raise NotAnAddressError("it is empty")
    if text == NO_TEXT:
        raise NotAnAddressError("it is stored as a list, an object or a truth value, and a number is a text")
    if len(text.splitlines()) > 1:
        raise NotAnAddressError("it has a line break, so it may be several numbers")
    if len(text) > _MAX_LENGTH:
        raise NotAnAddressError("it is longer than a phone number")
    if re.search(r"(?:ext|x|#|;ext=)\W*\d+$", text, re.IGNORECASE):
        raise NotAnAddressError("it has an extension, and an extension gets no SMS")
    if any(each.isalpha() for each in text):
        raise NotAnAddressError("it contains letters")
    if re.search(r"[,;/|&]|\+.*\+", text):
        raise NotAnAddressError("it may be several numbers")


_REASONS = {
    NumberParseException.INVALID_COUNTRY_CODE: "no country has its prefix",
    NumberParseException.TOO_SHORT_NSN: "it has too few digits",
    NumberParseException.TOO_SHORT_AFTER_IDD: "it has too few digits",
    NumberParseException.TOO_LONG: "it has too many digits",
}


def _check(number: PhoneNumber) -> None:
    if number.extension:
        raise NotAnAddressError("it has an extension, and an extension gets no SMS")
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != ValidationResult.IS_POSSIBLE:
        raise NotAnAddressError(_LENGTHS.get(possible, "it is no number of its country"))
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        raise NotAnAddressError("its country has no such number")
    if kind not in _MOBILE:
        raise NotAnAddressError(f"it is {_KINDS.get(kind, 'of an unknown kind')}, which gets no SMS")
    if phonenumbers.region_code_for_number(number) not in phonenumbers.SUPPORTED_REGIONS:
        raise NotAnAddressError("it belongs to no country, as a satellite phone's does, so nobody knows what it costs")
