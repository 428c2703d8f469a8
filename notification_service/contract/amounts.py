"""Amounts of money as producers write them: a number, with or without the name of its currency beside it."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

_SMALLEST, _LARGEST = Decimal("0.005"), Decimal(10) ** 12
_MAX_LENGTH = 40
_NO_NUMBER = re.compile(r"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_POWER = re.compile(r"\+?\d+(\.\d+)?e[+-]?\d{1,9}", re.IGNORECASE)
_TEXT = re.compile(
    r"(?P<before>[^\d+-]*)(?P<sign>[+-]?) ?(?P<unit>[^\d+-]*?)(?P<figure>\d(?:[\d.,' ]*\d)?)(?P<after>\D*)"
)
_ROUND = re.compile(r"[.,]?/?(?<=[.,/])-+")
"""`30,-` and `500/-`: nothing behind the separator."""

_OWED = re.compile(r"\(.*\)|\D*\d[\d.,' ]*-\D*")
"""How bookkeepers write what is less than nothing."""

_BY_COMMAS = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}\.\d+|\d{1,3}(?:,\d{2,3})+,\d{3}")
_BY_DOTS = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+")
_BY_DOTS_ALONE = re.compile(r"\d{1,3}(?:\.\d{3}){2,}")
_BY_SPACES = re.compile(r"\d{1,3}(?:[ ']\d{3})+(?:[.,]\d+)?")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_WITH_COMMA = re.compile(r"\d+,\d+")
_LIKE_THOUSANDS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_THOUSAND = 3
_SIGNS = str.maketrans(
    {**dict.fromkeys("\u2212\u2012\u2013\u2014\ufe63\uff0d", "-"), "\u2019": "'", "\u066b": ".", "\u066c": "'"}
)
_VALUES = ("amount", "value", "total")
_CURRENCIES = ("currency", "currency_code", "currencyCode", "symbol")
_EXPONENTS = ("exponent", "scale")
"""How many digits of a whole number stand behind its point."""

_OF_GOOGLE = ("units", "nanos")
_MAX_PLACES = 4
_NAMES_OF_A_CURRENCY = ("code", "currency_code", "currencyCode", "currency", "iso", "iso_code", "symbol", "name", "id")


@dataclass(frozen=True, slots=True)
class Amount:
    """`said`: as it was sent, to be shown where it cannot be read.

    `number`: of a JSON number, in the currency's own unit. `figure`: else the digits of the text with their
    separators, if there is one number in it. `units`: what stands before and behind it, each the name of a currency.
    """

    said: str
    number: Decimal | None = None
    figure: str | None = None
    units: tuple[str, ...] = ()

    def value(self, decimal_sign: str, places: int) -> Decimal | None:
        """The number; None where it could be another one. `decimal_sign`: how the reader parts off the decimals.

        `places`: the decimals of the currency. A text with more of them is not what it looks like, or in another unit.
        """
        if self.number is not None or self.figure is None:
            return self.number
        digits = _plain_digits(self.figure, decimal_sign)
        return None if digits is None or _too_fine(digits, places) else Decimal(digits)


def read(value: object) -> Amount | None:
    """Zero is what producers send for an amount that they do not know. Raises `ValueError` where there is none."""
    if isinstance(value, bool):
        raise ValueError("it is no amount")  # noqa: TRY004 - whatever it is, it cannot be read
    match value:
        case int() | float() | Decimal():
            return _of_number(value)
        case str():
            return _of_text(value)
        case dict():
            return _of_parts(value)
    raise ValueError("it is no amount")


def is_no_number(text: str) -> bool:
    """Whether it is how programs write what is none."""
    return bool(_NO_NUMBER.fullmatch(text))


def _of_number(value: float | Decimal) -> Amount | None:
    number = _in_range(Decimal(str(value)))
    if number is None:
        return None
    return Amount(f"{number.normalize() if number == number.to_integral_value() else number:f}", number)


def _in_range(number: Decimal) -> Decimal | None:
    if not number.is_finite() or not 0 <= number < _LARGEST:
        raise ValueError("it lies not between 0 and a million million")
    return number if number >= _SMALLEST else None


def _of_text(text: str) -> Amount | None:
    plain = _plain(text)
    if is_no_number(plain) or not any(map(str.isdigit, plain)):
        raise ValueError("it is no amount")
    if _POWER.fullmatch(plain):
        return _of_number(Decimal(plain))
    if len(plain) > _MAX_LENGTH:
        raise ValueError("it is no amount")
    said, plain = " ".join(text.split()), _ROUND.sub("", plain)
    found = _TEXT.fullmatch(plain)
    if _OWED.fullmatch(plain) or (found and found["sign"] == "-"):
        raise ValueError("it is less than nothing")
    if found is None:
        return Amount(said)
    figure, whole = found["figure"], re.split(r"[.,](?=\d{1,2}$)", found["figure"])[0]
    if not figure.strip("0.,' "):
        return None
    if sum(map(str.isdigit, whole)) > len(str(_LARGEST)) - 1:
        raise ValueError("it lies not between 0 and a million million")
    units = tuple(unit for part in ("before", "unit", "after") if (unit := found[part].strip(" :")))
    return Amount(said, None, figure, units)


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text[: 2 * _MAX_LENGTH]).translate(_SIGNS)
        text = "".join(str(unicodedata.decimal(character, character)) for character in text)
    return " ".join(text.split())


def currency_named(value: object) -> object:
    """What an object that stands for a currency calls it: by its code, else its sign, else its name."""
    if not isinstance(value, dict):
        return value
    named = (value[name] for name in _NAMES_OF_A_CURRENCY if isinstance(value.get(name), str) and value[name].strip())
    return next(named, value)


def _of_parts(parts: Mapping[str, object]) -> Amount | None:
    """`{"amount": 30, "currency": "EUR"}`: a number and its currency, and perhaps where its point stands.

    With anything else, it may be in another unit.
    """
    units = [currency_named(parts[name]) for name in _CURRENCIES if parts.get(name) is not None]
    rest = {name: value for name, value in parts.items() if name not in _CURRENCIES}
    if not all(isinstance(unit, str) for unit in units):
        raise ValueError("it is no amount")
    found = read(_value_of(rest))
    named = tuple(dict.fromkeys(text for unit in units if (text := str(unit).strip())))
    if found is None or not named:
        return found
    return Amount(" ".join((found.said, *named)), found.number, found.figure, (*found.units, *named))


def _value_of(parts: Mapping[str, object]) -> object:
    """The number that the object holds. Raises `ValueError` where that is not certain."""
    match list(parts):
        case [name] if name in _VALUES and not isinstance(parts[name], dict):
            return parts[name]
        case [name, exponent] | [exponent, name] if name in _VALUES and exponent in _EXPONENTS:
            return _shifted(parts[name], parts[exponent])
        case ["units"] | ["units", "nanos"] | ["nanos", "units"]:
            return _of_nanos(*map(parts.get, _OF_GOOGLE))
    raise ValueError("it is no amount")


def _shifted(number: object, places: object) -> Decimal:
    whole = _whole(number)
    if type(places) is not int or not 0 <= places <= _MAX_PLACES:
        raise ValueError("it is no amount")
    return whole.scaleb(-places)


def _of_nanos(units: object, nanos: object) -> Decimal:
    """As Google's `Money` has it: a whole number, which may be a text, and thousand millionths."""
    return _whole(units) + _whole(nanos or 0).scaleb(-9)


