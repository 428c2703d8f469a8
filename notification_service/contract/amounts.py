"""Reads amounts of money as producers write them: a number, with or without a currency beside it. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

_MIN_AMOUNT, _MAX_AMOUNT = Decimal("0.005"), Decimal(10) ** 12
_MAX_LENGTH = 40
_NOT_A_NUMBER = re.compile(r"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_SCIENTIFIC = re.compile(r"\+?\d+(\.\d+)?e[+-]?\d{1,9}", re.IGNORECASE)
_TEXT = re.compile(
    r"(?P<before>[^\d+-]*)(?P<sign>[+-]?) ?(?P<unit>[^\d+-]*?)(?P<figure>\d(?:[\d.,' ]*\d)?)(?P<after>\D*)"
)
_EMPTY_DECIMALS = re.compile(r"[.,]?/?(?<=[.,/])-+")
"""The end of `30,-` and `500/-`, which have no decimals."""

_NEGATIVE = re.compile(r"\(.*\)|\D*\d[\d.,' ]*-\D*")
"""Negative amounts as accountants write them: `(30.00)` and `30.00-`."""

_COMMA_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}\.\d+|\d{1,3}(?:,\d{2,3})+,\d{3}")
_DOT_GROUPED = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+")
_DOT_GROUPED_INTEGER = re.compile(r"\d{1,3}(?:\.\d{3}){2,}")
_SPACE_GROUPED = re.compile(r"\d{1,3}(?:[ ']\d{3})+(?:[.,]\d+)?")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_COMMA_DECIMAL = re.compile(r"\d+,\d+")
_MAYBE_THOUSANDS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_THOUSAND = 3
_ASCII_SIGNS = str.maketrans(
    {**dict.fromkeys("\u2212\u2012\u2013\u2014\ufe63\uff0d", "-"), "\u2019": "'", "\u066b": ".", "\u066c": "'"}
)
_VALUE_KEYS = ("amount", "value", "total")
_CURRENCY_KEYS = ("currency", "currency_code", "currencyCode", "symbol")
_EXPONENT_KEYS = ("exponent", "scale")
"""Keys that say how many digits of an integer amount are decimals."""

_GOOGLE_MONEY_KEYS = ("units", "nanos")
_MAX_PLACES = 4
_CURRENCY_OBJECT_KEYS = ("code", "currency_code", "currencyCode", "currency", "iso", "iso_code", "symbol", "name", "id")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of an event. `said`: the original text, which is shown where it cannot be read.

    `number`: the value, where it was a JSON number; in the currency's main unit. `figure`: otherwise the digits and
    separators of the one number in the text. `units`: the texts before and after it, which should name a currency.
    """

    said: str
    number: Decimal | None = None
    figure: str | None = None
    units: tuple[str, ...] = ()

    def value(self, decimal_sign: str, places: int) -> Decimal | None:
        """The number; None if the text is ambiguous. `decimal_sign`: the one of the reader's language.

        `places`: how many decimals the currency has. A text with more decimals is ambiguous, or in another unit.
        """
        if self.number is not None or self.figure is None:
            return self.number
        digits = _plain_digits(self.figure, decimal_sign)
        return None if digits is None or _has_more_decimals(digits, places) else Decimal(digits)


