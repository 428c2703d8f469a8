"""Which links of an event a mail may carry."""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one mail; each is None where it is not known or not allowed."""

    retry: str | None = None
    site: str | None = None


def allowed(url: str | None, hosts: Collection[str]) -> str | None:
    """The link, where it is https, plain to read, and leads to one of `hosts`; else None.

    Refused: other schemes, user names, ports, backslashes, control and non-ASCII characters (look-alike hosts).
    """
    if not url or len(url) > _LONGEST or not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.username is None and parts.port in (None, 443)
    except ValueError:
        return None
    return url if plain and (parts.hostname or "") in hosts else None
