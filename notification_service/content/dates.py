"""Writes dates and hours as people of a language do: by CLDR, and otherwise where its short forms are not idiomatic."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time

from notification_service.content.zone_names import zone_name
from notification_service.foundation.caching import bounded_cache

_CACHE_SIZE = 2048
"""Texts of some dozen characters. A mail has each time several times, and hundreds share one show, or a minute."""

_MIDNIGHT = time()
_NO_BREAK = "\u00a0"
_WITHOUT_YEAR = re.compile(r"(?P<day>.*[Md])[,،]? (?:'\w+' )?y")
"""Patterns that end with the year. Of the others, a part of a date would be no date of their language."""

_SKELETONS = {"brief": "MMMEd", "dated": "yMMMd"}
_ALONE = re.compile(r"(?<!\d)1(?!\d)")
_DAY_AND_MONTH = re.compile(r"(?<=\d) (?=[^\W\d])|(?<=\d\.) (?=[^\W\d])|(?<=\d de) |(?<=[^\W\d]) (?=\d\d?(?!\d))")
"""The spaces between a day's number and its month, where no line may break."""

Day = Literal["full", "near", "brief", "dated"]
"""How a day is written: with its year; without it, for one that is near; short, for a subject; short with its year."""


class Form(NamedTuple):
    """What is written of a time. `zone`: behind the clock; it needs a time with a zone."""

    day: Day | None = "full"
    clock: bool = True
    zone: bool = False


class _Habits(NamedTuple):
    """Where a language differs from CLDR. `joint`: between day and clock, instead of a comma. `zone`: behind a clock.

    `first`: the first day of a month.
    """

    full: str | None = None
    near: str | None = None
    joint: str | None = None
    first: str = "1"
    zone: str = " ({})"
    clocks: Mapping[str, str] = {}
    """CLDR's pattern of the clock, and the one to use for it."""


_HABITS = {
    "de": _Habits(clocks={"HH:mm": "HH:mm 'Uhr'", "H:mm": "H:mm 'Uhr'"}),
    "es": _Habits(full="EEEE d 'de' MMMM 'de' y", near="EEEE d 'de' MMMM", joint="{1} a las {0}"),
    "fr": _Habits(joint="{1} à {0}", first="1er", clocks={"HH:mm": "H'h'mm"}),
    "ja": _Habits(full="y年M月d日(E)", near="M月d日(E)", zone="（{}）"),  # noqa: RUF001 - East Asian
}
_CLDR = _Habits()


def written(local: datetime, form: Form, locale: Locale) -> str:
    """Returns the time in this form. No line breaks inside a clock."""
    return _cached(local.isoformat(timespec=_precision(locale)), form, local.tzinfo, locale)


@lru_cache(_CACHE_SIZE)
def _precision(locale: Locale) -> str:
    """What is shown of a time: no seconds, but the names of the parts of a day may change with one."""
    return "seconds" if re.search("[Bb]", _clock_pattern(locale)) else "minutes"


# Cached by its text: one time is equal in all zones, but reads differently in each.
@bounded_cache(_CACHE_SIZE)
def _cached(text: str, form: Form, zone: tzinfo | None, locale: Locale) -> str:
    local = datetime.fromisoformat(text)
    return _written(local.astimezone(zone) if zone else local, form, locale)


def _written(local: datetime, form: Form, locale: Locale) -> str:
    """From parts that many times share: a day of a year, a minute of a day, a season of a zone."""
    clock = _clock(local.time(), locale) if form.clock else ""
    if form.zone:
        name = zone_name(local, locale)
        clock += f"{_NO_BREAK}{name}" if name.isalpha() and name.isupper() else _habits(locale).zone.format(name)
    day = _day(local.date(), form.day, locale) if form.day else ""
    return _joined(day, clock, form, locale) if day and clock else day or clock


def _joined(day: str, clock: str, form: Form, locale: Locale) -> str:
    cldr = _cldr_joint(locale)
    joint = _habits(locale).joint or cldr
    if locale.language == "es":
        at_one = clock.lstrip("0").startswith("1:")
        # In a subject, each letter counts.
        joint = cldr if form.day == "brief" else joint.replace("las", "la") if at_one else joint
    return joint.format(clock, day)


@lru_cache(_CACHE_SIZE)
def _cldr_joint(locale: Locale) -> str:
    return str(locale.datetime_formats["medium"])


def _habits(locale: Locale) -> _Habits:
    return _HABITS.get(locale.language, _CLDR)


@lru_cache(_CACHE_SIZE)
def _day(on: date, day: Day, locale: Locale) -> str:
    if skeleton := _SKELETONS.get(day):
        written_day = format_skeleton(skeleton, datetime.combine(on, _MIDNIGHT), locale=locale)
    else:
        written_day = format_date(on, _pattern(day, locale), locale)
    if on.day == 1:
        written_day = _ALONE.sub(_habits(locale).first, written_day, count=1)
    return _DAY_AND_MONTH.sub(_NO_BREAK, written_day)


def _pattern(day: Day, locale: Locale) -> str:
    habits = _habits(locale)
    full = habits.full or str(locale.date_formats["full"].pattern)
    if day == "full":
        return full
    found = _WITHOUT_YEAR.fullmatch(full)
    return habits.near or (found["day"] if found else full)


@lru_cache(_CACHE_SIZE)
def _clock_pattern(locale: Locale) -> str:
    cldr = str(locale.time_formats["short"].pattern)
    return _habits(locale).clocks.get(cldr, cldr)


@lru_cache(_CACHE_SIZE)
def _clock(at: time, locale: Locale) -> str:
    return _NO_BREAK.join(format_time(at, _clock_pattern(locale), locale=locale).split())
