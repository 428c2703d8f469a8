"""Formats values for a mail: amounts of money, times, showtimes, seats. These are the filters of the templates.

An unknown value stays None.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from babel import Locale
from babel.numbers import format_currency, get_currency_precision, get_currency_symbol, get_decimal_symbol
from jinja2 import pass_context
from jinja2.runtime import Context

from notification_service.content import currencies, dates
from notification_service.content.booking_codes import grouped
from notification_service.content.dates import Form
from notification_service.content.line_breaking import one_line
from notification_service.content.localization import Localization
from notification_service.contract import seating
from notification_service.contract.amounts import Amount
from notification_service.contract.showtimes import parse_showtime
from notification_service.foundation.caching import bounded_cache

_MAX_SEATS_SHOWN = 30
_ISOLATE, _ISOLATED = "\u2068", "\u2069"
_CONTROLS = tuple(code for code in (*range(0x20), *range(0x7F, 0xA0)) if not chr(code).isspace())
_UNSEEN = dict.fromkeys((*_CONTROLS, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_CARD_NUMBER = re.compile(r"\d(?:[ .-]?\d){11,18}")
_TOKEN = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{12,}")
_MAX_CURRENCY_LENGTH = 24
_CACHE_SIZE = 1024
"""A mail has each amount several times."""

_NEAR = timedelta(days=180)
_MOMENT, _CLOCK, _BRIEF, _DATED = Form(zone=True), Form(None), Form("brief"), Form("dated", clock=False)
_SHOW, _NEAR_SHOW, _DAY, _NEAR_DAY = Form(), Form("near"), Form(clock=False), Form("near", clock=False)
_NO_BREAK = "\u00a0"
_BEFORE_NAME = re.compile(r"(?<=\d)(?: |(?=[A-Za-z]))")
_LATIN_THEN_OTHER = re.compile(r"(?<=[A-Za-z]) (?=[^\W\d_A-Za-z])")


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
    return plain(f"{amount.said} {name}").rstrip()


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
    shown = format_currency(
        _rounded(Decimal(amount), _places(currency)),
        currency,
        locale=locale,
        format_type="name" if named else "standard",
    )
    shown = _before_name(shown, locale) if named else _around_symbol(shown, symbol)
    return shown.replace("\u200f", "")


def _rounded(number: Decimal, places: int) -> Decimal:
    """As shops round; Babel rounds a half to the even neighbour."""
    smallest = Decimal(1).scaleb(-places)
    return number if number == number.quantize(smallest) else number.quantize(smallest, ROUND_HALF_UP)


def _around_symbol(amount: str, symbol: str) -> str:
    """With a no-break space between digits and letters, as CLDR's `currencySpacing` says, which Babel does not read."""
    if unicodedata.category(symbol[-1])[0] not in "SZ":
        amount = re.sub(rf"({re.escape(symbol)})(?=\d)", rf"\1{_NO_BREAK}", amount)
    if unicodedata.category(symbol[0])[0] not in "SZ":
        amount = re.sub(rf"(?<=\d)(?={re.escape(symbol)})", _NO_BREAK, amount)
    return amount


def _before_name(amount: str, locale: Locale) -> str:
    """With a no-break space before the currency's name. Japanese has one before Latin letters only."""
    shown = _BEFORE_NAME.sub(_NO_BREAK, amount, count=1)
    return _LATIN_THEN_OTHER.sub("", shown) if locale.language == "ja" else shown


def _is_latin(locale: Locale) -> bool:
    return (locale.language_name or "?")[0].isascii()


@pass_context
def moment(context: Context, when: datetime | None) -> str | None:
    """Format a time as date and time, with the zone's name."""
    localization: Localization = context["style"]
    if when is None:
        return None
    return dates.written(when.astimezone(localization.zone or UTC), _MOMENT, localization.locale)


@pass_context
def moment_brief(context: Context, when: datetime | None) -> str | None:
    """Format a time without its zone, for short texts; None where the zone is not known."""
    localization: Localization = context["style"]
    if when is None or localization.zone is None:
        return None
    return dates.written(when.astimezone(localization.zone), _BRIEF, localization.locale)


@pass_context
def showtime(context: Context, text: str | None) -> str | None:
    """Format the day and clock of a show, else return the text as it is. The clock is the cinema's, without a zone."""
    return show_text(text, context["style"])


def show_text(text: str | None, localization: Localization) -> str | None:
    """As `showtime`, for what no template writes."""
    return _shown_or_sent(text, _SHOW, _NEAR_SHOW, localization)


@pass_context
def showtime_brief(context: Context, text: str | None, longest: int | None = None) -> str | None:
    """Format like `showtime`, short enough for a subject line. A show that is far off has its year instead of its hour.

    `longest`: how many characters of a text that names no time are shown; a time is never cut.
    """
    localization: Localization = context["style"]
    if text is None:
        return None
    found = _shown(text, _DATED if localization.written_at else _BRIEF, _BRIEF, localization)
    if found or longest is None:
        return found or isolated(text, localization)
    return cut(isolated(text, localization), longest)


