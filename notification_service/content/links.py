"""Which links a mail carries: those of the settings, and of an event only what the settings allow."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from notification_service.contract.events import Event, PaymentFailed
from notification_service.contract.remarks import Remark
from notification_service.foundation.hosts import is_host

_MAX_LENGTH = 2000
_BOOKING_ID = "{booking_id}"


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one mail; each is None where it is not known or not allowed."""

    retry: str | None = None
    booking: str | None = None
    site: str | None = None
    support: str | None = None
    map: str | None = None


@dataclass(frozen=True, slots=True)
class LinkPatterns:
    """Where mails lead by setting; `{booking_id}` stands for the booking.

    `hosts`: where a link of an event may lead.
    """

    hosts: Collection[str] = ()
    retry: str | None = None
    booking: str | None = None
    support: str | None = None


def for_event(event: Event, ways: LinkPatterns) -> tuple[Links, list[Remark]]:
    """The links, and for each of the event's own that is left out a remark that says why."""
    named = event.retry_url if isinstance(event, PaymentFailed) else None
    why = refusal(named, ways.hosts) if named else None
    retry = named if named and why is None else _filled(ways.retry, event.booking_id)
    found = Links(
        retry=retry,
        booking=_filled(ways.booking, event.booking_id),
        support=_filled(ways.support, event.booking_id),
    )
    return found, [Remark("retry_url", f"is left out: {why}")] if why else []


def _filled(pattern: str | None, booking_id: str | None) -> str | None:
    """None where the booking is not known, or where its id would lead to another place than the pattern's."""
    if pattern is None or _BOOKING_ID not in pattern:
        return pattern
    link = pattern.replace(_BOOKING_ID, quote(booking_id, safe="")) if booking_id else ""
    return link if link and len(link) <= _MAX_LENGTH and not _climbs(link) else None


def _climbs(link: str) -> bool:
    """Whether a part of its path is `.` or `..` for any server, however often that decodes it before it looks.

    Some servers take `%2F` or a backslash for a slash, and cut off what follows a semicolon.
    """
    path = urlsplit(link).path
    while (decoded := unquote(path)) != path:
        path = decoded
    parts = re.split(r"[/\\]", path)
    return any(re.split(r"[;\0?#]", part)[0].strip() in (".", "..") for part in parts)


def check_link(pattern: str | None) -> str | None:
    """The pattern as it is. Raises `ValueError` where it is no https link."""
    if not pattern:
        return pattern
    if _BOOKING_ID in pattern.partition("://")[2].partition("/")[0]:
        raise ValueError(f"this is no link that a mail may carry: {_BOOKING_ID} stands in its host")
    link = pattern.replace(_BOOKING_ID, "1")
    try:
        host = urlsplit(link).hostname
    except ValueError:
        host = None
    if why := refusal(link, [host or ""]):
        raise ValueError(f"this is no link that a mail may carry: {why}")
    if _climbs(link):
        raise ValueError("this is no link that a mail may carry: a part of its path is . or ..")
    return pattern


def refusal(url: str, hosts: Collection[str]) -> str | None:
    """Why the link may not stand in a mail; None where it is https, plain to read, and leads to one of `hosts`.

    Refused: other schemes, user names, ports, backslashes, control and non-ASCII characters (look-alike hosts).
    """
    if len(url) > _MAX_LENGTH or not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return "it is long, or has characters that no plain link has"
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.username is None and parts.port in (None, 443)
    except ValueError:
        return "it is no link"
    if not plain:
        return "it is no plain https link"
    if not is_host(parts.hostname):
        return "it names no host"
    return None if (parts.hostname or "") in hosts else "LINK_HOSTS does not name its host"
