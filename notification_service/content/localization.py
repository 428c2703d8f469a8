"""In which language, time zone and currency a message speaks, and what holds where an event does not say."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property

from babel import Locale, UnknownLocaleError

from notification_service.content import catalogues, currencies
from notification_service.contract import time_zones
from notification_service.contract.events import Event
from notification_service.foundation.caching import bounded_cache

_CACHE_SIZE = 1024
"""A mail says each amount and moment several times, and hundreds of mails share one show."""


@dataclass(frozen=True, slots=True)
class Cinema:
    """What the events do not say about a cinema."""

    address: str | None = None
    time_zone: str | None = None
    map_url: str | None = None


@dataclass(frozen=True)
class Localization:
    """In which language, time zone and currency one mail speaks.

    `zone`: None where nobody said one, or said one that is none. `currency`: None where the event says one that is
    none; it is shown as it was `said` then.
    """

    locale: Locale
    zone: tzinfo | None
    currency: str | None
    language: str = catalogues.SOURCE
    """The catalogue; `locale` may be finer."""
    said: str | None = None
    """The event's own word for its currency."""

    @cached_property
    def lang(self) -> str:
        return str(self.locale).replace("_", "-")

    @cached_property
    def dir(self) -> str:
        return self.locale.text_direction


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is taken where the event does not say. `cinemas` are found by name, in any case of letters."""

    locale: str = "en_US"
    time_zone: str | None = None
    currency: str = "USD"
    cinemas: Mapping[str, Cinema] = field(default_factory=dict)
    spoken: Collection[str] = (catalogues.SOURCE,)

    def for_event(self, event: Event, asked: str | None = None) -> Localization:
        """`asked`: the locale of the reader, which the event's own wins over."""
        locale = catalogues.choose((event.locale, asked), self.spoken) or _parsed(self.locale)
        said = event.currency
        currency = self.currency if said is None else currencies.resolve(said, self.currency)
        return Localization(locale, self._zone(event), currency, locale.language, said)

    def _zone(self, event: Event) -> tzinfo | None:
        """Where the event says one that is none, no other is taken in its place."""
        if event.time_zone is not None:
            return time_zones.find(event.time_zone)
        named = self.cinema(event).time_zone or self.time_zone
        return time_zones.find(named) if named else None

    def cinema(self, event: Event) -> Cinema:
        name = getattr(event, "cinema_name", None)
        return self.cinemas.get(name.casefold(), _NOWHERE) if name else _NOWHERE


_NOWHERE = Cinema()


_parsed = bounded_cache(_CACHE_SIZE)(Locale.parse)


def check_locale(name: str) -> str:
    """The name as it is. Raises `ValueError` where no such locale is known."""
    try:
        return str(Locale.parse(name.replace("-", "_")))
    except UnknownLocaleError as problem:
        raise ValueError(str(problem)) from None
