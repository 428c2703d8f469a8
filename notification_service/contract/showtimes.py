"""Reads showtimes as producers write them. A text is read only if all of it is understood, in exactly one way."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from notification_service.contract import time_zones
from notification_service.foundation.caching import bounded_cache

_MAX_LENGTH = 80
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE_MONTHS = r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
_MONTH = rf"(?P<month>{_WHOLE_MONTHS}|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_WEEKDAY = (
    r"(?:(?P<weekday>mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?"
    r"|sun(?:day)?)\.?,? )?"
)
_DATES = (
    r"(?P<y>\d{4})(?P<s>[-/.])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})",
    r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
    r"(?P<y>\d{4})-?w(?P<week>\d\d)-?(?P<of_week>[1-7])",
    r"(?P<one>\d{1,2})(?P<s>[-/.])(?P<other>\d{1,2})(?P=s)(?P<y>\d{4})",
    rf"{_DAY}[ -]{_MONTH}[ -](?P<y>\d{{4}})",
    rf"{_MONTH} {_DAY},? (?P<y>\d{{4}})",
)
_BETWEEN = r"(?:,? ?(?P<iso>t) ?|, ?| at | )"
_CLOCK = (
    r"(?:(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d\d))(?::(?P<second>\d\d)(?:[.,]\d{1,9})?)?"
    r"|(?P<hour2>\d\d)(?P<minute2>\d\d)(?P<second2>\d\d)?"
    r"|(?P<hour3>\d{1,2})(?= ?[ap]\.?m))"
    r"(?: ?(?P<half>[ap])\.?m\.?)?(?: ?(?:uhr|hrs|h))?"
)
_OFFSET = r"(?: ?(?P<utc>z|utc|gmt))?(?: ?(?P<sign>[+-])(?P<east>\d\d)(?::?(?P<minutes>\d\d))?)?"
_COMMENT = r"(?P<comment> \([^()\d]{1,60}\)| utc| [a-z]{1,4}t)?"
"""The zone's name after its offset, as JavaScript, Go and mail programs write it."""

_ZONE_NAME = r"(?: ?\[(?P<zone>[^\[\]]{1,64})\])?"
_TEXTS = tuple(re.compile(f"{_WEEKDAY}{day}{_BETWEEN}{_CLOCK}{_OFFSET}{_COMMENT}{_ZONE_NAME}") for day in _DATES)
_UNIX_DATE = re.compile(rf"{_WEEKDAY}{_MONTH} (?P<day>\d{{1,2}}) {_CLOCK}(?: (?P<utc>utc|gmt))? (?P<y>\d{{4}})")
_RUN_TOGETHER = re.compile(r"(?P<y>20\d\d)(?P<m>\d\d)(?P<d>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?")
_EPOCH = re.compile(r"(\d{10})(\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?")
_DOT_NET_DATE = re.compile(r"\\?/date\((?P<milliseconds>-?\d{1,15})(?:[+-]\d{4})?\)\\?/")
""".NET's `/Date(…)/`. Its offset does not change the moment."""

_THOUSANDTHS = 3
_UNSET_TIME = re.compile(
    r"(?:0000|0001|9999)-.*|(?:1970-01-01|1900-01-01|1899-12-30)(?:[t ]00:00(?::00(?:\.0*)?)?)?|0+"
)
_UNSET_STARTS = tuple("019/\\\uff10\uff11")
_BEGIN_KEYS, _ZONE_KEYS = ("datetime", "date", "start", "startsat", "starttime"), ("timezone", "tz", "zone", "zoneid")
_OTHER_KEYS = {"time", "timezonetype", "end", "endsat", "endtime", *_ZONE_KEYS}
_INSTANT_KEYS = ("seconds", "epochsecond")
_CLOCK_PARTS = (("year",), ("monthvalue", "month"), ("dayofmonth", "day"), ("hour",), ("minute",))
_DATE_AND_HOUR = re.compile(r"20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])")
_MAX_SHOW, _MAX_NIGHT = timedelta(hours=4), timedelta(hours=6)
"""How long a show may last if `10:00-12:00` is a range: in ISO 8601's form; in others, where offsets are rarer."""

_INVISIBLE = dict.fromkeys((0x061C, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x2066, 0x206A)))
_TWELVE = 12
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
MIN_YEAR = 1970
"""`0026` is a year of two digits, and what it names would be long over."""


def read(text: str) -> datetime | None:
    """The moment; naive if the text names no zone or offset.

    None if a part of the text is not understood, or if it is ambiguous: `05/06/2026`, a range that looks like an
    offset, an hour without a date.
    """
    plain = _plain(text)
    try:
        return None if len(plain) > _MAX_LENGTH else _in_calendar(_epoch(plain) or _dated(plain))
    except (ValueError, OverflowError):
        return None


