"""How values read in a mail: money, moments, showtimes, seats. Each unknown value stays None."""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, get_timezone_name
from babel.numbers import format_currency, get_currency_precision, get_currency_symbol, get_decimal_symbol
from jinja2 import pass_context
from jinja2.runtime import Context

from notification_service.content import currencies
from notification_service.content.localization import Localization
from notification_service.contract import seating
from notification_service.contract.amounts import Amount
from notification_service.contract.showtimes import parse_showtime
from notification_service.foundation.caching import bounded_cache

_MAX_SEATS_SHOWN = 30
_ISOLATE, _ISOLATED = "\u2068", "\u2069"
_TURNING = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_MAX_CURRENCY_LENGTH = 24
_CACHE_SIZE = 1024
"""A mail says each amount and moment several times, and hundreds of mails share one show."""


@pass_context
def money(context: Context, amount: Amount | None) -> str | None:
    style: Localization = context["style"]
    if amount is None:
        return None
    if found := priced(amount, style):
        number, currency = found
        return _money(str(number), currency, style.locale)
    return isolated(_as_sent(amount, style), style)


def priced(amount: Amount, style: Localization) -> tuple[Decimal, str] | None:
    """The number and its currency; None where either is not known for certain, and the amount stands as it was sent."""
    if amount.number is not None and style.currency and not amount.units:
        return amount.number, style.currency
    currency = _currency_of(amount, style)
    if currency is None:
        return None
    number = amount.value(_decimal_sign(style.lang), _places(currency))
    return None if number is None else (number, currency)


def _currency_of(amount: Amount, style: Localization) -> str | None:
    """What the amount itself says wins over the setting, and may not be other than what its event says."""
    if not amount.units:
        return style.currency
    meant = frozenset.intersection(*(currencies.meant(unit) for unit in amount.units))
    if style.said is not None:
        return style.currency if style.currency in meant else None
    return currencies.likeliest(meant, style.currency or "")


def _as_sent(amount: Amount, style: Localization) -> str:
    """With the event's own word for its currency beside a bare number. No other word is added."""
    bare = not amount.units and (amount.number is not None or amount.figure is not None)
    word = style.said if bare and style.said and len(style.said) <= _MAX_CURRENCY_LENGTH else ""
    # A number beside a number would be another one.
    beside = "" if any(map(str.isdigit, word)) else word
    return f"{amount.said} {beside}".rstrip()


@bounded_cache(_CACHE_SIZE)
def _decimal_sign(lang: str) -> str:
    return get_decimal_symbol(Locale.parse(lang, sep="-"))


@bounded_cache(_CACHE_SIZE)
def _places(currency: str) -> int:
    return get_currency_precision(currency)


# By its text: 1 and 1.0 are equal, and take another plural in some languages.
@bounded_cache(_CACHE_SIZE)
def _money(amount: str, currency: str, locale: Locale) -> str:
    symbol = get_currency_symbol(currency, locale)
    # Latin letters in another script are a foreign body, and "US$" in Arabic shows as "$US": there it is named.
    named = not _is_latin(locale) and any(character.isascii() and character.isalpha() for character in symbol)
    shown = format_currency(Decimal(amount), currency, locale=locale, format_type="name" if named else "standard")
    return shown.replace("\u200f", "")


def _is_latin(locale: Locale) -> bool:
    return (locale.language_name or "?")[0].isascii()


@pass_context
def moment(context: Context, when: datetime | None) -> str | None:
    """Date and time with the zone's name."""
    style: Localization = context["style"]
    return None if when is None else _remembered(_spoken, when.astimezone(style.zone or UTC), style.locale)


@pass_context
def showtime(context: Context, text: str | None) -> str | None:
    """The date and time that the text names, else the text as it is."""
    if text is None:
        return None
    style: Localization = context["style"]
    when = parse_showtime(text, style.zone)
    return _remembered(_spoken, when, style.locale) if when else isolated(text, style)


