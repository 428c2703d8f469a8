"""Whether a click came from a person or from a machine that tries out links, and why. Pure.

What is seen is kept with every hit, and nothing is thrown away. There are no lists of addresses and no links that
only machines follow: a ticket is no place for traps.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Visitor(StrEnum):
    """What the report tells apart."""

    PERSON = "person"
    MACHINE = "machine"


class Why(StrEnum):
    """Why a hit counts as a machine's."""

    HEAD = "head"
    PREFETCH = "prefetch"
    ROBOT = "robot"
    TOO_SOON = "too_soon"
    """Within seconds of the sending: a gateway that looks behind links before it delivers."""
    TWO_LINKS = "two_links"
    """Two links of one mail at once, which no hand does."""


_SOON = timedelta(seconds=10)
_AT_ONCE = timedelta(seconds=2)
_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
_BROWSER = re.compile(r"mozilla|opera|nokia|samsung|blackberry|sonyericsson|lg-|ucweb", re.IGNORECASE)
"""How browsers begin, those of old phones too. Whatever begins otherwise is a program."""
# Cubot makes phones.
_ROBOT = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|scan|preview|fetch|monitor|headless|phantom|validator|"
    r"barracuda|mimecast|proofpoint|safelinks|trendmicro|symantec|fireeye|google-?(?:image|safety)|bingpreview|ms-?office|lighthouse",
    re.IGNORECASE,
)


def by_request(method: str, headers: Mapping[str, str]) -> Why | None:
    """What the request itself says; None where it may be a person's. `headers`: by lower-case name."""
    if method == "HEAD":
        return Why.HEAD
    if any(_PREFETCH.search(headers.get(name, "")) for name in _PREFETCH_HEADERS):
        return Why.PREFETCH
    agent = headers.get("user-agent", "").strip()
    return None if _BROWSER.match(agent) and not _ROBOT.search(agent) else Why.ROBOT


@dataclass(frozen=True, slots=True)
class Hit:
    """One click as it was kept. `why`: what its request said."""

    link: str
    at: datetime
    why: Why | None


@dataclass(frozen=True, slots=True)
class JudgedHit:
    link: str
    at: datetime
    why: Why | None

    @property
    def visitor(self) -> Visitor:
        return Visitor.MACHINE if self.why else Visitor.PERSON


def judged(hits: Sequence[Hit], sent_at: datetime | None) -> list[JudgedHit]:
    """All hits on one message, judged together. `sent_at`: when it was sent, where its record says so."""
    return [JudgedHit(hit.link, hit.at, hit.why or _by_time(hit, hits, sent_at)) for hit in hits]


def _by_time(hit: Hit, hits: Sequence[Hit], sent_at: datetime | None) -> Why | None:
    if sent_at is not None and hit.at - sent_at < _SOON:
        return Why.TOO_SOON
    others = (other for other in hits if other.link != hit.link)
    return Why.TWO_LINKS if any(abs(other.at - hit.at) <= _AT_ONCE for other in others) else None
