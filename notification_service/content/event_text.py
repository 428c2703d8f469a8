"""The texts of an event as a person reads them: shortened, cleaned, isolated where they run the other way (UAX 9)."""

from typing import Any, TypeVar

from notification_service.content import formatting
from notification_service.content.formatting import cut
from notification_service.content.localization import Localization
from notification_service.contract.events import BookingConfirmed, Event, Shown

_MAX_TEXT_LENGTH = 500


_ADDRESSES = ("retry_url", "user_email")


_READ_BY_FILTERS = {"event_type", "showtime", "payment_method", "currency", "locale", "time_zone"}


Said = TypeVar("Said", Event, Shown)


def _before(event: Event, style: Localization) -> Shown | None:
    """What an earlier mail said of the show, and is no longer so."""
    before = event.changed_from if isinstance(event, BookingConfirmed) else None
    return _isolated(_readable(before), style) if before else None


def _readable(event: Said) -> Said:
    """The event with its texts as a person would read them: none is so long that the mail is clipped, none turns it."""
    texts: dict[str, Any] = {name: shown for name, text in event if (shown := _shown(name, text)) != text}
    seats = getattr(event, "seats", ())
    if any(_shown("seats", seat) != seat for seat in seats):
        texts["seats"] = tuple(shown for seat in seats if (shown := _shown("seats", seat)))
    return event.model_copy(update=texts) if texts else event


def _shown(name: str, value: object) -> object:
    if not isinstance(value, str) or (len(value) <= _MAX_TEXT_LENGTH and value.isascii()):
        return value
    # An address is judged as it was sent, not as it would be without what is wrong with it.
    return cut(value if name in _ADDRESSES else formatting.calm(value), _MAX_TEXT_LENGTH).strip() or None


def _isolated_text(text: str | None, style: Localization) -> str | None:
    return formatting.isolated(text, style) if text else None


def _isolated(event: Said, style: Localization) -> Said:
    """Its texts so that none turns the sentence around it (UAX 9)."""
    texts = {
        name: formatting.isolated(value, style)
        for name, value in event
        if isinstance(value, str) and name not in _READ_BY_FILTERS and formatting.may_turn(value, style)
    }
    return event.model_copy(update=texts) if texts else event
