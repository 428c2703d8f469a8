"""Formats values for a mail: amounts of money, times, showtimes, seats. These are the filters of the templates.

An unknown value stays None.
"""

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
_DIRECTION_CONTROLS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_MAX_CURRENCY_LENGTH = 24
_CACHE_SIZE = 1024
"""A mail has each amount and time several times, and hundreds of mails share one show."""


@pass_context
def money(context: Context, amount: Amount | None) -> str | None:
    localization: Localization = context["style"]
    if amount is None:
        return None
    if found := priced(amount, localization):
        number, currency = found
        return _money(str(number), currency, localization.locale)
    return isolated(_as_sent(amount, localization), localization)


def priced(amount: Amount, localization: Localization) -> tuple[Decimal, str] | None:
    """Returns number and currency; None where either is uncertain, so that the amount is shown as it was sent."""
    if amount.number is not None and localization.currency and not amount.units:
        return amount.number, localization.currency
    currency = _currency_of(amount, localization)
    if currency is None:
        return None
    number = amount.value(_decimal_sign(localization.lang), _places(currency))
    return None if number is None else (number, currency)


def _currency_of(amount: Amount, localization: Localization) -> str | None:
    """The currency of the amount itself, unless it contradicts that of the event, else the event's or the default."""
    if not amount.units:
        return localization.currency
    meant = frozenset.intersection(*(currencies.meant(unit) for unit in amount.units))
    if localization.event_currency is not None:
        return localization.currency if localization.currency in meant else None
    return currencies.likeliest(meant, localization.currency or "")


def _as_sent(amount: Amount, localization: Localization) -> str:
    """The amount as it was sent, with the event's own name for its currency where the amount has none."""
    bare = not amount.units and (amount.number is not None or amount.figure is not None)
    name = (localization.event_currency or "") if bare else ""
    # Beside an amount, digits would read as another amount.
    if len(name) > _MAX_CURRENCY_LENGTH or any(map(str.isdigit, name)):
        name = ""
    return f"{amount.said} {name}".rstrip()


@bounded_cache(_CACHE_SIZE)
def _decimal_sign(lang: str) -> str:
    return get_decimal_symbol(Locale.parse(lang, sep="-"))


@bounded_cache(_CACHE_SIZE)
def _places(currency: str) -> int:
    return get_currency_precision(currency)


# Cached by its text: 1 and 1.0 are equal, but have different plurals in some languages.
@bounded_cache(_CACHE_SIZE)
def _money(amount: str, currency: str, locale: Locale) -> str:
    symbol = get_currency_symbol(currency, locale)
    # In another script, the currency's name replaces a Latin symbol: in Arabic, "US$" would show as "$US".
    named = not _is_latin(locale) and any(character.isascii() and character.isalpha() for character in symbol)
    shown = format_currency(Decimal(amount), currency, locale=locale, format_type="name" if named else "standard")
    return shown.replace("\u200f", "")


def _is_latin(locale: Locale) -> bool:
    return (locale.language_name or "?")[0].isascii()


@pass_context
def moment(context: Context, when: datetime | None) -> str | None:
    """Format a time as date and time, with the zone's name."""
    localization: Localization = context["style"]
    return None if when is None else _cached(_full, when.astimezone(localization.zone or UTC), localization.locale)


@pass_context
def showtime(context: Context, text: str | None) -> str | None:
    """Format the date and time that the text names, else return the text as it is."""
    if text is None:
        return None
    localization: Localization = context["style"]
    when = parse_showtime(text, localization.zone)
    return _cached(_full, when, localization.locale) if when else isolated(text, localization)


@pass_context
def showtime_brief(context: Context, text: str | None) -> str | None:
    """Format like `showtime`, short enough for a subject line."""
    if text is None:
        return None
    localization: Localization = context["style"]
    when = parse_showtime(text, localization.zone)
    return _cached(_brief, when, localization.locale) if when else text


def _cached(form: Callable[[datetime, Locale], str], local: datetime, locale: Locale) -> str:
    return _cached_text(local.isoformat(), form, local.tzinfo, locale)


# Cached by its text: one time is equal in all zones, but reads differently in each.
@bounded_cache(_CACHE_SIZE)
def _cached_text(text: str, form: Callable[[datetime, Locale], str], zone: tzinfo | None, locale: Locale) -> str:
    local = datetime.fromisoformat(text)
    return form(local.astimezone(zone) if zone else local, locale)


def _full(local: datetime, locale: Locale) -> str:
    day, hour = format_date(local, "full", locale), _hour(local, locale)
    zone = _zone_name(local, locale) if local.tzinfo else ""
    if zone:  # a no-break space keeps a short name beside its hour
        zone = ("\u00a0" if zone.isalpha() else " ") + zone
    return str(locale.datetime_formats["medium"].format(hour + zone, day))


def _zone_name(local: datetime, locale: Locale) -> str:
    """The zone's short name, such as `EST`; its long name where the short one would be an offset such as `+0100`."""
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
    """Returns the first 30 seats in one line, and how many more there are."""
    more = f" (+{len(row) - _MAX_SEATS_SHOWN})" if len(row) > _MAX_SEATS_SHOWN else ""
    return ", ".join(row[:_MAX_SEATS_SHOWN]) + more


def tickets(row: tuple[str, ...]) -> int | None:
    """Returns how many tickets the seats are; None where this is not certain."""
    return seating.count(row)


def one_line(value: object) -> str:
    """Returns the value's text on one line."""
    return " ".join(str(value).split())


def readable(text: str | None) -> str | None:
    """Returns an identifier as a person writes it: `credit_card` as `Credit card`."""
    if text is None:
        return None
    words = text.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def cut(text: str, longest: int) -> str:
    """Shorten the text to this many characters, with an ellipsis, and without parting a letter from its marks."""
    if len(text) <= longest:
        return text
    end = max(longest - 1, 0)
    while end > 0 and _joined(text, end):
        end -= 1
    return text[:end].rstrip() + "…"


def _joined(text: str, at: int) -> bool:
    return unicodedata.category(text[at]) in ("Mn", "Mc", "Me", "Sk") or "\u200d" in (text[at], text[at - 1])


def plain(text: str) -> str:
    """Remove overrides, embeddings and isolates (UAX 9): unclosed, they would affect the text after them too."""
    return text if text.isascii() else text.translate(_DIRECTION_CONTROLS)


def may_need_isolation(text: str, localization: Localization) -> bool:
    """Whether the text can hold letters that run against the direction of the mail. Cheap, and never wrongly False."""
    return localization.dir == "rtl" or not text.isascii()


def isolated(text: str, localization: Localization) -> str:
    """Put the text in isolates (UAX 9) where it may run against the mail's direction. Few clients support `bdi`."""
    if not may_need_isolation(text, localization):
        return text
    if localization.dir == "rtl" or any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
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
    "line": one_line,
    "cut": cut,
}