def is_unset(text: str) -> bool:
    """Whether it is the value that programs write for a time that was never set, such as `0001-01-01` or the epoch."""
    if not text.startswith(_UNSET_STARTS):
        return False
    plain = _plain(text)
    dot_net = _DOT_NET_DATE.fullmatch(plain)
    if dot_net:
        return len(dot_net["milliseconds"].lstrip("-0")) == 0 or dot_net["milliseconds"].startswith("-621355968")
    return bool(_UNSET_TIME.fullmatch(plain)) or read(plain) == _EPOCH_START


def as_text(value: object) -> str:
    """A time given as a number, list or object, as a text for `read`. Raises `ValueError` if it may not be a time."""
    match value:
        case int() | float() | Decimal() as number if not isinstance(number, bool):
            return _of_number(number)
        case dict() as parts:
            return _of_parts(parts)
        case [int() as year, int() as month, int() as day] if not any(isinstance(part, bool) for part in value):
            return date(year, month, day).isoformat()
        case [int(), int(), int(), int(), int(), *_] as numbers if all(type(part) is int for part in numbers):
            # The last element of Java's arrays is nanoseconds.
            return _of_clock(numbers[:6])
    raise ValueError("it is not a time")


def _of_number(number: float | Decimal) -> str:
    digits = str(int(number))
    if number and read(digits) is None:
        raise ValueError("it is not a time")
    return digits


def _of_clock(numbers: Sequence[Any]) -> str:
    """`numbers`: year, month, day, hour, minute and optionally second."""
    return datetime(*numbers).isoformat()  # noqa: DTZ001 - the zone is applied later


def _of_parts(parts: Mapping[str, object]) -> str:
    """A moment as an object, as Java, PHP, Google and Microsoft write it."""
    plain = {name.replace("_", "").casefold(): value for name, value in parts.items()}
    for name in ("date", "time"):
        if isinstance(inner := plain.get(name), dict):  # a date and a clock, each with its parts
            plain = {**{part: value for part, value in plain.items() if part != name}, **inner}
    seconds = [plain[name] for name in _INSTANT_KEYS if name in plain]
    if len(seconds) == 1 and isinstance(seconds[0], int):
        return _of_number(seconds[0])
    clock = [next((part for name in names if type(part := plain.get(name)) is int), None) for names in _CLOCK_PARTS]
    if None not in clock and not plain.keys() & {"zone", "offset"}:
        return _of_clock(clock)
    return _of_texts(plain)


def _of_texts(plain: Mapping[str, object]) -> str:
    begins = [name for name in _BEGIN_KEYS if isinstance(plain.get(name), str)]
    if len(begins) != 1 or plain.keys() - {begins[0]} - _OTHER_KEYS:
        raise ValueError("it is not a time")
    clock, zone = plain.get("time"), next((plain[name] for name in _ZONE_KEYS if plain.get(name)), None)
    hour = f" {clock}" if isinstance(clock, str) else ""
    return f"{plain[begins[0]]}{hour}" + (f"[{zone}]" if isinstance(zone, str) else "")


def _in_calendar(moment: datetime | None) -> datetime | None:
    """None before `MIN_YEAR`, and in the last year, where no zone can be applied."""
    return moment if moment and MIN_YEAR <= moment.year < MAXYEAR else None


def _plain(text: str) -> str:
    """In lower case, with ASCII digits and plain spaces: ICU writes U+202F before PM, and direction marks."""
    if text.isascii():
        return " ".join(text.lower().split())
    text = unicodedata.normalize("NFKC", text[: 2 * _MAX_LENGTH]).translate(_INVISIBLE).replace("\u2212", "-")
    return " ".join("".join(_digit(character) for character in text).lower().split())


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character, character))


def _epoch(text: str) -> datetime | None:
    """Unix time: 10 digits are seconds, 13 ms, 16 µs, 19 ns. Not `2026121519`, which may be a date with an hour."""
    if dot_net := _DOT_NET_DATE.fullmatch(text):
        text = dot_net["milliseconds"]
    found = _EPOCH.fullmatch(text)
    if found is None or (len(found[2] or "") != _THOUSANDTHS and _DATE_AND_HOUR.match(text)):
        return None
    parts = float(f"0.{found[2] or 0}")
    return datetime.fromtimestamp(int(found[1]), UTC) + timedelta(seconds=parts)


def _dated(text: str) -> datetime | None:
    patterns = (*_TEXTS, _UNIX_DATE, _RUN_TOGETHER)
    parts = next((found.groupdict() for pattern in patterns if (found := pattern.fullmatch(text))), None)
    day, hour = (_day(parts), _hour(parts)) if parts else (None, None)
    if parts is None or day is None or hour is None:
        return None
    weekday = parts.get("weekday")
    if weekday and _DAYS[day.weekday()] != weekday[:3]:
        return None
    return _with_zone(datetime.combine(day, hour), parts)