def _whole(number: object) -> Decimal:
    text = str(number)
    if isinstance(number, bool) or not isinstance(number, int | str) or not (text.isascii() and text.isdecimal()):
        raise ValueError("it is no amount")
    return Decimal(text)


def _plain_digits(figure: str, decimal_sign: str) -> str | None:
    """As Python reads it: grouped in one way alone, or in the reader's."""
    if _BY_SPACES.fullmatch(figure):
        return re.sub("[ ']", "", figure).replace(",", ".")
    if _BY_COMMAS.fullmatch(figure):
        return figure.replace(",", "")
    if _BY_DOTS_ALONE.fullmatch(figure):
        return figure.replace(".", "")
    if _PLAIN.fullmatch(figure):
        return figure
    if decimal_sign == "," and (_BY_DOTS.fullmatch(figure) or _WITH_COMMA.fullmatch(figure)):
        return figure.replace(".", "").replace(",", ".")
    return figure.replace(",", "") if decimal_sign == "." and _LIKE_THOUSANDS.fullmatch(figure) else None


def _too_fine(digits: str, places: int) -> bool:
    """`500.00` yen are 500; `1.000` euro may be a thousand."""
    decimals = digits.partition(".")[2]
    shown = decimals if len(decimals) >= _THOUSAND else decimals.rstrip("0")
    return len(shown) > places