@pass_context
def day(context: Context, text: str | None) -> str | None:
    """Format the day of a show, without its year where it is near; else return the text as it is."""
    return _shown_or_sent(text, _DAY, _NEAR_DAY, context["style"])


@pass_context
def clock(context: Context, text: str | None) -> str | None:
    """Format the hour of a show at the cinema's clock; None where the text names none."""
    return _shown(text, _CLOCK, _CLOCK, context["style"])


def _shown_or_sent(text: str | None, form: Form, near: Form, localization: Localization) -> str | None:
    if text is None:
        return None
    return _shown(text, form, near, localization) or isolated(text, localization)


def _shown(text: str | None, form: Form, near: Form, localization: Localization) -> str | None:
    """The time that the text names, in this form, or in the form for one that is near; None where it names none."""
    when = parse_showtime(text, localization.zone) if text is not None else None
    if when is None:
        return None
    if _is_near(when, localization.written_at):
        form = near
    if form.clock and form.day != "brief" and _needs_zone(when, localization):
        form = form._replace(zone=True)
    return dates.written(when, form, localization.locale)


def _is_near(when: datetime, today: datetime | None) -> bool:
    """Whether day and month are enough: nobody takes them for those of another year."""
    return today is not None and abs(when.replace(tzinfo=None) - today.replace(tzinfo=None)) < _NEAR


def _needs_zone(when: datetime, localization: Localization) -> bool:
    """Whether it is not certain to be the cinema's clock, or whether that clock shows this hour twice."""
    if when.tzinfo is None:
        return False
    return localization.zone is None or when.utcoffset() != when.replace(fold=1 - when.fold).utcoffset()


@pass_context
def seats(context: Context, row: tuple[str, ...]) -> str | None:
    return isolated(listed(row, context["words"].comma()), context["style"]) if row else None


def listed(row: tuple[str, ...], comma: str = ", ") -> str:
    """Returns the first 30 seats in one line, and how many more there are."""
    more = f" (+{len(row) - _MAX_SEATS_SHOWN})" if len(row) > _MAX_SEATS_SHOWN else ""
    return comma.join(row[:_MAX_SEATS_SHOWN]) + more


def tickets(row: tuple[str, ...]) -> int | None:
    """Returns how many tickets the seats are; None where this is not certain."""
    return seating.count(row)


def letters(text: str) -> str:
    """Returns the letters and digits alone, to compare spellings: `CreditCard` and `credit-card` are one."""
    return "".join(filter(str.isalnum, text)).casefold()


def readable(text: str | None) -> str | None:
    """Returns an identifier as a person writes it: `credit_card` as `Credit card`.

    Of a card's number it shows the last four digits (PCI DSS 3.4). None for a number and for a gateway's token, which
    say nothing to a reader.
    """
    if text is None:
        return None
    shown = _CARD_NUMBER.sub(lambda found: f"\u2022\u2022\u2022\u2022 {found.group()[-4:]}", text)
    if shown.isdecimal() or _TOKEN.search(shown):
        return None
    words = shown.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def cut(text: str, longest: int) -> str:
    """Shorten the text to this many characters, with an ellipsis, and without parting a letter from its marks.

    A text in isolates stays in them.
    """
    if len(text) <= longest:
        return text
    if text[0] == _ISOLATE and text[-1] == _ISOLATED:
        return f"{_ISOLATE}{cut(text[1:-1], max(longest - 2, 1))}{_ISOLATED}"
    end = max(longest - 1, 0)
    while end > 0 and _joined(text, end):
        end -= 1
    return text[:end].rstrip() + "…"


def _joined(text: str, at: int) -> bool:
    return unicodedata.category(text[at]) in ("Mn", "Mc", "Me", "Sk") or "\u200d" in (text[at], text[at - 1])


def plain(text: str) -> str:
    """Remove overrides, embeddings and isolates (UAX 9): unclosed, they would affect the text after them too.

    And control characters, which no reader sees and some programs stop at; those that separate words stay.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_UNSEEN)


def isolated(text: str, localization: Localization) -> str:
    """Put the text in isolates (UAX 9) where it may run against the mail's direction. Few clients support `bdi`."""
    if localization.dir == "rtl":
        return f"{_ISOLATE}{text}{_ISOLATED}"
    if text.isascii() or not any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        return text
    return f"{_ISOLATE}{text}{_ISOLATED}"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "moment": moment,
    "moment_brief": moment_brief,
    "showtime": showtime,
    "showtime_brief": showtime_brief,
    "day": day,
    "clock": clock,
    "grouped": grouped,
    "seats": seats,
    "tickets": tickets,
    "letters": letters,
    "readable": readable,
    "line": one_line,
    "cut": cut,
}
