"""Which event type a text names."""

import re

from notification_service.contract.events import MODELS

_MAX_TYPE_LENGTH = 200
_VERSION = re.compile(r"[._:/-]?v\d{1,3}(\.\d{1,3})*$", re.IGNORECASE)
_NAMESPACE_SEPARATOR = re.compile(r"[.:/+$\\]")
_REVERSED_DOMAIN = re.compile(r"(?:com|org|net|io|app|dev|[a-z]{2})(?:\.[\w-]+)+?\.(?=[\w-]+\.[\w-]+$)", re.IGNORECASE)
"""What CloudEvents puts before a type, as in `com.cinema.booking.confirmed`."""
_KIND = re.compile(r"(?:(?:integration|domain)?event|message)$")
"""How classes of events are called: `BookingConfirmedIntegrationEvent`."""


def known_type(text: str) -> str | None:
    """The event type that a text names, in any case and with any separators, such as `BookingConfirmed`.

    A namespace before a class name, a .NET assembly after it, a reversed domain name and a version are ignored.
    """
    if text in MODELS:
        return text
    whole = _VERSION.sub("", text[:_MAX_TYPE_LENGTH].partition(",")[0].strip())
    innermost = _NAMESPACE_SEPARATOR.split(whole)[-1]
    names = (whole, innermost if innermost.isalnum() else "", _REVERSED_DOMAIN.sub("", whole, count=1))
    found = (_BY_LETTERS.get(_KIND.sub("", _letters(name))) for name in names)
    return next(filter(None, found), None)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold())).replace("canceled", "cancelled")


_BY_LETTERS = {_letters(event_type): event_type for event_type in MODELS}
