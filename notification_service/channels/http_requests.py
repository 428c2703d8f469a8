"""Requests and headers as the core of httpx2 takes and gives them. URLs are read by httpx2."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore2
import httpx2

_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "notification-service"}
_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
"""RFC 9110 §5.5, of which nothing sends more than ASCII."""
_KEPT_URLS = 64
"""Most providers have one; APNs has one for each device."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A URL as the library wants it. `host`: as the header of that name says it."""

    url: httpcore2.URL
    host: bytes


@functools.lru_cache(_KEPT_URLS)
def _place(url: str) -> _Place:
    read = httpx2.URL(url)
    if read.scheme not in ("http", "https"):
        raise httpcore2.UnsupportedProtocol("the URL begins neither with https:// nor with http://")
    parts = httpcore2.URL(scheme=read.raw_scheme, host=read.raw_host, port=read.port, target=read.raw_path)
    return _Place(parts, read.netloc)


def request(method: str, url: str, headers: Mapping[str, str], content: bytes) -> httpcore2.Request:
    """`headers` take the place of ours. Raises `httpx2.InvalidURL` and `httpcore2.ProtocolError`."""
    place = _place(url)
    named = _HEADERS | {name.lower(): value for name, value in headers.items()}
    for name, value in named.items():
        if not _VALUE.fullmatch(value):
            # The library would find it after the fence, and quote it: it may be a secret that was copied with its end.
            raise httpcore2.LocalProtocolError(f"the value of {name} has a character or an end that no header may have")
    if content or method != "GET":
        named["content-length"] = str(len(content))
    lines = [(b"host", place.host), *((name.encode(), value.encode("ascii")) for name, value in named.items())]
    return httpcore2.Request(method, place.url, headers=lines, content=content)


def by_name(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """A name that occurs more than once has its values joined (RFC 9110 §5.2)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def seconds_until(date: str) -> float | None:
    """None where it is no date (RFC 9110 §5.6.7)."""
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