def read(value: object) -> Amount | None:
    """Read an amount; None for zero, which producers send for an unknown amount. Raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError("it is not an amount")  # noqa: TRY004 - the same error for every unreadable value
    match value:
        case int() | float() | Decimal():
            return _of_number(value)
        case str():
            return _of_text(value)
        case dict():
            return _of_parts(value)
    raise ValueError("it is not an amount")


def is_not_a_number(text: str) -> bool:
    """Whether the text is `NaN` or an infinity, as programs print them."""
    return bool(_NOT_A_NUMBER.fullmatch(text))


def _of_number(value: float | Decimal) -> Amount | None:
    number = _in_range(Decimal(str(value)))
    if number is None:
        return None
    return Amount(f"{number.normalize() if number == number.to_integral_value() else number:f}", number)


def _in_range(number: Decimal) -> Decimal | None:
    if not number.is_finite() or not 0 <= number < _MAX_AMOUNT:
        raise ValueError("it is not between 0 and a million million")
    return number if number >= _MIN_AMOUNT else None


def _of_text(text: str) -> Amount | None:
    plain = _plain(text)
    if is_not_a_number(plain) or not any(map(str.isdigit, plain)):
        raise ValueError("it is not an amount")
    if _SCIENTIFIC.fullmatch(plain):
        return _of_number(Decimal(plain))
    if len(plain) > _MAX_LENGTH:
        raise ValueError("it is not an amount")
    said, plain = " ".join(text.split()), _EMPTY_DECIMALS.sub("", plain)
    found = _TEXT.fullmatch(plain)
    if _NEGATIVE.fullmatch(plain) or (found and found["sign"] == "-"):
        raise ValueError("it is negative")
    if found is None:
        return Amount(said)
    figure, whole = found["figure"], re.split(r"[.,](?=\d{1,2}$)", found["figure"])[0]
    if not figure.strip("0.,' "):
        return None
    if sum(map(str.isdigit, whole)) > len(str(_MAX_AMOUNT)) - 1:
        raise ValueError("it is not between 0 and a million million")
    units = tuple(unit for part in ("before", "unit", "after") if (unit := found[part].strip(" :")))
    return Amount(said, None, figure, units)


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text[: 2 * _MAX_LENGTH]).translate(_ASCII_SIGNS)
        text = "".join(str(unicodedata.decimal(character, character)) for character in text)
    return " ".join(text.split())


def currency_named(value: object) -> object:
    """The text of a currency that is given as an object: its code, else its symbol, else its name."""
    if not isinstance(value, dict):
        return value
    named = (value[name] for name in _CURRENCY_OBJECT_KEYS if isinstance(value.get(name), str) and value[name].strip())
    return next(named, value)


def _of_parts(parts: Mapping[str, object]) -> Amount | None:
    """`{"amount": 30, "currency": "EUR"}`: a number with its currency, and perhaps its number of decimals.

    An object with any other key is not read: its amount may be in another unit.
    """
    units = [currency_named(parts[name]) for name in _CURRENCY_KEYS if parts.get(name) is not None]
    rest = {name: value for name, value in parts.items() if name not in _CURRENCY_KEYS}
    if not all(isinstance(unit, str) for unit in units):
        raise ValueError("it is not an amount")
    found = read(_value_of(rest))
    named = tuple(dict.fromkeys(text for unit in units if (text := str(unit).strip())))
    if found is None or not named:
        return found
    return Amount(" ".join((found.said, *named)), found.number, found.figure, (*found.units, *named))


def _value_of(parts: Mapping[str, object]) -> object:
    """The number that the object holds. Raises `ValueError` if that is not certain."""
    match list(parts):
        case [name] if name in _VALUE_KEYS and not isinstance(parts[name], dict):
            return parts[name]
        case [name, exponent] | [exponent, name] if name in _VALUE_KEYS and exponent in _EXPONENT_KEYS:
            return _shifted(parts[name], parts[exponent])
        case ["units"] | ["units", "nanos"] | ["nanos", "units"]:
            return _of_nanos(*map(parts.get, _GOOGLE_MONEY_KEYS))
    raise ValueError("it is not an amount")


def _shifted(number: object, places: object) -> Decimal:
    whole = _whole(number)
    if type(places) is not int or not 0 <= places <= _MAX_PLACES:
        raise ValueError("it is not an amount")
    return whole.scaleb(-places)


def _of_nanos(units: object, nanos: object) -> Decimal:
    """Google's `Money`: an integer, possibly as a text, and billionths."""
    return _whole(units) + _whole(nanos or 0).scaleb(-9)


def _whole(number: object) -> Decimal:
    text = str(number)
    if isinstance(number, bool) or not isinstance(number, int | str) or not (text.isascii() and text.isdecimal()):
        raise ValueError("it is not an amount")
    return Decimal(text)


def _plain_digits(figure: str, decimal_sign: str) -> str | None:
    """The number as Python reads it; None if its separators are ambiguous and the reader's language does not decide."""
    if _SPACE_GROUPED.fullmatch(figure):
        return re.sub("[ ']", "", figure).replace(",", ".")
    if _COMMA_GROUPED.fullmatch(figure):
        return figure.replace(",", "")
    if _DOT_GROUPED_INTEGER.fullmatch(figure):
        return figure.replace(".", "")
    if _PLAIN.fullmatch(figure):
        return figure
    if decimal_sign == "," and (_DOT_GROUPED.fullmatch(figure) or _COMMA_DECIMAL.fullmatch(figure)):
        return figure.replace(".", "").replace(",", ".")
    return figure.replace(",", "") if decimal_sign == "." and _MAYBE_THOUSANDS.fullmatch(figure) else None


def _has_more_decimals(digits: str, places: int) -> bool:
    """Whether there are more decimals than the currency has.

    `500.00` yen are 500, and `30.0000` euros 30, as databases write them; `1.000` euros may be a thousand.
    """
    decimals = digits.partition(".")[2]
    shown = decimals if len(decimals) == _THOUSAND else decimals.rstrip("0")
    return len(shown) > places
