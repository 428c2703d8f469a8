"""Prepares the texts of an event for a mail: shortened, cleaned, and isolated where needed (UAX 9)."""

from typing import Any, TypeVar

from notification_service.content import formatting
from notification_service.content.formatting import cut
from notification_service.content.localization import Localization
from notification_service.contract.events import BookingConfirmed, Event, Item, Shown

_MAX_TEXT_LENGTH = 500
_ADDRESSES = ("retry_url", "user_email")
_FAMILY_NAME_FIRST = {"ja", "ko", "zh", "hu", "vi"}
_READ_BY_FILTERS = {"event_type", "showtime", "payment_method", "currency", "locale", "time_zone"}

HasTexts = TypeVar("HasTexts", Event, Shown)


def earlier_show(event: Event, localization: Localization) -> Shown | None:
    """Returns the details of the show that an earlier mail gave and that have changed, ready for a mail."""
    before = event.changed_from if isinstance(event, BookingConfirmed) else None
    return isolated(cleaned(before), localization) if before else None


def cleaned(event: HasTexts) -> HasTexts:
    """Returns the event with texts of at most 500 characters, without control characters and direction controls."""
    values = event.__dict__  # a model asks its class for what it does not have, which takes long
    texts: dict[str, Any] = {
        name: text
        for name, value in values.items()
        if type(value) is str
        and not (value.isascii() and value.isprintable() and len(value) <= _MAX_TEXT_LENGTH)
        and (text := _cleaned(name, value)) != value
    }
    items, seats = values.get("items"), values.get("seats", ())
    if items and any(_item(item) != item for item in items):
        texts["items"] = tuple(item for item in map(_item, items) if item.name)
    if [seat for seat in seats if len(seat) > _MAX_TEXT_LENGTH or not (seat.isascii() and seat.isprintable())]:
        texts["seats"] = tuple(text for seat in seats if (text := _cleaned("seats", seat)))
    return event.model_copy(update=texts) if texts else event


def _item(item: Item) -> Item:
    return item.model_copy(update={"name": _cleaned("name", item.name)})


def _cleaned(name: str, value: object) -> object:
    if not isinstance(value, str) or (len(value) <= _MAX_TEXT_LENGTH and value.isascii() and value.isprintable()):
        return value
    # An address is checked as it was sent: without its direction controls it would be another one.
    return cut(value if name in _ADDRESSES else formatting.plain(value), _MAX_TEXT_LENGTH).strip() or None


def salutation(first: str | None, last: str | None, localization: Localization) -> str | None:
    """Returns the name for a greeting: the first name; where the family name comes first, both, in that order."""
    if first and last and localization.locale.language in _FAMILY_NAME_FIRST:
        return isolated_text(f"{last} {first}", localization)
    return isolated_text(first, localization)


def isolated_text(text: str | None, localization: Localization) -> str | None:
    return formatting.isolated(text, localization) if text else None


def isolated(event: HasTexts, localization: Localization) -> HasTexts:
    """Returns the event with texts that cannot change the direction of the sentence around them (UAX 9)."""
    leftwards = localization.dir == "rtl"
    texts: dict[str, Any] = {
        name: formatting.isolated(value, localization)
        for name, value in event.__dict__.items()
        if isinstance(value, str) and (leftwards or not value.isascii()) and name not in _READ_BY_FILTERS
    }
    if items := event.__dict__.get("items"):
        named = ((item, isolated_text(item.name, localization)) for item in items)
        texts["items"] = tuple(item.model_copy(update={"name": name}) for item, name in named)
    return event.model_copy(update=texts) if texts else event
