"""The links of a mail: those of the settings, and those of an event that the settings allow."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from notification_service.contract.events import Event, PaymentFailed
from notification_service.contract.remarks import Remark
from notification_service.foundation.hosts import is_host

_MAX_LENGTH = 2000
_BOOKING_ID = "{booking_id}"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+")
"""An id that needs no encoding, and leads out of no path: `check_link` tried another such."""


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
    """The links of the settings; `{booking_id}` stands for the booking. `hosts`: allowed in the links of events."""

    hosts: Collection[str] = ()
    retry: str | None = None
    booking: str | None = None
    support: str | None = None


def for_event(
    event: Event, patterns: LinkPatterns, *, site: str | None = None, cinema_map: str | None = None
) -> tuple[Links, list[Remark]]:
    """Returns the links, and a remark for each link of the event that is left out."""
    named = event.retry_url if isinstance(event, PaymentFailed) else None
    why = refusal(named, patterns.hosts) if named else None
    retry = named if named and why is None else _filled(patterns.retry, event.booking_id)
    found = Links(
        retry=retry,
        booking=_filled(patterns.booking, event.booking_id),
        site=site,
        support=_filled(patterns.support, event.booking_id),
        map=cinema_map,
    )
    return found, [Remark("retry_url", f"is left out: {why}")] if why else []


def _filled(pattern: str | None, booking_id: str | None) -> str | None:
    """The link; None where the booking is unknown, or where its id would lead out of the pattern's path."""
    if pattern is None or _BOOKING_ID not in pattern:
        return pattern
    if not booking_id:
        return None
    plain = _PLAIN_ID.fullmatch(booking_id) is not None
    link = pattern.replace(_BOOKING_ID, booking_id if plain else quote(booking_id, safe=""))
    return link if len(link) <= _MAX_LENGTH and (plain or not _leaves_its_path(link)) else None


def _leaves_its_path(link: str) -> bool:
    """Whether a part of its path is `.` or `..` for some server, however often that server decodes it.

    Some servers read `%2F` or a backslash as a slash, and drop the text after a semicolon.
    """
    path = urlsplit(link).path
    while (decoded := unquote(path)) != path:
        path = decoded
    parts = re.split(r"[/\\]", path)
    return any(re.split(r"[;\0?#]", part)[0].strip() in (".", "..") for part in parts)


def check_link(pattern: str | None) -> str | None:
    """Returns the pattern. Raises `ValueError` where it is no https link."""
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
    if _leaves_its_path(link):
        raise ValueError("this is no link that a mail may carry: a part of its path is . or ..")
    return pattern


def refusal(url: str, hosts: Collection[str]) -> str | None:
    """Returns why a mail may not have the link; None where it is a plain https link to one of `hosts`.

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