def _day(parts: dict[str, str | None]) -> date | None:
    def number(name: str) -> int:
        return int(parts.get(name) or 0)

    year = number("y")
    if parts.get("week"):
        return date.fromisocalendar(year, number("week"), number("of_week"))
    if month := parts.get("month"):
        return date(year, _MONTHS.index(month[:3]) + 1, number("day"))
    if parts.get("one"):
        return _day_and_month(year, number("one"), number("other"))
    return date(year, number("m"), number("d"))


def _day_and_month(year: int, one: int, other: int) -> date | None:
    if one == other or one > _TWELVE:
        return date(year, other, one)
    return date(year, one, other) if other > _TWELVE else None


def _hour(parts: dict[str, str | None]) -> time | None:
    def number(name: str) -> int:
        return int(parts.get(name) or parts.get(f"{name}2") or parts.get(f"{name}3") or 0)

    hour = number("hour")
    if half := parts.get("half"):
        if not 1 <= hour <= _TWELVE:
            return None
        hour = hour % _TWELVE + (_TWELVE if half == "p" else 0)
    return time(hour, number("minute"), number("second"))


def _with_zone(moment: datetime, parts: dict[str, str | None]) -> datetime | None:
    sign, hours = parts.get("sign"), parts.get("east")
    if not sign or not hours:
        return _in_named_zone(moment, parts)
    if parts.get("comment") and not (parts.get("second") or parts.get("second2")):
        return None
    east = time_zones.offset(sign, hours, parts.get("minutes"))
    if east is None or (sign == "-" and not parts.get("utc") and _may_be_a_range(moment, parts)):
        return None
    return _if_zones_agree(moment.replace(tzinfo=timezone(east) if east else UTC), parts.get("zone"))


def _in_named_zone(moment: datetime, parts: dict[str, str | None]) -> datetime | None:
    """The moment in the zone named after it; None if that hour occurs twice or never there."""
    if parts.get("comment"):
        return None
    if parts.get("utc"):
        return _if_zones_agree(moment.replace(tzinfo=UTC), parts.get("zone"))
    if not (name := parts.get("zone")):
        return moment
    local = moment.replace(tzinfo=time_zones.find(name))
    return local if local.tzinfo and local.utcoffset() == local.replace(fold=1).utcoffset() else None


def _may_be_a_range(moment: datetime, parts: dict[str, str | None]) -> bool:
    """Whether `10:00-12:00` or `7:30 PM-10:00` may be a start and an end. With seconds it is a time and an offset."""
    if parts.get("second") or parts.get("second2"):
        return False
    ends = timedelta(hours=int(parts["east"] or 0), minutes=int(parts.get("minutes") or 0))
    begins = timedelta(hours=moment.hour, minutes=moment.minute)
    round_of_the_clock = timedelta(hours=12 if parts.get("half") else 24)
    lasts = (ends - begins) % round_of_the_clock
    return timedelta() < lasts <= (_MAX_SHOW if parts.get("iso") else _MAX_NIGHT)


def _if_zones_agree(moment: datetime, name: str | None) -> datetime | None:
    """Java writes the zone after the offset; None if the two disagree."""
    if not name:
        return moment
    zone: tzinfo | None = time_zones.find(name)
    agreed = isinstance(zone, ZoneInfo) and moment.astimezone(zone).utcoffset() == moment.utcoffset()
    return moment if agreed else None


_CACHE_SIZE = 1024
"""A mail shows each moment several times, and hundreds of mails share one show."""


_LAST_ZONE = timezone(timedelta(hours=-12))
"""The zone in which a day ends last."""


@bounded_cache(_CACHE_SIZE)
def parse_showtime(text: str, zone: tzinfo | None) -> datetime | None:
    """The moment that a showtime names, in the cinema's zone; None if it cannot be read.

    `zone`: None if the cinema's zone is unknown. Then the result has the offset of the text, or none.
    """
    moment = read(text)
    return moment and _at_the_cinema(moment, zone)


def _at_the_cinema(moment: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        return moment
    if moment.tzinfo:
        return moment.astimezone(zone)
    local = moment.replace(tzinfo=zone)
    # The hour occurs twice or never on that day (PEP 495), so it is ambiguous: it stays as it was sent.
    return local if local.utcoffset() == local.replace(fold=1).utcoffset() else moment


def has_begun(showtime: str | None, zone: tzinfo | None, now: datetime) -> bool:
    """Whether the show has certainly begun; without a known zone, whether it has begun in every zone."""
    when = parse_showtime(showtime, zone) if showtime else None
    return when is not None and (when if when.tzinfo else when.replace(tzinfo=_LAST_ZONE)) <= now
