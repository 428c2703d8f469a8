"""Quiet hours: the time of day in which a channel wakes nobody, by the clock of the show's place. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from notification_service.contract.events import Event
from notification_service.contract.notification_rules import RULES
from notification_service.contract.showtimes import parse_showtime
from notification_service.delivery.show_changes import Zone

_NOTICE = timedelta(hours=2)
"""A show that begins sooner than this after the quiet hours leaves too little time to learn of it in the morning."""
_SPELLING = re.compile(r"([01]?\d|2[0-3]):([0-5]\d) ?[-\u2013] ?([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` until before `end`, over midnight where `end` is the earlier time of day."""

    begin: time
    end: time

    def wait_until(self, event: Event, zone: Zone, now: datetime) -> datetime | None:
        """The end of the quiet hours that the event's message waits for, in UTC; None where it goes now.

        It goes at any hour where it answers what its reader is doing (a ticket, a payment), where its show begins
        before the reader could act on it in the morning, and where nobody knows what time it is at the show's place.
        """
        place = None if RULES[type(event)].at_any_hour else _place(event, zone)
        end = self._end_of(now.astimezone(place)) if place else None
        show_at = _show_at(event, zone)
        soon = show_at is not None and end is not None and now < show_at < end + _NOTICE
        return None if soon else end

    def _end_of(self, local: datetime) -> datetime | None:
        """When the quiet hours that the moment is in end; None where it is in none."""
        clock, overnight = local.time(), self.end < self.begin
        if overnight and clock < self.end:
            day = local.date()
        elif clock >= self.begin and (overnight or clock < self.end):
            day = local.date() + timedelta(days=overnight)
        else:
            return None
        # An hour that the clocks show twice is told apart by its fold (PEP 495).
        return datetime.combine(day, self.end, local.tzinfo).replace(fold=local.fold).astimezone(UTC)


def parse_quiet_hours(text: str) -> QuietHours:
    """Read `22:00-08:00`. Raises `ValueError`."""
    found = _SPELLING.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time of day: write two, in 24 hours, such as 22:00-08:00")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    hours = QuietHours(time(hour, minute), time(end_hour, end_minute))
    if hours.begin == hours.end:
        raise ValueError(f"{text!r} begins when it ends: take the setting out where no hour is quiet")
    return hours


def _place(event: Event, zone: Zone) -> tzinfo | None:
    """The event's zone, else the offset of its showtime, which is its cinema's own unless it is UTC."""
    if known := zone(event):
        return known
    show_at = _show_at(event, zone)
    return show_at.tzinfo if show_at is not None and show_at.utcoffset() else None


def _show_at(event: Event, zone: Zone) -> datetime | None:
    """When its show begins, where that is a certain moment."""
    showtime = getattr(event, "showtime", None)
    at = parse_showtime(showtime, zone(event)) if showtime else None
    return at if at is not None and at.tzinfo else None
