"""The language, time zone and currency of a message, and the defaults where an event does not name them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import lru_cache

from babel import Locale, UnknownLocaleError

from notification_service.content import catalogues, currencies
from notification_service.contract import time_zones
from notification_service.contract.events import Event
from notification_service.foundation.caching import bounded_cache

_CACHE_SIZE = 1024
"""A mail has each amount and time several times, and hundreds of mails share one show."""


@dataclass(frozen=True, slots=True)
class Cinema:
    """Facts about a cinema that no event carries. `latitude`, `longitude`: in degrees."""

    address: str | None = None
    time_zone: str | None = None
    map_url: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class Localization:
    """The language, time zone and currency of one mail.

    `zone`: None where none is given, or the event names an unknown one. `currency`: None where the event names an
    unknown one; the mail then shows `event_currency` as it was sent.
    """

    locale: Locale
    zone: tzinfo | None
    currency: str | None
    language: str = catalogues.SOURCE
    """The language of the catalogue; `locale` may name a region as well."""
    event_currency: str | None = None
    """The currency as the event names it."""
    written_at: datetime | None = None
    """When the event was published: what is near to it needs no year."""
    lang: str = field(init=False)
    """The tag of RFC 5646."""
    dir: str = field(init=False)
    """`ltr` or `rtl`."""

    def __post_init__(self) -> None:
        for name, value in _attributes(self.locale).items():
            object.__setattr__(self, name, value)


@lru_cache(_CACHE_SIZE)
def _attributes(locale: Locale) -> Mapping[str, str]:
    return {"lang": str(locale).replace("_", "-"), "dir": locale.text_direction}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for what an event does not name. `cinemas`: by lower-case name. `languages`: with a catalogue."""

    locale: str = "en_US"
    time_zone: str | None = None
    currency: str = "USD"
    cinemas: Mapping[str, Cinema] = field(default_factory=dict)
    languages: Collection[str] = (catalogues.SOURCE,)

    def for_event(self, event: Event, asked: str | None = None) -> Localization:
        """Returns the localization of an event's mail. `asked`: the reader's locale, where the event names none."""
        locale = catalogues.choose((event.locale, asked), self.languages) or _parsed(self.locale)
        named = event.currency
        currency = self.currency if named is None else currencies.resolve(named, self.currency)
        language = catalogues.language_of(locale, self.languages) or catalogues.SOURCE
        return Localization(locale, self._zone(event), currency, language, named, event.timestamp)

    def _zone(self, event: Event) -> tzinfo | None:
        """The event's zone, else its cinema's, else the default. An unknown zone of the event is not replaced."""
        if event.time_zone is not None:
            return time_zones.find(event.time_zone)
        named = self.cinema(event).time_zone or self.time_zone
        return time_zones.find(named) if named else None

    def cinema(self, event: Event) -> Cinema:
        # A model asks its class for what it does not have, which takes long.
        name = event.__dict__.get("cinema_name")
        return self.cinemas.get(name.casefold(), _UNKNOWN_CINEMA) if name else _UNKNOWN_CINEMA


_UNKNOWN_CINEMA = Cinema()


_parsed = bounded_cache(_CACHE_SIZE)(Locale.parse)


def check_locale(name: str) -> str:
    """Returns the locale's name. Raises `ValueError` where it is unknown."""
    try:
        return str(Locale.parse(name.replace("-", "_")))
    except (UnknownLocaleError, ValueError):
        raise ValueError(f"{name!r} is no locale that is known, such as en_US") from None
