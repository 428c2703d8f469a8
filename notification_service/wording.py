"""How values read in a mail: money, moments, showtimes, seats. Each unknown value stays None."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime, get_timezone_name
from babel.numbers import format_currency
from jinja2 import pass_context
from jinja2.runtime import Context

from notification_service.events import Event

_SHOWTIME_FORMATS = ("%Y-%m-%d %I:%M %p", "%Y-%m-%d %H:%M", "%Y-%m-%d %I:%M%p")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MOST_SEATS_SHOWN = 30
_LAST_ZONE = timezone(timedelta(hours=-12))
"""Where a day ends last on Earth."""


@dataclass(frozen=True, slots=True)
class Style:
    """In which language, time zone (None: nobody said) and currency one mail speaks."""

    locale: Locale
    zone: ZoneInfo | None
    currency: str

    @property
    def lang(self) -> str:
        return str(self.locale).replace("_", "-")

    @property
    def dir(self) -> str:
        return self.locale.text_direction


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is taken where the event does not say."""

    locale: str = "en_US"
    time_zone: str | None = None
    currency: str = "USD"

    def for_event(self, event: Event) -> Style:
        currency = (event.currency or "").upper()
        return Style(
            Locale.parse(self.locale),
            _zone(event.time_zone) or _zone(self.time_zone),
            currency if _CURRENCY.fullmatch(currency) else self.currency,
        )


def check_locale(name: str) -> str:
    """The name as it is. Raises `ValueError` where no such locale is known."""
    try:
        return str(Locale.parse(name.replace("-", "_")))
    except UnknownLocaleError as problem:
        raise ValueError(str(problem)) from None


def check_zone(name: str | None) -> str | None:
    """The name as it is. Raises `ValueError` where no such time zone is known."""
    if name is not None and _zone(name) is None:
        raise ValueError(f"{name!r} is no time zone of the IANA database, such as Europe/Madrid")
    return name


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def parse_showtime(text: str, zone: ZoneInfo | None) -> datetime | None:
    """The moment that a free-text showtime names, at the cinema's clock; None where it names none.

    Where nobody said which zone the cinema is in, what is on the wire stands: no zone is made up for it.
    """
    for read in (datetime.fromisoformat, *(_by(pattern) for pattern in _SHOWTIME_FORMATS)):
        try:
            moment = read(text)
        except ValueError:
            continue
        # A bare date parses too, but a mail must not invent an hour; no zone can be applied at the calendar's ends.
        named = ":" in text and MINYEAR < moment.year < MAXYEAR
        return _at_the_cinema(moment, zone) if named else None
    return None


def _at_the_cinema(moment: datetime, zone: ZoneInfo | None) -> datetime:
    if zone is None:
        return moment
    return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)


def has_begun(showtime: str | None, zone: ZoneInfo | None, now: datetime) -> bool:
    """Whether the show has begun for certain: where nobody named its zone, it has to have begun in every zone."""
    when = parse_showtime(showtime, zone) if showtime else None
    return when is not None and (when if when.tzinfo else when.replace(tzinfo=_LAST_ZONE)) <= now


def _by(pattern: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is the cinema's, given later


@pass_context
def money(context: Context, amount: Decimal | None) -> str | None:
    style: Style = context["style"]
    return None if amount is None else format_currency(amount, style.currency, locale=style.locale)


@pass_context
def moment(context: Context, when: datetime | None) -> str | None:
    """Date and time with the zone's name."""
    style: Style = context["style"]
    return None if when is None else _spoken(when.astimezone(style.zone or UTC), style)


@pass_context
def showtime(context: Context, text: str | None) -> str | None:
    """The date and time that the text names, else the text as it is."""
    if text is None:
        return None
    style: Style = context["style"]
    when = parse_showtime(text, style.zone)
    return _spoken(when, style) if when else text


@pass_context
def showtime_brief(context: Context, text: str | None) -> str | None:
    """The same, short enough for a subject line."""
    if text is None:
        return None
    style: Style = context["style"]
    when = parse_showtime(text, style.zone)
    return _formatted(when, "EEE d MMM, ", style) + _hour(when, style) if when else text


def _spoken(local: datetime, style: Style) -> str:
    day = _formatted(local, "EEEE, d MMMM y", style)
    zone = f" {_zone_name(local, style)}" if local.tzinfo else ""
    return f"{day}, {_hour(local, style)}{zone}"


def _zone_name(local: datetime, style: Style) -> str:
    """`EST`, and in full where the locale has no short name: a bare `+0100` tells few readers anything."""
    short = get_timezone_name(local, "short", locale=style.locale)
    return short if short.isalpha() else get_timezone_name(local, "long", locale=style.locale)


def _hour(local: datetime, style: Style) -> str:
    return _formatted(local, style.locale.time_formats["short"].pattern, style).replace("\u202f", "\u00a0")


def _formatted(local: datetime, pattern: str, style: Style) -> str:
    return format_datetime(local, pattern, local.tzinfo, style.locale)


def seats(row: tuple[str, ...]) -> str | None:
    """The seats in order, cut with a notice where there are more than a person would read."""
    shown = ", ".join(row[:_MOST_SEATS_SHOWN])
    return (f"{shown} (+{len(row) - _MOST_SEATS_SHOWN})" if len(row) > _MOST_SEATS_SHOWN else shown) or None


def readable(text: str | None) -> str | None:
    """`credit_card` → `Credit card`: a word of the wire as a person writes it."""
    if text is None:
        return None
    words = text.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "moment": moment,
    "showtime": showtime,
    "showtime_brief": showtime_brief,
    "seats": seats,
    "readable": readable,
}