@pass_context
def showtime_brief(context: Context, text: str | None) -> str | None:
    """The same, short enough for a subject line."""
    if text is None:
        return None
    style: Localization = context["style"]
    when = parse_showtime(text, style.zone)
    return _remembered(_brief, when, style.locale) if when else text


def _remembered(say: Callable[[datetime, Locale], str], local: datetime, locale: Locale) -> str:
    return _said(local.isoformat(), say, local.tzinfo, locale)


# By its text: the same moment is equal in every zone, and reads otherwise in each.
@bounded_cache(_CACHE_SIZE)
def _said(text: str, say: Callable[[datetime, Locale], str], zone: tzinfo | None, locale: Locale) -> str:
    local = datetime.fromisoformat(text)
    return say(local.astimezone(zone) if zone else local, locale)


def _spoken(local: datetime, locale: Locale) -> str:
    day, hour = format_date(local, "full", locale), _hour(local, locale)
    zone = _zone_name(local, locale) if local.tzinfo else ""
    if zone:  # a short name stays on the line of its hour
        zone = ("\u00a0" if zone.isalpha() else " ") + zone
    return str(locale.datetime_formats["medium"].format(hour + zone, day))


def _zone_name(local: datetime, locale: Locale) -> str:
    """`EST`, and in full where the locale has no short name: a bare `+0100` tells few readers anything."""
    short = get_timezone_name(local, "short", locale=locale)
    return short if short.isalpha() else get_timezone_name(local, "long", locale=locale)


def _hour(local: datetime, locale: Locale) -> str:
    return format_time(local, "short", tzinfo=local.tzinfo, locale=locale).replace("\u202f", "\u00a0")


def _brief(local: datetime, locale: Locale) -> str:
    day = format_skeleton("MMMEd", local, local.tzinfo, locale=locale)
    return str(locale.datetime_formats["medium"].format(_hour(local, locale), day))


@pass_context
def seats(context: Context, row: tuple[str, ...]) -> str | None:
    return isolated(listed(row), context["style"]) if row else None


def listed(row: tuple[str, ...]) -> str:
    """The seats in order, cut with a notice where there are more than a person would read."""
    more = f" (+{len(row) - _MAX_SEATS_SHOWN})" if len(row) > _MAX_SEATS_SHOWN else ""
    return ", ".join(row[:_MAX_SEATS_SHOWN]) + more


def tickets(row: tuple[str, ...]) -> int | None:
    """How many they are for certain."""
    return seating.count(row)


def line(value: object) -> str:
    """A value on one line."""
    return " ".join(str(value).split())


def readable(text: str | None) -> str | None:
    """`credit_card` → `Credit card`: a word of the wire as a person writes it."""
    if text is None:
        return None
    words = text.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def cut(text: str, longest: int) -> str:
    """At most so many characters, the last an ellipsis, and none without the marks that belong to it."""
    if len(text) <= longest:
        return text
    end = max(longest - 1, 0)
    while end > 0 and _joined(text, end):
        end -= 1
    return text[:end].rstrip() + "…"


def _joined(text: str, at: int) -> bool:
    return unicodedata.category(text[at]) in ("Mn", "Mc", "Me", "Sk") or "\u200d" in (text[at], text[at - 1])


def calm(text: str) -> str:
    """The text without overrides, embeddings and isolates of its own (UAX 9): left open, they turn what follows too."""
    return text if text.isascii() else text.translate(_TURNING)


def may_turn(text: str, style: Localization) -> bool:
    """Whether the text can hold anything that runs against the direction of the mail."""
    return style.dir == "rtl" or not text.isascii()


def isolated(text: str, style: Localization) -> str:
    """Where it may run against the direction of the mail, the text in isolates (UAX 9): `bdi` is not known widely."""
    if not may_turn(text, style):
        return text
    if style.dir == "rtl" or any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        return f"{_ISOLATE}{text}{_ISOLATED}"
    return text


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "moment": moment,
    "showtime": showtime,
    "showtime_brief": showtime_brief,
    "seats": seats,
    "tickets": tickets,
    "readable": readable,
    "line": line,
    "cut": cut,
}
